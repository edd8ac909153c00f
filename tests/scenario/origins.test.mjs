// Which pages the public port answers, under which names, what they may read, and what the operator is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { RawHttp } from '../lib/raw-http.mjs';
import { until } from '../lib/wait.mjs';

const start = (t, settings, env) =>
    Gateway.start(t, { config: `broker = "memory"; namespaces = ( { name = "default"; }, { name = "chat"; client_publish = true; } ); ${settings}`, env });

// One request on a connection of its own: status, error code, and what a page may read and with what.
async function ask(gateway, line, headers = {}, body = '') {
    const raw = await RawHttp.open(gateway);
    raw.request(line, body ? { ...headers, 'Content-Length': body.length } : headers);
    raw.send(body);
    const { status, headers: answer } = await raw.head();
    const code = status < 400 ? undefined : JSON.parse((await raw.saw(/\{.*\}\n/))[0]).error.code;
    raw.end();
    return { status, code, readers: answer['access-control-allow-origin'], credentials: answer['access-control-allow-credentials'] };
}

const handshake = {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': 13,
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};
const poll = 'GET /v1/subscribe?channel=chat:a&wait=0';
const ways = (gateway, headers) => [
    ask(gateway, poll, headers),
    ask(gateway, 'POST /v1/publish?channel=chat:a', headers, 'x'),
    ask(gateway, 'GET /v1/ws', { ...headers, ...handshake }),
];

test('pages of the own host may connect whatever is listed', async (t) => {
    const gateway = await start(t, 'origins = [ "https://app.example.com" ];');
    const own = { Host: 'chat.example:8443', Origin: 'https://chat.example:8443' };
    assert.deepEqual((await Promise.all(ways(gateway, own))).map(({ status }) => status), [200, 200, 101]);
    const listed = await ask(gateway, poll, { Origin: 'https://app.example.com' });
    assert.deepEqual(listed, { status: 200, code: undefined, readers: 'https://app.example.com', credentials: 'true' });
    const other = await ask(gateway, poll, { Host: 'chat.example', Origin: 'https://chat.example:8443' });
    assert.deepEqual(other, { status: 403, code: 'origin_forbidden', readers: '*', credentials: undefined });
});

test('"*" lets every page in, and none with credentials but those that are listed too', async (t) => {
    const gateway = await start(t, 'origins = [ "*", "https://app.example.com" ];');
    for (const origin of ['https://evil.example', 'null', 'capacitor://localhost', `https://${'a'.repeat(400)}.example`]) {
        for (const answer of await Promise.all(ways(gateway, { Origin: origin }).slice(0, 2)))
            assert.deepEqual(answer, { status: 200, code: undefined, readers: '*', credentials: undefined });
        const preflight = await ask(gateway, 'OPTIONS /v1/publish', { Origin: origin });
        assert.deepEqual(preflight, { status: 204, code: undefined, readers: '*', credentials: undefined });
        const wrong = await ask(gateway, 'GET /v1/subscribe?channel=', { Origin: origin });
        assert.deepEqual(wrong, { status: 400, code: 'channel_invalid', readers: '*', credentials: undefined });
    }
    assert.equal((await ask(gateway, poll, { Origin: 'https://app.example.com' })).credentials, 'true');
});

test('a page may read why it is refused, and that a path is not there', async (t) => {
    const gateway = await start(t, 'origins = [ "https://app.example.com" ];');
    for (const answer of await Promise.all(ways(gateway, { Origin: 'https://evil.example' }).slice(0, 2)))
        assert.deepEqual(answer, { status: 403, code: 'origin_forbidden', readers: '*', credentials: undefined });
    const preflight = await ask(gateway, 'OPTIONS /v1/publish', { Origin: 'https://evil.example' });
    assert.deepEqual(preflight, { status: 403, code: 'origin_forbidden', readers: undefined, credentials: undefined });
    for (const line of ['GET /v1/subscribed', 'GET /v1/', 'POST /v1/publishes']) {
        const answer = await ask(gateway, line, { Origin: 'https://app.example.com' }, line.startsWith('POST') ? 'x' : '');
        assert.deepEqual(answer, { status: 404, code: 'not_found', readers: 'https://app.example.com', credentials: 'true' }, line);
    }
});

test('hosts: other names are not answered, so that DNS rebinding leads nowhere', async (t) => {
    const gateway = await start(t, 'hosts = [ "chat.example", "*.chat.example", "127.0.0.1" ];');
    const refused = { status: 403, code: 'host_forbidden', readers: undefined, credentials: undefined };
    for (const host of ['evil.example', 'evil.example:8000', 'chat.example.evil.example', '127.0.0.1.evil.example']) {
        // A page asks its own host by GET without an Origin.
        for (const headers of [{ Host: host }, { Host: host, Origin: `http://${host}` }])
            for (const answer of await Promise.all([...ways(gateway, headers), ask(gateway, 'GET /', headers)]))
                assert.deepEqual(answer, refused, JSON.stringify(headers));
    }
    for (const host of ['chat.example', 'CHAT.example:8443', 'a.b.chat.example', '127.0.0.1:1'])
        assert.equal((await ask(gateway, poll, { Host: host, Origin: `http://${host}` })).status, 200, host);
    assert.equal((await ask(gateway, poll, { Host: 'chat.example', Origin: 'http://evil.example' })).code, 'origin_forbidden');
    assert.ok((await gateway.metric('fantail_refusals_total', 'reason="host"')) >= 32);
});

test('a refused origin is logged once, with the host that it was compared with and what to do', async (t) => {
    const gateway = await start(t, '', { FANTAIL_LOG_FORMAT: 'json' });
    const lines = () => gateway.output.trim().split('\n').map((line) => JSON.parse(line)).filter(({ area }) => area === 'pages');
    const headers = { Host: 'app.example', Origin: 'https://app.example:8443' };
    for (let i = 0; i < 20; i++) assert.equal((await ask(gateway, poll, headers)).status, 403);
    await gateway.process.saw(/page refused/);
    const [line] = lines();
    assert.equal(line.level, 'warn');
    assert.deepEqual([line.origin, line.host], [headers.Origin, headers.Host]);
    assert.match(line.event, /proxy_set_header Host \$http_host/);
    assert.equal(lines().length, 1);
    // Others are told in their turn, one a second, whatever they are called.
    const odd = { Host: 'x', Origin: 'https://e" level="error" node=z' };
    await until('the second is told', async () => (await ask(gateway, poll, odd)) && lines().length === 2);
    assert.deepEqual([lines()[1].origin, lines()[1].host, lines()[1].level], ['https://e? level=?error? node=z', 'x', 'warn']);
    const many = Array.from({ length: 100 }, (_, i) => ask(gateway, poll, { Host: 'x', Origin: `https://e${i}.example` }));
    await Promise.all(many);
    assert.ok(lines().length < 20, `${lines().length} lines`);
});

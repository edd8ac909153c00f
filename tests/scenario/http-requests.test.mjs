// What HTTP asks of the public port: forms, methods, origins, refusals.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { wholeFile } from '../lib/file.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { RawHttp } from '../lib/raw-http.mjs';
import { poll, publish, subscribePath } from '../lib/subscribe.mjs';

const config = `
broker = "memory";
origins = [ "https://app.example.com" ];
limits = { message_bytes = 1000; channels_per_session = 10; };
namespaces = (
  { name = "default"; },
  { name = "chat"; client_publish = true; history_size = 100; history_ttl_seconds = 300; }
);`;
const listed = 'https://app.example.com';

const file = wholeFile();
let gateway;

before(async () => {
    gateway = await Gateway.start(file, { config });
});

// One request by hand on a connection of its own; the response.
async function ask(line, headers = {}, { version, body, hasBody } = {}) {
    const raw = await RawHttp.open(gateway);
    try {
        raw.request(line, headers, version);
        if (body !== undefined) raw.send(body);
        return await raw.response({ hasBody });
    } finally {
        raw.end();
    }
}

// The headers alone: for answers without end.
async function head(line, headers = {}) {
    const raw = await RawHttp.open(gateway);
    try {
        raw.request(line, headers);
        return await raw.head();
    } finally {
        raw.end();
    }
}

const refused = ({ status, json }) => [status, json?.error?.code];

test('the form of the answer is what the headers ask for, or `transport`', async () => {
    const type = async (options, headers) => (await head(`GET ${subscribePath('chat:form', options)}`, headers)).headers['content-type'];
    const sse = { Accept: 'text/event-stream' };
    const lines = { Accept: 'application/x-ndjson' };
    assert.equal(await type({}, sse), 'text/event-stream');
    assert.equal(await type({}, { Accept: 'text/html, text/event-stream;q=0.9, */*;q=0.1' }), 'text/event-stream');
    assert.equal(await type({}, lines), 'application/x-ndjson');
    assert.equal(await type({ wait: 0 }, { Accept: '*/*' }), 'application/json');
    assert.equal(await type({ wait: 0 }), 'application/json');
    assert.equal(await type({ transport: 'stream' }, sse), 'application/x-ndjson');
    assert.equal(await type({ transport: 'sse' }, lines), 'text/event-stream');
    assert.equal(await type({ transport: 'poll' }, sse), 'application/json');
    assert.equal(await type({ transport: 'longpoll', wait: 0 }, sse), 'application/json');
    const client = await NativeClient.open(gateway, { path: subscribePath('chat:form', { last: 1 }) });
    await publish(gateway, 'chat:form', 'hi');
    await client.message('chat:form');
    await client.end();
});

test('channels of Redis and of the gateway are nobody’s, in each form', async () => {
    for (const channel of ['__keyspace@0__:user:1', '__redis__:invalidate', 'fantail:probe:n1-00000000']) {
        for (const transport of ['sse', 'stream', 'longpoll', 'poll']) {
            const answer = await ask(`GET ${subscribePath(['chat:a', channel], { transport })}`);
            assert.deepEqual(refused(answer), [400, 'channel_invalid'], `${channel} by ${transport}`);
        }
        const handshake = await NativeClient.open(gateway, { path: subscribePath(channel) }).catch((error) => error);
        assert.equal(handshake.status, 400);
        const path = `POST /v1/publish?channel=${encodeURIComponent(channel)}`;
        assert.deepEqual(refused(await ask(path, { 'Content-Length': 1 }, { body: 'x' })), [400, 'channel_invalid']);
    }
});

test('what is not understood is said, in JSON', async () => {
    const get = (path, headers) => ask(`GET ${path}`, headers);
    const many = Array.from({ length: 11 }, (_, n) => `chat:${n}`);
    assert.deepEqual(refused(await get('/v1/subscribe')), [400, 'channel_invalid']);
    assert.deepEqual(refused(await get('/v1/subscribe?channel=')), [400, 'channel_invalid']);
    assert.deepEqual(refused(await get(subscribePath('a b'))), [400, 'channel_invalid']);
    for (const query of ['wait=-1', 'wait=1.5', 'wait=', 'wait=99999999999999999999', 'wait=0&last=-1', 'wait=0&last=4294967296', 'wait=0&last=1e3'])
        assert.deepEqual(refused(await get(`/v1/subscribe?channel=chat:a&${query}`)), [400, 'bad_request'], query);
    assert.deepEqual(refused(await get(subscribePath('chat:a', { cursor: 'nonsense' }))), [400, 'position_invalid']);
    assert.deepEqual(refused(await get(subscribePath(['chat:a', 'chat:b'], { cursor: '5-5' }))), [400, 'position_invalid']);
    assert.deepEqual(refused(await get(subscribePath('chat:a'), { 'Last-Event-ID': 'nonsense' })), [400, 'position_invalid']);
    assert.deepEqual(refused(await get(subscribePath('chat:a', { since: '5' }))), [400, 'position_invalid']);
    assert.deepEqual(refused(await get(subscribePath('chat:a', { last: 'all' }))), [400, 'bad_request']);
    assert.deepEqual(refused(await get(subscribePath('chat:a', { wait: '-1' }))), [400, 'bad_request']);
    assert.deepEqual(refused(await get(subscribePath('chat:a', { transport: 'pigeon' }))), [400, 'transport_unknown']);
    assert.deepEqual(refused(await get(subscribePath('chat:a', { transport: 'ws' }))), [426, 'upgrade_required']);
    assert.deepEqual(refused(await get('/v1/ws')), [426, 'upgrade_required']);
    assert.deepEqual(refused(await get('/v1/nothing')), [404, 'not_found']);
    assert.deepEqual(refused(await get(subscribePath(many))), [429, 'channel_limit']);
    // The reasons hold for HEAD as well, which has no body to tell them in.
    assert.equal((await ask(`HEAD ${subscribePath('chat:a', { transport: 'pigeon' })}`, {}, { hasBody: false })).status, 400);
});

test('other methods are refused with those that are taken, HEAD without a body', async (t) => {
    const get = await ask(`DELETE ${subscribePath('chat:a')}`);
    assert.deepEqual([...refused(get), get.headers.allow], [405, 'method_not_allowed', 'GET, HEAD, OPTIONS']);
    const post = await ask('GET /v1/publish?channel=chat:a');
    assert.deepEqual([...refused(post), post.headers.allow], [405, 'method_not_allowed', 'POST, OPTIONS']);
    const raw = await RawHttp.open(gateway);
    t.after(() => raw.end());
    // Answers to HEAD, one behind the other: a body would be taken for the beginning of the next.
    raw.request('HEAD /v1/publish?channel=chat:a');
    assert.equal((await raw.response({ hasBody: false })).status, 405);
    raw.request('HEAD /v1/subscribe');
    assert.equal((await raw.response({ hasBody: false })).status, 400);
    raw.request(`HEAD ${subscribePath('chat:a')}`, { Accept: 'text/event-stream' });
    const { status, headers } = await raw.response({ hasBody: false });
    assert.deepEqual([status, headers['content-type'], headers['content-length']], [200, 'text/event-stream', undefined]);
    raw.request(`GET ${subscribePath('chat:a', { wait: 0 })}`);
    assert.equal((await raw.response()).status, 200);
});

test('publishing: bodies as they have to be', async () => {
    const post = (headers, body, path = '/v1/publish?channel=chat:post') => ask(`POST ${path}`, headers, { body });
    const sized = (body, headers = {}) => post({ 'Content-Length': body.length, ...headers }, body);
    assert.deepEqual(refused(await post({})), [411, 'length_required']);
    assert.deepEqual(refused(await post({ 'Transfer-Encoding': 'chunked' }, '2\r\nhi\r\n0\r\n\r\n')), [411, 'length_required']);
    assert.deepEqual(refused(await sized('x'.repeat(1001))), [413, 'message_too_large']);
    assert.deepEqual(refused(await post({ 'Content-Length': 1e12 })), [413, 'message_too_large']);
    assert.deepEqual(refused(await sized('x', { 'Content-Type': 'multipart/form-data; boundary=x' })), [415, 'media_type']);
    assert.deepEqual(refused(await sized('{', { 'Content-Type': 'application/json' })), [400, 'body_not_json']);
    assert.deepEqual(refused(await post({ 'Content-Length': 1 }, 'x', '/v1/publish')), [400, 'channel_invalid']);
    assert.deepEqual(refused(await post({ 'Content-Length': 1 }, 'x', '/v1/publish?channel=room:1')), [403, 'publish_forbidden']);
    const { status, json } = await sized('{"n":1}', { 'Content-Type': 'application/json; charset=utf-8' });
    assert.deepEqual([status, json.ok], [200, true]);
    const { cursor, messages } = await poll(gateway, 'chat:post', { last: 10, wait: 0 });
    assert.deepEqual(messages, [{ channel: 'chat:post', id: json.id, data: { n: 1 } }]);
    assert.equal(cursor, json.id);
});

test('the same idempotency key publishes once, and gives the same id', async () => {
    const first = await publish(gateway, 'chat:once', 'a', { idempotency_key: 'k1' });
    const again = await publish(gateway, 'chat:once', 'a', { idempotency_key: 'k1' });
    assert.equal(again.id, first.id);
    assert.equal((await poll(gateway, 'chat:once', { last: 10, wait: 0 })).messages.length, 1);
});

test('a page of a listed origin may read and publish, with credentials', async () => {
    const preflight = await ask('OPTIONS /v1/publish?channel=chat:cors', {
        Origin: listed,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type, authorization',
    });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers['access-control-allow-origin'], listed);
    assert.equal(preflight.headers['access-control-allow-credentials'], 'true');
    assert.match(preflight.headers['access-control-allow-methods'], /POST/);
    assert.match(preflight.headers['access-control-allow-headers'], /Authorization/);
    assert.match(preflight.headers['access-control-allow-headers'], /Last-Event-ID/);
    assert.match(preflight.headers.vary, /Origin/);
    const readable = ({ status, headers }) => [status, headers['access-control-allow-origin'], headers['access-control-allow-credentials']];
    const origin = { Origin: listed };
    const ok = [200, listed, 'true'];
    assert.deepEqual(readable(await ask(`GET ${subscribePath('chat:cors', { wait: 0 })}`, origin)), ok);
    assert.deepEqual(readable(await head(`GET ${subscribePath('chat:cors', { transport: 'sse' })}`, origin)), ok);
    assert.deepEqual(readable(await head(`GET ${subscribePath('chat:cors', { transport: 'stream' })}`, origin)), ok);
    assert.deepEqual(readable(await ask('POST /v1/publish?channel=chat:cors', { ...origin, 'Content-Length': 1 }, { body: 'x' })), ok);
    // An error that the page cannot read would be a riddle.
    const bad = await ask(`GET ${subscribePath('chat:cors', { transport: 'pigeon' })}`, origin);
    assert.deepEqual(readable(bad), [400, listed, 'true']);
});

test('pages of other origins are refused, programs are not', async () => {
    for (const [method, path] of [['GET', subscribePath('chat:a', { wait: 0 })], ['OPTIONS', '/v1/publish?channel=chat:a'], ['OPTIONS', subscribePath('chat:a')]]) {
        const response = await ask(`${method} ${path}`, { Origin: 'https://evil.example.net' });
        assert.deepEqual(refused(response), [403, 'origin_forbidden'], `${method} ${path}`);
        // It may read why; its preflight fails, so that nothing else is sent.
        assert.equal(response.headers['access-control-allow-origin'], method === 'OPTIONS' ? undefined : '*');
        assert.equal(response.headers['access-control-allow-credentials'], undefined);
    }
    const path = `GET ${subscribePath('chat:a', { wait: 0 })}`;
    assert.equal((await ask(path, { Origin: 'http://example.test' })).status, 200); // Its own host.
    assert.equal((await ask(path)).status, 200);
});

test('HTTP/1.0 and `Connection: close` end the connection after the answer', async () => {
    for (const [version, headers] of [['1.0', {}], ['1.1', { Connection: 'close' }]]) {
        const raw = await RawHttp.open(gateway);
        raw.request(`GET ${subscribePath('chat:end', { wait: 0 })}`, headers, version);
        assert.equal((await raw.response()).status, 200);
        assert.equal(await raw.rest(3000), '');
    }
});

test('names and keys may be percent-encoded, and are what they say', async () => {
    const name = 'chat:Grüße/100%&more=1';
    const { id } = await publish(gateway, name, 'hi');
    const { messages } = await poll(gateway, name, { last: 1, wait: 0 });
    assert.deepEqual(messages, [{ channel: name, id, data: 'hi' }]);
});

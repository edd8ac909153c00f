// What a request may be, and what is answered to what is none. By raw sockets: HTTP libraries would put it right.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { wholeFile } from '../lib/file.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { frame, RawSocket } from '../lib/raw.mjs';
import { until } from '../lib/wait.mjs';

const KEY = 'k'.repeat(16);
const dir = await mkdtemp(path.join(os.tmpdir(), 'fantail-strict-'));
after(() => rm(dir, { recursive: true, force: true }));
await writeFile(path.join(dir, 'page.html'), 'wordy '.repeat(1000));

const gateway = await Gateway.start(wholeFile(), {
    config: `
        static_dir = "${dir}"; trusted_proxies = [ "127.0.0.9" ]; origins = [ "https://app.example.com" ];
        limits = { connections_per_ip = 40; message_bytes = 1000; keepalive_seconds = 2; };
        namespaces = ( { name = "default"; client_publish = true; }, { name = "closed"; client_publish = false; } );`,
    workers: 1,
    env: { FANTAIL_BROKER: 'memory', FANTAIL_ADMIN_API_KEY: KEY },
});

const worker = Number((await readFile(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8')).trim());

const POLL = '/v1/subscribe?channel=open:a&wait=0';
const PUBLISH = '/v1/publish?channel=open:a';
const request = (line, headers = [], body = '') => [`${line} HTTP/1.1`, 'Host: x', ...headers, '', body].join('\r\n');

// All that comes back until the connection ends, or until `until` is in it.
async function ask(text, { port = gateway.port, localAddress, until: pattern } = {}) {
    const raw = await RawSocket.connect(port, { localAddress });
    raw.write(Buffer.from(text, 'latin1'));
    await (pattern ? raw.saw(pattern) : raw.close());
    raw.destroy();
    const statuses = [...raw.text.matchAll(/HTTP\/1\.1 (\d+) /g)].map((match) => Number(match[1]));
    return { text: raw.text, statuses, status: statuses[0] };
}

const code = ({ text }) => JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)).error.code;
const CLOSE = 'Connection: close';

test('a header of whatever name costs no other', async () => {
    for (const name of ['X-F', 'X-Forwarded', 'X-Real', 'If', 'Proxy', 'Content', 'Sec', 'CU', 'Transfer', 'H', 'Sec-WebSocket'])
        for (const [port, line] of [
            [gateway.port, `POST ${PUBLISH}`],
            [gateway.adminPort, 'POST /api/v1/publish'],
        ]) {
            const body = '{"channel":"open:a","data":1}';
            const answer = await ask(request(line, [`${name}: 1`, `Content-Length: ${body.length}`, `X-API-Key: ${KEY}`, CLOSE, `${name}:`], body), { port });
            assert.deepEqual(answer.statuses, [200], `${name} at ${port}: ${answer.text}`);
        }
});

test('a header before X-Forwarded-For does not hide the client', async (t) => {
    const raws = [];
    t.after(() => raws.forEach((raw) => raw.destroy()));
    for (let n = 0; n < 42; n++) {
        const raw = await RawSocket.connect(gateway.port, { localAddress: '127.0.0.9' });
        raws.push(raw);
        const wait = '/v1/subscribe?channel=open:a&wait=20';
        raw.write(request(`GET ${wait}`, ['X-F: 1', `X-Forwarded-For: ${'10.0.0.1, '.repeat(400)}203.0.113.7`]));
    }
    await until('two are refused', () => raws.filter((raw) => /^HTTP\/1\.1 503 /.test(raw.text)).length === 2);
});

test('a listed proxy that tells of no client counts itself', async (t) => {
    const raws = [];
    t.after(() => raws.forEach((raw) => raw.destroy()));
    for (let n = 0; n < 41; n++) {
        const raw = await RawSocket.connect(gateway.port, { localAddress: '127.0.0.9' });
        raws.push(raw);
        raw.write(request('GET /v1/subscribe?channel=open:a&wait=20', n % 2 ? ['X-Forwarded-For: garbage'] : []));
    }
    await until('one is refused', () => raws.filter((raw) => /^HTTP\/1\.1 503 /.test(raw.text)).length === 1);
});

test('a body whose end nobody reads ends the connection, with one answer', async () => {
    const behind = request(`GET ${POLL}`);
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'BREW'])
        for (const end of ['Transfer-Encoding: chunked', 'Content-Length: 5'])
            for (const port of [gateway.port, gateway.adminPort]) {
                const answer = await ask(request(`${method} ${port === gateway.port ? POLL : '/healthz'}`, [end], `5\r\nhello\r\n0\r\n\r\n${behind}`), { port });
                assert.equal(answer.statuses.length, 1, `${method} ${end}: ${answer.text}`);
            }
});

test('what RFC 9112 refuses is refused on both ports, also as the second request', async () => {
    const refused = {
        'a blank before the colon': [400, request(`POST ${PUBLISH}`, ['Transfer-Encoding : chunked', 'Content-Length: 2'], 'hi')],
        'a bare CR': [400, request(`POST ${PUBLISH}`, ['X: a\rTransfer-Encoding: chunked', 'Content-Length: 2'], 'hi')],
        'a bare LF': [400, request(`POST ${PUBLISH}`, ['X: a\nTransfer-Encoding: chunked', 'Content-Length: 2'], 'hi')],
        'a folded line': [400, request(`POST ${PUBLISH}`, ['X: a', ' b', 'Content-Length: 2'], 'hi')],
        'two Hosts': [400, request(`GET ${POLL}`, ['Host: y'])],
        'no Host': [400, `GET ${POLL} HTTP/1.1\r\n\r\n`],
        'a header before the request line': [400, `X-Forwarded-For: 1\r\nGET ${POLL} HTTP/1.1\r\nHost: x\r\n\r\n`],
        'a PROXY line': [400, `PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n${request(`GET ${POLL}`)}`],
        'two lengths': [400, request(`POST ${PUBLISH}`, ['Content-Length: 2', 'Content-Length: 2'], 'hi')],
        'a coding that nobody knows': [501, request(`POST ${PUBLISH}`, ['Transfer-Encoding: gzip, chunked'], 'hi')],
        'HTTP/2': [505, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
        'a URL without end': [414, `GET /${'x'.repeat(9000)}`],
        'headers without end': [431, `GET / HTTP/1.1\r\n${'X-Y: z\r\n'.repeat(3000)}`],
        'TLS': [400, '\x16\x03\x01\x02\x00\x01\x00'],
    };
    const before = await gateway.metric('fantail_refusals_total', 'reason="http"');
    for (const [name, [status, text]] of Object.entries(refused)) {
        for (const port of [gateway.port, gateway.adminPort]) {
            const answer = await ask(text, { port });
            assert.deepEqual(answer.statuses, [status], `${name}: ${answer.text}`);
            assert.match(answer.text, /^HTTP\/1\.1 [^]*Content-Type: application\/json\r\n[^]*Connection: close\r\n/);
            assert.ok(code(answer));
        }
        const second = await ask(request(`GET ${POLL}`) + text + request(`GET ${POLL}`));
        assert.deepEqual(second.statuses, [200, status], `${name}, behind another: ${second.text}`);
    }
    assert.equal((await gateway.metric('fantail_refusals_total', 'reason="http"')) - before, 2 * Object.keys(refused).length);
    const lines = gateway.output.match(/request refused/g).length;
    assert.ok(lines < Object.keys(refused).length, `${lines} lines in the log`);
});

test('an Upgrade that is no WebSocket handshake is an ordinary request', async () => {
    const offers = [['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA'], ['Connection: upgrade', 'Upgrade: TLS/1.2, HTTP/3'], ['Upgrade: websocket']];
    for (const offer of offers) {
        assert.deepEqual((await ask(request(`POST ${PUBLISH}`, [...offer, 'Content-Length: 2'], 'hi') + request(`GET ${POLL}`, [CLOSE]))).statuses, [200, 200]);
        const socket = await ask(request('GET /v1/ws', [...offer, CLOSE]));
        assert.equal(socket.status, 426);
        assert.match(socket.text, /\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n/);
    }
});

test('Expect is answered: by 100, or by the refusal before the body is sent', async () => {
    const raw = await RawSocket.connect(gateway.port);
    raw.write(request(`POST ${PUBLISH}`, ['Expect: 100-continue', 'Content-Length: 2']));
    await raw.saw(/^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    raw.write('hi');
    await raw.saw(/\r\n\r\nHTTP\/1\.1 200 /);
    raw.destroy();
    const refused = {
        413: request(`POST ${PUBLISH}`, ['Expect: 100-continue', 'Content-Length: 1001']),
        403: request('POST /v1/publish?channel=closed:a', ['Expect: 100-continue', 'Content-Length: 2']),
        400: request('POST /v1/publish?channel=', ['Expect: 100-continue', 'Content-Length: 2']),
        417: request(`POST ${PUBLISH}`, ['Expect: 200-ok', 'Content-Length: 2'], 'hi'),
    };
    for (const [status, text] of Object.entries(refused)) assert.deepEqual((await ask(text, { until: /\}\}\n/ })).statuses, [Number(status)]);
});

test('the body of an API call waits for the key', async () => {
    const head = (headers) => request('POST /api/v1/publish', ['Content-Length: 8000000', ...headers]);
    const refused = await ask(head(['Expect: 100-continue']), { port: gateway.adminPort });
    assert.deepEqual(refused.statuses, [401]);
    const before = await memoryOf(gateway.pid);
    const raws = await Promise.all(Array.from({ length: 10 }, () => RawSocket.connect(gateway.adminPort)));
    for (const raw of raws) raw.write(head([]) + 'x'.repeat(7_900_000));
    await until('it has all been sent', () => raws.every((raw) => raw.socket.writableLength === 0), { timeoutMs: 30_000 });
    assert.ok((await memoryOf(gateway.pid)) - before < 30e6, 'the master keeps what strangers send');
    raws.forEach((raw) => raw.destroy());
});

async function memoryOf(pid) {
    return Number((await readFile(`/proc/${pid}/status`, 'utf8')).match(/VmRSS:\s+(\d+)/)[1]) * 1024;
}

test('answers that no handler gives can be read by the pages that may', async () => {
    const origin = 'Origin: https://app.example.com';
    const asked = {
        404: request('GET /v1/nothing', [origin, CLOSE]),
        405: request(`DELETE ${PUBLISH}`, [origin, CLOSE]),
        411: request(`POST ${PUBLISH}`, [origin, CLOSE]),
        413: request(`POST ${PUBLISH}`, [origin, CLOSE, 'Content-Length: 1001'], 'x'.repeat(1001)),
    };
    for (const [status, text] of Object.entries(asked)) {
        const answer = await ask(text);
        assert.equal(answer.status, Number(status), answer.text);
        assert.match(answer.text, /\r\nAccess-Control-Allow-Origin: https:\/\/app\.example\.com\r\n/);
    }
});

test('a bad escape is 400, wherever it is', async () => {
    for (const target of ['/%', '/%zz', '/v1/subscribe?channel=100%', '/v1/subscribe?channel=a%2', '/v1/subscribe?x=%00&channel=a', '/%00'])
        assert.deepEqual((await ask(request(`GET ${target}`))).statuses, [400], target);
    for (const channel of ['a%0dXYZ', 'a%0a', 'a%ff', 'a%C0%AF'])
        assert.equal(code(await ask(request(`POST /v1/publish?channel=${channel}`, [CLOSE, 'Content-Length: 1'], '1'))), 'channel_invalid', channel);
});

test('a whole URL is a target, and its host counts', async () => {
    const own = await ask(request(`GET http://127.0.0.1:1${POLL}`, [CLOSE, 'Origin: http://127.0.0.1:1']));
    assert.deepEqual(own.statuses, [200]);
    assert.deepEqual((await ask(request(`GET http://127.0.0.1:1${POLL}`, [CLOSE, 'Origin: http://x']))).statuses, [403]);
});

test('a path is compared as it was sent', async () => {
    for (const target of ['/v1/x/../publish?channel=open:a', '/v1/%70ublish?channel=open:a', '//v1/publish?channel=open:a', '/v1/publish/?channel=open:a'])
        assert.ok([404, 405].includes((await ask(request(`POST ${target}`, [CLOSE, 'Content-Length: 1'], '1'))).status), target);
});

test('requests behind one that is being answered wait, but not any number of them', async () => {
    const raw = await RawSocket.connect(gateway.port);
    raw.write(request('GET /v1/subscribe?channel=behind&wait=5'));
    await until('it waits', async () => (await gateway.metric('fantail_sessions', 'transport="longpoll"')) > 0);
    const many = request(`GET ${POLL}`).repeat(2000);
    const rounds = 400; // 60 MB in all.
    const before = await memoryOf(worker);
    for (let n = 0; n < rounds; n++) raw.write(many);
    await until('it reads no more', async () => {
        const held = raw.socket.writableLength;
        await new Promise((resolve) => setImmediate(resolve));
        return held > 1e6 && raw.socket.writableLength === held;
    });
    assert.ok((await memoryOf(worker)) - before < 40e6);
    raw.destroy();
    await until('it is gone', async () => (await gateway.metric('fantail_sessions', 'transport="longpoll"')) === 0, { timeoutMs: 10_000 });
});

test('where the socket takes nothing, the last ping alone is answered', async () => {
    const raw = await RawSocket.webSocket(gateway);
    raw.socket.pause();
    const before = await memoryOf(worker);
    const pings = Buffer.concat(Array.from({ length: 5000 }, (_, n) => frame(String(n % 1000).padStart(120, '0'), { opcode: 9 })));
    for (let n = 0; n < 40; n++) raw.write(pings); // 25 MB of pongs.
    await until('they have been sent', () => raw.socket.writableLength === 0, { timeoutMs: 60_000 });
    assert.ok((await memoryOf(worker)) - before < 40e6, 'pongs pile up');
    raw.socket.resume();
    raw.write(frame('the last', { opcode: 9 }));
    await until('the last one is answered', () => raw.text.includes('the last'), { timeoutMs: 20_000 });
    raw.destroy();
});

test('a connection waits for its next request as long as limits.keepalive_seconds', async () => {
    const raw = await RawSocket.connect(gateway.port);
    raw.write(request(`GET ${POLL}`));
    await raw.saw(/\]\}\n/);
    const started = performance.now();
    await raw.close(5000);
    assert.ok(performance.now() - started > 1500);
});

test('files have a tag, come compressed to who takes that, and not again to who has them', async () => {
    const url = '/page.html';
    const plain = await ask(request(`GET ${url}`, [CLOSE]));
    const [, tag] = plain.text.match(/\r\nETag: (".*?")\r\n/);
    assert.match(plain.text, /\r\nVary: Accept-Encoding\r\n/);
    const packed = await ask(request(`GET ${url}`, [CLOSE, 'Accept-Encoding: deflate, gzip;q=0.5']));
    assert.match(packed.text, /\r\nContent-Encoding: gzip\r\n/);
    const body = Buffer.from(packed.text.slice(packed.text.indexOf('\r\n\r\n') + 4), 'latin1');
    assert.equal(gunzipSync(body).toString(), 'wordy '.repeat(1000));
    assert.doesNotMatch((await ask(request(`GET ${url}`, [CLOSE, 'Accept-Encoding: gzip;q=0, br']))).text, /Content-Encoding/);
    for (const known of [tag, `W/${tag}`, `"x", ${tag}`]) assert.equal((await ask(request(`GET ${url}`, [CLOSE, `If-None-Match: ${known}`]))).status, 304);
    await writeFile(path.join(dir, 'page.html'), 'changed');
    const changed = await ask(request(`GET ${url}`, [CLOSE, `If-None-Match: ${tag}`]));
    assert.equal(changed.status, 200);
    assert.match(changed.text, /changed$/);
});

test('a WebSocket that is refused is told by HTTP what it lacks', async () => {
    const good = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    const handshake = (change, line = 'GET /v1/ws', body = '') => request(line, Object.entries({ ...good, ...change }).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${value}`), body);
    const refused = [
        [426, handshake({ 'Sec-WebSocket-Version': undefined })],
        [426, handshake({ 'Sec-WebSocket-Version': '8' })],
        [400, handshake({ 'Sec-WebSocket-Key': undefined })],
        [400, handshake({ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ' })],
        [400, handshake({ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZR==' })],
        [400, handshake({ 'Sec-WebSocket-Key': '!!!!IHNhbXBsZSBub25jZQ==' })],
        [400, handshake({ 'Content-Length': '2' }, 'GET /v1/ws', 'hi')],
        [400, handshake({ 'Content-Length': '0' }, 'POST /v1/ws')],
        [400, handshake({ 'Sec-WebSocket-Protocol': 'other' })],
    ];
    for (const [status, text] of refused) assert.deepEqual((await ask(text)).statuses, [status], text);
    const client = await NativeClient.open(gateway);
    await client.end();
});

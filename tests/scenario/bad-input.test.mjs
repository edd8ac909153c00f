// What no client should send, each with its answer, beside a neighbour on the same worker who notices nothing.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { frame, RawSocket } from '../lib/raw.mjs';
import { until } from '../lib/wait.mjs';

const gateway = await Gateway.start(
    { after },
    {
        env: {
            FANTAIL_PING_INTERVAL_SECONDS: '1',
            FANTAIL_PING_TIMEOUT_SECONDS: '1',
            FANTAIL_LIMITS_HANDSHAKE_SECONDS: '1',
            FANTAIL_ORIGINS: 'https://example.com',
        },
    },
);
const neighbour = await NativeClient.open(gateway);
await neighbour.subscribe('chat:neighbour');
after(() => neighbour.socket.terminate());

let said = 0;

// One worker serves all: if it still answers the neighbour, in the same session, nothing went wrong there.
async function neighbourIsUnharmed() {
    await neighbour.publish('chat:neighbour', ++said);
    await neighbour.message('chat:neighbour', (data) => data === said);
}

async function opened() {
    const client = await NativeClient.open(gateway);
    await client.subscribe('chat:other');
    return client;
}

// The client's other channel still works after what it did.
async function otherChannelWorks(client) {
    await neighbour.publish('chat:other', ++said);
    await client.message('chat:other', (data) => data === said);
}

async function gets(client, code, ref) {
    const reply = await client.frame(`the error ${code}`, (frame) => frame.error && frame.ref === ref);
    assert.equal(reply.error.code, code);
    assert.match(reply.error.message, /^[A-Z].*\.$/);
}

const refused = {
    'broken JSON': ['{"op":"subscribe","channel":', 'bad_json'],
    'text that is no JSON': ['hello', 'bad_json'],
    'JSON that is no object': ['[1,2,3]', 'bad_json'],
    'an unknown op': ['{"op":"dance"}', 'unknown_op'],
    'no op': ['{"channel":"chat:x"}', 'unknown_op'],
    'an op that is no string': ['{"op":{"op":"ping"}}', 'unknown_op'],
    'a ref that is no number': ['{"op":"ping","ref":"1"}', 'bad_request'],
    'a ref with a fraction': ['{"op":"ping","ref":1.5}', 'bad_request'],
    'a ref below zero': ['{"op":"ping","ref":-1}', 'bad_request'],
    'a ref beyond what JavaScript counts': ['{"op":"ping","ref":1e300}', 'bad_request'],
    'nesting without end': ['['.repeat(60_000), 'bad_json'],
    'objects nested without end': ['{"a":'.repeat(12_000), 'bad_json'],
    'a channel without a name': ['{"op":"subscribe","channel":""}', 'channel_invalid'],
    'no channel': ['{"op":"subscribe"}', 'channel_invalid'],
    'a channel that is no string': ['{"op":"subscribe","channel":42}', 'channel_invalid'],
    'a channel with a space': ['{"op":"subscribe","channel":"a b"}', 'channel_invalid'],
    'a channel with a zero byte': ['{"op":"subscribe","channel":"a\\u0000b"}', 'channel_invalid'],
    'a channel with braces': ['{"op":"subscribe","channel":"{a}"}', 'channel_invalid'],
    'a channel of Redis itself': ['{"op":"subscribe","channel":"__keyevent@0__:set"}', 'channel_invalid'],
    'a channel of the gateway': ['{"op":"history","channel":"fantail:probe:x"}', 'channel_invalid'],
    'a publish to a channel of Redis': ['{"op":"publish","channel":"__sentinel__:hello","data":1}', 'channel_invalid'],
    'leaving a channel of the gateway': ['{"op":"unsubscribe","channel":"fantail:probe:x"}', 'channel_invalid'],
    'a channel of 256 bytes': [`{"op":"subscribe","channel":"${'c'.repeat(256)}"}`, 'channel_invalid'],
    'a channel of 60 KB': [`{"op":"subscribe","channel":"${'c'.repeat(60_000)}"}`, 'channel_invalid'],
    'leaving a channel without having come': ['{"op":"unsubscribe","channel":"chat:never"}', 'not_subscribed'],
    'publishing nothing': ['{"op":"publish","channel":"chat:x"}', 'bad_request'],
    'base64 that is none': ['{"op":"publish","channel":"chat:x","base64":"a*b"}', 'bad_request'],
    'base64 that is a number': ['{"op":"publish","channel":"chat:x","base64":7}', 'bad_request'],
};

for (const [what, [text, code]] of Object.entries(refused)) {
    test(`${what} is answered with ${code}`, async () => {
        const client = await opened();
        client.send(text);
        await gets(client, code, undefined);
        await otherChannelWorks(client);
        await client.end();
        await neighbourIsUnharmed();
    });
}

test('an error reply carries the ref of the command', async () => {
    const client = await opened();
    client.send('{"ref":7,"op":"subscribe","channel":""}');
    await gets(client, 'channel_invalid', 7);
    client.send('{"ref":8,"op":"sing"}');
    await gets(client, 'unknown_op', 8);
    await client.end();
});

test('a client that is never understood is closed with 3500, one that sometimes is stays', async () => {
    const client = await opened();
    for (let i = 0; i < 10; i++) client.send('what?');
    client.send({ op: 'ping', ref: 1000 });
    for (let i = 0; i < 10; i++) client.send('what?');
    await client.frame('a pong', (frame) => frame.ref === 1000 && frame.ok);
    await otherChannelWorks(client);
    for (let i = 0; i < 16; i++) client.send('what?');
    assert.equal((await client.closed).code, 3500);
    await neighbourIsUnharmed();
});

test('a payload above limits.message_bytes is refused', async () => {
    const client = await opened();
    const reply = await client.request({ op: 'publish', channel: 'chat:x', data: 'x'.repeat(65_536) });
    assert.equal(reply.error.code, 'message_too_large');
    await otherChannelWorks(client);
    await client.end();
});

test('a channel name of 1 MB is too much for one message: 1009', async () => {
    const client = await opened();
    client.send({ op: 'subscribe', channel: 'c'.repeat(1_000_000) });
    assert.equal((await client.closed).code, 1009);
    await neighbourIsUnharmed();
});

test('a message of 20 MB is closed with 1009 before it has arrived', async () => {
    const client = await opened();
    client.send('x'.repeat(20_000_000));
    assert.equal((await client.closed).code, 1009);
    await neighbourIsUnharmed();
});

test('a message of fragments that together are too large is closed with 1009', async () => {
    const raw = await RawSocket.webSocket(gateway);
    raw.write(frame('x'.repeat(50_000), { fin: false }));
    raw.write(frame('x'.repeat(50_000), { opcode: 0, fin: false }));
    assert.equal(await raw.closeCode(), 1009);
    await raw.close();
    await neighbourIsUnharmed();
});

test('a body above limits.message_bytes is answered with 413', async () => {
    for (const size of [65_537, 900_000, 5_000_000]) {
        const response = await fetch(`${gateway.url}/v1/publish?channel=chat:x`, { method: 'POST', body: 'x'.repeat(size) });
        assert.equal(response.status, 413);
        assert.equal((await response.json()).error.code, 'message_too_large');
    }
    await neighbourIsUnharmed();
});

test('invalid UTF-8 is closed with 1007', async () => {
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0x7b, 0xe2, 0x82]]) {
        const raw = await RawSocket.webSocket(gateway);
        raw.write(frame(bytes));
        assert.equal(await raw.closeCode(), 1007);
        await raw.close();
    }
    await neighbourIsUnharmed();
});

test('binary frames are closed with 1003', async () => {
    const client = await opened();
    client.send(Buffer.from('{"op":"ping"}'));
    assert.equal((await client.closed).code, 1003);
    await neighbourIsUnharmed();
});

test('frames that RFC 6455 forbids are closed with 1002', async () => {
    const forbidden = {
        'a reserved opcode': frame('x', { opcode: 3 }),
        'a reserved bit': Buffer.concat([Buffer.from([0xf1]), frame('x').subarray(1)]),
        'a fragmented ping': frame('x', { opcode: 9, fin: false }),
        'a continuation of nothing': frame('x', { opcode: 0 }),
    };
    for (const [what, bytes] of Object.entries(forbidden)) {
        const raw = await RawSocket.webSocket(gateway);
        raw.write(bytes);
        assert.equal(await raw.closeCode(), 1002, what);
        await raw.close();
        await neighbourIsUnharmed();
    }
});

test('a frame longer than any can be ends the connection', async () => {
    const raw = await RawSocket.webSocket(gateway);
    raw.write(frame('x', { length: 2n ** 63n }));
    await raw.close();
    await neighbourIsUnharmed();
});

test('an unknown subprotocol is answered with 400', async () => {
    const error = await NativeClient.open(gateway, { protocol: 'mqtt' }).catch((error) => error);
    assert.equal(error.status, 400);
    assert.equal(JSON.parse(error.body).error.code, 'subprotocol_unknown');
    const client = await NativeClient.open(gateway, { protocol: ['mqtt', 'fantail.v1'] });
    assert.equal(client.socket.protocol, 'fantail.v1');
    await client.end();
    const bare = await NativeClient.open(gateway, { protocol: null });
    assert.equal(bare.socket.protocol, '');
    await bare.subscribe('chat:bare');
    await bare.end();
});

test('a forbidden origin is answered with 403, on every path', async () => {
    const before = await gateway.metric('fantail_refusals_total', 'reason="origin"');
    for (const path of ['/v1/ws', '/v1/subscribe?channel=chat:x']) {
        for (const origin of ['https://evil.example', 'http://example.com', 'https://example.com.evil.example', 'null']) {
            const error = await NativeClient.open(gateway, { path, origin }).catch((error) => error);
            assert.equal(error.status, 403, `${path} from ${origin}`);
            assert.equal(JSON.parse(error.body).error.code, 'origin_forbidden');
        }
    }
    const post = await fetch(`${gateway.url}/v1/publish?channel=chat:x`, { method: 'POST', body: '1', headers: { origin: 'https://evil.example' } });
    assert.equal(post.status, 403);
    assert.equal(await gateway.metric('fantail_refusals_total', 'reason="origin"'), before + 9);
    const friend = await NativeClient.open(gateway, { origin: 'https://example.com' });
    await friend.end();
});

test('/v1/subscribe without a channel, or with a bad one, is answered with 400', async () => {
    for (const query of ['', '?channel=', '?channel=a%20b', '?channel=%ff', `?channel=${'c'.repeat(256)}`, '?other=1']) {
        const error = await NativeClient.open(gateway, { path: `/v1/subscribe${query}` }).catch((error) => error);
        assert.equal(error.status, 400, query);
        assert.equal(JSON.parse(error.body).error.code, 'channel_invalid');
    }
});

test('WebSockets at other paths are refused', async () => {
    const file = await NativeClient.open(gateway, { path: '/chat.html' }).catch((error) => error);
    assert.equal(file.status, 400);
    const plain = await fetch(`${gateway.url}/v1/ws`);
    assert.equal(plain.status, 426);
    assert.equal((await plain.json()).error.code, 'upgrade_required');
});

test('a handshake that drips in is given up after limits.handshake_seconds', async () => {
    const before = await gateway.metric('fantail_refusals_total', 'reason="handshake"');
    const start = Date.now();
    const raw = await RawSocket.connect(gateway.port);
    const text = `GET /v1/ws HTTP/1.1\r\nHost: x\r\nX-Padding: ${'x'.repeat(1000)}`;
    let at = 0;
    const drip = setInterval(() => raw.write(text[at++]), 50);
    await raw.close(5000).finally(() => clearInterval(drip));
    assert.ok(Date.now() - start >= 900, `closed after ${Date.now() - start} ms`);
    await until('the refusal to be counted', async () => (await gateway.metric('fantail_refusals_total', 'reason="handshake"')) > before);
    await neighbourIsUnharmed();
});

test('a connection that never says a word is given up as well', async () => {
    const before = await gateway.metric('fantail_refusals_total', 'reason="handshake"');
    const raw = await RawSocket.connect(gateway.port);
    await raw.close(5000);
    await until('the refusal to be counted', async () => (await gateway.metric('fantail_refusals_total', 'reason="handshake"')) > before);
});

test('a body that drips in is given up as well', async () => {
    const raw = await RawSocket.connect(gateway.port);
    raw.write('POST /v1/publish?channel=chat:x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n');
    const drip = setInterval(() => raw.write('x'), 50);
    await raw.close(8000).finally(() => clearInterval(drip));
    await neighbourIsUnharmed();
});

test('half a frame and then silence dies of the ping timeout', async () => {
    const raw = await RawSocket.webSocket(gateway);
    raw.write(frame('{"op":"ping"}').subarray(0, 9));
    assert.equal(await raw.closeCode(), 3004);
    raw.destroy();
    await neighbourIsUnharmed();
});

test('a frame that drips in without end does not hold the connection for ever', async () => {
    const raw = await RawSocket.webSocket(gateway);
    raw.write(frame('x'.repeat(60_000)).subarray(0, 10));
    const drip = setInterval(() => raw.write('x'), 50);
    await raw.closeCode().finally(() => clearInterval(drip));
    await raw.close();
    await neighbourIsUnharmed();
});

const post = (body) => `POST /v1/publish?channel=chat:x HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const get = 'GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n';

test('requests sent before the one before was answered hold up nobody', async () => {
    const ahead = {
        'a body behind a body': post('1').repeat(2),
        'many bodies': post('12').repeat(30),
        'a body behind none': get + post('1').repeat(3),
        'bodies that are refused': post('1').replace('/v1/publish', '/nothing').repeat(5),
        'half a body behind a body': post('1') + post('12345').slice(0, -2),
        'empty bodies': post('').repeat(20),
        'no bodies': get.repeat(20),
        'what is no request': `${post('1')}\r\n\r\nwhat?`,
    };
    for (const [what, bytes] of Object.entries(ahead)) {
        const raw = await RawSocket.connect(gateway.port);
        raw.write(bytes);
        await raw.saw(/^HTTP\/1\.1 \d+ [^]*\r\n\r\n/).catch((error) => assert.fail(`${what}: ${error.message}`));
        await neighbourIsUnharmed();
        raw.destroy();
    }
    // Where nothing has a body, all are answered.
    const raw = await RawSocket.connect(gateway.port);
    raw.write(get.repeat(20));
    await until('20 answers', () => raw.text.split('HTTP/1.1 404').length === 21);
    raw.destroy();
});

test('a body ends where its length says, whatever comes behind it', async () => {
    const head = post('12').slice(0, -2);
    const pieces = [[`${head}12${post('34')}`, null, 34], [head, `12${post('34')}`, 34], [`${head}1`, `2${get}`], [`${head}12`, get]];
    const client = await NativeClient.open(gateway);
    await client.subscribe('chat:x');
    const published = [];
    for (const [first, then, behind] of pieces) {
        const raw = await RawSocket.connect(gateway.port);
        raw.write(first);
        if (then) {
            await neighbourIsUnharmed(); // The worker has read the first piece.
            raw.write(then);
        }
        await raw.saw(/^HTTP\/1\.1 200 /);
        published.push(12, ...(behind ? [behind] : []), `after ${first}`);
        await raw.saw(/^HTTP\/1\.1 200 [^]*HTTP\/1\.1 /); // What follows is a request of its own.
        await neighbour.publish('chat:x', published.at(-1));
        await client.message('chat:x', (data) => data === published.at(-1));
        assert.deepEqual(client.messages('chat:x'), published);
        raw.destroy();
    }
    await client.end();
});

test('a body whose end is not told by one Content-Length is refused, and the connection ends', async () => {
    const ends = {
        'Transfer-Encoding: chunked': 411,
        'Content-Length: 3\r\nTransfer-Encoding: chunked': 400,
        'Content-Length: 3\r\nContent-Length: 5': 400,
        'Content-Length: -1': 400,
        'Content-Length: 9e9': 400,
        'Content-Length: 99999999999999999999': 413,
        'X: y': 411,
        'Content: y': 411,
    };
    for (const [end, status] of Object.entries(ends)) {
        const raw = await RawSocket.connect(gateway.port);
        raw.write(`POST /v1/publish?channel=chat:x HTTP/1.1\r\nHost: x\r\n${end}\r\n\r\n5\r\nhello\r\n0\r\n\r\n${get}`);
        await raw.close();
        assert.match(raw.text, new RegExp(`^HTTP/1\\.1 ${status} `), end);
        assert.equal(raw.text.split('HTTP/1.1 ').length, 2, `what follows is no request: ${end}`);
    }
    await neighbourIsUnharmed();
});

test('an Origin that is too long to be one is not taken for none', async () => {
    const origin = `https://${'a'.repeat(5000)}.example`;
    const error = await NativeClient.open(gateway, { origin }).catch((error) => error);
    assert.equal(error.status, 403);
});

const foreign = {
    'a TLS hello': Buffer.concat([Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]), randomBytes(501)]),
    'an SSH banner': 'SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n',
    'a Redis command': '*1\r\n$4\r\nPING\r\n',
    'an HTTP/2 preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0',
    'random bytes': randomBytes(4096),
    'zeros': Buffer.alloc(4096),
    'a header without end': `GET / HTTP/1.1\r\nX: ${'x'.repeat(100_000)}`,
    'a thousand headers': `GET / HTTP/1.1\r\n${'X-Y: z\r\n'.repeat(3000)}\r\n`,
    'HTTP/0.9': 'GET /\r\n',
    'a method nobody knows': 'BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n',
    'an upgrade to something else': 'GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: teapot\r\nConnection: Upgrade\r\n\r\n',
    'a WebSocket handshake without a key': 'GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n',
};

for (const [what, bytes] of Object.entries(foreign)) {
    test(`${what} is turned away`, async () => {
        const raw = await RawSocket.connect(gateway.port);
        raw.write(bytes);
        await until('an answer or an end', () => raw.isClosed || raw.text.includes('\r\n\r\n'));
        assert.doesNotMatch(raw.text, /^HTTP\/1\.1 (101|200)/);
        raw.destroy();
        await neighbourIsUnharmed();
    });
}

test('in the end every connection but the neighbour is gone', async () => {
    await until('one connection', async () => (await gateway.metric('fantail_connections')) === 1);
    assert.equal(neighbour.close, undefined);
    gateway.assertSane();
});

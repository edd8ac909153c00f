// RFC 6455 by hand: each handshake that is none, and each frame that no client may send, with how it ends.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { RawHttp } from '../lib/raw-http.mjs';
import { frame, RawSocket } from '../lib/raw.mjs';
import { until } from '../lib/wait.mjs';

const gateway = await Gateway.start({ after }, { env: { FANTAIL_LIMITS_MESSAGE_BYTES: '1000', FANTAIL_LIMITS_HANDSHAKE_SECONDS: '5' } });
const neighbour = await NativeClient.open(gateway);
after(() => neighbour.socket.terminate());

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const good = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key };

// The answer to a handshake; `without` are fields that are left out, `fields` those said otherwise.
async function handshake({ method = 'GET', path = '/v1/ws', version = '1.1', fields = {}, without = [] } = {}) {
    const raw = await RawHttp.open(gateway);
    try {
        const headers = { ...good, ...fields };
        for (const name of without) delete headers[name];
        raw.request(`${method} ${path}`, headers, version);
        return await raw.head();
    } finally {
        raw.end();
    }
}

test('a handshake is answered with the proof that its key was read', async () => {
    const { status, headers } = await handshake();
    assert.deepEqual([status, headers['sec-websocket-accept'], headers.upgrade.toLowerCase()], [101, 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'websocket']);
    assert.match(headers.connection, /^upgrade$/i);
});

// Section 4.2.1: names of protocols and options are compared without regard to case, Connection is a list.
const taken = {
    'in capitals': { Upgrade: 'WebSocket', Connection: 'UPGRADE' },
    'with Connection as Firefox has it': { Connection: 'keep-alive, Upgrade' },
    'with another key': { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==' },
    'with an offer nobody knows': { 'Sec-WebSocket-Extensions': 'x-nobody; a=b' },
};
for (const [what, fields] of Object.entries(taken)) test(`a handshake ${what} is taken`, async () => assert.equal((await handshake({ fields })).status, 101));

// Sections 4.1 and 4.2.1. A poll of the same path is what a request without Upgrade is.
const refused = {
    'without a version': [{ without: ['Sec-WebSocket-Version'] }, [400, 426]],
    'without a key': [{ without: ['Sec-WebSocket-Key'] }, [400]],
    'with an empty key': [{ fields: { 'Sec-WebSocket-Key': '' } }, [400]],
    'with a key of 5 bytes': [{ fields: { 'Sec-WebSocket-Key': 'AAAAAAA=' } }, [400]],
    'with a key of 17 bytes': [{ fields: { 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAAA=' } }, [400]],
    'with a key that is no base64': [{ fields: { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' } }, [400]],
    'with a key without its padding': [{ fields: { 'Sec-WebSocket-Key': key.slice(0, -2) } }, [400]],
    'by POST': [{ method: 'POST', fields: { 'Content-Length': '0' } }, [400, 405]],
    'by HTTP/1.0': [{ version: '1.0' }, [400, 426, 505]],
    'without Connection': [{ without: ['Connection'] }, [426]],
    'with Connection that names something else': [{ fields: { Connection: 'keep-alive' } }, [426]],
    'without Upgrade': [{ without: ['Upgrade'] }, [426]],
    'with Upgrade to something else': [{ fields: { Upgrade: 'h2c' } }, [426]],
};
for (const [what, [options, statuses]] of Object.entries(refused)) {
    test(`a handshake ${what} is refused`, async () => {
        const { status } = await handshake(options);
        assert.ok(statuses.includes(status), `${status}, not ${statuses}`);
    });
}

test('a handshake of another version is told which there is', async () => {
    for (const version of ['8', '0', '14', '255', '99', '13, 8', 'x']) {
        const { status, headers } = await handshake({ fields: { 'Sec-WebSocket-Version': version } });
        assert.deepEqual([status, headers['sec-websocket-version']], [426, '13'], version);
    }
});

test('who needs a handshake is told by 426 how', async () => {
    const { status, headers } = await handshake({ without: Object.keys(good) });
    assert.deepEqual([status, headers.upgrade?.toLowerCase(), headers['sec-websocket-version']], [426, 'websocket', '13']);
});

const masked = frame;
// The bytes of a frame whose first two are as given; `rest` is what stands behind them.
const bytes = (first, second, ...rest) => Buffer.from([first, second, ...rest]);
const mask = [1, 2, 3, 4];
const close = (...payload) => masked(Buffer.from(payload), { opcode: 8 });
const code = (number, ...reason) => close(number >> 8, number & 0xff, ...reason);
const ping = '{"op":"ping"}';

// What is sent, and the code it is closed with.
const violations = {
    // Section 5.1.
    'an unmasked text': [Buffer.concat([bytes(0x81, ping.length), Buffer.from(ping)]), 1002],
    'an unmasked ping': [bytes(0x89, 0), 1002],
    'an unmasked close': [bytes(0x88, 0), 1002],
    // Section 5.2.
    'RSV1 without an extension': [bytes(0xc1, 0x80, ...mask), 1002],
    RSV2: [bytes(0xa1, 0x80, ...mask), 1002],
    RSV3: [bytes(0x91, 0x80, ...mask), 1002],
    'RSV1 on a ping': [bytes(0xc9, 0x80, ...mask), 1002],
    'RSV2 on a continuation': [Buffer.concat([masked('{', { fin: false }), bytes(0xa0, 0x80, ...mask)]), 1002],
    ...Object.fromEntries([3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => [`the opcode ${opcode}`, [bytes(0x80 | opcode, 0x80, ...mask), 1002]])),
    'a length of 64 bits with the highest set': [bytes(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, ...mask), [1002, 1009]],
    'a length that is too large': [bytes(0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, ...mask), 1009],
    // Section 5.4.
    'a continuation of nothing': [bytes(0x80, 0x80, ...mask), 1002],
    'a text within a message': [Buffer.concat([masked('{', { fin: false }), masked('}')]), 1002],
    'a continuation behind the end': [Buffer.concat([masked('{"op":', { fin: false }), masked('"ping"}', { opcode: 0 }), masked('x', { opcode: 0 })]), 1002],
    // Section 5.5.
    'a ping of 126 bytes': [masked(Buffer.alloc(126), { opcode: 9 }), 1002],
    'a pong of 126 bytes': [masked(Buffer.alloc(126), { opcode: 10 }), 1002],
    'a close of 126 bytes': [masked(Buffer.concat([Buffer.from([3, 232]), Buffer.alloc(124, 97)]), { opcode: 8 }), 1002],
    'a ping in pieces': [masked('x', { opcode: 9, fin: false }), 1002],
    'a close in pieces': [masked(Buffer.from([3, 232]), { opcode: 8, fin: false }), 1002],
    // Section 5.5.1 and 7.4.
    'a close of one byte': [close(3), 1002],
    ...Object.fromEntries([0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((number) => [`the close code ${number}`, [code(number), 1002]])),
    'a close whose reason is not UTF-8': [code(1000, 0xc3, 0x28), 1007],
    // Section 8.1.
    'text that is not UTF-8': [masked(Buffer.from([0x7b, 0xff, 0x7d])), 1007],
    'text that ends within a letter': [masked(Buffer.from([0x7b, 0xe2, 0x82])), 1007],
    'a surrogate in UTF-8': [masked(Buffer.from([0xed, 0xa0, 0x80])), 1007],
    'an overlong letter': [masked(Buffer.from([0xc0, 0xaf])), 1007],
    // What the protocol adds: docs/protocols/native.md.
    'a binary message': [masked(ping, { opcode: 2 }), 1003],
    'a message that is too large': [masked('x'.repeat(5000)), 1009],
    'fragments that become too large': [Buffer.concat([masked('x'.repeat(2000), { fin: false }), ...Array.from({ length: 3 }, () => masked('x'.repeat(2000), { opcode: 0, fin: false }))]), 1009],
};
for (const [what, [sent, codes]] of Object.entries(violations)) {
    test(`${what} is closed with ${[codes].flat().join(' or ')}`, async () => {
        const raw = await RawSocket.webSocket(gateway);
        raw.write(sent);
        // What stands behind it must not be read any more.
        raw.write(masked('{"ref":77,"op":"ping"}'));
        const got = await raw.closeCode();
        assert.ok([codes].flat().includes(got), `closed with ${got}`);
        await raw.close();
        assert.doesNotMatch(raw.text, /"ref":77/);
        assert.equal((await neighbour.request({ op: 'ping' })).ok, true);
    });
}

// Section 7.4.1 and 7.4.2: what a client may say, with and without a reason, is given back.
for (const number of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]) {
    test(`the close code ${number} is given back, and the connection ends`, async () => {
        const raw = await RawSocket.webSocket(gateway);
        raw.write(code(number, ...Buffer.from('grüß')));
        assert.equal(await raw.closeCode(), number);
        await raw.close();
    });
}

test('a close without a code is answered with one, and the connection ends', async () => {
    const raw = await RawSocket.webSocket(gateway);
    raw.write(close());
    const { payload } = await until('a close frame', () => raw.frames().find(({ opcode }) => opcode === 8));
    assert.ok(payload.length === 0 || payload.readUInt16BE(0) === 1000, payload.toString('hex'));
    await raw.close();
});

test('a ping is answered with its payload, also between fragments and up to 125 bytes', async () => {
    const raw = await RawSocket.webSocket(gateway);
    const pongs = () => raw.frames().filter(({ opcode }) => opcode === 10).map(({ payload }) => payload.toString());
    raw.write(masked('', { opcode: 9 }));
    raw.write(masked('{"ref":1,', { fin: false }));
    raw.write(masked('x'.repeat(125), { opcode: 9 }));
    raw.write(masked('"op":"ping"}', { opcode: 0 }));
    await until('a reply', () => /"ref":1,"ok":true/.test(raw.text));
    await until('two pongs', () => pongs().length === 2);
    assert.deepEqual(pongs(), ['', 'x'.repeat(125)]);
    raw.destroy();
});

test('a pong that nobody asked for, empty fragments and letters in pieces are taken', async () => {
    const raw = await RawSocket.webSocket(gateway);
    raw.write(masked('unasked', { opcode: 10 }));
    const text = Buffer.from('{"ref":1,"op":"ping","x":"€𝄞"}');
    raw.write(masked('', { fin: false }));
    for (const byte of text) raw.write(masked(Buffer.from([byte]), { opcode: 0, fin: false }));
    raw.write(masked('', { opcode: 0 }));
    await until('a reply', () => /"ref":1,"ok":true/.test(raw.text));
    raw.destroy();
});

test('a frame that comes byte by byte, and several in one piece, are the same', async () => {
    const raw = await RawSocket.webSocket(gateway);
    for (const byte of masked('{"ref":1,"op":"ping"}')) raw.write(Buffer.from([byte]));
    raw.write(Buffer.concat([masked('{"ref":2,"op":"ping"}'), masked('{"ref":3,"op":"ping"}')]));
    await until('three replies', () => raw.frames().length === 3);
    raw.destroy();
});

test('what the gateway sends is not masked, and in the shortest length', async () => {
    const raw = await RawSocket.webSocket(gateway);
    raw.write(masked('{"ref":1,"op":"ping"}'));
    await until('a reply', () => raw.frames().length === 1);
    assert.deepEqual([raw.received[0], raw.received[1]], [0x81, raw.received.length - 2]);
    raw.destroy();
});

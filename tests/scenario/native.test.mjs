// fantail.v1 as it is spoken when both sides behave.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { frame, RawSocket } from '../lib/raw.mjs';
import { until } from '../lib/wait.mjs';

const gateway = await Gateway.start({ after }, { node: 'n1' });
const watcher = await NativeClient.open(gateway);
after(() => watcher.socket.terminate());

async function talk(t) {
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    return client;
}

test('connect tells session, node, version and the ping interval', async (t) => {
    const client = await talk(t);
    client.send('{"ref":0,"op":"connect"}');
    const reply = await client.frame('the reply', (frame) => frame.ref === 0);
    const { session, version, ...rest } = reply;
    assert.deepEqual(rest, { ref: 0, ok: true, node: 'n1', ping_seconds: 25 });
    assert.match(session, /^n1-[0-9a-f]{8}-\d+$/);
    assert.match(version, /^\d+\.\d+\.\d+$/);
});

test('every session has a name of its own', async (t) => {
    const names = new Set();
    for (let i = 0; i < 5; i++) names.add((await (await talk(t)).request({ op: 'connect' })).session);
    assert.equal(names.size, 5);
});

test('subscribe, unsubscribe and ping are answered with their ref', async (t) => {
    const client = await talk(t);
    client.send('{"ref":1,"op":"subscribe","channel":"room:1"}');
    client.send('{"ref":2,"op":"ping"}');
    client.send('{"ref":3,"op":"unsubscribe","channel":"room:1"}');
    await client.frame('the last reply', (frame) => frame.ref === 3);
    const replies = [...client.frames].sort((a, b) => a.ref - b.ref);
    assert.deepEqual(replies, [
        { ref: 1, ok: true, channel: 'room:1' },
        { ref: 2, ok: true },
        { ref: 3, ok: true, channel: 'room:1' },
    ]);
});

test('a command without a ref is answered without one', async (t) => {
    const client = await talk(t);
    client.send('{"op":"subscribe","channel":"room:noref"}');
    assert.deepEqual(await client.frame('a reply', () => true), { ok: true, channel: 'room:noref' });
});

test('refs go from 0 to 2^53', async (t) => {
    const client = await talk(t);
    for (const ref of [0, 1, 2 ** 31, 2 ** 53]) {
        client.send({ ref, op: 'ping' });
        await client.frame(`the ref ${ref}`, (frame) => frame.ref === ref && frame.ok);
    }
});

test('subscribing twice is answered twice and delivers once', async (t) => {
    const client = await talk(t);
    await client.subscribe('room:twice');
    await client.subscribe('room:twice');
    await watcher.publish('room:twice', 1);
    await watcher.publish('room:twice', 2);
    await client.message('room:twice', (data) => data === 2);
    assert.deepEqual(client.messages('room:twice'), [1, 2]);
    await client.request({ op: 'unsubscribe', channel: 'room:twice' });
    const again = await client.request({ op: 'unsubscribe', channel: 'room:twice' });
    assert.equal(again.error.code, 'not_subscribed');
});

test('a publisher gets its own message, if it is subscribed, and its reply', async (t) => {
    const client = await talk(t);
    await client.subscribe('room:self');
    const reply = await client.publish('room:self', 'me');
    assert.deepEqual(Object.keys(reply).sort(), ['ok', 'ref']);
    await client.message('room:self', (data) => data === 'me');
});

test('one frame may hold several commands, apart by line breaks or by nothing', async (t) => {
    const client = await talk(t);
    client.send('{"ref":1,"op":"ping"}\n{"ref":2,"op":"ping"}{"ref":3,"op":"ping"} \r\n\n {"ref":4,\n"op":"ping"}\n');
    for (const ref of [1, 2, 3, 4]) await client.frame(`reply ${ref}`, (frame) => frame.ref === ref && frame.ok);
});

test('a broken command takes the rest of its line with it, not the next line', async (t) => {
    const client = await talk(t);
    client.send('{"ref":1,"op":"ping"}\n{"ref":2,"op" {"ref":3,"op":"ping"}\n{"ref":4,"op":"ping"}');
    await client.frame('reply 4', (frame) => frame.ref === 4);
    assert.deepEqual(client.frames.map((frame) => frame.error?.code ?? frame.ref), [1, 'bad_json', 4]);
});

test('an empty frame is no command', async (t) => {
    const client = await talk(t);
    client.send('');
    client.send(' \n\n');
    await client.request({ op: 'ping' });
    assert.equal(client.frames.length, 1);
});

test('a frame may come in fragments, with pings between them, and byte by byte', async () => {
    const raw = await RawSocket.webSocket(gateway);
    const replies = () => raw.frames().filter(({ opcode }) => opcode === 1).map(({ payload }) => JSON.parse(payload.toString()));
    raw.write(frame('{"ref":1,', { fin: false }));
    raw.write(frame('hello?', { opcode: 9 }));
    raw.write(frame('', { opcode: 0, fin: false }));
    raw.write(frame('"op":"pi', { opcode: 0, fin: false }));
    raw.write(frame('ng"}', { opcode: 0 }));
    await until('the reply', () => replies().some(({ ref }) => ref === 1));
    assert.ok(raw.frames().some(({ opcode, payload }) => opcode === 10 && payload.toString() === 'hello?'), 'the ping is answered');

    for (const byte of frame('{"ref":2,"op":"ping"}')) raw.write(Buffer.from([byte]));
    await until('the reply', () => replies().some(({ ref }) => ref === 2));

    // A character of four bytes, cut in its middle.
    const text = Buffer.from('{"ref":3,"op":"subscribe","channel":"room:😀"}');
    const cut = text.indexOf(0xf0) + 2;
    raw.write(frame(text.subarray(0, cut), { fin: false }));
    raw.write(frame(text.subarray(cut), { opcode: 0 }));
    await until('the reply', () => replies().some(({ ref, channel }) => ref === 3 && channel === 'room:😀'));

    // Two frames in one piece.
    raw.write(Buffer.concat([frame('{"ref":4,"op":"ping"}'), frame('{"ref":5,"op":"ping"}')]));
    await until('both replies', () => [4, 5].every((ref) => replies().some((reply) => reply.ref === ref)));

    raw.write(frame(Buffer.from([0x03, 0xe8]), { opcode: 8 }));
    assert.equal(await raw.closeCode(), 1000);
    await raw.close();
});

test('commands may follow the handshake without waiting for its answer', async () => {
    const raw = await RawSocket.webSocket(gateway, { behind: Buffer.concat([1, 2, 3].map((ref) => frame(`{"ref":${ref},"op":"ping"}`))) });
    await until('the replies', () => raw.frames().length === 3);
    assert.deepEqual(raw.frames().map(({ payload }) => JSON.parse(payload.toString()).ref), [1, 2, 3]);
    raw.destroy();
});

test('channel names may hold anything printable', async (t) => {
    const client = await talk(t);
    for (const channel of ['a', 'c'.repeat(255), 'ünï:😀', '"quoted"', 'back\\slash', "it's:$&?#/%20", 'é'.repeat(127)]) {
        await client.subscribe(channel);
        await watcher.publish(channel, channel);
        assert.equal((await client.message(channel)).data, channel);
    }
});

test('messages of several channels, published at once, arrive in the order of each channel', async (t) => {
    const client = await talk(t);
    const channels = ['many:a', 'many:b', 'many:c'];
    for (const channel of channels) await client.subscribe(channel);
    const lines = [];
    for (let i = 0; i < 300; i++) lines.push(JSON.stringify({ op: 'publish', channel: channels[i % 3], data: i }));
    watcher.send(lines.join('\n'));
    await until('all messages', () => channels.reduce((sum, channel) => sum + client.messages(channel).length, 0) === 300);
    channels.forEach((channel, k) => assert.deepEqual(client.messages(channel), Array.from({ length: 100 }, (_, i) => 3 * i + k)));
});

test('a client that says goodbye gets 1000 back, and its session is gone', async () => {
    const client = await NativeClient.open(gateway);
    await client.subscribe('room:bye');
    const before = await gateway.metric('fantail_closes_total', 'reason="peer"');
    assert.equal((await client.end(1000)).code, 1000);
    await until('the close is counted', async () => (await gateway.metric('fantail_closes_total', 'reason="peer"')) === before + 1);
});

test('a client that just vanishes is gone as well', async () => {
    const client = await NativeClient.open(gateway);
    await client.subscribe('room:vanish');
    const before = await gateway.metric('fantail_closes_total', 'reason="lost"');
    client.socket.terminate();
    await until('the close is counted', async () => (await gateway.metric('fantail_closes_total', 'reason="lost"')) === before + 1);
});

// permessage-deflate (RFC 7692): what is agreed on, what goes out compressed, and what may come in.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { after, test } from 'node:test';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';

import { Gateway, root } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { run } from '../lib/process.mjs';
import { frame, RawSocket } from '../lib/raw.mjs';
import { Redis } from '../lib/redis.mjs';
import { Stream } from '../lib/subscribe.mjs';
import { until } from '../lib/wait.mjs';

const MESSAGE_BYTES = 100_000;
const config = (compression) => `
websocket = { compression = "${compression}"; compression_min_bytes = 200; };
limits = { message_bytes = ${MESSAGE_BYTES}; outbox_bytes = 50000000; };
namespaces = (
  { name = "default"; client_publish = true; },
  { name = "kept"; history_size = 100; history_ttl_seconds = 60; });
`;

const redis = await Redis.start({ after });
const gateway = await Gateway.start({ after }, { dev: false, config: config('on'), redis, workers: 1 });

const OFFER = 'permessage-deflate; client_max_window_bits';
const NO_TAKEOVER = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
const SMALL_WINDOW = `${NO_TAKEOVER}; server_max_window_bits=12`;
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

const inflate = (payload) => inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH });
const deflate = (text) => deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);

// Something of `length` bytes that compresses well, and something that hardly does.
const wordy = (length, salt = '') => JSON.stringify({ salt, text: 'the quick brown fox '.repeat(length / 20) });
const noisy = (length) => JSON.stringify(randomBytes(length).toString('base64').slice(0, length));

let channels = 0;
const newChannel = (name = 'room') => `${name}:${++channels}`;

async function open(offer, options = {}) {
    const raw = await RawSocket.webSocket(gateway, { headers: offer ? [offer].flat().map((each) => `Sec-WebSocket-Extensions: ${each}`) : [], ...options });
    raw.agreed = raw.head.match(/^Sec-WebSocket-Extensions: (.*)\r$/m)?.[1];
    return raw;
}

// What came, as objects, and whether it was compressed.
const received = (raw) =>
    raw
        .frames()
        .filter(({ opcode }) => opcode === 1)
        .map(({ compressed, payload }) => ({ compressed, ...JSON.parse(compressed ? inflate(payload) : payload) }));

const reply = (raw, ref) => until(`the reply ${ref}`, () => received(raw).find((each) => each.ref === ref));
const messages = (raw, count) =>
    until(`${count} messages`, () => {
        const found = received(raw).filter((each) => 'data' in each);
        return found.length >= count && found;
    });

async function subscribe(raw, channel, options = {}) {
    raw.write(frame(JSON.stringify({ ref: 1, op: 'subscribe', channel, ...options })));
    return reply(raw, 1);
}

const handshakes = [
    [undefined, undefined],
    ['permessage-deflate', NO_TAKEOVER],
    [OFFER, NO_TAKEOVER],
    ['permessage-deflate; server_max_window_bits=12; client_max_window_bits=12', SMALL_WINDOW],
    ['permessage-deflate; server_max_window_bits="15"', SMALL_WINDOW],
    ['permessage-deflate; server_max_window_bits=9', undefined],
    ['permessage-deflate; server_max_window_bits=9, permessage-deflate', NO_TAKEOVER],
    ['permessage-deflate; unheard_of, permessage-deflate; server_max_window_bits=12', SMALL_WINDOW],
    ['permessage-deflate, permessage-deflate; client_max_window_bits, permessage-deflate', NO_TAKEOVER],
    [['x-webkit-deflate-frame', 'permessage-deflate'], NO_TAKEOVER],
    [['permessage-deflate; server_max_window_bits=10', OFFER], NO_TAKEOVER],
    ['x-other; a="permessage-deflate", permessage-deflate', NO_TAKEOVER],
    ['permessage-deflate; =', undefined],
    ['permessage-bzip2', undefined],
];

for (const [offer, agreed] of handshakes) {
    test(`an offer of ${offer} gets ${agreed}, and messages accordingly`, async (t) => {
        const raw = await open(offer);
        t.after(() => raw.destroy());
        assert.equal(raw.agreed, agreed);
        assert.equal(raw.head.match(/sec-websocket-extensions/gi)?.length, agreed && 1);
        const channel = newChannel();
        await subscribe(raw, channel);
        await redis.publish(channel, wordy(1000));
        const [message] = await messages(raw, 1);
        assert.equal(message.compressed, agreed !== undefined);
        assert.deepEqual(message.data, JSON.parse(wordy(1000)));
    });
}

test('small messages, replies and pongs are not compressed; larger ones are, each by itself', async (t) => {
    const raw = await open(OFFER);
    t.after(() => raw.destroy());
    const channel = newChannel();
    assert.equal((await subscribe(raw, channel)).compressed, false);
    for (const payload of [wordy(1000), '"small"', wordy(1000), noisy(190), wordy(90_000)]) await redis.publish(channel, payload);
    raw.write(frame('are you there', { opcode: 9 }));
    const found = await messages(raw, 5);
    assert.deepEqual(found.map(({ compressed }) => compressed), [true, false, true, true, true]);
    const [first, again] = raw.frames().filter(({ compressed }) => compressed);
    assert.deepEqual(first.payload, again.payload);
    assert.ok(first.payload.length < 150);
    const pong = await until('the pong', () => raw.frames().find(({ opcode }) => opcode === 10));
    assert.equal(pong.compressed, false);
    assert.equal(pong.payload.toString(), 'are you there');
});

test('subscribers with and without it get the same, in the same order', async (t) => {
    const channel = newChannel();
    const compressed = await open(OFFER);
    const plain = await open();
    t.after(() => [compressed, plain].forEach((raw) => raw.destroy()));
    const ws = await NativeClient.open(gateway, { perMessageDeflate: { threshold: 0 } });
    assert.equal(ws.socket.extensions, 'permessage-deflate');
    const stream = await Stream.open(gateway, 'sse', channel);
    t.after(() => stream.end?.());
    await Promise.all([subscribe(compressed, channel), subscribe(plain, channel), ws.subscribe(channel)]);
    const payloads = Array.from({ length: 60 }, (_, i) => wordy(i % 3 === 0 ? 20 : 1000 + i * 100, i));
    // All at once, so that frames leave joined.
    await Promise.all(payloads.map((payload) => redis.publish(channel, payload)));
    const found = await messages(compressed, payloads.length);
    const expected = (await messages(plain, payloads.length)).map(({ data }) => data);
    assert.deepEqual(found.map(({ data }) => data), expected);
    assert.deepEqual(new Set(found.map(({ compressed: is }) => is)), new Set([true, false]));
    await until('the same with ws', () => ws.messages(channel).length === payloads.length);
    assert.deepEqual(ws.messages(channel), expected);
    await ws.end();
});

test('what clients compress is understood, however it is cut', async (t) => {
    const raw = await open(OFFER);
    t.after(() => raw.destroy());
    let ref = 0;
    const command = () => deflate(JSON.stringify({ ref: ++ref, op: 'ping', pad: 'x'.repeat(300) }));
    raw.write(frame(command(), { compressed: true }));
    assert.ok((await reply(raw, ref)).ok);
    for (let cut = 0, whole = command(); cut <= whole.length; cut++, whole = command()) {
        raw.write(frame(whole.subarray(0, cut), { compressed: true, fin: false }));
        if (cut % 3 === 0) raw.write(frame('', { opcode: 9 }));
        raw.write(frame(whole.subarray(cut), { opcode: 0 }));
        // Compressed or not is for every message anew.
        raw.write(frame(JSON.stringify({ ref: ++ref, op: 'ping' })));
    }
    ref--; // The one that was not sent.
    await reply(raw, ref);
    assert.equal(received(raw).filter(({ ok }) => ok).length, ref);
    // The same in bytes of the stream: what TCP does to frames.
    const bytes = frame(command(), { compressed: true });
    for (const byte of bytes) raw.write(Buffer.from([byte]));
    assert.ok((await reply(raw, ref)).ok);
    // And as large as may be.
    const text = JSON.stringify({ ref: ++ref, op: 'publish', channel: newChannel(), data: JSON.parse(noisy(MESSAGE_BYTES - 2)) });
    raw.write(frame(deflate(text), { compressed: true }));
    assert.ok((await reply(raw, ref)).ok);
});

test('npm ws compresses its commands, in fragments as well', async () => {
    const client = await NativeClient.open(gateway, { perMessageDeflate: { threshold: 0 } });
    const channel = newChannel();
    await client.subscribe(channel);
    const text = JSON.stringify({ op: 'publish', channel, data: JSON.parse(wordy(5000)) });
    for (let at = 0; at < text.length; at += 1000) client.socket.send(text.slice(at, at + 1000), { fin: at + 1000 >= text.length, compress: true });
    await client.publish(channel, 'second');
    assert.deepEqual((await client.message(channel, (data) => data.text)).data, JSON.parse(wordy(5000)));
    await client.message(channel, (data) => data === 'second');
    await client.end();
});

const bomb = deflate(Buffer.alloc(64 << 20, ' '));
const faults = [
    ['a bomb', 1009, () => frame(bomb, { compressed: true })],
    ['a bomb in parts', 1009, () => [frame(bomb.subarray(0, 1000), { compressed: true, fin: false }), frame(bomb.subarray(1000), { opcode: 0 })]],
    ['more than fits, compressed already', 1009, () => frame(randomBytes(MESSAGE_BYTES * 2), { compressed: true })],
    ['garbage', 1007, () => frame(randomBytes(50).fill(0xff, 0, 1), { compressed: true })],
    ['what is not compressed', 1007, () => frame('{"op":"ping"}', { compressed: true })],
    ['what is cut off', 1007, () => frame(deflate(wordy(2000)).subarray(0, 30), { compressed: true })],
    ['what is not UTF-8', 1007, () => frame(deflate(Buffer.from([0x22, 0xff, 0x22])), { compressed: true })],
    ['a second frame marked as compressed', 1002, () => [frame('{', { fin: false }), frame('}', { opcode: 0, compressed: true })]],
    ['a binary message', 1003, () => frame(deflate('{"op":"ping"}'), { opcode: 2, compressed: true })],
];

for (const [what, code, frames] of faults) {
    test(`${what} is answered with ${code}, and others are served on`, async (t) => {
        const bystander = await open(OFFER);
        const raw = await open(OFFER);
        t.after(() => [bystander, raw].forEach((each) => each.destroy()));
        for (const bytes of [frames()].flat()) raw.write(bytes);
        assert.equal(await raw.closeCode(), code);
        await raw.close();
        bystander.write(frame(deflate('{"ref":7,"op":"ping"}'), { compressed: true }));
        assert.ok((await reply(bystander, 7)).ok);
    });
}

test('a frame marked as compressed where nothing was agreed on ends the connection', async () => {
    const raw = await open('permessage-deflate; server_max_window_bits=9');
    raw.write(frame(deflate('{"ref":7,"op":"ping"}'), { compressed: true }));
    await raw.close();
    assert.deepEqual(received(raw), []);
});

test('a client that reads slowly gets everything, in order', async (t) => {
    const raw = await open(OFFER);
    t.after(() => raw.destroy());
    const channel = newChannel();
    await subscribe(raw, channel);
    raw.socket.pause();
    const payloads = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? noisy(60_000) : wordy(300, i)));
    for (const payload of payloads) await redis.publish(channel, payload);
    // More than kernel buffers hold, so that writes are partial and the rest waits in the outbox.
    await until('the outbox to fill', async () => (await gateway.metric('fantail_outbox_bytes')) > 0);
    raw.socket.resume();
    const found = await messages(raw, payloads.length);
    assert.deepEqual(found.map(({ data }) => JSON.stringify(data)), payloads);
    assert.ok(found.every(({ compressed }) => compressed));
});

test('what is replayed from history is compressed as well', async (t) => {
    const channel = newChannel('kept');
    const first = await redis.cli('FCALL', 'fantail_publish', 1, channel, '"first"');
    for (let i = 0; i < 5; i++) await redis.cli('FCALL', 'fantail_publish', 1, channel, wordy(1000, i));
    const raw = await open(OFFER);
    t.after(() => raw.destroy());
    assert.equal((await subscribe(raw, channel, { since: first })).recovered, true);
    const found = await messages(raw, 5);
    assert.deepEqual(found.map(({ data }) => data.salt), [0, 1, 2, 3, 4]);
    assert.ok(found.every(({ compressed }) => compressed));
});

test("Python's websockets, with a small window", async () => {
    const script = path.join(root, 'tests/lib/websockets_client.py');
    const output = await run('/usr/bin/python3', [script, `${gateway.wsUrl}/v1/ws`, newChannel()]);
    assert.match(output, /^agreed: .*server_max_window_bits=12\nsame: 3 of 3\n$/);
});

test('metrics count connections, and bytes once per message', async (t) => {
    const channel = newChannel();
    const raws = await Promise.all(Array.from({ length: 5 }, () => open(OFFER)));
    await Promise.all(raws.map((raw) => subscribe(raw, channel)));
    const before = await gateway.metrics();
    await redis.publish(channel, wordy(10_000));
    await Promise.all(raws.map((raw) => messages(raw, 1)));
    // The master reads what a worker has counted, and that is at once.
    const metrics = await gateway.metrics();
    const [input, output] = ['input', 'output'].map((name) => metrics[`fantail_compression_${name}_bytes_total`] - before[`fantail_compression_${name}_bytes_total`]);
    assert.ok(input > 10_000 && input < 10_200, `${input}`);
    assert.ok(output > 50 && output < 300, `${output}`);
    assert.ok(metrics.fantail_compressed_connections >= 5);
    raws.forEach((raw) => raw.destroy());
    await until('nobody is left', async () => (await gateway.metric('fantail_compressed_connections')) === 0);
});

test('a reload changes it for those who come later', async (t) => {
    const early = await open(OFFER);
    t.after(() => early.destroy());
    const channel = newChannel();
    await subscribe(early, channel);
    await gateway.reload(config('off'));
    const late = await until('a handshake that agrees on nothing', async () => {
        const raw = await open(OFFER);
        if (raw.agreed === undefined) return raw;
        raw.destroy();
    });
    t.after(() => late.destroy());
    await subscribe(late, channel);
    await redis.publish(channel, wordy(1000));
    assert.equal((await messages(early, 1))[0].compressed, true);
    assert.equal((await messages(late, 1))[0].compressed, false);
    const reloads = () => gateway.output.match(/configuration reloaded/g)?.length ?? 0;
    const count = reloads();
    await gateway.reload(config('auto'));
    await until('the reload', () => reloads() > count);
    const automatic = await open(OFFER);
    assert.equal(automatic.agreed, NO_TAKEOVER);
    automatic.destroy();
});

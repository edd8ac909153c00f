// Channels with history: what publishers who know nothing but redis-cli get, and who comes late or comes back.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { wholeFile } from '../lib/file.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';
import { Resp } from '../lib/resp.mjs';
import { Stream, poll, publish, subscribePath } from '../lib/subscribe.mjs';
import { until } from '../lib/wait.mjs';

const config = `
namespaces = (
  { name = "default"; },
  { name = "chat"; client_publish = true; history_size = 10; history_ttl_seconds = 300; },
  { name = "brief"; history_size = 100; history_ttl_seconds = 1; }
);`;

const file = wholeFile();
let redis, a, b;

before(async () => {
    redis = await Redis.start(file);
    a = await Gateway.start(file, { config, redis, workers: 1, node: 'a' });
    b = await Gateway.start(file, { config, redis, workers: 1, node: 'b' });
});

const fcall = (channel, payload, ...options) => redis.cli('FCALL', 'fantail_publish', 1, channel, payload, ...options);
const payloads = (messages) => messages.map(({ data }) => data);

async function open(t, gateway) {
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    return client;
}

test('redis-cli FCALL delivers live with an id, and is there for a late client', async (t) => {
    const client = await open(t, a);
    await client.subscribe('chat:lobby');
    const id = await fcall('chat:lobby', 'hello');
    assert.match(id, /^[0-9]{13}-[0-9]+$/);
    const live = await client.frame('hello', ({ data }) => data === 'hello');
    assert.deepEqual(live, { channel: 'chat:lobby', id, data: 'hello' });
    const late = await open(t, b);
    const reply = await late.subscribe('chat:lobby', { last: 10 });
    assert.equal(reply.position, id);
    await late.message('chat:lobby');
    assert.deepEqual(late.frames.at(-1), live);
    const history = await late.request({ op: 'history', channel: 'chat:lobby', last: 10 });
    assert.deepEqual(history.messages, [live]);
});

test('who has a channel may ask for what was before once more; live goes on once', async (t) => {
    const client = await open(t, a);
    await client.subscribe('chat:again');
    const ids = [];
    for (let n = 1; n <= 4; n++) ids.push(await fcall('chat:again', n));
    await client.message('chat:again', (data) => data === 4);
    const had = client.frames.length;
    const since = await client.subscribe('chat:again', { since: ids[1] });
    assert.deepEqual([since.position, since.recovered], [ids[3], true]);
    const last = await client.subscribe('chat:again', { last: 1 });
    assert.equal(last.position, ids[3]);
    ids.push(await fcall('chat:again', 5));
    await client.message('chat:again', (data) => data === 5);
    const after = client.frames.slice(had);
    assert.deepEqual(after.map(({ id, ref }) => id ?? ref), [since.ref, ids[2], ids[3], last.ref, ids[3], ids[4]]);
});

test('a URL that names a channel twice asks for it once, by any transport', async (t) => {
    const id = await fcall('chat:twice', 'one');
    const client = await NativeClient.open(a, { path: subscribePath(['chat:twice', 'chat:twice'], { last: 5 }) });
    t.after(() => client.socket.terminate());
    await client.message('chat:twice');
    const { ref } = await client.request({ op: 'ping' });
    assert.deepEqual(client.frames.map((frame) => frame.id ?? frame.position ?? frame.ref), [id, id, ref]);
    const { messages } = await poll(a, ['chat:twice', 'chat:twice'], { last: 5, wait: 0 });
    assert.deepEqual(payloads(messages), ['one']);
});

test('the namespace says how many messages stay; a position from before them is not recovered', async (t) => {
    const ids = [];
    for (let n = 0; n < 15; n++) ids.push(await fcall('chat:trim', n));
    // Also on a node that has followed all the time, and on one that reads the stream now.
    for (const node of [a, b]) {
        const { messages, cursor } = await poll(node, 'chat:trim', { last: 100, wait: 0 });
        assert.deepEqual(payloads(messages), [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        assert.equal(cursor, ids[14]);
        const kept = await open(t, node);
        assert.equal((await kept.subscribe('chat:trim', { since: ids[4] })).recovered, true);
        await until('the ten', () => kept.messages('chat:trim').length === 10);
        const lost = await open(t, node);
        const reply = await lost.subscribe('chat:trim', { since: ids[3] });
        assert.deepEqual([reply.recovered, reply.position], [false, ids[14]]);
        assert.deepEqual(lost.messages('chat:trim'), []);
    }
});

test('messages expire; who comes back later, and missed none, is told so', async (t) => {
    const first = await fcall('brief:news', 'one');
    const last = await fcall('brief:news', 'two');
    const read = async () => (await poll(a, 'brief:news', { last: 10, wait: 0 })).messages;
    assert.deepEqual(payloads(await read()), ['one', 'two']);
    await until('both to expire', async () => (await read()).length === 0);
    for (const node of [a, b]) {
        const back = await open(t, node);
        const whole = await back.subscribe('brief:news', { since: last });
        assert.deepEqual([whole.recovered, whole.position], [true, last]);
        const behind = await open(t, node);
        const part = await behind.subscribe('brief:news', { since: first });
        assert.deepEqual([part.recovered, part.position], [false, last]);
    }
});

test('a cursor from one node goes on exactly on the other, by any other transport', async (t) => {
    const steps = ['longpoll', 'sse', 'poll', 'stream', 'ws'];
    const received = [];
    let n = 0;
    let { cursor } = await poll(a, 'chat:walk', { wait: 0 });
    for (let round = 0; round < 10; round++) {
        const node = round % 2 ? a : b;
        const transport = steps[round % steps.length];
        const expected = [n, n + 1, n + 2];
        for (; n < expected[2] + 1; n++) await publish(node === a ? b : a, 'chat:walk', String(n));
        let took;
        if (transport === 'ws') {
            const client = await open(t, node);
            const reply = await client.subscribe('chat:walk', { since: cursor });
            assert.equal(reply.recovered, true);
            took = await until('three', () => client.messages('chat:walk').length === 3 && client.frames.filter((frame) => 'data' in frame));
            cursor = took.at(-1).id;
        } else if (transport === 'sse' || transport === 'stream') {
            const stream = await Stream.open(node, transport, 'chat:walk', { cursor });
            took = await until('three', () => stream.messages.length === 3 && stream.objects);
            ({ cursor } = stream);
            stream.end();
        } else {
            took = [];
            // What was published on the other node may be on its way still.
            await until('three', async () => {
                const reply = await poll(node, 'chat:walk', { cursor, transport });
                took.push(...reply.messages);
                ({ cursor } = reply);
                return took.length >= 3;
            });
        }
        assert.deepEqual(payloads(took), expected, transport);
        received.push(...payloads(took));
    }
    assert.deepEqual(received, [...received.keys()]);
});

test('the same idempotency key gives the same id, and is delivered once', async (t) => {
    const client = await open(t, b);
    await client.subscribe('chat:once');
    const id = await fcall('chat:once', 'pay', 'idempotency_key', 'order-7');
    assert.equal(await fcall('chat:once', 'pay', 'idempotency_key', 'order-7'), id);
    assert.equal((await publish(a, 'chat:once', 'pay', { idempotency_key: 'order-7' })).id, id);
    await fcall('chat:once', 'end');
    await client.message('chat:once', (data) => data === 'end');
    assert.deepEqual(client.messages('chat:once'), ['pay', 'end']);
});

test('a message larger than limits.message_bytes is a gap for everybody, also for who comes later', async (t) => {
    const client = await open(t, a);
    await client.subscribe('chat:large');
    const before = await fcall('chat:large', 'before');
    const resp = await Resp.connect(t, redis.port);
    const large = await resp.call('FCALL', 'fantail_publish', 1, 'chat:large', 'x'.repeat(70_000));
    const after = await fcall('chat:large', 'after');
    await client.message('chat:large', (data) => data === 'after');
    const seen = [
        { channel: 'chat:large', id: before, data: 'before' },
        { event: 'gap', channel: 'chat:large', position: large },
        { channel: 'chat:large', id: after, data: 'after' },
    ];
    assert.deepEqual(client.frames.slice(1), seen);
    // On the node that was there, and on one that reads the stream now.
    for (const node of [a, b]) {
        assert.deepEqual((await poll(node, 'chat:large', { since: large, wait: 0 })).messages, seen.slice(2));
        assert.deepEqual((await poll(node, 'chat:large', { last: 10, wait: 0 })).messages, seen);
        const { messages, cursor } = await poll(node, 'chat:large', { since: before, wait: 0 });
        assert.deepEqual([messages[0].event, cursor], ['gap', after]);
    }
});

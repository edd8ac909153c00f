// Redis comes back: with all it had, with less, with nothing. Clients stay, and are told the truth.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';
import { Stream, poll } from '../lib/subscribe.mjs';
import { until } from '../lib/wait.mjs';

const config = `
namespaces = (
  { name = "default"; },
  { name = "chat"; history_size = 100; history_ttl_seconds = 300; }
);`;
const CHANNEL = 'chat:restart';

const fcall = (redis, payload) => redis.cli('FCALL', 'fantail_publish', 1, CHANNEL, payload);

// Clients of every kind that stay, on two nodes, once they have `count` messages.
async function audience(t, nodes, redis, count) {
    const clients = [];
    for (const node of nodes) {
        const socket = await NativeClient.open(node);
        t.after(() => socket.socket.terminate());
        await socket.subscribe(CHANNEL);
        clients.push({ name: `ws of ${node.env.FANTAIL_NODE}`, objects: () => socket.frames.filter(({ ref }) => ref === undefined) });
        for (const form of ['sse', 'stream']) {
            const stream = await Stream.open(node, form, CHANNEL);
            t.after(() => stream.end());
            await until('the stream to have begun', () => stream.cursor);
            clients.push({ name: `${form} of ${node.env.FANTAIL_NODE}`, objects: () => stream.objects });
        }
    }
    const ids = [];
    for (let n = 0; n < count; n++) ids.push(await fcall(redis, n));
    await until('all to have the first messages', () => clients.every((client) => client.objects().length === count));
    return { clients, ids };
}

async function setUp(t, args) {
    const redis = await Redis.start(t, { args });
    const nodes = [];
    for (const node of ['a', 'b']) nodes.push(await Gateway.start(t, { config, redis, workers: 1, node }));
    return { redis, nodes };
}

const ready = (nodes) => until('both nodes to have Redis again', async () => (await Promise.all(nodes.map((node) => node.isReady()))).every(Boolean), { timeoutMs: 20_000 });
const brief = (objects) => objects.map(({ event, data }) => event ?? data);

test('nothing was lost: nobody notices, nor who comes back with a position', async (t) => {
    const { redis, nodes } = await setUp(t, ['--appendonly', 'yes', '--appendfsync', 'always']);
    const { clients, ids } = await audience(t, nodes, redis, 5);
    await redis.kill();
    await until('the loss to be noticed', async () => !(await nodes[0].isReady()) && !(await nodes[1].isReady()));
    await redis.run();
    // Before the nodes are back, and after.
    for (const n of [5, 6]) ids.push(await fcall(redis, n));
    await ready(nodes);
    for (const n of [7, 8]) ids.push(await fcall(redis, n));
    const expected = [0, 1, 2, 3, 4, 5, 6, 7, 8];
    for (const { name, objects } of clients) {
        await until(`${name} to have all: ${brief(objects())}`, () => objects().length === expected.length);
        assert.deepEqual(brief(objects()), expected, name);
    }
    assert.equal(new Set(ids).size, ids.length);
    for (const node of nodes)
        for (const n of [2, 4, 6]) {
            const back = await poll(node, CHANNEL, { cursor: ids[n], wait: 0 });
            assert.deepEqual(brief(back.messages), expected.slice(n + 1), `from ${n}`);
        }
});

test('five messages were lost: no id twice, everybody is told once, and gets all new ones', async (t) => {
    const { redis, nodes } = await setUp(t, ['--dbfilename', 'dump.rdb']);
    const { clients, ids } = await audience(t, nodes, redis, 5);
    await redis.cli('SAVE');
    for (let n = 5; n < 10; n++) ids.push(await fcall(redis, n));
    await until('all to have ten', () => clients.every(({ objects }) => objects().length === 10));
    await redis.kill();
    await redis.run();
    await ready(nodes);
    const newer = [];
    for (const n of [10, 11, 12]) newer.push(await fcall(redis, n));
    for (const { name, objects } of clients) {
        await until(`${name} to have the last: ${brief(objects())}`, () => objects().at(-1)?.data === 12);
        assert.deepEqual(brief(objects()), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 'gap', 10, 11, 12], name);
        // The gap says where it goes on from.
        const all = objects();
        assert.deepEqual(all.filter(({ id }) => id).map(({ id }) => id), [...ids, ...newer], name);
    }
    assert.equal(new Set([...ids, ...newer]).size, 13);
    for (const node of nodes) {
        // Who saw what is lost is told; who comes back from after the gap is not.
        const lost = await poll(node, CHANNEL, { cursor: ids[9], wait: 0 });
        assert.equal(lost.messages[0].event, 'gap');
        const kept = await poll(node, CHANNEL, { cursor: newer[0], wait: 0 });
        assert.deepEqual(brief(kept.messages), [11, 12]);
    }
});

test('everything was flushed: everybody is told, and goes on', async (t) => {
    const { redis, nodes } = await setUp(t, []);
    const { clients, ids } = await audience(t, nodes, redis, 5);
    await redis.kill();
    await redis.run();
    await ready(nodes);
    const newer = [];
    for (const n of [5, 6]) newer.push(await fcall(redis, n));
    for (const { name, objects } of clients) {
        await until(`${name} to have the last: ${brief(objects())}`, () => objects().at(-1)?.data === 6);
        assert.deepEqual(brief(objects()), [0, 1, 2, 3, 4, 'gap', 5, 6], name);
    }
    assert.equal(new Set([...ids, ...newer]).size, 7);
    for (const node of nodes) {
        const client = await NativeClient.open(node);
        t.after(() => client.socket.terminate());
        const reply = await client.subscribe(CHANNEL, { since: ids[4] });
        assert.deepEqual([reply.recovered, reply.position], [false, newer[1]]);
    }
});

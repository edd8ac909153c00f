// A Redis that takes no writes, for want of memory, of a disk, or because it is a replica: who reads is served all the same.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const CONFIG = `namespaces = ( { name = "default"; },
  { name = "chat"; client_publish = true; history_size = 50; history_ttl_seconds = 600; } );`;

const publish = (redis, channel, payload) => redis.cli('FCALL', 'fantail_publish', 1, channel, payload);

async function open(t, gateway) {
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    return client;
}

// Two nodes: one holds nothing of what the other has read.
async function begin(t, redis) {
    const nodes = [];
    for (let i = 0; i < 2; i++) nodes.push(await Gateway.start(t, { redis, config: CONFIG, workers: 1 }));
    const before = await publish(redis, 'chat:a', 1);
    const after = await publish(redis, 'chat:a', 2);
    const { position } = await (await open(t, nodes[0])).subscribe('chat:quiet');
    return { node: nodes[1], before, after, position };
}

async function readersAreServed(t, { node, before, after, position }) {
    const client = await open(t, node);
    assert.deepEqual((({ recovered, position: at }) => [recovered, at])(await client.subscribe('chat:a', { since: before })), [true, after]);
    assert.equal((await client.message('chat:a')).id, after);
    assert.deepEqual((await client.request({ op: 'history', channel: 'chat:a' })).messages.map(({ data }) => data), [1, 2]);
    // Also where nothing has ever been, and there is nothing to begin.
    assert.equal((await client.subscribe('chat:quiet', { since: position })).recovered, true);
    assert.ok((await client.subscribe('chat:new')).position);
    const poll = await fetch(`${node.url}/v1/subscribe?channel=chat:a&since=${before}&wait=0`);
    assert.equal(poll.status, 200);
    assert.deepEqual((await poll.json()).messages.map(({ data }) => data), [2]);
}

test('Redis has no memory left', async (t) => {
    const redis = await Redis.start(t);
    const started = await begin(t, redis);
    await redis.cli('CONFIG', 'SET', 'maxmemory', '1');
    await readersAreServed(t, started);
    const client = await open(t, started.node);
    assert.equal((await client.request({ op: 'publish', channel: 'chat:a', data: 3 })).error.code, 'broker_refused');
    await redis.cli('CONFIG', 'SET', 'maxmemory', '0');
    await client.subscribe('chat:quiet');
    await publish(redis, 'chat:quiet', '"at last"');
    await client.message('chat:quiet');
    assert.equal(client.frames.filter(({ event }) => event === 'gap').length, 0);
});

test('Redis cannot save', async (t) => {
    const redis = await Redis.start(t);
    const started = await begin(t, redis);
    await redis.cli('CONFIG', 'SET', 'save', '3600 1');
    await rm(redis.dir, { recursive: true });
    await redis.cli('BGSAVE');
    await until('the save has failed', async () => /rdb_last_bgsave_status:err/.test(await redis.cli('INFO', 'persistence')));
    assert.match(await publish(redis, 'chat:a', 3), /MISCONF/);
    await readersAreServed(t, started);
});

test('Redis is a replica', async (t) => {
    const master = await Redis.start(t);
    const redis = await Redis.start(t, { args: ['--replicaof', '127.0.0.1', String(master.port)] });
    const { before, after } = await begin(t, master);
    await until('the replica has it', async () => (await redis.cli('EXISTS', 'fantail:stream:{chat:a}')) === '1');
    const node = await Gateway.start(t, { redis, config: CONFIG, workers: 1 });
    const { position } = await (await open(t, node)).subscribe('chat:quiet');
    await readersAreServed(t, { node, before, after, position });
});

test('strangers who ask for channels that nobody uses leave nothing in Redis', async (t) => {
    const redis = await Redis.start(t);
    const { node } = await begin(t, redis);
    const before = await redis.cli('DBSIZE');
    const client = await open(t, node);
    for (let i = 0; i < 20; i++) {
        assert.deepEqual((await client.request({ op: 'history', channel: `chat:unused-${i}` })).messages, []);
        await client.subscribe(`chat:unused-too-${i}`);
    }
    assert.equal(await redis.cli('DBSIZE'), before);
});

// Everybody comes back at once, from where they were: Redis is asked once.
//
// FANTAIL_STORM_CLIENTS (5000) is their number.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { openClients } from '../lib/clients.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { Resp } from '../lib/resp.mjs';
import { until } from '../lib/wait.mjs';

const count = Number(process.env.FANTAIL_STORM_CLIENTS ?? 5000);
const WORKERS = 2;
const BEHIND = 50;

const config = `
limits = { connections = 20000; };
namespaces = (
  { name = "default"; },
  { name = "chat"; history_size = 100; history_ttl_seconds = 300; }
);`;

async function commandCalls(redis) {
    const calls = {};
    for (const line of (await redis.cli('INFO', 'commandstats')).split('\n')) {
        const match = line.match(/^cmdstat_(\S+):calls=(\d+)/);
        if (match) calls[match[1]] = Number(match[2]);
    }
    return calls;
}

test(`${count} clients come back ${BEHIND} messages behind: one read of the stream per worker`, { timeout: 120_000 }, async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { config, redis, workers: WORKERS });
    const resp = await Resp.connect(t, redis.port);
    const ids = [];
    for (let n = 0; n < 100; n++) ids.push(await resp.call('FCALL', 'fantail_publish', 1, 'chat:storm', n));
    const since = ids[99 - BEHIND];

    await redis.cli('CONFIG', 'RESETSTAT');
    const started = performance.now();
    const replies = [];
    const clients = await openClients(gateway, count, {
        atOnce: 500,
        timeoutMs: 60_000,
        prepare: async (client) => replies.push(await client.request({ op: 'subscribe', channel: 'chat:storm', since }, 60_000)),
    });
    t.after(() => clients.forEach((client) => client.socket.terminate()));
    await until('all messages', () => clients.every((client) => client.frames.length === 1 + BEHIND), { timeoutMs: 60_000, everyMs: 100 });
    const took = performance.now() - started;
    const calls = await commandCalls(redis);

    assert.equal(replies.filter(({ recovered }) => recovered === true).length, count);
    const expected = Array.from({ length: BEHIND }, (_, n) => 100 - BEHIND + n);
    for (const client of clients) assert.deepEqual(client.messages('chat:storm'), expected);
    t.diagnostic(`${count} clients recovered in ${(took / 1000).toFixed(1)} s; Redis commands: ${JSON.stringify(calls)}`);
    // One fantail_read per worker, and within each one look at the stream.
    assert.ok(calls.fcall_ro <= WORKERS, `${calls.fcall_ro} FCALL_ROs`);
    assert.ok(calls.xrange <= WORKERS, `${calls.xrange} XRANGEs`);
    assert.ok(calls.subscribe <= WORKERS, `${calls.subscribe} SUBSCRIBEs`);
    const others = Object.entries(calls).filter(([name]) => !['fcall_ro', 'get', 'xrange', 'subscribe', 'ping', 'publish', 'time', 'exists', 'xinfo|stream', 'hmget', 'config|resetstat', 'info'].includes(name));
    assert.deepEqual(others, []);
});

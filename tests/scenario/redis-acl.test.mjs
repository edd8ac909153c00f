// A Redis whose ACL lets the node into some channels only: what is denied is that channel's fault, and nobody else's.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

async function startWithAcl(t, ...rules) {
    const redis = await Redis.start(t);
    await redis.cli('ACL', 'SETUSER', 'fan', 'on', '>secret', '~*', '+@all', 'resetchannels', '&fantail:*', ...rules);
    const gateway = await Gateway.start(t, { redis: `redis://fan:secret@127.0.0.1:${redis.port}`, workers: 1 });
    return { redis, gateway };
}

async function open(t, gateway) {
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    return client;
}

const gapsOf = (client) => client.frames.filter(({ event }) => event === 'gap').length;

test('a channel that Redis denies is an error of who asked, whoever else asks at the same moment', async (t) => {
    const { redis, gateway } = await startWithAcl(t, '&room:*');
    const neighbour = await open(t, gateway);
    await neighbour.subscribe('room:0');
    const client = await open(t, gateway);
    const names = Array.from({ length: 100 }, (_, i) => (i % 10 === 7 ? `denied:${i}` : `room:${i}`));
    client.send(names.map((channel, ref) => JSON.stringify({ ref, op: 'subscribe', channel })).join('\n'));
    await until('all replies', () => client.frames.filter(({ ref }) => ref !== undefined).length === names.length);
    for (const { ref, ok, error } of client.frames) {
        if (names[ref].startsWith('room:')) assert.ok(ok, names[ref]);
        else assert.deepEqual([error.code, error.retry], ['broker_refused', true]);
    }
    await gateway.process.saw(/subscribe refused error="NOPERM/);
    await redis.publish('room:99', 1);
    await client.message('room:99');
    assert.equal(gapsOf(neighbour) + gapsOf(client), 0);
    assert.equal(await gateway.metric('fantail_redis_lost_total'), 0);
    assert.equal(await gateway.metric('fantail_subscribe_errors_total'), 10);

    // Somebody lets us in: whoever asks again gets it.
    await redis.cli('ACL', 'SETUSER', 'fan', '&denied:*');
    await client.subscribe('denied:7');
    await redis.publish('denied:7', 2);
    await client.message('denied:7');
});

test('a channel that is denied after the link was lost comes back with a gap, and the others at once', async (t) => {
    const { redis, gateway } = await startWithAcl(t, '&room:*', '&other:*');
    const client = await open(t, gateway);
    await client.subscribe('room:1');
    await client.subscribe('other:1');
    await redis.cli('ACL', 'SETUSER', 'fan', 'resetchannels', '&fantail:*', '&room:*'); // Redis ends the connection.
    await client.event('gap', ({ channel }) => channel === 'room:1');
    await gateway.process.saw(/subscribe refused/);
    assert.equal((await client.request({ op: 'subscribe', channel: 'other:1' })).error.code, 'broker_refused');
    await redis.cli('ACL', 'SETUSER', 'fan', '&other:*');
    await client.event('gap', ({ channel }) => channel === 'other:1');
    await redis.publish('other:1', 1);
    await client.message('other:1');
});

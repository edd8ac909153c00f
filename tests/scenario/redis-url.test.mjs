// Where Redis is, how to log in, and what happens when it is not there, or does not let us in.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

// A message goes from Redis to a client, and from a client to Redis and back.
async function messagesFlow(t, gateway, redis) {
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    await client.subscribe('room:1');
    await redis.publish('room:1', '"from redis"');
    await client.message('room:1', (data) => data === 'from redis');
    await client.publish('room:1', 'from a client');
    await client.message('room:1', (data) => data === 'from a client');
}

// A gateway that need not become ready; resolves once it answers at all.
async function startUnready(t, options) {
    const gateway = await Gateway.start(t, { ...options, awaitReady: false });
    await until('healthz', async () => (await fetch(`${gateway.adminUrl}/healthz`)).status === 200);
    return gateway;
}

async function whyNotReady(gateway) {
    const response = await fetch(`${gateway.adminUrl}/readyz`);
    return { status: response.status, ...(await response.json()) };
}

test('Redis is not there at the start, and comes later', async (t) => {
    const port = await freePort();
    const gateway = await startUnready(t, { redis: `redis://127.0.0.1:${port}/0`, workers: 2 });
    await until('the workers are there', async () => (await gateway.metric('fantail_workers')) === 2);
    await gateway.process.saw(/redis: no link, will keep trying error="?Connection refused/);
    await until('readyz tells', async () => /lost: Connection refused/.test((await whyNotReady(gateway)).reason));
    assert.equal((await whyNotReady(gateway)).status, 503);

    // Clients may come, and are told what they miss.
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    await client.subscribe('room:early');
    assert.equal((await client.request({ op: 'publish', channel: 'room:early', data: 1 })).error.code, 'broker_unavailable');

    const redis = await Redis.start(t, { port });
    await until('ready', async () => (await gateway.readyStatus()) === 200);
    await client.event('gap', (frame) => frame.channel === 'room:early');
    await messagesFlow(t, gateway, redis);
});

test('while Redis is looked for in vain, clients come and go and are served', async (t) => {
    const gateway = await startUnready(t, { redis: `redis://127.0.0.1:${await freePort()}/0`, workers: 1 });
    await gateway.process.saw(/no link, will keep trying/);
    // A descriptor that one attempt gives back is the next client's; the attempt must not touch it any more.
    const end = Date.now() + 3000;
    const guest = async () => {
        while (Date.now() < end) {
            const client = await NativeClient.open(gateway);
            await client.subscribe('room:1');
            assert.ok((await client.request({ op: 'ping' })).ok);
            await client.end();
        }
    };
    await Promise.all(Array.from({ length: 20 }, guest));
});

test('a wrong password is told in the log and at readyz', async (t) => {
    const redis = await Redis.start(t, { password: 'right' });
    const gateway = await startUnready(t, { redis: `redis://:wrong@127.0.0.1:${redis.port}/0`, workers: 1 });
    await gateway.process.saw(/WRONGPASS/);
    await until('readyz tells', async () => /WRONGPASS|password/.test((await whyNotReady(gateway)).reason));
    assert.doesNotMatch(gateway.output, /:wrong|"wrong"/, 'no password in the log');

    // Somebody corrects it on the side of Redis.
    await redis.cli('CONFIG', 'SET', 'requirepass', 'wrong');
    redis.password = 'wrong';
    await until('ready', async () => (await gateway.readyStatus()) === 200);
    await messagesFlow(t, gateway, redis);
});

test('a password that is missing is told as well', async (t) => {
    const redis = await Redis.start(t, { password: 'right' });
    const gateway = await startUnready(t, { redis: `redis://127.0.0.1:${redis.port}/0`, workers: 1 });
    await gateway.process.saw(/NOAUTH/);
    await until('readyz tells', async () => /NOAUTH/.test((await whyNotReady(gateway)).reason));
});

test('a user with a password in the URL, escapes included, and a database', async (t) => {
    const redis = await Redis.start(t);
    await redis.cli('ACL', 'SETUSER', 'fan', 'on', '>p@ss/w%rd', '~*', '&*', '+@all');
    const gateway = await Gateway.start(t, { redis: `redis://fan:p%40ss%2Fw%25rd@127.0.0.1:${redis.port}/3`, workers: 1 });
    await messagesFlow(t, gateway, redis);
    const clients = await redis.cli('CLIENT', 'LIST');
    assert.match(clients, /user=fan/);
    assert.match(clients, /db=3 .*user=fan/);
});

test('a user who may not publish there: the publisher is told', async (t) => {
    const redis = await Redis.start(t);
    await redis.cli('ACL', 'SETUSER', 'fan', 'on', '>secret', '~*', 'resetchannels', '&fantail:*', '&room:*', '+@all');
    const gateway = await Gateway.start(t, { redis: `redis://fan:secret@127.0.0.1:${redis.port}`, workers: 1 });
    await messagesFlow(t, gateway, redis);
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    assert.equal((await client.request({ op: 'publish', channel: 'other:1', data: 1 })).error.code, 'broker_refused');
    await gateway.process.saw(/publish refused error="NOPERM/);
});

test('a Unix socket', async (t) => {
    const port = await freePort();
    const socket = path.join('/tmp', `fantail-redis-${port}.sock`);
    const redis = await Redis.start(t, { port, args: ['--unixsocket', socket, '--unixsocketperm', '700'] });
    for (const url of [`unix://${socket}`, `redis+unix://${socket}?db=1`]) {
        const gateway = await Gateway.start(t, { redis: url, workers: 1 });
        await messagesFlow(t, gateway, redis);
    }
    assert.match(await redis.cli('CLIENT', 'LIST'), new RegExp(`addr=${socket}:0`));
});

test('a host name, and a URL that is no more than that', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis: `redis://localhost:${redis.port}`, workers: 1 });
    await messagesFlow(t, gateway, redis);
});

test('a prefix stands before every channel in Redis, and no client sees it', async (t) => {
    const redis = await Redis.start(t);
    const env = (prefix) => ({ FANTAIL_REDIS_PREFIX: prefix });
    const one = await Gateway.start(t, { redis, workers: 1, env: env('one:') });
    const two = await Gateway.start(t, { redis, workers: 1, env: env('two:') });
    const [a, b] = [await NativeClient.open(one), await NativeClient.open(two)];
    for (const client of [a, b]) await client.subscribe('room:1');
    t.after(() => [a, b].forEach((client) => client.socket.terminate()));
    assert.equal(await redis.publish('room:1', '"to nobody"'), 0);
    assert.equal(await redis.publish('one:room:1', '"to one"'), 1);
    assert.equal(await redis.publish('two:room:1', '"to two"'), 1);
    await a.message('room:1');
    await b.message('room:1');
    await a.publish('room:1', 'from one');
    await a.message('room:1', (data) => data === 'from one');
    await b.publish('room:1', 'from two');
    await b.message('room:1', (data) => data === 'from two');
    assert.deepEqual(a.messages('room:1'), ['to one', 'from one']);
    assert.deepEqual(b.messages('room:1'), ['to two', 'from two']);
});

test('a channel that nobody listens to any more is left at Redis after a while, and taken up again', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, workers: 1, env: { FANTAIL_REDIS_LINGER_MS: '200' } });
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    const subscribers = async () => Number((await redis.cli('PUBSUB', 'NUMSUB', 'room:1')).split('\n')[1]);
    for (let round = 0; round < 3; round++) {
        await client.subscribe('room:1');
        assert.equal(await subscribers(), 1);
        await redis.publish('room:1', round);
        await client.message('room:1', (data) => data === round);
        await client.request({ op: 'unsubscribe', channel: 'room:1' });
        await until('nobody at Redis', async () => (await subscribers()) === 0);
    }
});

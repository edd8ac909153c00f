// Redis goes away, in several ways, under a thousand clients: nobody is disconnected, everybody is told of the
// gap, and messages flow again soon after Redis is back.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { openClients } from '../lib/clients.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const CLIENTS = 1000;
const CHANNELS = 20;
const BACK_WITHIN_MS = 2000;

const redis = await Redis.start({ after });
const gateway = await Gateway.start({ after }, { redis, workers: 2 });
const clients = await openClients(gateway, CLIENTS, {
    prepare: async (client, i) => {
        client.room = `room:${i % CHANNELS}`;
        await client.subscribe(client.room);
    },
});
after(() => clients.forEach((client) => client.socket.terminate()));

const gaps = (client) => client.frames.filter(({ event }) => event === 'gap').length;
const everyone = (what, matches) => until(what, () => clients.every(matches), { everyMs: 50 });

async function publishToAll(data) {
    for (let i = 0; i < CHANNELS; i++) await redis.cli('PUBLISH', `room:${i}`, JSON.stringify(data));
}

// Publishes until a message comes through; how long that took from `start` on.
async function flowsAgain(start) {
    const [client] = clients;
    let sent = 0;
    await until(
        'a message comes through again',
        async () => {
            await redis.cli('PUBLISH', client.room, `"flows ${start} ${sent++}"`);
            return client.messages(client.room).some((data) => data.startsWith?.(`flows ${start} `));
        },
        { everyMs: 50 },
    );
    return Date.now() - start;
}

// What has to hold once Redis is back, since `start`; `gapsBefore` are those that clients had been told of.
async function allIsWell(start, gapsBefore) {
    const took = await flowsAgain(start);
    assert.ok(took < BACK_WITHIN_MS, `flowed again after ${took} ms`);
    await until('ready again', async () => (await gateway.readyStatus()) === 200);
    await everyone('every client is told of the gap', (client, i) => gaps(client) > gapsBefore[i]);
    await publishToAll(`all ${start}`);
    await everyone('every client gets messages again', (client) => client.messages(client.room).includes(`all ${start}`));
    clients.forEach((client, i) => {
        assert.equal(client.close, undefined, 'nobody is disconnected');
        assert.equal(gaps(client), gapsBefore[i] + 1, 'a gap is told once');
    });
}

test('Redis is killed and comes back', async () => {
    await publishToAll('before');
    await everyone('every client gets a message', (client) => client.messages(client.room).includes('before'));
    const gapsBefore = clients.map(gaps);
    await redis.kill();
    await until('readyz says 503', async () => (await gateway.readyStatus()) === 503);
    const ready = await fetch(`${gateway.adminUrl}/readyz`);
    assert.match((await ready.json()).reason, /^the link to Redis is lost: /);
    await until('both workers know', async () => (await gateway.metric('fantail_redis_up')) === 0);

    // Publishing says what is wrong; everything that needs no Redis works.
    const [client] = clients;
    assert.equal((await client.request({ op: 'publish', channel: 'room:0', data: 1 })).error.code, 'broker_unavailable');
    const post = await fetch(`${gateway.url}/v1/publish?channel=room:0`, { method: 'POST', body: '1' });
    assert.equal(post.status, 503);
    assert.ok(post.headers.get('retry-after'));
    assert.equal((await post.json()).error.code, 'broker_unavailable');
    assert.ok((await client.request({ op: 'ping' })).ok);
    const newcomer = await NativeClient.open(gateway);
    await newcomer.subscribe('room:new');
    await newcomer.subscribe('room:0');

    await redis.run();
    await allIsWell(Date.now(), gapsBefore);
    for (const channel of ['room:new', 'room:0']) await newcomer.event('gap', (frame) => frame.channel === channel);
    await redis.publish('room:new', '"welcome"');
    await newcomer.message('room:new');
    await newcomer.end();
});

test('Redis is up but deaf for five seconds', async () => {
    const gapsBefore = clients.map(gaps);
    redis.pause();
    const start = Date.now();
    const reply = clients[0].request({ op: 'publish', channel: 'room:0', data: 1 });
    await until('readyz says 503', async () => (await gateway.readyStatus()) === 503);
    assert.ok(Date.now() - start < 4500, `noticed after ${Date.now() - start} ms`);
    assert.equal((await reply).error.code, 'broker_unavailable', 'a publish under way is answered');
    await until('five seconds of silence', () => Date.now() - start >= 5000);
    assert.equal((await clients[0].request({ op: 'publish', channel: 'room:0', data: 1 })).error.code, 'broker_unavailable');
    redis.resume();
    await allIsWell(Date.now(), gapsBefore);
});

test('Redis throws its subscribers out', async () => {
    const gapsBefore = clients.map(gaps);
    const start = Date.now();
    assert.equal(await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub'), '2');
    await everyone('every client is told of the gap', (client, i) => gaps(client) > gapsBefore[i]);
    await allIsWell(start, gapsBefore);
});

test('Redis throws out the connections that publish', async () => {
    const gapsBefore = clients.map(gaps);
    const start = Date.now();
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'normal');
    await everyone('every client is told of the gap', (client, i) => gaps(client) > gapsBefore[i]);
    await allIsWell(start, gapsBefore);
});

test('each loss and each return is in the log, once per worker', async () => {
    const said = (pattern) => gateway.output.match(pattern)?.length ?? 0;
    assert.equal(said(/redis: link lost, reconnecting/g), 8);
    assert.equal(said(/redis: link up/g), 10);
    assert.equal(await gateway.metric('fantail_redis_lost_total'), 8);
});

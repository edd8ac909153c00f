// Two publishers, a hundred subscribers over three workers: every subscriber sees each publisher's messages in
// order, none lost, none doubled.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { openClientPerWorker, openClients } from '../lib/clients.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { run } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const WORKERS = 3;
const MESSAGES = 500; // Of each publisher.

const redis = await Redis.start({ after });
const gateway = await Gateway.start({ after }, { redis, workers: WORKERS });
const perWorker = await openClientPerWorker(gateway, WORKERS);
const subscribers = [...perWorker, ...(await openClients(gateway, 100 - WORKERS))];
after(() => subscribers.forEach((client) => client.socket.terminate()));

async function everyoneSaw(channel, publishers) {
    await until('everyone has all', () => subscribers.every((client) => client.messages(channel).length >= publishers.length * MESSAGES), { timeoutMs: 30_000 });
    const all = Array.from({ length: MESSAGES }, (_, i) => i);
    for (const client of subscribers) {
        const messages = client.messages(channel);
        assert.equal(messages.length, publishers.length * MESSAGES, 'none doubled');
        for (const name of publishers) assert.deepEqual(messages.filter(({ by }) => by === name).map(({ n }) => n), all);
    }
    // Order is the broker's: the same for everybody.
    const [first, ...others] = subscribers.map((client) => JSON.stringify(client.messages(channel)));
    for (const other of others) assert.equal(other, first);
}

test('two clients publish', async () => {
    for (const client of subscribers) client.send({ op: 'subscribe', channel: 'order:clients' });
    await until('all are subscribed', async () => (await gateway.metric('fantail_subscriptions')) === subscribers.length);
    const publishers = await Promise.all([NativeClient.open(gateway), NativeClient.open(gateway)]);
    for (let n = 0; n < MESSAGES; n++) {
        publishers.forEach((client, by) => client.send({ op: 'publish', channel: 'order:clients', data: { by, n } }));
        // Now and then a pause for the other side, so that passes overlap with what arrives.
        if (n % 50 === 0) await publishers[0].request({ op: 'ping' });
    }
    await everyoneSaw('order:clients', [0, 1]);
    for (const client of publishers) await client.end();
});

test('two redis-clis publish, into several channels at once', async () => {
    const channels = ['order:a', 'order:b'];
    for (const client of subscribers) for (const channel of channels) client.send({ op: 'subscribe', channel });
    await until('all are subscribed', async () => (await gateway.metric('fantail_subscriptions')) === 3 * subscribers.length);
    const publish = (by) => {
        const script = `for n = 0, ${MESSAGES - 1} do for _, c in ipairs({'order:a', 'order:b'}) do redis.call('PUBLISH', c, '{"by":"${by}","n":' .. n .. '}') end end`;
        return run('redis-cli', ['-p', String(redis.port), 'EVAL', script, '0']);
    };
    await Promise.all([publish('x'), publish('y')]);
    for (const channel of channels) await everyoneSaw(channel, ['x', 'y']);
    assert.ok((await gateway.metric('fantail_writes_total')) < (await gateway.metric('fantail_deliveries_total')), 'messages are joined into fewer writes');
});

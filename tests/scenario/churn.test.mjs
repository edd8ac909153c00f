// A thousand clients come, subscribe, publish and go, again and again: nothing leaks (the sanitizer looks at the
// end), and every file descriptor is given back.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, test } from 'node:test';

import { openClients } from '../lib/clients.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { run } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const ROUNDS = 20;
const CLIENTS = 1000;

const redis = await Redis.start({ after });
const gateway = await Gateway.start({ after }, { redis, workers: 2, env: { FANTAIL_REDIS_LINGER_MS: '100' } });
const pids = [gateway.pid, ...(await run('pgrep', ['-P', String(gateway.pid)])).trim().split('\n').map(Number)];

const descriptors = () => pids.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);

async function allGone() {
    await until('everything is given back', async () => {
        const { fantail_connections, fantail_subscriptions, fantail_channels, fantail_outbox_bytes } = await gateway.metrics();
        return fantail_connections + fantail_subscriptions + fantail_channels + fantail_outbox_bytes === 0;
    });
}

// What the master and its two workers hold when nobody is there. The first round may open what then stays.
let before;

async function round(number) {
    const clients = await openClients(gateway, CLIENTS, {
        prepare: async (client, i) => {
            client.send({ op: 'subscribe', channel: `churn:${i % 100}` });
            client.send({ op: 'subscribe', channel: `churn:own:${i}` });
            const reply = await client.request({ op: 'publish', channel: `churn:${i % 100}`, data: { number, i } });
            assert.ok(reply.ok);
        },
    });
    // Half of them say goodbye, the others just go; some of those in the middle of a command.
    clients.forEach((client, i) => {
        if (i % 2 === 0) return client.socket.close();
        if (i % 3 === 0) client.send({ op: 'publish', channel: `churn:${i % 100}`, data: 'x'.repeat(5000) });
        if (i % 5 === 0) client.socket._socket.write(Buffer.from([0x81, 0xfe, 0x40]));
        client.socket.terminate();
    });
    await Promise.all(clients.map((client) => client.closed));
    await allGone();
}

test('a thousand clients, twenty times', { timeout: 120_000 }, async () => {
    await round(0);
    before = descriptors();
    for (let number = 1; number < ROUNDS; number++) await round(number);
    await until('as many file descriptors as before', () => descriptors() <= before);
    assert.equal(await gateway.metric('fantail_accepts_total'), ROUNDS * CLIENTS);
    assert.equal(await gateway.metric('fantail_worker_restarts_total'), 0);
});

test('and the gateway ends cleanly', async () => {
    await gateway.stop();
});

// A node that is to stop sends its clients away one by one, and then ends.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { openClients } from '../lib/clients.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { RawSocket } from '../lib/raw.mjs';
import { Redis } from '../lib/redis.mjs';
import { until, within } from '../lib/wait.mjs';

const start = (t, seconds, options = {}) => Gateway.start(t, { ...options, env: { FANTAIL_DRAIN_SECONDS: String(seconds) } });

const endsWith = async (gateway, code) => {
    const exit = await within('the end', gateway.process.exited, 15_000);
    assert.deepEqual(exit, { code, signal: null }, gateway.process.tail());
    gateway.assertSane();
};

test('SIGTERM: readyz first, then every client at a moment of its own', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await start(t, 3, { redis, workers: 2 });
    const clients = await openClients(gateway, 60, { prepare: (client) => client.subscribe('room:1') });
    const closedAt = clients.map((client) => client.closed.then(() => Date.now()));

    const began = Date.now();
    gateway.process.signal('SIGTERM');
    await until('readyz says 503', async () => (await gateway.readyStatus()) === 503);
    assert.deepEqual(await (await fetch(`${gateway.adminUrl}/readyz`)).json(), { ready: false, reason: 'draining' });
    await until('the workers drain', async () => (await gateway.metric('fantail_draining')) === 2);
    const retries = [];
    for (const client of clients) {
        retries.push((await client.event('drain')).retry_ms);
        assert.equal(client.close, undefined, 'nobody is closed before the balancer knows');
    }

    // Until its moment comes, a client is served as ever.
    await redis.publish('room:1', '"still here"');
    for (const client of clients) await client.message('room:1');
    assert.ok(Math.min(...retries) >= 750 && Math.max(...retries) <= 3000, `${Math.min(...retries)} to ${Math.max(...retries)}`);
    assert.ok(Math.max(...retries) - Math.min(...retries) > 1000, 'the moments are spread');

    for (const [i, client] of clients.entries()) {
        assert.equal((await client.closed).code, 1001);
        const late = (await closedAt[i]) - began - retries[i];
        assert.ok(late > -100 && late < 1500, `closed ${late} ms after its moment`);
    }
    await endsWith(gateway, 0);
    assert.ok(Date.now() - began < 6000);
});

test('who comes while the node drains is sent away too, within what is left of the time', async (t) => {
    const gateway = await start(t, 3);
    const early = await NativeClient.open(gateway);
    gateway.process.signal('SIGTERM');
    const { retry_ms } = await early.event('drain');
    await within('its close', early.closed);
    const left = 3000 - retry_ms;
    if (left < 200) return; // Nothing is left to come in.
    const late = await NativeClient.open(gateway).catch(() => undefined);
    if (late) {
        assert.ok((await late.event('drain')).retry_ms <= left + 100);
        assert.equal((await late.closed).code, 1001);
    }
    await endsWith(gateway, 0);
});

test('a node without clients ends as soon as the balancer knows', async (t) => {
    const gateway = await start(t, 30);
    const began = Date.now();
    gateway.process.signal('SIGTERM');
    await endsWith(gateway, 0);
    assert.ok(Date.now() - began < 4000, `took ${Date.now() - began} ms`);
});

test('a client that never answers holds up nobody', async (t) => {
    const gateway = await start(t, 1);
    const raw = await RawSocket.webSocket(gateway);
    raw.socket.pause();
    const idle = await RawSocket.connect(gateway.port);
    const began = Date.now();
    gateway.process.signal('SIGTERM');
    await endsWith(gateway, 0);
    assert.ok(Date.now() - began < 6000, `took ${Date.now() - began} ms`);
    raw.destroy();
    idle.destroy();
});

test('a second SIGTERM ends it at once', async (t) => {
    const gateway = await start(t, 60, { redis: await Redis.start(t), workers: 2 });
    const clients = await openClients(gateway, 10);
    gateway.process.signal('SIGTERM');
    for (const client of clients) await client.event('drain');
    const began = Date.now();
    gateway.process.signal('SIGTERM');
    await endsWith(gateway, 0);
    assert.ok(Date.now() - began < 3000, `took ${Date.now() - began} ms`);
});

test('SIGINT closes everybody at once, properly', async (t) => {
    const gateway = await start(t, 60, { redis: await Redis.start(t), workers: 2 });
    const clients = await openClients(gateway, 20);
    const began = Date.now();
    gateway.process.signal('SIGINT');
    for (const client of clients) assert.equal((await client.closed).code, 1001);
    await endsWith(gateway, 0);
    assert.ok(Date.now() - began < 3000, `took ${Date.now() - began} ms`);
});

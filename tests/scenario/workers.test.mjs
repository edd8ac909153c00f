// Processes that die: a worker, again and again, and the master.

import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';

import { openClients } from '../lib/clients.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { freePort } from '../lib/ports.mjs';
import { NativeClient } from '../lib/native.mjs';
import { run } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { until, within } from '../lib/wait.mjs';

const workersOf = async (gateway) => (await run('pgrep', ['-P', String(gateway.pid)])).trim().split('\n').map(Number);

const isUp = (gateway, workers) => async () => {
    const metrics = await gateway.metrics();
    return metrics.fantail_workers === workers && metrics.fantail_redis_up === workers;
};

test('a worker that is killed comes back; the others serve on, and counters never fall', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, workers: 2 });
    const clients = await openClients(gateway, 40, { prepare: (client) => client.subscribe('room:1') });
    t.after(() => clients.forEach((client) => client.socket.terminate()));
    await redis.publish('room:1', '"before"');
    for (const client of clients) await client.message('room:1');
    const before = await gateway.metrics();
    assert.equal(before.fantail_deliveries_total, 40);

    // Not a sample falls, neither while the worker is away nor after.
    let last = before;
    const watch = async () => {
        const now = await gateway.metrics();
        for (const name of Object.keys(now).filter((name) => /(_total|_count|_sum|_bucket)/.test(name))) {
            assert.ok(now[name] >= last[name], `${name} fell from ${last[name]} to ${now[name]}`);
        }
        last = now;
        return now;
    };
    const [victim] = await workersOf(gateway);
    process.kill(victim, 'SIGKILL');
    await until('the death is noticed', async () => (await watch()).fantail_worker_restarts_total === 1);
    await until('the worker is back', async () => {
        const { fantail_workers, fantail_redis_up } = await watch();
        return fantail_workers === 2 && fantail_redis_up === 2;
    });
    await gateway.process.saw(/worker died worker=0 status=0 signal=9/);

    const survivors = clients.filter((client) => !client.close);
    const lost = clients.length - survivors.length;
    assert.ok(lost > 0 && survivors.length > 0, `${lost} of ${clients.length} were on it`);
    assert.ok(clients.every(({ close }) => !close || close.code === 1006));
    await until('their connections are no longer counted', async () => (await watch()).fantail_connections === survivors.length);
    const newcomers = await openClients(gateway, lost, { prepare: (client) => client.subscribe('room:1') });
    t.after(() => newcomers.forEach((client) => client.socket.terminate()));
    await redis.publish('room:1', '"after"');
    for (const client of [...survivors, ...newcomers]) await client.message('room:1', (data) => data === 'after');
    assert.equal((await watch()).fantail_deliveries_total, 80);
    assert.equal(await gateway.readyStatus(), 200);
});

test('a worker that keeps dying is restarted less and less often', async (t) => {
    const gateway = await Gateway.start(t, { redis: await Redis.start(t), workers: 2 });
    for (let deaths = 1; deaths <= 4; deaths++) {
        const [victim] = await workersOf(gateway);
        process.kill(victim, 'SIGKILL');
        await until(`death ${deaths} is noticed`, async () => (await gateway.metric('fantail_worker_restarts_total')) === deaths);
        await until('it is back', isUp(gateway, 2));
    }
    const delays = (worker) => [...gateway.output.matchAll(/worker restarts worker=(\d) delay_ms=(\d+)/g)].filter((match) => Number(match[1]) === worker).map((match) => Number(match[2]));
    for (const series of [delays(0), delays(1)]) assert.deepEqual(series, series.map((_, i) => 100 * 2 ** i));
    const client = await NativeClient.open(gateway);
    await client.publish('room:1', 'fine');
    await client.end();
});

test('all workers die at once, and all come back', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, workers: 3 });
    (await workersOf(gateway)).forEach((pid) => process.kill(pid, 'SIGKILL'));
    await until('the deaths are noticed', async () => (await gateway.metric('fantail_worker_restarts_total')) === 3);
    await until('all are back', isUp(gateway, 3));
    await until('ready', () => gateway.isReady());
});

test('a worker that hangs is not waited for by the API for ever', async (t) => {
    const gateway = await Gateway.start(t, { redis: await Redis.start(t), workers: 2, env: { FANTAIL_ADMIN_API_KEY: 'k'.repeat(16) } });
    await until('both serve', isUp(gateway, 2));
    const [victim] = await workersOf(gateway);
    process.kill(victim, 'SIGSTOP');
    const response = await fetch(`${gateway.adminUrl}/api/v1/clients`, { headers: { 'x-api-key': 'k'.repeat(16) } });
    process.kill(victim, 'SIGCONT');
    assert.equal(response.status, 500);
    assert.equal((await response.json()).error.code, 'internal');
    assert.equal((await fetch(`${gateway.adminUrl}/healthz`)).status, 200);
});

const worker0Stops = async (gateway) => {
    const [victim] = await workersOf(gateway);
    process.kill(victim, 'SIGSTOP');
    return victim;
};

test('a worker that hangs is told by readyz, killed and replaced', async (t) => {
    const gateway = await Gateway.start(t, { redis: await Redis.start(t), workers: 2, env: { FANTAIL_WORKER_TIMEOUT_SECONDS: '3' } });
    await until('both serve', isUp(gateway, 2));
    const victim = await worker0Stops(gateway);
    const answer = await until('readyz says so', async () => {
        const response = await fetch(`${gateway.adminUrl}/readyz`);
        const { reason } = await response.json();
        return response.status === 503 && reason;
    });
    assert.match(answer, /^worker 0 hangs: no sign of life for \d+ seconds$/);
    await until('it is gone', () => !existsSync(`/proc/${victim}`));
    await until('both serve again', isUp(gateway, 2));
    await until('ready', () => gateway.isReady());
    const { fantail_worker_hangs_total: hangs, fantail_worker_restarts_total: restarts } = await gateway.metrics();
    assert.deepEqual({ hangs, restarts }, { hangs: 1, restarts: 1 });
    await gateway.process.saw(/worker hangs, killing it worker=0 silent_seconds=\d/);
});

test('master and workers stopped together, as by a machine that sleeps: nobody hung', async (t) => {
    const gateway = await Gateway.start(t, { redis: await Redis.start(t), workers: 2, env: { FANTAIL_WORKER_TIMEOUT_SECONDS: '1' } });
    const client = await NativeClient.open(gateway);
    const all = [gateway.pid, ...(await workersOf(gateway))];
    all.forEach((pid) => process.kill(pid, 'SIGSTOP'));
    const start = Date.now();
    await until('more than the time is over', () => Date.now() - start > 3500);
    all.forEach((pid) => process.kill(pid, 'SIGCONT'));
    assert.ok((await client.request({ op: 'ping' })).ok);
    await until('ready', () => gateway.isReady());
    const beats = Date.now();
    await until('the master has looked again, thrice', () => Date.now() - beats > 3000);
    assert.equal(await gateway.metric('fantail_worker_hangs_total'), 0);
    assert.equal(await gateway.metric('fantail_worker_restarts_total'), 0);
    await client.end();
});

test('worker_timeout_seconds of 0: whoever is in a debugger may stay there', async (t) => {
    const gateway = await Gateway.start(t, { redis: await Redis.start(t), workers: 2, env: { FANTAIL_WORKER_TIMEOUT_SECONDS: '0' } });
    const victim = await worker0Stops(gateway);
    const start = Date.now();
    await until('more than a moment is over', () => Date.now() - start > 2500);
    assert.equal(await gateway.readyStatus(), 200);
    process.kill(victim, 'SIGCONT');
    assert.equal(await gateway.metric('fantail_worker_hangs_total'), 0);
});

test('the workers end when the master is killed, and the ports are free', async (t) => {
    const gateway = await Gateway.start(t, { redis: await Redis.start(t), workers: 3 });
    const client = await NativeClient.open(gateway);
    const workers = await workersOf(gateway);
    process.kill(gateway.pid, 'SIGKILL');
    await within('the client is told', client.closed);
    await until('no worker is left', () => workers.every((pid) => !existsSync(`/proc/${pid}`)));
    await gateway.process.saw(/the master is gone, stopping/);
    await gateway.run();
    const again = await NativeClient.open(gateway);
    await again.end();
});

test('a second gateway does not start on the ports of the first', async (t) => {
    const first = await Gateway.start(t);
    for (const ports of [{ port: first.port }, { adminPort: first.adminPort }]) {
        const second = await Gateway.start(t, { ...ports, awaitReady: false });
        const { code } = await within('its end', second.process.exited);
        assert.equal(code, 1, JSON.stringify(ports));
        assert.match(second.output, /cannot listen address=127\.0\.0\.1 port=\d+ error="Address already in use"/);
    }
    const client = await NativeClient.open(first);
    await client.end();
});

test('a port that another program has is told, and ends the start', async (t) => {
    const port = await freePort();
    const server = net.createServer().listen(port, '127.0.0.1');
    t.after(() => server.close());
    const gateway = await Gateway.start(t, { port, redis: await Redis.start(t), workers: 2, awaitReady: false });
    const { code } = await within('its end', gateway.process.exited);
    assert.equal(code, 1);
    assert.match(gateway.output, /cannot listen .*Address already in use/);
});

test('a worker that runs out of file descriptors says so, and serves those it has', async (t) => {
    const gateway = await Gateway.start(t, { redis: await Redis.start(t), workers: 1 });
    const [worker] = await workersOf(gateway);
    const client = await NativeClient.open(gateway);
    const held = readdirSync(`/proc/${worker}/fd`).length;
    await run('prlimit', ['--pid', String(worker), `--nofile=${held + 5}:${held + 5}`]);
    const crowd = await Promise.allSettled(Array.from({ length: 20 }, () => NativeClient.open(gateway, { timeoutMs: 1500 })));
    await gateway.process.saw(/out of file descriptors/);
    assert.ok(gateway.output.match(/out of file descriptors/g).length < 20, 'and says it a few times only');
    assert.ok((await client.request({ op: 'ping' })).ok);
    for (const { value, reason } of crowd) if (value) value.socket.terminate(); else assert.ok(reason);
    await client.end();
});

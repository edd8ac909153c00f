// SIGHUP: namespaces, limits, origins and the log level change under connected clients.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { openClients } from '../lib/clients.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { run } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const closed = `
namespaces = ( { name = "default"; } );
origins = [ "https://old.example" ];
log = { level = "info"; };
`;

const open = `
namespaces = ( { name = "default"; }, { name = "chat"; client_publish = true; } );
origins = [ "https://new.example" ];
limits = { message_bytes = 100; channels_per_session = 2; };
log = { level = "debug"; };
`;

async function start(t) {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { dev: false, config: closed, redis, workers: 2 });
    const clients = await openClients(gateway, 50, { prepare: (client) => client.subscribe('chat:1') });
    t.after(() => clients.forEach((client) => client.socket.terminate()));
    return { redis, gateway, clients };
}

const reloads = (gateway) => gateway.output.match(/configuration reloaded/g)?.length ?? 0;

const statusFor = (gateway, origin) =>
    NativeClient.open(gateway, { origin }).then(
        (client) => client.end().then(() => 101),
        (error) => error.status,
    );

async function nobodyWasDropped(redis, clients) {
    await redis.publish('chat:1', '"all here?"');
    for (const client of clients) {
        await client.message('chat:1', (data) => data === 'all here?');
        assert.equal(client.close, undefined);
    }
}

test('what may change changes, for who is there and for who comes', async (t) => {
    const { redis, gateway, clients } = await start(t);
    const publish = (data) => clients[0].request({ op: 'publish', channel: 'chat:1', data });
    assert.equal((await publish('before')).error.code, 'publish_forbidden');
    assert.equal(await statusFor(gateway, 'https://old.example'), 101);
    assert.equal(await statusFor(gateway, 'https://new.example'), 403);

    await gateway.reload(open);
    await until('both workers have it', () => reloads(gateway) === 2);
    assert.ok((await publish('after')).ok);
    assert.equal((await publish('x'.repeat(99))).error.code, 'message_too_large');
    await clients[0].subscribe('chat:2');
    assert.equal((await clients[0].request({ op: 'subscribe', channel: 'chat:3' })).error.code, 'channel_limit');
    assert.equal(await statusFor(gateway, 'https://old.example'), 403);
    assert.equal(await statusFor(gateway, 'https://new.example'), 101);
    await nobodyWasDropped(redis, clients);

    // And back.
    await gateway.reload(closed);
    await until('both workers have it', () => reloads(gateway) === 4);
    assert.equal((await publish('again')).error.code, 'publish_forbidden');
    await clients[0].subscribe('chat:3');
    await nobodyWasDropped(redis, clients);
    await gateway.stop();
});

test('a broken file changes nothing and is told', async (t) => {
    const { redis, gateway, clients } = await start(t);
    for (const [number, text] of ['namespaces = ( { name = "default"', 'limits = { message_bites = 5; };', 'workers = "many";'].entries()) {
        await gateway.reload(text);
        await until('the refusal is counted', async () => (await gateway.metric('fantail_reload_failures_total')) === number + 1);
    }
    assert.match(gateway.output, /error .*config: .*fantail\.conf:1: /);
    assert.match(gateway.output, /message_bites/);
    assert.equal(gateway.output.match(/reload refused, the running configuration stays/g).length, 3);
    assert.equal((await clients[0].request({ op: 'publish', channel: 'chat:1', data: 1 })).error.code, 'publish_forbidden');
    await nobodyWasDropped(redis, clients);

    // A worker that dies now comes back with what was running.
    const [victim] = (await run('pgrep', ['-P', String(gateway.pid)])).split('\n');
    process.kill(Number(victim), 'SIGKILL');
    await until('it is back', async () => (await gateway.metric('fantail_worker_restarts_total')) === 1 && (await gateway.metric('fantail_workers')) === 2);

    await gateway.reload(open);
    await until('a good file is taken again', () => reloads(gateway) === 2);
});

test('what takes a restart stays as it is, also for a worker that starts later', async (t) => {
    const { redis, gateway, clients } = await start(t);
    await gateway.reload(`${open}\nnode = "renamed"; redis = { linger_ms = 1; }; ping = { interval_seconds = 3; };`);
    await until('both workers have the rest', () => reloads(gateway) === 2);
    await gateway.process.saw(/a setting takes effect only with a restart setting=node/);
    await nobodyWasDropped(redis, clients);
    const name = async () => {
        const client = await NativeClient.open(gateway);
        const { node, ping_seconds } = await client.request({ op: 'connect' });
        assert.equal(ping_seconds, 25);
        await client.end();
        return node;
    };
    const before = await name();
    assert.notEqual(before, 'renamed');

    const workers = (await run('pgrep', ['-P', String(gateway.pid)])).trim().split('\n').map(Number);
    workers.forEach((pid) => process.kill(pid, 'SIGKILL'));
    await until('both are back', async () => (await gateway.metric('fantail_worker_restarts_total')) === 2 && (await gateway.metric('fantail_redis_up')) === 2);
    assert.equal(await name(), before);
    const client = await NativeClient.open(gateway, { origin: 'https://new.example' });
    await client.publish('chat:1', 'the namespaces are the new ones');
    await client.end();
});

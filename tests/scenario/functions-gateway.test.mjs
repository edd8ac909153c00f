// What a gateway does with the function library: loads it, replaces it, misses it, and tells Redis its settings.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { epochOf, librarySource, offsetOf } from '../lib/functions.mjs';
import { Gateway, root } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';
import { Resp } from '../lib/resp.mjs';
import { until } from '../lib/wait.mjs';

const CONFIG = `
namespaces = ( { name = "default"; },
  { name = "chat"; client_publish = true; history_size = 5; history_ttl_seconds = 60; position_ttl_seconds = 3600; } );`;

const OLDER = `#!lua name=fantail
redis.register_function({ function_name = 'fantail_version', callback = function() return 0 end, flags = { 'no-writes' } })`;
const NEWER = librarySource.replace(/\nlocal VERSION = \d+\n/, '\nlocal VERSION = 1000000\n');

const version = (redis) => redis.cli('FCALL_RO', 'fantail_version', 0);
const settings = async (redis) => (await redis.cli('HGETALL', 'fantail:namespaces')).split('\n');

// What stands after ACL SETUSER there; a user's lines add up, as those of Redis do.
async function aclLines() {
    const text = await readFile(path.join(root, 'docs/OPERATIONS.md'), 'utf8');
    return [...text.replaceAll(/\n +/g, ' ').matchAll(/^ACL SETUSER (.*)$/gm)].map(([, line]) => line);
}

async function startClient(t, gateway) {
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    return client;
}

test('the library is loaded at the start, and its settings are there', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, config: CONFIG, workers: 2 });
    const id = await redis.cli('FCALL', 'fantail_publish', 1, 'chat:lobby', '{"n":1}');
    assert.equal(offsetOf(id), 0);
    assert.deepEqual(await settings(redis), ['', '0 0 604800', 'chat:', '5 60 3600']);
    for (let i = 0; i < 9; i++) await redis.cli('FCALL', 'fantail_publish', 1, 'chat:lobby', 'x');
    assert.equal(await redis.cli('XLEN', 'fantail:stream:{chat:lobby}'), '5');

    const client = await startClient(t, gateway);
    await client.subscribe('chat:lobby');
    const reply = await client.publish('chat:lobby', { n: 2 });
    assert.equal(reply.id, `${epochOf(id)}-10`);
    assert.equal((await client.message('chat:lobby')).id, reply.id);
    assert.doesNotMatch(gateway.output, /warn|error/i);
});

test('a prefix stands before channels and before the names of namespaces', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, config: CONFIG, workers: 1, env: { FANTAIL_REDIS_PREFIX: 'app:' } });
    const client = await startClient(t, gateway);
    await client.subscribe('chat:a');
    const id = await redis.cli('FCALL', 'fantail_publish', 1, 'app:chat:a', '1');
    assert.equal((await client.message('chat:a')).id, id);
    assert.equal((await client.publish('chat:a', 2)).id, `${epochOf(id)}-${offsetOf(id) + 1}`);
    assert.deepEqual(await settings(redis), ['app:', '0 0 604800', 'app:chat:', '5 60 3600']);
});

test('an older library is replaced, a newer one stays', async (t) => {
    const redis = await Redis.start(t);
    await redis.cli('FUNCTION', 'LOAD', OLDER);
    assert.equal(await version(redis), '0');
    const gateway = await Gateway.start(t, { redis, config: CONFIG, workers: 1 });
    assert.equal(await version(redis), librarySource.match(/\nlocal VERSION = (\d+)\n/)[1]);
    await gateway.stop();
    await redis.cli('FUNCTION', 'LOAD', 'REPLACE', NEWER);
    await gateway.run();
    assert.equal(await version(redis), '1000000');
    const client = await startClient(t, gateway);
    assert.equal(offsetOf((await client.publish('chat:a', 1)).id), 0);
});

test('FUNCTION FLUSH: publishes under way go through all the same', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, config: CONFIG, workers: 1 });
    const client = await startClient(t, gateway);
    await client.subscribe('chat:a');
    await redis.cli('FUNCTION', 'FLUSH');
    const ids = (await Promise.all(Array.from({ length: 50 }, (_, i) => client.publish('chat:a', i)))).map(({ id }) => id);
    assert.equal(new Set(ids).size, 50);
    await until('all arrive', () => client.messages('chat:a').length === 50);
    assert.deepEqual(client.messages('chat:a').sort((x, y) => x - y), ids.map((_, i) => i));
    assert.equal(await gateway.metric('fantail_publish_errors_total'), 0);
    await redis.cli('FUNCTION', 'FLUSH');
    // A channel that nobody has seen has to be read.
    assert.ok((await client.subscribe('chat:b')).position);
});

test('FLUSHALL: the settings come back', async (t) => {
    const redis = await Redis.start(t);
    await Gateway.start(t, { redis, config: CONFIG, workers: 1 });
    await redis.cli('FLUSHALL');
    await until('the settings are there', async () => (await settings(redis)).includes('chat:'));
});

test('a reload changes the settings, and takes away those of a namespace that went', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, config: CONFIG, workers: 1 });
    await gateway.reload('namespaces = ( { name = "news"; history_size = 9; history_ttl_seconds = 60; } );');
    await until('the settings follow', async () => {
        const found = await settings(redis);
        return found.includes('9 60 604800') && !found.includes('chat:');
    });
});

test('what only begins like an envelope is counted, and stops nothing', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, config: CONFIG, workers: 1 });
    const publisher = await Resp.connect(t, redis.port);
    const client = await startClient(t, gateway);
    await client.subscribe('chat:a');
    await client.subscribe('room:a');
    for (const channel of ['chat:a', 'room:a']) {
        for (const payload of ['\0', '\0\x01', '\0\x01m1-0', '\0\x01z1-0 - 5 -\nx', '\0\x01m1-x - 5 -\nx', '\0\x02m1-0 - 5 -\nx']) {
            await publisher.call('PUBLISH', channel, payload);
        }
    }
    // An envelope as such, in a channel that has no history.
    await publisher.call('PUBLISH', 'room:a', '\0\x01m99-7 - 5 -\n"forged"');
    const { id } = await client.publish('chat:a', 'after');
    await client.message('chat:a', (data) => data === 'after');
    await publisher.call('PUBLISH', 'room:a', '"after"');
    await client.message('room:a', (data) => data === 'after');
    assert.match(id, /^\d+-\d+$/);
    assert.equal(await gateway.metric('fantail_envelope_errors_total'), 12);
});

test('a Redis that refuses: the client is told, the log has it once a second', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, config: CONFIG, workers: 1 });
    const client = await startClient(t, gateway);
    await redis.cli('SET', 'fantail:stream:{chat:a}', 'not a stream');
    const before = gateway.output.length;
    const replies = await Promise.all(Array.from({ length: 30 }, () => client.request({ op: 'publish', channel: 'chat:a', data: 1 })));
    for (const reply of replies) assert.equal(reply.error.code, 'broker_refused');
    const lines = gateway.output.slice(before).match(/publish refused.*/g);
    assert.ok(lines.length <= 2, `${lines.length} lines`);
    assert.match(lines[0], /WRONGTYPE/);
    assert.equal((await client.publish('chat:b', 1)).ok, true);
    // Whoever reads is told the same, by whichever way.
    const { error } = await client.request({ op: 'subscribe', channel: 'chat:a' });
    assert.deepEqual([error.code, error.retry], ['broker_refused', true]);
    for (const wait of [0, 5]) {
        const poll = await fetch(`${gateway.url}/v1/subscribe?channel=chat:a&wait=${wait}`);
        assert.equal(poll.status, 502);
        assert.equal((await poll.json()).error.code, 'broker_refused');
    }
});

test('with the permissions that docs/OPERATIONS.md gives', async (t) => {
    const redis = await Redis.start(t);
    const acl = await aclLines();
    for (const line of acl) await redis.cli('ACL', 'SETUSER', ...line.replaceAll('PASSWORD', 'secret').split(/\s+/));
    const gateway = await Gateway.start(t, {
        redis: `redis://node:secret@127.0.0.1:${redis.port}/0`,
        config: CONFIG,
        workers: 1,
        env: { FANTAIL_REDIS_PREFIX: 'app:' },
    });
    const client = await startClient(t, gateway);
    await client.subscribe('chat:a');
    for (let i = 0; i < 3; i++) await client.publish('chat:a', i);
    assert.equal((await client.message('chat:a', (data) => data === 2)).channel, 'chat:a');

    const publisher = await Resp.connect(t, redis.port);
    await publisher.call('AUTH', 'publisher', 'secret');
    const id = await publisher.call('FCALL', 'fantail_publish', 1, 'app:chat:a', '"from the publisher"', 'idempotency_key', 'k');
    assert.equal((await client.message('chat:a', (data) => data === 'from the publisher')).id, id);
    await assert.rejects(publisher.call('FCALL', 'fantail_publish', 1, 'other:chat:a', 'x'), /NOPERM|No permissions/);
    await assert.rejects(publisher.call('FLUSHALL'), /NOPERM/);
    assert.doesNotMatch(gateway.output, /NOPERM|refused|not loaded|not written/);
});

// Messages that wait for each other, where the namespace asks for it, and those that do not wait.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { wholeFile } from '../lib/file.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';
import { Resp } from '../lib/resp.mjs';
import { Stream, poll, publish } from '../lib/subscribe.mjs';
import { until } from '../lib/wait.mjs';

const DELAY_MS = 250;
const config = `
namespaces = (
  { name = "default"; },
  { name = "slow"; client_publish = true; history_size = 1000; history_ttl_seconds = 300; batch_delay_ms = ${DELAY_MS}; },
  { name = "three"; client_publish = true; history_size = 1000; history_ttl_seconds = 300; batch_delay_ms = 60000; batch_count = 3; },
  { name = "bytes"; client_publish = true; batch_delay_ms = 60000; batch_bytes = 1000; }
);`;

const file = wholeFile();
let redis, gateway, resp;

before(async () => {
    redis = await Redis.start(file);
    gateway = await Gateway.start(file, { config, redis, workers: 1 });
    resp = await Resp.connect(file, redis.port);
});

// Polls one after the other, and when each reply came.
class Poller {
    constructor(channel, cursor) {
        this.replies = [];
        this.ended = this.#run(channel, cursor);
    }

    async #run(channel, cursor) {
        while (!this.isStopped) {
            const reply = await poll(gateway, channel, { cursor, wait: 5 });
            if (reply.messages.length > 0) this.replies.push({ at: performance.now(), data: reply.messages.map(({ data }) => data) });
            ({ cursor } = reply);
        }
    }

    get data() {
        return this.replies.flatMap(({ data }) => data);
    }
}

test('100 messages in a second reach a long poller in at most 5 replies, an urgent one within 50 ms', async (t) => {
    const { cursor } = await poll(gateway, 'slow:a', { wait: 0 });
    const poller = new Poller('slow:a', cursor);
    await until('the poller to wait', async () => (await gateway.metric('fantail_sessions', 'transport="longpoll"')) === 1);
    const started = performance.now();
    let urgentAt;
    for (let n = 0; n < 100; n++) {
        await pause(Math.max(0, started + n * 10 - performance.now())); // Ten milliseconds from one to the next.
        if (n === 40) urgentAt = performance.now();
        await resp.call('FCALL', 'fantail_publish', 1, 'slow:a', n, ...(n === 40 ? ['priority', 'high'] : []));
    }
    const took = performance.now() - started;
    await until('all of them', () => poller.data.length === 100);
    poller.isStopped = true;
    assert.deepEqual(poller.data, [...poller.data.keys()]);
    const urgent = poller.replies.find(({ data }) => data.includes(40));
    t.diagnostic(
        `${poller.replies.length} replies of ${poller.replies.map(({ data }) => data.length)} messages, published in ${took.toFixed(0)} ms; ` +
            `the urgent one after ${(urgent.at - urgentAt).toFixed(1)} ms`,
    );
    assert.ok(poller.replies.length <= 5 + Math.floor(Math.max(0, took - 1000) / DELAY_MS), `${poller.replies.length} replies`);
    assert.ok(urgent.at - urgentAt < 50, `${urgent.at - urgentAt} ms`);
    await publish(gateway, 'slow:a', 'end', { priority: 'high' });
    await poller.ended;
});

test('sockets and streams get them together as well, in order', async (t) => {
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    await client.subscribe('three:a');
    const stream = await Stream.open(gateway, 'sse', 'three:a');
    t.after(() => stream.end());
    await until('the stream to have begun', () => stream.cursor);
    const writes = () => gateway.metric('fantail_writes_total');
    const before = await writes();
    for (const n of [0, 1]) await publish(gateway, 'three:a', String(n));
    await client.request({ op: 'ping' });
    assert.deepEqual(client.messages('three:a'), []);
    await publish(gateway, 'three:a', '2');
    await until('the three', () => client.messages('three:a').length === 3 && stream.messages.length === 3);
    assert.equal((await writes()) - before, 2); // One for each of the two.
    await publish(gateway, 'three:a', '3');
    await publish(gateway, 'three:a', '4', { priority: 'high' });
    await until('what was before the urgent one as well', () => client.messages('three:a').length === 5 && stream.messages.length === 5);
    assert.deepEqual(client.messages('three:a'), [0, 1, 2, 3, 4]);
    assert.deepEqual(stream.messages, [0, 1, 2, 3, 4]);
});

test('batch_bytes ends the wait', async (t) => {
    const client = await NativeClient.open(gateway);
    t.after(() => client.socket.terminate());
    await client.subscribe('bytes:a');
    await publish(gateway, 'bytes:a', 'x'.repeat(600));
    await client.request({ op: 'ping' });
    assert.deepEqual(client.messages('bytes:a'), []);
    await publish(gateway, 'bytes:a', 'y'.repeat(600));
    await until('both', () => client.messages('bytes:a').length === 2);
});

test('a poller that comes back gets what waits for its batch, once', async () => {
    const { cursor } = await poll(gateway, 'three:b', { wait: 0 });
    // Somebody is there, so that messages wait.
    const stream = await Stream.open(gateway, 'sse', 'three:b');
    await until('the stream to have begun', () => stream.cursor);
    await publish(gateway, 'three:b', '1');
    await publish(gateway, 'three:b', '2');
    const parked = poll(gateway, 'three:b', { cursor, wait: 1 });
    await until('it to wait', async () => (await gateway.metric('fantail_sessions', 'transport="longpoll"')) === 1);
    await publish(gateway, 'three:b', '3');
    assert.deepEqual((await parked).messages.map(({ data }) => data), [1, 2, 3]);
    stream.end();
});

// A client that stops reading while its channel carries 200 MB: its namespace's policy acts, the worker's memory
// stays within limits, and the other subscribers lose nothing.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { run } from '../lib/process.mjs';
import { frame, RawSocket } from '../lib/raw.mjs';
import { Redis } from '../lib/redis.mjs';
import { until, within } from '../lib/wait.mjs';

const MB = 1024 * 1024;
const OUTBOX_BYTES = 1 * MB;
const MESSAGE_BYTES = 50_000;
const MESSAGES = 200_000_000 / MESSAGE_BYTES;

const config = `
namespaces = (
  { name = "default"; client_publish = true; },
  { name = "cut"; slow_consumer = "disconnect"; },
  { name = "old"; slow_consumer = "drop_oldest"; },
  { name = "now"; slow_consumer = "conflate"; });
limits = { outbox_bytes = ${OUTBOX_BYTES}; outbox_total_bytes = ${3 * MB}; };
ping = { interval_seconds = 3600; };
`;

const redis = await Redis.start({ after });
const gateway = await Gateway.start({ after }, {
    dev: false,
    config,
    redis,
    workers: 1,
    // What the sanitizer keeps of freed memory, to find who uses it after, would count as the worker's.
    env: { ASAN_OPTIONS: 'quarantine_size_mb=1:thread_local_quarantine_size_kb=64:allocator_release_to_os_interval_ms=0' },
});
const worker = Number(await run('pgrep', ['-P', String(gateway.pid)]));
const memory = () => 1024 * Number(readFileSync(`/proc/${worker}/status`, 'latin1').match(/VmRSS:\s+(\d+) kB/)[1]);

// A subscriber that does not read until told to.
async function sleeper(...channels) {
    const raw = await RawSocket.webSocket(gateway);
    for (const channel of channels) raw.write(frame(JSON.stringify({ op: 'subscribe', channel })));
    await until('the confirmations', () => raw.frames().length === channels.length);
    raw.received = Buffer.alloc(0);
    raw.socket.pause();
    return raw;
}

// Publishes messages number `from` to `to` - 1, each of MESSAGE_BYTES.
const publisher = await RawSocket.connect(redis.port);
function publish(channel, from, to) {
    for (let i = from; i < to; i++) {
        const payload = String(i).padStart(8, '0').padEnd(MESSAGE_BYTES, 'x');
        publisher.write(`*3\r\n$7\r\nPUBLISH\r\n$${channel.length}\r\n${channel}\r\n$${MESSAGE_BYTES}\r\n${payload}\r\n`);
    }
}
after(() => publisher.destroy());

// A subscriber that reads and counts.
async function reader(channel) {
    const client = await NativeClient.open(gateway);
    await client.subscribe(channel);
    client.count = 0;
    client.has = (count) => within(`the reader has ${count} messages`, new Promise((resolve) => (client.wanted = { count, resolve })));
    client.socket.removeAllListeners('message');
    client.socket.on('message', (data) => {
        for (const line of data.toString().split('\n')) {
            const { data: text, event } = JSON.parse(line);
            assert.equal(event, undefined, 'no gap for who reads');
            assert.equal(Number(text.slice(0, 8)), client.count++, 'no message lost or doubled');
        }
        if (client.count === client.wanted?.count) client.wanted.resolve();
    });
    return client;
}

// 200 MB, as fast as the reader takes it, `atOnce` messages at a time, so that it does not become slow itself; the
// most that the worker's memory grew meanwhile.
async function carry(channel, client, atOnce) {
    const before = memory();
    let most = before;
    for (let at = 0; at < MESSAGES; at += atOnce) {
        const all = client.has(at + atOnce);
        publish(channel, at, at + atOnce);
        await all;
        most = Math.max(most, memory());
    }
    return most - before;
}

const grewWithinLimits = (grown) => assert.ok(grown < OUTBOX_BYTES + 10 * MB, `memory grew by ${(grown / MB).toFixed(1)} MB`);

// All that was sent to a sleeper, once it reads again.
async function wake(raw, isAll) {
    raw.socket.resume();
    await until('what was kept for it', () => isAll(texts(raw)));
    return texts(raw);
}

const texts = (raw) => raw.frames().filter(({ opcode }) => opcode === 1).map(({ payload }) => JSON.parse(payload.toString()));

const numbers = (list) => list.filter(({ data }) => data !== undefined).map(({ data }) => Number(data.slice(0, 8)));

test('disconnect: it is closed with 3001', async () => {
    const slow = await sleeper('cut:1');
    const quick = await reader('cut:1');
    grewWithinLimits(await carry('cut:1', quick, 10));
    assert.equal(await gateway.metric('fantail_closes_total', 'reason="slow_consumer"'), 1);
    assert.ok((await gateway.metric('fantail_drops_total', 'reason="disconnected"')) > 0);
    assert.equal(await gateway.metric('fantail_outbox_bytes'), 0);
    await until('its connection is gone', async () => (await gateway.metric('fantail_connections')) === 1);
    slow.socket.resume();
    await slow.close();
    await quick.end();
});

test('drop_oldest: it gets the newest, and is told of the gap before them', async () => {
    const slow = await sleeper('old:1');
    const quick = await reader('old:1');
    grewWithinLimits(await carry('old:1', quick, 10));
    assert.ok((await gateway.metric('fantail_outbox_bytes')) <= OUTBOX_BYTES);
    const got = await wake(slow, (list) => numbers(list).at(-1) === MESSAGES - 1);
    const gap = got.findIndex(({ event }) => event === 'gap');
    assert.deepEqual(got[gap], { event: 'gap', channel: 'old:1' });
    assert.equal(got.filter(({ event }) => event).length, 1, 'one gap');
    const [before, behind] = [numbers(got.slice(0, gap)), numbers(got.slice(gap))];
    assert.deepEqual(before, before.map((_, i) => i), 'what the socket had taken');
    assert.deepEqual(behind, behind.map((_, i) => MESSAGES - behind.length + i), 'the newest, to the end');
    assert.ok(behind.length >= 15 && behind.length <= OUTBOX_BYTES / MESSAGE_BYTES);
    assert.equal(await gateway.metric('fantail_drops_total', 'reason="oldest"'), MESSAGES - before.length - behind.length);
    slow.destroy();
    await quick.end();
});

test('conflate: it gets the latest only', async () => {
    const slow = await sleeper('now:1');
    const quick = await reader('now:1');
    grewWithinLimits(await carry('now:1', quick, 1));
    assert.ok((await gateway.metric('fantail_outbox_bytes')) <= 2 * MESSAGE_BYTES);
    const got = await wake(slow, (list) => numbers(list).at(-1) === MESSAGES - 1);
    const taken = numbers(got).slice(0, -1);
    assert.deepEqual(taken, taken.map((_, i) => i), 'what the socket had taken, then the last');
    assert.ok((await gateway.metric('fantail_drops_total', 'reason="conflated"')) > MESSAGES / 2);
    slow.destroy();
    await quick.end();
});

test('outbox_total_bytes: many sleepers together hold no more, also of different channels', async () => {
    const slow = [];
    for (let i = 0; i < 20; i++) slow.push(await sleeper(`old:many:${i}`));
    const before = memory();
    const came = await gateway.metric('fantail_messages_received_total');
    for (let i = 0; i < 20; i++) {
        publish(`old:many:${i}`, 0, 300);
        // Redis, too, gives up on who does not keep up.
        await until('all has come', async () => (await gateway.metric('fantail_messages_received_total')) === came + (i + 1) * 300);
    }
    const held = await gateway.metric('fantail_outbox_bytes');
    assert.ok(held <= 3 * MB && held > 2 * MB, `${held} bytes are held`);
    assert.ok(memory() - before < 3 * MB + 20 * MB, `grew by ${((memory() - before) / MB).toFixed(1)} MB`);
    // Who reads is not hurt by those who do not.
    const quick = await reader('cut:quick');
    const all = quick.has(10);
    publish('cut:quick', 0, 10);
    await all;
    slow.forEach((raw) => raw.destroy());
    await until('all is given back', async () => (await gateway.metric('fantail_outbox_bytes')) === 0);
    await quick.end();
});

test('a client that asks without reading the answers is too slow as well', async () => {
    const before = await gateway.metric('fantail_closes_total', 'reason="slow_consumer"');
    const raw = await RawSocket.webSocket(gateway);
    raw.socket.pause();
    const pings = frame('{"ref":1234567890,"op":"ping"}\n'.repeat(1000));
    await until(
        'it is closed',
        async () => {
            for (let i = 0; i < 50 && raw.socket.writableLength < 4 * MB; i++) raw.write(pings);
            return (await gateway.metric('fantail_closes_total', 'reason="slow_consumer"')) > before;
        },
        { timeoutMs: 30_000 },
    );
    raw.destroy();
});

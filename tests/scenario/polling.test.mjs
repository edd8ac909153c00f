// Long polling and polling: one answer a request, and nothing missed in between.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { wholeFile } from '../lib/file.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { RawHttp } from '../lib/raw-http.mjs';
import { Redis } from '../lib/redis.mjs';
import { poll, publish, subscribePath } from '../lib/subscribe.mjs';
import { until } from '../lib/wait.mjs';

const config = `
namespaces = (
  { name = "default"; client_publish = true; },
  { name = "chat"; client_publish = true; history_size = 100; history_ttl_seconds = 300; }
);`;

const file = wholeFile();
let redis, a, b;

before(async () => {
    redis = await Redis.start(file);
    a = await Gateway.start(file, { config, redis, workers: 1, node: 'a' });
    b = await Gateway.start(file, { config, redis, workers: 1, node: 'b' });
});

const sessions = (gateway, transport) => gateway.metric('fantail_sessions', `transport="${transport}"`);
const waiting = (gateway, count = 1) => until(`${count} waiting polls`, async () => (await sessions(gateway, 'longpoll')) === count);
const data = ({ messages }) => messages.map((message) => message.data);

test('a first poll waits for news; one behind the cursor is answered at once', async () => {
    // The channel is known from then on: a poll that waits also waits for Redis, and nobody sees which of the two.
    await poll(a, 'chat:news', { wait: 0 });
    const first = poll(a, 'chat:news');
    await waiting(a);
    await publish(a, 'chat:news', 'one');
    const { cursor, messages } = await first;
    assert.deepEqual(messages, [{ channel: 'chat:news', id: cursor, data: 'one' }]);
    for (const text of ['two', 'three', 'four']) await publish(b, 'chat:news', text);
    const second = await poll(b, 'chat:news', { cursor });
    assert.deepEqual(data(second), ['two', 'three', 'four']);
    assert.ok(second.ms < 2000, `${second.ms} ms`);
});

test('without news a long poll ends after `wait`, and its cursor goes on', async () => {
    const { cursor } = await poll(a, 'chat:quiet', { wait: 0 });
    const empty = await poll(a, 'chat:quiet', { cursor, wait: 1 });
    assert.deepEqual([empty.status, empty.messages, empty.cursor], [200, [], cursor]);
    assert.ok(empty.ms > 900 && empty.ms < 3000, `${empty.ms} ms`);
    await publish(a, 'chat:quiet', 'late');
    assert.deepEqual(data(await poll(a, 'chat:quiet', { cursor: empty.cursor })), ['late']);
});

test('a poll is answered at once, with 304 when nothing is new', async () => {
    await publish(a, 'chat:tag', 'one');
    const first = await poll(a, 'chat:tag', { last: 5, wait: 0 });
    assert.deepEqual(data(first), ['one']);
    const etag = first.headers.get('etag');
    assert.equal(etag, `"${first.cursor}"`);
    assert.equal(first.headers.get('cache-control'), 'no-cache');
    const again = (tag) => poll(a, 'chat:tag', { cursor: first.cursor, transport: 'poll' }, { headers: { 'If-None-Match': tag } });
    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`]) {
        const unchanged = await again(tag);
        assert.deepEqual([unchanged.status, unchanged.text, unchanged.headers.get('etag')], [304, '', etag]);
    }
    assert.equal((await again('"other"')).status, 200);
    await publish(a, 'chat:tag', 'two');
    assert.deepEqual(data(await again(etag)), ['two']);
});

test('several channels in one poll: any of them ends the wait, and the cursor holds all', async () => {
    const channels = ['chat:x', 'chat:y', 'room:z'];
    const { cursor } = await poll(a, channels, { wait: 0 });
    const parked = poll(a, channels, { cursor });
    await waiting(a);
    await publish(a, 'chat:y', '1');
    const first = await parked;
    assert.deepEqual(data(first), [1]);
    for (const [n, channel] of ['chat:x', 'room:z', 'chat:y', 'chat:x'].entries()) await publish(a, channel, String(n + 2));
    const second = await poll(a, [...channels].reverse(), { cursor: first.cursor, wait: 0 });
    assert.deepEqual(data(second).sort(), [2, 3, 4, 5]);
    const rest = await poll(a, channels, { cursor: second.cursor, wait: 0 });
    assert.deepEqual(rest.messages, []);
});

test('a cursor may hold fewer channels than are asked for, or more', async () => {
    const two = await poll(a, ['chat:m', 'chat:n'], { wait: 0 });
    await publish(a, 'chat:m', 'm1');
    await publish(a, 'chat:n', 'n1');
    await publish(a, 'chat:o', 'o1');
    assert.deepEqual(data(await poll(a, 'chat:m', { cursor: two.cursor, wait: 0 })), ['m1']);
    assert.deepEqual(data(await poll(a, ['chat:m', 'chat:o'], { cursor: two.cursor, last: 1, wait: 0 })).sort(), ['m1', 'o1']);
});

test('`since` and `last`', async () => {
    const ids = [];
    for (const text of ['1', '2', '3', '4']) ids.push((await publish(a, 'chat:start', text)).id);
    const at = (options) => poll(a, 'chat:start', { wait: 0, ...options });
    assert.deepEqual(data(await at({ since: ids[1] })), [3, 4]);
    assert.deepEqual(data(await at({ last: 3 })), [2, 3, 4]);
    assert.deepEqual(data(await at({ last: 100 })), [1, 2, 3, 4]);
    assert.deepEqual(data(await at({ last: 0 })), []);
    assert.deepEqual(data(await at({})), []);
    const lost = await at({ since: '5-5' });
    assert.deepEqual(lost.messages, [{ event: 'gap', channel: 'chat:start', position: ids[3] }]);
    assert.equal(lost.cursor, ids[3]);
});

test('a channel without history: nothing is missed on the same worker, elsewhere there is a gap', async () => {
    const { cursor } = await poll(a, 'room:bare', { wait: 0 });
    for (let n = 0; n < 10; n++) await redis.publish('room:bare', n);
    const same = await until('all ten', async () => {
        const reply = await poll(a, 'room:bare', { cursor, wait: 0 });
        return reply.messages.length === 10 && reply;
    });
    assert.deepEqual(same.messages[0], { channel: 'room:bare', data: 0 });
    assert.deepEqual(data(same), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.deepEqual((await poll(a, 'room:bare', { cursor: same.cursor, wait: 0 })).messages, []);
    const elsewhere = await poll(b, 'room:bare', { cursor, wait: 0 });
    assert.deepEqual(elsewhere.messages, [{ event: 'gap', channel: 'room:bare', position: elsewhere.cursor }]);
});

test('messages of more than a reply holds come with the next ones', async () => {
    const payload = 'x'.repeat(60_000);
    const { cursor } = await poll(a, 'chat:bulk', { wait: 0 });
    for (let n = 0; n < 40; n++) await publish(a, 'chat:bulk', JSON.stringify({ n, payload }));
    const numbers = [];
    let at = cursor;
    for (let replies = 0; numbers.length < 40; replies++) {
        assert.ok(replies < 10);
        const reply = await poll(a, 'chat:bulk', { cursor: at, wait: 5 });
        assert.ok(reply.text.length < 1.2e6, `${reply.text.length} bytes`);
        numbers.push(...data(reply).map(({ n }) => n));
        at = reply.cursor;
    }
    assert.deepEqual(numbers, [...numbers.keys()]);
});

test('requests on one connection are answered in order, also behind a parked poll', async (t) => {
    const { cursor } = await poll(a, 'chat:line', { wait: 0 });
    const raw = await RawHttp.open(a);
    t.after(() => raw.end());
    raw.request(`GET ${subscribePath('chat:line', { cursor })}`);
    await waiting(a);
    // The second and third come while the first is waiting.
    raw.request(`GET ${subscribePath('chat:line', { last: 1, wait: 0 })}`);
    raw.request('GET /no-such-path');
    await publish(a, 'chat:line', 'go');
    const first = await raw.response();
    assert.deepEqual(data(first.json), ['go']);
    const second = await raw.response();
    assert.deepEqual(second.json, first.json);
    assert.equal((await raw.response()).status, 404);
    // The connection is as good as before.
    raw.request(`GET ${subscribePath('chat:line', { last: 1, wait: 0 })}`);
    assert.deepEqual((await raw.response()).json, first.json);
});

test('a keep-alive connection carries one poll after another', async (t) => {
    const raw = await RawHttp.open(a);
    t.after(() => raw.end());
    let { cursor } = await poll(a, 'chat:keep', { wait: 0 });
    for (let n = 0; n < 20; n++) {
        raw.request(`GET ${subscribePath('chat:keep', { cursor })}`);
        await waiting(a);
        await publish(a, 'chat:keep', String(n));
        const { json } = await raw.response();
        assert.deepEqual(data(json), [n]);
        ({ cursor } = json);
    }
    assert.equal(raw.isEnded, false);
});

test('a request behind an answer that its client does not read costs no time, and is answered', async (t) => {
    const node = await Gateway.start(t, { config, redis, workers: 1 });
    const count = 8;
    for (let n = 0; n < 14; n++) await publish(node, 'chat:large', `"${'x'.repeat(60_000)}"`);
    const raw = await RawHttp.open(node);
    raw.socket.pause();
    for (let n = 0; n < count; n++) {
        raw.request(`GET ${subscribePath('chat:large', { transport: 'poll', last: 14 })}`);
        await poll(node, 'chat:other', { wait: 0 }); // It has been read, or is left to wait.
    }
    const before = await node.workerCpuMs();
    const started = performance.now();
    await until('a second of nothing', () => performance.now() - started > 1000, { everyMs: 200 });
    const spent = (await node.workerCpuMs()) - before;
    raw.socket.resume();
    for (let n = 0; n < count; n++) assert.equal((await raw.response()).status, 200);
    assert.ok(spent < 300, `the worker spent ${spent} ms of CPU time in a second of nothing`);
    raw.socket.destroy();
});

test('clients that leave are noticed at once, and those who stay cost no time', async (t) => {
    const node = await Gateway.start(t, { config, redis, workers: 1 });
    const kinds = ['longpoll', 'sse', 'stream'];
    const raws = [];
    for (let n = 0; n < 20; n++)
        for (const transport of kinds) {
            const raw = await RawHttp.open(node);
            raws.push(raw);
            raw.request(`GET ${subscribePath(`chat:${n}`, { transport, wait: 100 })}`);
        }
    for (const transport of kinds) await until(transport, async () => (await sessions(node, transport)) === 20);
    // Bytes that nobody reads yet: they must not keep the loop awake.
    for (const raw of raws) raw.request('GET /behind');
    const before = await node.workerCpuMs();
    const started = performance.now();
    await until('two seconds of nothing', () => performance.now() - started > 2000, { everyMs: 200 });
    const spent = (await node.workerCpuMs()) - before;
    assert.ok(spent < 600, `the worker spent ${spent} ms of CPU time in two seconds of nothing`);
    // Some leave properly, some without a word.
    for (const [n, raw] of raws.entries()) n % 2 ? raw.socket.end() : raw.socket.resetAndDestroy();
    const left = performance.now();
    for (const transport of kinds) await until(`no ${transport}`, async () => (await sessions(node, transport)) === 0, { timeoutMs: 2000 });
    t.diagnostic(`idle: ${spent} ms of CPU time in 2 s; gone ${(performance.now() - left).toFixed(0)} ms after they left`);
    assert.equal(await node.metric('fantail_subscriptions'), 0);
});

test('parked polls are answered when the node drains', async (t) => {
    const node = await Gateway.start(t, { config: `${config}\ndrain_seconds = 1;`, redis, workers: 1 });
    const { cursor } = await poll(node, 'chat:drain', { wait: 0 });
    const parked = poll(node, 'chat:drain', { cursor, wait: 60 });
    await waiting(node);
    const stopping = node.stop();
    const reply = await parked;
    assert.equal(reply.status, 200);
    assert.equal(reply.messages[0].event, 'drain');
    assert.equal(reply.cursor, cursor);
    await stopping;
});

test('while Redis is away a parked poll stays, and gets what was published when it is back', async (t) => {
    const own = await Redis.start(t, { args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const node = await Gateway.start(t, { config, redis: own, workers: 1 });
    await publish(node, 'chat:away', 'before');
    const { cursor } = await poll(node, 'chat:away', { last: 1, wait: 0 });
    const parked = poll(node, 'chat:away', { cursor, wait: 60 });
    await waiting(node);
    await own.kill();
    await until('the loss to be noticed', async () => (await node.readyStatus()) === 503);
    await own.run();
    await own.cli('FCALL', 'fantail_publish', 1, 'chat:away', 'after');
    const reply = await parked;
    assert.deepEqual(data(reply), ['after']);
});

// Server-sent events, as a browser's EventSource and a terminal see them.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { EventSource } from 'eventsource';

import { wholeFile } from '../lib/file.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { startBufferingNginx, startHaproxy } from '../lib/proxies.mjs';
import { RawHttp } from '../lib/raw-http.mjs';
import { Redis } from '../lib/redis.mjs';
import { Stream, poll, publish, subscribePath } from '../lib/subscribe.mjs';
import { until } from '../lib/wait.mjs';

const config = `
ping = { interval_seconds = 1; timeout_seconds = 1; };
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

// Native EventSource that collects what it is told.
function listen(t, gateway, channels, options, init) {
    const source = new EventSource(gateway.url + subscribePath(channels, options), init);
    source.seen = [];
    source.onmessage = ({ data, lastEventId }) => source.seen.push({ ...JSON.parse(data), lastEventId });
    t.after(() => source.close());
    return source;
}

const opened = (source) => until('EventSource to open', () => source.readyState === EventSource.OPEN);
const saw = (source, data) => until(`${data} in ${JSON.stringify(source.seen)}`, () => source.seen.find((object) => object.data === data));

test('an event stream begins with how to come back, and is not to be buffered', async (t) => {
    const { id: before } = await publish(a, 'chat:head', 'not asked for');
    const { id } = await publish(a, 'chat:head', 'first');
    const raw = await RawHttp.open(a);
    t.after(() => raw.end());
    raw.request(`GET ${subscribePath('chat:head', { last: 1 })}`, { Accept: 'text/event-stream' });
    const { status, headers } = await raw.head();
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/event-stream');
    assert.match(headers['cache-control'], /no-store/);
    assert.match(headers['cache-control'], /no-transform/);
    assert.equal(headers['x-accel-buffering'], 'no');
    assert.equal(headers['content-length'], undefined);
    await raw.saw(/"first"/);
    assert.equal(
        raw.text,
        `retry: 1000\n\nid: ${before}\n\nid: ${id}\ndata: {"channel":"chat:head","id":"${id}","data":"first"}\n\n`,
    );
    await raw.saw(/:\n\n/, 5000); // A comment as a heartbeat.
});

test('it works over HTTP/1.0', async (t) => {
    const raw = await RawHttp.open(a);
    t.after(() => raw.end());
    raw.request(`GET ${subscribePath('chat:old')}`, { Accept: 'text/event-stream' }, '1.0');
    const { status, headers } = await raw.head();
    assert.equal(status, 200);
    assert.equal(headers['transfer-encoding'], undefined);
    await raw.saw(/^id: /m);
    await publish(a, 'chat:old', 'one');
    await raw.saw(/^data: .*"one"/m);
});

test('a payload of several lines stays one event', async (t) => {
    const source = listen(t, a, 'chat:lines');
    await opened(source);
    await publish(a, 'chat:lines', '{"text":\n\n"a"\r}');
    await publish(a, 'chat:lines', 'two\n\nlines\n');
    await saw(source, 'two\n\nlines\n');
    assert.deepEqual(source.seen[0].data, { text: 'a' });
});

test('EventSource comes back to where it was, on another node', async (t) => {
    const first = listen(t, a, 'chat:resume');
    await opened(first);
    await publish(a, 'chat:resume', 'one');
    const { lastEventId } = await saw(first, 'one');
    first.close();
    await publish(b, 'chat:resume', 'two');
    // What the browser sends when it reconnects by itself.
    const second = listen(t, b, 'chat:resume', {}, {
        fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, 'Last-Event-ID': lastEventId } }),
    });
    await saw(second, 'two');
    assert.deepEqual(second.seen.map(({ data }) => data), ['two']);
});

test('EventSource resumes by itself when the node restarts: nothing lost, nothing doubled', async (t) => {
    const node = await Gateway.start(t, { config, redis, workers: 1 });
    const source = listen(t, node, ['chat:one', 'chat:two']);
    await opened(source);
    await publish(a, 'chat:one', '1');
    await publish(a, 'chat:two', '2');
    await until('both', () => source.seen.length === 2);
    await node.kill();
    await publish(a, 'chat:one', '3');
    await publish(a, 'chat:two', '4');
    await publish(a, 'chat:one', '5');
    await node.run();
    await saw(source, 5);
    await publish(a, 'chat:two', '6');
    await saw(source, 6);
    const of = (channel) => source.seen.filter((object) => object.channel === channel).map(({ data }) => data);
    assert.deepEqual(of('chat:one'), [1, 3, 5]);
    assert.deepEqual(of('chat:two'), [2, 4, 6]);
    assert.equal(source.seen.some(({ event }) => event === 'gap'), false);
});

test('who is cut off before the first message comes back to where it began', async (t) => {
    await publish(a, 'chat:early', 'before');
    const stream = await Stream.open(a, 'sse', 'chat:early');
    await until('a cursor', () => stream.cursor);
    stream.end();
    await publish(a, 'chat:early', 'meanwhile');
    const again = await Stream.open(b, 'sse', 'chat:early', {}, { headers: { 'Last-Event-ID': stream.cursor } });
    t.after(() => again.end());
    await again.sees('meanwhile');
    assert.deepEqual(again.messages, ['meanwhile']);
});

test('who is cut off before the first message of all comes back to before it', async (t) => {
    await redis.cli('FCALL', 'fantail_publish', 1, 'chat:first', 'one');
    await redis.cli('FCALL', 'fantail_publish', 1, 'chat:first', 'two');
    const stream = await Stream.open(a, 'sse', 'chat:first', { last: 10 });
    await until('all of it', () => stream.messages.length === 2);
    stream.end();
    const again = await Stream.open(b, 'sse', 'chat:first', {}, { headers: { 'Last-Event-ID': stream.elements.find(({ id }) => id).id } });
    t.after(() => again.end());
    await again.sees('two');
    assert.deepEqual(again.objects.map(({ data }) => data), ['one', 'two']);
});

test('a place that is not held any more is told by a gap, with the place to go on from', async (t) => {
    const { id } = await publish(a, 'chat:lost', 'here');
    const stream = await Stream.open(a, 'sse', 'chat:lost', {}, { headers: { 'Last-Event-ID': '5-5' } });
    t.after(() => stream.end());
    const gap = await stream.object('a gap', ({ event }) => event === 'gap');
    assert.deepEqual(gap, { event: 'gap', channel: 'chat:lost', position: id });
    assert.equal(stream.cursor, id);
});

test('a drain is told, and the stream then ends whole', async (t) => {
    const node = await Gateway.start(t, { config: `${config}\ndrain_seconds = 2;`, redis, workers: 1 });
    const sse = await Stream.open(node, 'sse', 'chat:drain');
    const lines = await Stream.open(node, 'stream', 'chat:drain');
    await until('both to have begun', () => sse.cursor && lines.cursor);
    await node.stop();
    for (const stream of [sse, lines]) {
        const drain = stream.elements.map(({ data, ...rest }) => data ?? rest).find(({ event }) => event === 'drain');
        assert.ok(drain.retry_ms >= 0 && drain.retry_ms <= 2000, JSON.stringify(drain));
        await until('the end', () => stream.isEnded);
    }
    assert.equal(lines.response.complete, true); // Its last chunk came.
});

test('through HAProxy, and through nginx with buffering on, every form comes at once', async (t) => {
    // This nginx speaks HTTP/1.0 to the gateway, and heeds X-Accel-Buffering.
    for (const [name, proxy] of [
        ['haproxy', await startHaproxy(t, [a, b])],
        ['nginx', await startBufferingNginx(t, a, { isStubborn: false })],
    ]) {
        const source = listen(t, proxy, `chat:${name}`);
        await opened(source);
        const stream = await Stream.open(proxy, 'stream', `chat:${name}`);
        t.after(() => stream.end());
        await until('the stream to have begun', () => stream.cursor);
        for (const n of [1, 2, 3]) {
            await publish(proxy, `chat:${name}`, String(n));
            await saw(source, n);
            await stream.sees(n);
        }
        const { messages } = await poll(proxy, `chat:${name}`, { last: 5, wait: 0 });
        assert.deepEqual(messages.map(({ data }) => data), [1, 2, 3]);
    }
});

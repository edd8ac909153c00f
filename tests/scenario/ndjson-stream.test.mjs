// NDJSON without end: a chunked body, or one that ends with the connection.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { wholeFile } from '../lib/file.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { RawHttp } from '../lib/raw-http.mjs';
import { Stream, publish, subscribePath } from '../lib/subscribe.mjs';
import { until } from '../lib/wait.mjs';

const config = `
broker = "memory";
ping = { interval_seconds = 1; timeout_seconds = 1; };
limits = { outbox_bytes = 65536; };
namespaces = (
  { name = "default"; client_publish = true; },
  { name = "chat"; client_publish = true; history_size = 100; history_ttl_seconds = 300; },
  { name = "drop"; client_publish = true; history_size = 100; history_ttl_seconds = 300; slow_consumer = "drop_oldest"; },
  { name = "latest"; client_publish = true; slow_consumer = "conflate"; }
);`;

const file = wholeFile();
let gateway;

before(async () => {
    gateway = await Gateway.start(file, { config });
});

test('a stream is chunks of whole lines, with heartbeats between them', async (t) => {
    const { id: before } = await publish(gateway, 'chat:lines', 'not asked for');
    const { id } = await publish(gateway, 'chat:lines', 'first');
    const raw = await RawHttp.open(gateway);
    t.after(() => raw.end());
    raw.request(`GET ${subscribePath('chat:lines', { last: 1 })}`, { Accept: 'application/x-ndjson' });
    const { headers } = await raw.head();
    assert.equal(headers['content-type'], 'application/x-ndjson');
    assert.equal(headers['transfer-encoding'], 'chunked');
    await raw.saw(/first/);
    const lines = [`{"cursor":"${before}","event":"open"}\n`, `{"cursor":"${id}","channel":"chat:lines","id":"${id}","data":"first"}\n`];
    assert.equal(raw.text, lines.map((line) => `${line.length.toString(16)}\r\n${line}\r\n`).join(''));
    await raw.saw(/1\r\n\n\r\n/, 5000);
});

test('on HTTP/1.0 it ends with the connection', async (t) => {
    const raw = await RawHttp.open(gateway);
    t.after(() => raw.end());
    raw.request(`GET ${subscribePath('chat:old', { transport: 'stream' })}`, {}, '1.0');
    const { headers } = await raw.head();
    assert.equal(headers['transfer-encoding'], undefined);
    assert.equal(headers['connection'], 'close');
    await raw.saw(/"event":"open"}\n$/);
    const { id } = await publish(gateway, 'chat:old', '{"n":1}');
    await raw.saw(new RegExp(`^{"cursor":"${id}","channel":"chat:old","id":"${id}","data":{"n":1}}\n`, 'm'));
});

test('with several channels a line has the cursor of all, and any line continues', async (t) => {
    const channels = ['chat:one', 'chat:two', 'chat:three'];
    const stream = await Stream.open(gateway, 'stream', channels);
    await until('the opening', () => stream.cursor);
    for (let i = 0; i < 6; i++) await publish(gateway, channels[i % 3], String(i));
    await stream.sees(5);
    stream.end();
    assert.deepEqual(stream.messages, [0, 1, 2, 3, 4, 5]);
    const lines = stream.elements.filter((element) => 'data' in element);
    for (const [n, { cursor }] of lines.entries()) {
        // In another order, and by another transport.
        const again = await Stream.open(gateway, 'sse', [...channels].reverse(), { cursor });
        t.after(() => again.end());
        await publish(gateway, channels[0], `"end ${n}"`);
        await again.sees(`end ${n}`);
        for (const channel of channels) {
            const rest = (objects) => objects.filter((object) => object.channel === channel && typeof object.data === 'number').map(({ data }) => data);
            assert.deepEqual(rest(again.objects), rest(lines.slice(n + 1)), `${channel} from line ${n}`);
        }
    }
});

// A client that does not read, until the gateway has had to act.
async function stuck(t, channel) {
    const stream = await Stream.open(gateway, 'stream', channel);
    t.after(() => stream.end());
    await until('the opening', () => stream.cursor);
    stream.response.pause();
    stream.response.socket.pause();
    return stream;
}

async function fill(channel, sampled, ...labels) {
    const before = await gateway.metric(sampled, ...labels);
    const payload = 'x'.repeat(60_000);
    let count = 0;
    await until(
        `${sampled} ${labels} to count`,
        async () => {
            for (let i = 0; i < 10; i++) await publish(gateway, channel, JSON.stringify({ n: count++, payload }));
            return (await gateway.metric(sampled, ...labels)) > before;
        },
        { timeoutMs: 20_000 },
    );
    return count;
}

test('who does not read is cut off, and continues from its cursor', async (t) => {
    const stream = await stuck(t, 'chat:slow');
    const count = await fill('chat:slow', 'fantail_closes_total', 'reason="slow_consumer"');
    stream.response.socket.resume();
    stream.response.resume();
    await until('the end', () => stream.isEnded, { timeoutMs: 20_000 });
    const numbers = stream.messages.map(({ n }) => n);
    assert.deepEqual(numbers, [...numbers.keys()]);
    assert.ok(numbers.length < count);
    const again = await Stream.open(gateway, 'stream', 'chat:slow', { cursor: stream.cursor });
    t.after(() => again.end());
    await until(`what is missing, or a gap: ${numbers.length} of ${count}`, () => again.objects.length > 0);
    if (again.objects[0].event !== 'gap') assert.equal(again.objects[0].data.n, numbers.length);
});

test('drop_oldest: who does not read is told what is missing', async (t) => {
    const stream = await stuck(t, 'drop:slow');
    const count = await fill('drop:slow', 'fantail_drops_total', 'reason="oldest"');
    stream.response.socket.resume();
    stream.response.resume();
    await until('the last one', () => stream.messages.at(-1)?.n === count - 1, { timeoutMs: 20_000 });
    assert.ok(stream.objects.some(({ event }) => event === 'gap'));
    // A hole exactly where a gap was told.
    let expected = 0;
    for (const object of stream.objects) {
        if (object.event === 'gap') expected = undefined;
        else {
            if (expected !== undefined) assert.equal(object.data.n, expected);
            expected = object.data.n + 1;
        }
    }
});

test('conflate: who does not read gets the latest', async (t) => {
    const stream = await stuck(t, 'latest:slow');
    const count = await fill('latest:slow', 'fantail_drops_total', 'reason="conflated"');
    stream.response.socket.resume();
    stream.response.resume();
    await until('the last one', () => stream.messages.at(-1)?.n === count - 1, { timeoutMs: 20_000 });
    assert.ok(stream.messages.length < count);
});

test('a stream that cannot take more costs no time, and goes on when it can', async (t) => {
    const stream = await stuck(t, 'latest:idle');
    const count = await fill('latest:idle', 'fantail_drops_total', 'reason="conflated"');
    stream.response.socket.write('GET /behind HTTP/1.1\r\n\r\n'); // Nobody reads it.
    const idle = async () => {
        const before = await gateway.workerCpuMs();
        const started = performance.now();
        await until('a second of nothing', () => performance.now() - started > 1000, { everyMs: 200 });
        const spent = (await gateway.workerCpuMs()) - before;
        assert.ok(spent < 300, `${spent} ms of CPU time in a second of nothing`);
    };
    await idle();
    stream.response.socket.resume();
    stream.response.resume();
    await until('the last one', () => stream.messages.at(-1)?.n === count - 1);
    await idle();
});

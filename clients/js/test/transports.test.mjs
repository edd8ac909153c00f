import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { afterEach, beforeEach } from 'node:test';
import { gzipSync } from 'node:zlib';

import { Fantail } from '../fantail.js';
import { FakeClock, FakeFetch, FakeStorage, FakeWebSocket } from './fakes.mjs';

const random = Math.random;
let clock;
let http;
let clients;

beforeEach(() => {
    clock = new FakeClock().install();
    http = new FakeFetch().install();
    FakeWebSocket.all = [];
    FakeWebSocket.refuse = false;
    Math.random = () => 0.5;
    clients = [];
    globalThis.WebSocket = FakeWebSocket;
    Object.defineProperty(globalThis, 'localStorage', { value: new FakeStorage(), configurable: true });
});

afterEach(() => {
    for (const client of clients) client.disconnect();
    const left = clock.pending;
    clock.restore();
    Math.random = random;
    assert.equal(left, 0, 'a disconnected client leaves no timer behind');
});

// A client with subscriptions { channel: options }; what they hear is in `seen`.
async function start(options, subscriptions = {}) {
    const states = [];
    const errors = [];
    const seen = [];
    const client = new Fantail('https://example.com', {
        onState: (state, detail) => states.push({ state, ...detail }),
        onError: (error) => errors.push(error.code),
        ...options,
    });
    clients.push(client);
    const hear = (channel, more = {}) =>
        client.subscribe(channel, {
            onMessage: (data) => seen.push(data),
            onGap: ({ channel }) => seen.push(`gap in ${channel}`),
            onSubscribed: ({ channel }) => seen.push(`begun ${channel}`),
            ...more,
        });
    const held = Object.entries(subscriptions).map(([channel, more]) => hear(channel, more));
    client.connect();
    await clock.tick();
    return { client, states, errors, seen, held, hear };
}

const only = (name) => ({ transports: [name] });
const message = (channel, id, data, cursor) => ({ ...(cursor && { cursor }), channel, ...(id && { id }), data });
const event = (id, data) => `${id ? `id: ${id}\n` : ''}${data ? `data: ${JSON.stringify(data)}\n` : ''}\n`;
const line = (value) => `${JSON.stringify(value)}\n`;
const parameters = (query) => Object.fromEntries([...query].map(([name]) => [name, query.getAll(name).join(' ')]));

// What xxhsum -H32 says of it.
const HASH = { a: '550d7456' };

test('sse: events arrive, the id is the place, also in a reconnect', async () => {
    const { client, seen, states } = await start(only('sse'), { a: {} });
    assert.equal(http.last.url.pathname, '/v1/subscribe');
    assert.deepEqual(parameters(http.last.query), { transport: 'sse', channel: 'a' });
    assert.equal(http.last.headers.Accept, 'text/event-stream');
    http.last.begin('text/event-stream');
    http.last.push('retry: 1000\n\n');
    await clock.tick();
    assert.equal(client.state, 'connecting', 'only when the channels have begun');
    http.last.push(event('7-0'));
    await clock.tick();
    assert.deepEqual([client.state, client.transport], ['connected', 'sse']);
    http.last.push(`${event('7-1', message('a', '7-1', 'one'))}:\n\n${event('7-2', message('a', '7-2', 'two'))}`);
    await clock.tick();
    assert.deepEqual(seen, ['begun a', 'one', 'two']);
    await clock.tick(5000);
    http.last.end();
    await clock.tick();
    assert.equal(states.at(-1).reason, 'the response ended');
    await clock.tick(250);
    assert.deepEqual(parameters(http.last.query), { transport: 'sse', channel: 'a', cursor: '7-2' });
});

test('sse: pieces are put together wherever they were cut, also within a character', async () => {
    const { seen } = await start(only('sse'), { a: {} });
    http.last.begin('text/event-stream');
    const bytes = new TextEncoder().encode(event('7-0') + event('7-1', message('a', '7-1', 'Tūī 🎉')));
    for (const byte of bytes) {
        http.last.pushBytes(Uint8Array.of(byte));
    }
    await clock.tick();
    await clock.tick();
    assert.deepEqual(seen, ['begun a', 'Tūī 🎉']);
});

test('stream: lines arrive, each with its cursor; empty ones are heartbeats', async () => {
    const { client, seen } = await start(only('stream'), { a: {} });
    assert.equal(http.last.headers.Accept, 'application/x-ndjson');
    http.last.begin('application/x-ndjson');
    http.last.push(line({ cursor: '7-0', event: 'open' }));
    await clock.tick(30_000);
    http.last.push('\n');
    await clock.tick(30_000);
    assert.equal(client.state, 'connected');
    http.last.push(line(message('a', '7-1', 'one', '7-1')));
    await clock.tick(34_000);
    assert.deepEqual(seen, ['begun a', 'one']);
    await clock.tick(2000);
    assert.equal(client.state, 'connecting', 'silence past the heartbeat');
});

test('longpoll: the first answer comes at once, the next waits; the cursor goes on', async () => {
    const { client, seen, states } = await start(only('longpoll'), { a: { last: 5 } });
    assert.deepEqual(parameters(http.last.query), { transport: 'longpoll', channel: 'a', wait: '0', last: '5' });
    http.last.reply({ cursor: '7-1', messages: [message('a', '7-0', 'zero'), message('a', '7-1', 'one')] });
    await clock.tick();
    assert.equal(client.state, 'connected');
    assert.deepEqual(parameters(http.last.query), { transport: 'longpoll', channel: 'a', wait: '25', cursor: '7-1' });
    await clock.tick(24_000);
    http.last.reply({ cursor: '7-2', messages: [message('a', '7-2', 'two')] });
    await clock.tick();
    assert.equal(http.last.query.get('cursor'), '7-2');
    await clock.tick(25_000);
    http.last.reply({ cursor: '7-2', messages: [] });
    await clock.tick();
    assert.deepEqual([http.all.length, client.state], [4, 'connected']);
    assert.equal(states.length, 2, 'connected is said once');
    assert.deepEqual(seen, ['zero', 'one', 'begun a', 'two']);
});

test('longpoll: answers that come at once with nothing are not asked for in a hurry', async () => {
    await start(only('longpoll'), { a: {} });
    http.last.reply({ cursor: '7-1', messages: [] });
    await clock.tick();
    http.last.reply({ cursor: '7-1', messages: [] });
    await clock.tick();
    assert.equal(http.all.length, 2);
    await clock.tick(3000);
    assert.equal(http.all.length, 3);
    http.last.reply({ cursor: '8-1', messages: [{ event: 'gap', channel: 'a', position: '8-1' }] });
    await clock.tick();
    assert.equal(http.all.length, 3, 'nor when nodes take turns in telling gaps');
    await clock.tick(3000);
    http.last.reply({ cursor: '8-2', messages: [message('a', '8-2', 'news')] });
    await clock.tick();
    assert.equal(http.all.length, 5, 'after news at once');
});

test('longpoll: a request that is cut off continues', async () => {
    const { client, states } = await start(only('longpoll'), { a: {} });
    http.last.reply({ cursor: '7-1', messages: [] });
    await clock.tick(3000);
    http.last.fail();
    await clock.tick(125);
    assert.deepEqual(parameters(http.last.query), { transport: 'longpoll', channel: 'a', wait: '0', cursor: '7-1' });
    http.last.reply({ cursor: '7-1', messages: [] });
    await clock.tick();
    assert.equal(client.state, 'connected');
    assert.equal(states.length, 4);
});

test('poll: asks every 3 seconds', async () => {
    const { client, seen } = await start(only('poll'), { a: {} });
    for (let round = 1; round <= 3; round++) {
        assert.equal(http.all.length, round);
        assert.equal(http.last.query.get('wait'), '0');
        http.last.reply({ cursor: `7-${round}`, messages: [message('a', `7-${round}`, round)] });
        await clock.tick(2999);
        assert.equal(http.all.length, round);
        await clock.tick(1);
    }
    assert.deepEqual(seen, [1, 'begun a', 2, 3]);
    assert.equal(client.transport, 'poll');
});

test('several channels share a request; a list of positions by hash is their cursor', async () => {
    const long = 'namespace:a-name-of-more-than-sixteen-bytes';
    const { held, seen } = await start(only('stream'), { a: {}, [long]: {}, b: { since: '3-9' } });
    assert.equal(http.last.query.getAll('channel').join(), `a,${long},b`);
    // What xxhsum -H32 says of the names.
    const hashes = { a: '550d7456', b: 'a20cadbf', long: 'ae83f2cf' };
    assert.equal(http.last.query.get('cursor'), `${hashes.b}:3-9`);
    http.last.begin('application/x-ndjson');
    http.last.push(line({ cursor: `${hashes.long}:5-5,${hashes.b}:3-9,${hashes.a}:7-0`, event: 'open' }));
    await clock.tick();
    assert.deepEqual(held.map(({ position }) => position), ['7-0', '5-5', '3-9']);
    http.last.push(line(message('b', '3-10', 'hi', `${hashes.a}:7-0,${hashes.b}:3-10,${hashes.long}:5-6`)));
    await clock.tick(2000);
    http.last.end();
    await clock.tick(250);
    assert.equal(http.last.query.get('cursor'), `${hashes.a}:7-0,${hashes.long}:5-6,${hashes.b}:3-10`);
    assert.deepEqual(seen.slice(3), ['hi']);
});

test('another channel begins a new request, and the old ones go on where they are', async () => {
    const { client, seen, hear } = await start(only('sse'), { a: {} });
    http.last.begin('text/event-stream');
    http.last.push(event('7-0') + event('7-1', message('a', '7-1', 'one')));
    await clock.tick();
    const [first] = http.all;
    const held = hear('b');
    hear('c');
    await clock.tick();
    assert.ok(first.aborted);
    assert.equal(http.all.length, 2, 'one request for what was asked in one go');
    assert.equal(http.last.query.getAll('channel').join(), 'a,b,c');
    assert.equal(http.last.query.get('cursor'), `${HASH.a}:7-1`);
    assert.equal(client.state, 'connected');
    http.last.begin('text/event-stream');
    http.last.push(event(`${HASH.a}:7-1`));
    await clock.tick();
    assert.deepEqual(seen, ['begun a', 'one', 'begun b', 'begun c']);
    held.unsubscribe();
    await clock.tick();
    assert.equal(http.last.query.getAll('channel').join(), 'a,c');
});

test('without channels a client is connected when a gateway has answered, and then it publishes', async () => {
    for (const name of ['sse', 'stream', 'longpoll', 'poll']) {
        const { client, hear } = await start(only(name));
        const published = client.publish('a', 'early');
        await clock.tick();
        assert.deepEqual([client.state, http.all.length], ['connecting', 1]);
        http.last.reply({ error: { code: 'channel_invalid', message: 'None.' } }, { status: 400 });
        await clock.tick();
        assert.deepEqual([client.state, http.last.method], ['connected', 'POST']);
        http.last.reply({ ok: true });
        await published;
        hear('a');
        await clock.tick();
        assert.equal(http.last.query.get('channel'), 'a');
        client.disconnect();
        http.all = [];
    }
});

test('without channels a port where nobody listens, or somebody else does, is no connection', async () => {
    FakeWebSocket.refuse = true;
    http.refuse = true;
    const { client, states } = await start();
    assert.deepEqual([client.state, states.at(-1).reason, localStorage.getItem('fantail.transport')], ['connecting', 'fetch failed', null]);
    client.disconnect();
    http.refuse = false;
    const other = await start(only('poll'));
    http.last.reply('<h1>Welcome</h1>', { headers: { 'Content-Type': 'text/html' } });
    await clock.tick();
    assert.equal(other.states.at(-1).reason, 'not the fantail protocol');
});

test('gaps and drain hints reach their listeners over HTTP too', async () => {
    const { client, seen } = await start(only('stream'), { a: {} });
    http.last.begin('application/x-ndjson');
    http.last.push(line({ cursor: '7-0', event: 'open' }) + line({ cursor: '9-4', event: 'gap', channel: 'a', position: '9-4' }));
    await clock.tick(2000);
    assert.deepEqual(seen, ['begun a', 'gap in a']);
    http.last.push(line({ event: 'drain', retry_ms: 700 }));
    await clock.tick(699);
    assert.equal(http.all.length, 1);
    await clock.tick(1);
    assert.equal(http.all.length, 2);
    assert.equal(http.last.query.get('cursor'), '9-4');
    assert.equal(client.state, 'connecting');
});

test('the token goes as a header, publishes as POST', async () => {
    const { client } = await start({ ...only('sse'), token: 't1' }, { a: {} });
    assert.equal(http.last.headers.Authorization, 'Bearer t1');
    http.last.begin('text/event-stream');
    http.last.push(event('7-0'));
    await clock.tick();
    const json = client.publish('a', { text: 'hi' }, { key: 'k', priority: 'high' });
    assert.equal(http.last.url.pathname, '/v1/publish');
    assert.deepEqual(parameters(http.last.query), { channel: 'a', priority: 'high', idempotency_key: 'k' });
    assert.deepEqual([http.last.method, http.last.body], ['POST', '{"text":"hi"}']);
    assert.deepEqual(http.last.headers, { 'Content-Type': 'application/json', Authorization: 'Bearer t1' });
    http.last.reply({ ok: true, id: '7-1' });
    assert.equal((await json).id, '7-1');

    const binary = client.publish('a', Uint8Array.of(0, 255));
    assert.equal(http.last.headers['Content-Type'], 'application/octet-stream');
    assert.deepEqual(http.last.body, Uint8Array.of(0, 255));
    http.last.reply({ error: { code: 'publish_forbidden', message: 'No.' } }, { status: 403 });
    await assert.rejects(binary, { code: 'publish_forbidden', message: 'No.' });

    const cut = client.publish('a', 1);
    http.last.fail();
    await assert.rejects(cut, { code: 'connection_lost' });
    assert.equal(client.state, 'connected');
});

test('a POST under way survives the loss of the stream beside it', async () => {
    const { client } = await start(only('sse'), { a: {} });
    http.last.begin('text/event-stream');
    http.last.push(event('7-0'));
    await clock.tick();
    const [stream] = http.all;
    const published = client.publish('a', 1);
    const post = http.last;
    stream.end();
    await clock.tick();
    assert.equal(client.state, 'connecting');
    post.reply({ ok: true });
    assert.equal((await published).ok, true);
});

test('the server\'s refusals: 401 and 403 are final, 429 and 503 wait, a proxy\'s are not the server\'s', async () => {
    for (const [status, code] of [[401, 3501], [403, 3502]]) {
        const { states, errors } = await start({}, { a: {} });
        FakeWebSocket.last.drop(1006);
        await clock.tick();
        http.last.reply({ error: { code: 'origin_forbidden', message: 'Not you.' } }, { status });
        await clock.tick();
        assert.deepEqual(states.at(-1), { state: 'disconnected', code, reason: 'Not you.' });
        assert.deepEqual(errors, ['origin_forbidden']);
    }
    for (const status of [429, 503]) {
        const { states } = await start(only('sse'), { a: {} });
        http.last.reply({ error: { code: 'draining', message: 'Later.' } }, { status, headers: { 'Retry-After': '7' } });
        await clock.tick();
        assert.equal(states.at(-1).retryMs, 7250, 'Retry-After, and jitter');
    }
    const busy = await start({ transports: ['sse', 'longpoll'] }, { a: {} });
    http.last.reply({ error: { code: 'draining', message: 'Later.' } }, { status: 503 });
    await clock.tick(250);
    assert.deepEqual([busy.client.state, http.last.query.get('transport')], ['connecting', 'sse']);
    const { states } = await start({ transports: ['sse', 'longpoll'] }, { a: {} });
    http.last.reply('<h1>Forbidden</h1>', { status: 403 });
    await clock.tick();
    assert.deepEqual([states.at(-1).reason, states.at(-1).retryMs], ['HTTP status 403', 0]);
    assert.equal(http.last.query.get('transport'), 'longpoll');
});

test('where one transport cannot connect the next is tried at once, and the winner remembered', async () => {
    FakeWebSocket.refuse = true;
    const { client } = await start({}, { a: {} });
    assert.equal(http.last.query.get('transport'), 'sse');
    http.last.fail();
    await clock.tick();
    assert.equal(http.last.query.get('transport'), 'stream');
    http.last.reply('<html>', { headers: { 'Content-Type': 'text/html' } });
    await clock.tick();
    assert.equal(http.last.query.get('transport'), 'longpoll');
    http.last.reply({ cursor: '7-0', messages: [] });
    await clock.tick();
    assert.deepEqual([client.state, client.transport], ['connected', 'longpoll']);
    client.disconnect();

    const count = FakeWebSocket.all.length;
    await start({}, { a: {} });
    assert.equal(http.last.query.get('transport'), 'longpoll', 'the next visit begins with it');
    assert.equal(FakeWebSocket.all.length, count);
});

test('when none can connect the round begins again after the backoff', async () => {
    FakeWebSocket.refuse = true;
    http.refuse = true;
    const { states } = await start({}, { a: {} });
    assert.equal(http.all.length, 4);
    assert.equal(states.at(-1).retryMs, 250);
    await clock.tick(250);
    assert.deepEqual([FakeWebSocket.all.length, http.all.length], [2, 8]);
    assert.equal(states.at(-1).retryMs, 500);
});

test('a proxy that holds a stream back is noticed by its silence', async () => {
    FakeWebSocket.refuse = true;
    const { client } = await start({}, { a: {} });
    http.last.begin('text/event-stream');
    await clock.tick(3999);
    assert.equal(http.all.length, 1);
    await clock.tick(1);
    assert.ok(http.all[0].aborted);
    assert.equal(http.last.query.get('transport'), 'stream');
    http.last.begin('application/x-ndjson');
    await clock.tick(4000);
    assert.equal(http.last.query.get('transport'), 'longpoll');
    http.last.reply({ cursor: '7-0', messages: [] });
    await clock.tick();
    assert.equal(client.transport, 'longpoll');
});

test('so is one that lets the beginning through and then nothing more', async () => {
    const { states } = await start({ transports: ['sse', 'longpoll'] }, { a: {} });
    http.last.begin('text/event-stream');
    http.last.push(event('7-0'));
    await clock.tick(35_000);
    assert.equal(states.at(-1).reason, 'no sign of life');
    assert.equal(http.last.query.get('transport'), 'longpoll');
    assert.equal(http.last.query.get('cursor'), '7-0');
});

test('a transport that has worked is not given up for a server that is away', async () => {
    const { client } = await start({}, { a: {} });
    FakeWebSocket.last.welcome();
    await clock.tick(5000);
    FakeWebSocket.refuse = true;
    FakeWebSocket.last.drop(1006);
    await clock.tick(125 + 500 + 1000);
    assert.equal(FakeWebSocket.all.length, 4);
    assert.equal(http.all.length, 0);
    FakeWebSocket.refuse = false;
    await clock.tick(2000);
    FakeWebSocket.last.welcome();
    assert.equal(client.transport, 'websocket');
});

test('it is after a while, in case the network has changed', async () => {
    await start({}, { a: {} });
    FakeWebSocket.last.welcome();
    await clock.tick(5000);
    FakeWebSocket.refuse = true;
    FakeWebSocket.last.drop(1006);
    await clock.tick(125 + 500 + 1000 + 2000);
    assert.equal(http.last.query.get('transport'), 'sse');
});

test('a better transport is tried again later, and taken when it works', async () => {
    FakeWebSocket.refuse = true;
    const { client, seen, states } = await start({}, { a: {} });
    http.last.begin('text/event-stream');
    http.last.push(event('7-0'));
    await clock.tick();
    assert.equal(client.transport, 'sse');
    const stream = http.last;
    for (const [delay, count] of [[10_000, 2], [20_000, 3]]) {
        await clock.tick(delay - 1);
        assert.equal(FakeWebSocket.all.length, count - 1);
        await clock.tick(1);
        assert.equal(FakeWebSocket.all.length, count);
        assert.equal(client.state, 'connected', 'a probe that fails is not felt');
        stream.push(':\n\n');
    }
    FakeWebSocket.refuse = false;
    await clock.tick(20_000);
    stream.push(event('7-1', message('a', '7-1', 'one')));
    await clock.tick(20_000);
    const probe = FakeWebSocket.last;
    probe.open();
    stream.push(event('7-2', message('a', '7-2', 'two')));
    await clock.tick();
    probe.ok(probe.op('connect'));
    await clock.tick();
    assert.ok(probe.closedByClient && stream.aborted);
    assert.equal(states.at(-1).reason, 'upgrade');
    FakeWebSocket.last.welcome({ a: { position: '7-2', recovered: true } });
    assert.equal(FakeWebSocket.last.op('subscribe').since, '7-2');
    assert.equal(client.transport, 'websocket');
    assert.deepEqual(seen, ['begun a', 'one', 'two', 'begun a']);
    await clock.tick(35_000 - 1);
    assert.equal(FakeWebSocket.all.length, 5, 'the best one is not tried for better');
});

test('a probe that gets no answer is given up, and ends with its connection', async () => {
    FakeWebSocket.refuse = true;
    const { client } = await start({}, { a: {} });
    http.last.begin('text/event-stream');
    http.last.push(event('7-0'));
    FakeWebSocket.refuse = false;
    await clock.tick(10_000);
    const [, probe] = FakeWebSocket.all;
    probe.open();
    await clock.tick(6000);
    assert.ok(probe.closedByClient);
    http.last.push(':\n\n');
    await clock.tick(20_000);
    assert.equal(FakeWebSocket.all.length, 3);
    client.disconnect();
    assert.ok(FakeWebSocket.last.closedByClient);
});

test('positions go with a client from one transport to another', async () => {
    const { seen } = await start({ transports: ['websocket', 'stream'] }, { a: {}, b: {} });
    FakeWebSocket.last.welcome({ a: { position: '7-3' }, b: {} });
    FakeWebSocket.last.say(message('a', '7-4', 'four'), message('b', undefined, 'bare'));
    FakeWebSocket.refuse = true;
    await clock.tick(2000);
    FakeWebSocket.last.drop(1006);
    await clock.tick(125 + 500 + 1000 + 2000);
    assert.equal(http.last.query.get('cursor'), `${HASH.a}:7-4`);
    seen.length = 0;
    http.last.begin('application/x-ndjson');
    http.last.push(line({ cursor: `${HASH.a}:7-4,a20cadbf:1-0`, event: 'open' }));
    await clock.tick();
    assert.deepEqual(seen, ['begun a', 'begun b', 'gap in b'], 'what has no history may have lost something');
});

test('the place in a channel without history is not carried to a WebSocket and back', async () => {
    FakeWebSocket.refuse = true;
    const { client, held } = await start({ transports: ['websocket', 'stream'] }, { a: {} });
    http.last.begin('application/x-ndjson');
    http.last.push(line({ cursor: '1-5', event: 'open' }));
    FakeWebSocket.refuse = false;
    await clock.tick(10_000);
    FakeWebSocket.last.open();
    FakeWebSocket.last.ok(FakeWebSocket.last.op('connect'));
    await clock.tick();
    FakeWebSocket.last.welcome({ a: {} });
    assert.equal(client.transport, 'websocket');
    assert.equal(held[0].position, undefined);
});

test('a probe of long polling does not wait for news', async () => {
    FakeWebSocket.refuse = true;
    const { client } = await start({ transports: ['longpoll', 'poll'] }, { a: {} });
    http.last.fail();
    await clock.tick();
    assert.equal(http.last.query.get('transport'), 'poll');
    for (let round = 0; round < 4; round++) {
        http.last.reply({ cursor: '7-0', messages: [] });
        await clock.tick(3000);
    }
    const probe = http.all.find(({ query }, index) => index > 0 && query.get('transport') === 'longpoll');
    assert.equal(probe.query.get('wait'), '0');
    probe.reply({ cursor: '7-0', messages: [] });
    await clock.tick();
    http.last.reply({ cursor: '7-0', messages: [] });
    await clock.tick();
    assert.equal(client.transport, 'longpoll');
});

test('a visit that names its transports leaves the memory of the others alone', async () => {
    const first = await start(only('poll'), { a: {} });
    http.last.reply({ cursor: '7-0', messages: [] });
    await clock.tick();
    assert.equal(first.client.state, 'connected');
    await start();
    assert.equal(FakeWebSocket.all.length, 1);
});

test('the module stays under 14 KB, compressed as servers do', () => {
    assert.ok(gzipSync(readFileSync(new URL('../fantail.js', import.meta.url)), { level: 9 }).length < 14 * 1024);
});

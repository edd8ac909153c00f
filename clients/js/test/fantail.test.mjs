import assert from 'node:assert/strict';
import test, { afterEach, beforeEach } from 'node:test';

import { Fantail, FantailError } from '../fantail.js';
import { FakeClock, FakeWebSocket } from './fakes.mjs';

const random = Math.random;
let clock;
let listeners;
let clients;

beforeEach(() => {
    clock = new FakeClock().install();
    FakeWebSocket.all = [];
    FakeWebSocket.refuse = false;
    globalThis.WebSocket = FakeWebSocket;
    Math.random = () => 0.5;
    listeners = new Map();
    clients = [];
    globalThis.addEventListener = (name, callback) => listeners.set(name, callback);
    globalThis.removeEventListener = (name) => listeners.delete(name);
    globalThis.document = { hidden: false };
});

afterEach(() => {
    for (const client of clients) client.disconnect();
    const left = clock.pending;
    clock.restore();
    Math.random = random;
    delete globalThis.document;
    assert.equal(left, 0, 'a disconnected client leaves no timer behind');
});

function create(options) {
    const states = [];
    const client = new Fantail('https://example.com', {
        transports: ['websocket'],
        onState: (state, detail) => states.push({ state, ...detail }),
        ...options,
    });
    clients.push(client);
    return { client, states };
}

async function connected(options, subscriptions = {}, answers = {}) {
    const { client, states } = create(options);
    const seen = [];
    for (const [channel, extra] of Object.entries(subscriptions)) {
        client.subscribe(channel, {
            onMessage: (data, message) => seen.push({ channel, data, id: message.id }),
            onGap: (event) => seen.push({ channel, gap: true, position: event.position }),
            onSubscribed: ({ recovered }) => seen.push({ channel, subscribed: true, recovered }),
            onError: (error) => seen.push({ channel, error: error.code }),
            ...extra,
        });
    }
    client.connect();
    await clock.tick();
    const socket = FakeWebSocket.last;
    socket.welcome(answers);
    await clock.tick();
    seen.length = 0;
    return { client, states, socket, seen };
}

const state = (states) => states.map(({ state }) => state).join(' ');

test('connects, says so, and tells who answered', async () => {
    const { client, states } = create();
    assert.equal(client.state, 'disconnected');
    client.connect();
    client.connect();
    await clock.tick();
    assert.equal(FakeWebSocket.all.length, 1);
    assert.equal(FakeWebSocket.last.url, 'wss://example.com/v1/ws');
    assert.equal(FakeWebSocket.last.protocol, 'fantail.v1');
    assert.equal(client.state, 'connecting');
    FakeWebSocket.last.welcome();
    assert.deepEqual({ ...FakeWebSocket.last.op('connect'), ref: 0 }, { ref: 0, op: 'connect', ping: true });
    assert.equal(state(states), 'connecting connected');
    assert.deepEqual(
        [client.session, client.node, client.version, client.transport],
        ['s1', 'n1', '0.1.0', 'websocket'],
    );
    client.disconnect();
    assert.equal(client.state, 'disconnected');
    assert.ok(FakeWebSocket.last.closedByClient);
});

test('a base with a path, and one of ws, are taken', async () => {
    const first = new Fantail('http://localhost:8000/push');
    const second = new Fantail('wss://example.com/');
    clients.push(first, second);
    first.connect();
    second.connect();
    await clock.tick();
    assert.deepEqual(
        FakeWebSocket.all.map(({ url }) => url),
        ['ws://localhost:8000/push/v1/ws', 'wss://example.com/v1/ws'],
    );
});

test('messages reach every listener of their channel, and no other', async () => {
    const { client, socket, seen } = await connected({}, { 'room:1': {}, 'room:2': {} });
    const also = [];
    client.subscribe('room:1', (data) => also.push(data));
    assert.equal(socket.sent.filter((op) => op.op === 'subscribe').length, 2, 'one subscription serves both');
    socket.say({ channel: 'room:1', data: { text: 'hi' } }, { channel: 'room:2', data: null }, { channel: 'other', data: 1 });
    assert.deepEqual(seen, [
        { channel: 'room:1', data: { text: 'hi' }, id: undefined },
        { channel: 'room:2', data: null, id: undefined },
    ]);
    assert.deepEqual(also, [{ text: 'hi' }]);
});

test('binary payloads travel as bytes in both directions', async () => {
    const { client, socket } = await connected();
    let got;
    client.subscribe('room:1', (data) => (got = data));
    socket.say({ channel: 'room:1', base64: 'AP+A' });
    assert.deepEqual(got, new Uint8Array([0, 255, 128]));
    const published = client.publish('room:1', got);
    assert.equal(socket.op('publish').base64, 'AP+A');
    assert.equal('data' in socket.op('publish'), false);
    socket.ok(socket.op('publish'));
    await published;
});

test('a listener that throws stops neither the others nor the client', async (t) => {
    t.mock.method(console, 'error', () => {});
    const { client, socket, seen } = await connected({}, { 'room:1': { onMessage: () => assert.fail('on purpose') } });
    client.subscribe('room:1', (data) => seen.push(data));
    socket.say({ channel: 'room:1', data: 1 }, { channel: 'room:1', data: 2 });
    assert.deepEqual(seen, [1, 2]);
    assert.equal(console.error.mock.callCount(), 2);
});

test('the last listener that leaves ends the subscription', async () => {
    const { client, socket } = await connected();
    const seen = [];
    const first = client.subscribe('room:1', (data) => seen.push(['first', data]));
    const second = client.subscribe('room:1', (data) => seen.push(['second', data]));
    first.unsubscribe();
    first.unsubscribe();
    assert.equal(socket.op('unsubscribe'), undefined);
    socket.say({ channel: 'room:1', data: 1 });
    second.unsubscribe();
    assert.equal(socket.op('unsubscribe').channel, 'room:1');
    socket.say({ channel: 'room:1', data: 2 });
    assert.deepEqual(seen, [['second', 1]]);
});

test('a late reply to a subscription given up does not touch its successor', async () => {
    const { client, socket } = await connected();
    const old = client.subscribe('room:1', {});
    const oldOp = socket.op('subscribe');
    old.unsubscribe();
    const fresh = client.subscribe('room:1', {});
    socket.ok(oldOp, { channel: 'room:1', position: '1-5' });
    assert.equal(fresh.position, undefined);
    socket.ok(socket.op('subscribe'), { channel: 'room:1', position: '1-6' });
    assert.equal(fresh.position, '1-6');
});

test('a refused subscription tells its listeners why', async () => {
    const { client, socket } = await connected();
    const errors = [];
    client.subscribe('secret', { onError: (error) => errors.push(error) });
    socket.say({ ref: socket.op('subscribe').ref, error: { code: 'channel_forbidden', message: 'This channel is not open to you.' } });
    assert.ok(errors[0] instanceof FantailError);
    assert.equal(errors[0].code, 'channel_forbidden');
    assert.equal(errors[0].message, 'This channel is not open to you.');
    assert.equal(client.state, 'connected');
});

test('publish resolves with the reply and rejects with the error', async () => {
    const { client, socket } = await connected();
    const good = client.publish('room:1', { text: 'hi' }, { key: 'k1' });
    const op = socket.op('publish');
    assert.deepEqual({ ...op, ref: 0 }, { ref: 0, op: 'publish', channel: 'room:1', data: { text: 'hi' }, idempotency_key: 'k1' });
    socket.ok(op, { id: '1-1' });
    assert.equal((await good).id, '1-1');
    const bad = client.publish('room:1', 1);
    socket.say({ ref: socket.op('publish').ref, error: { code: 'publish_forbidden', message: 'No.' } });
    await assert.rejects(bad, { code: 'publish_forbidden', message: 'No.' });
});

test('history passes its answers and errors on', async () => {
    const { client, socket } = await connected();
    const history = client.history('room:1', { last: 2 });
    assert.equal(socket.op('history').last, 2);
    socket.ok(socket.op('history'), { messages: [] });
    assert.deepEqual((await history).messages, []);
    const refused = client.history('room:1');
    socket.say({ ref: socket.op('history').ref, error: { code: 'no_history', message: 'None.' } });
    await assert.rejects(refused, { code: 'no_history' });
});

test('publishing while connecting waits for the connection, without one it fails', async () => {
    const { client } = create();
    await assert.rejects(client.publish('room:1', 1), { code: 'disconnected' });
    client.connect();
    const early = client.publish('room:1', 2);
    await clock.tick();
    FakeWebSocket.last.welcome();
    FakeWebSocket.last.ok(FakeWebSocket.last.op('publish'));
    await early;
    const last = client.publish('room:1', 3);
    client.disconnect();
    await assert.rejects(last, { code: 'disconnected' });
});

test('an answer that does not come is a timeout', async () => {
    const { client } = await connected();
    const late = assert.rejects(client.publish('room:1', 1), { code: 'timeout' });
    await clock.tick(10_000);
    await late;
});

test('a publish under way when the connection breaks fails, unless its key makes a repeat safe', async () => {
    const { client, socket } = await connected();
    const lost = assert.rejects(client.publish('room:1', 1), { code: 'connection_lost' });
    const kept = client.publish('room:1', 2, { key: 'k' });
    socket.drop(1006);
    await lost;
    await clock.tick(1000);
    FakeWebSocket.last.welcome();
    assert.equal(FakeWebSocket.last.op('publish').data, 2);
    FakeWebSocket.last.ok(FakeWebSocket.last.op('publish'), { id: '1-1' });
    assert.equal((await kept).id, '1-1');
});

test('a message larger than the server takes fails by name, and the client comes back', async () => {
    const { client, socket } = await connected();
    const large = assert.rejects(client.publish('room:1', 'x', { key: 'k' }), { code: 'message_too_large' });
    socket.drop(1009);
    await large;
    await clock.tick(1000);
    FakeWebSocket.last.welcome();
    assert.equal(client.state, 'connected');
    assert.equal(FakeWebSocket.last.op('publish'), undefined);
});

test('visible pings are answered, and silence past them ends the connection', async () => {
    const { socket, states } = await connected();
    await clock.tick(30_000);
    socket.say({ event: 'ping' });
    assert.equal(socket.op('pong').op, 'pong');
    await clock.tick(34_900);
    assert.equal(state(states), 'connecting connected');
    await clock.tick(200);
    assert.equal(state(states), 'connecting connected connecting');
    assert.ok(socket.closedByClient);
    await clock.tick(300);
    assert.equal(FakeWebSocket.all.length, 2);
});

test('a server without pings may be silent', async () => {
    const { client } = create();
    client.connect();
    await clock.tick();
    FakeWebSocket.last.welcome({}, { ping_seconds: 0 });
    await clock.tick(3_600_000);
    assert.equal(client.state, 'connected');
});

test('a working connection that breaks is retried within 250 ms', async () => {
    Math.random = () => 0.999;
    const { socket, states, client } = await connected({}, { 'room:1': {} });
    await clock.tick(60_000 / 4);
    socket.drop(1006);
    assert.ok(states.at(-1).retryMs <= 250);
    assert.equal(states.at(-1).code, 1006);
    await clock.tick(250);
    FakeWebSocket.last.welcome();
    assert.equal(client.state, 'connected');
    assert.equal(FakeWebSocket.last.op('subscribe').channel, 'room:1');
});

test('retries back off with full jitter, to 20 s at most', async () => {
    for (const [value, expected] of [[0.99999, [500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]], [0, [0, 0, 0, 0]]]) {
        Math.random = () => value;
        const { client, states } = create();
        client.connect();
        for (const most of expected) {
            await clock.tick();
            FakeWebSocket.last.drop(1006);
            assert.equal(states.at(-1).retryMs, value ? most : 0);
            await clock.tick(most);
        }
        client.disconnect();
    }
});

test('a connection that lasted starts the backoff afresh', async () => {
    const { states } = await connected();
    for (let round = 0; round < 2; round++) {
        await clock.tick(1000);
        for (const expected of [125, 500, 1000]) {
            FakeWebSocket.last.drop(1006);
            assert.equal(states.at(-1).retryMs, expected);
            await clock.tick(expected);
        }
        FakeWebSocket.last.welcome();
    }
});

test('a server that takes and drops connections is not hammered', async () => {
    const { states, socket } = await connected();
    await clock.tick(100);
    socket.drop(1006);
    assert.equal(states.at(-1).retryMs, 250);
    for (const expected of [500, 1000, 2000]) {
        await clock.tick(states.at(-1).retryMs);
        FakeWebSocket.last.welcome();
        FakeWebSocket.last.drop(1006);
        assert.equal(states.at(-1).retryMs, expected);
    }
});

test('an attempt without an answer is given up', async () => {
    const { client, states } = create();
    client.connect();
    await clock.tick();
    FakeWebSocket.last.open();
    await clock.tick(6000);
    assert.equal(state(states), 'connecting connecting');
    assert.ok(FakeWebSocket.all[0].closedByClient);
});

test('a refused URL is an attempt that failed', async () => {
    globalThis.WebSocket = class {
        constructor() {
            throw new Error('insecure');
        }
    };
    const { client, states } = create();
    client.connect();
    await clock.tick();
    assert.equal(states.at(-1).reason, 'insecure');
    assert.equal(client.state, 'connecting');
});

test('what does not speak the protocol is left', async () => {
    const { client, states } = create();
    client.connect();
    await clock.tick();
    FakeWebSocket.last.open();
    FakeWebSocket.last.onmessage({ data: '<html>' });
    assert.equal(states.at(-1).reason, 'not the fantail protocol');
});

for (const code of [3500, 3502, 3503, 3999]) {
    test(`close ${code} is final`, async () => {
        const { client, socket, states } = await connected();
        socket.drop(code, 'because');
        assert.equal(client.state, 'disconnected');
        assert.deepEqual(states.at(-1), { state: 'disconnected', code, reason: 'because' });
        await clock.tick(60_000);
        assert.equal(FakeWebSocket.all.length, 1);
        assert.equal(listeners.size, 0);
    });
}

for (const code of [1000, 1001, 1002, 1006, 1007, 1009, 1011, 1012, 1013, 3000, 3001, 3002, 3003, 3499, 4000]) {
    test(`after close ${code} the client comes back`, async () => {
        const { client, socket } = await connected();
        socket.drop(code);
        assert.equal(client.state, 'connecting');
        await clock.tick(1000);
        assert.equal(FakeWebSocket.all.length, 2);
    });
}

test('a draining server is left at the time it names, or when it closes', async () => {
    const { client, socket, states } = await connected();
    await clock.tick(5000);
    socket.say({ event: 'drain', retry_ms: 1234 });
    await clock.tick(1233);
    assert.equal(client.state, 'connected');
    await clock.tick(1);
    assert.equal(FakeWebSocket.all.length, 2, 'it spread its clients over time: no jitter upon that');
    FakeWebSocket.last.welcome();
    await clock.tick(5000);
    FakeWebSocket.last.say({ event: 'drain', retry_ms: 9999 });
    FakeWebSocket.last.drop(1001);
    assert.equal(states.at(-1).retryMs, 0);
    await clock.tick();
    assert.equal(FakeWebSocket.all.length, 3);
});

test('a token goes with connect; a function gives a fresh one for each attempt', async () => {
    let count = 0;
    const { client } = create({ token: async () => `t${++count}` });
    client.connect();
    await clock.tick();
    FakeWebSocket.last.open();
    assert.equal(FakeWebSocket.last.op('connect').token, 't1');
    FakeWebSocket.last.drop(3501, 'expired');
    await clock.tick(1000);
    FakeWebSocket.last.open();
    assert.equal(FakeWebSocket.last.op('connect').token, 't2', 'one refusal may be an old token');
    FakeWebSocket.last.drop(3501, 'expired');
    assert.equal(client.state, 'disconnected', 'a second one in a row is final');
});

test('a token that worked in between may be refused again', async () => {
    const { client } = await connected({ token: () => 't' });
    for (let round = 0; round < 3; round++) {
        FakeWebSocket.last.drop(3501, 'expired');
        await clock.tick(1000);
        FakeWebSocket.last.welcome();
        await clock.tick(1000);
        assert.equal(client.state, 'connected');
    }
});

test('a refused constant token is final; a failing token function is tried again', async () => {
    const constant = await connected({ token: 'abc' });
    constant.socket.drop(3501);
    assert.equal(constant.client.state, 'disconnected');
    const failing = create({ token: () => Promise.reject(new Error('login server away')) });
    failing.client.connect();
    await clock.tick();
    assert.equal(failing.states.at(-1).reason, 'login server away');
    assert.equal(failing.client.state, 'connecting');
});

test('an error that answers connect, and one without a ref, are reported', async () => {
    const errors = [];
    const { client } = create({ onError: (error) => errors.push(error.code) });
    client.connect();
    await clock.tick();
    const socket = FakeWebSocket.last;
    socket.open();
    socket.say({ ref: socket.op('connect').ref, error: { code: 'token_invalid', message: '' } }, { error: { code: 'bad_json', message: '' } });
    assert.deepEqual(errors, ['token_invalid', 'bad_json']);
});

test('after a reconnect a channel continues from the last message seen', async () => {
    const { socket, seen } = await connected({}, { 'room:1': {} }, { 'room:1': { position: '7-3' } });
    socket.say({ channel: 'room:1', id: '7-4', data: 'a' }, { channel: 'room:1', id: '7-5', data: 'b' });
    socket.drop(1006);
    await clock.tick(1000);
    assert.equal(FakeWebSocket.last.sent.length, 0);
    FakeWebSocket.last.welcome({ 'room:1': { position: '7-7', recovered: true } });
    assert.equal(FakeWebSocket.last.op('subscribe').since, '7-5');
    FakeWebSocket.last.say(
        { channel: 'room:1', id: '7-5', data: 'b' },
        { channel: 'room:1', id: '7-6', data: 'c' },
    );
    // Lost in mid-replay: 7-7 has not come, so the reply's position must not count.
    FakeWebSocket.last.drop(1006);
    await clock.tick(1000);
    FakeWebSocket.last.welcome({ 'room:1': { position: '7-7', recovered: true } });
    assert.equal(FakeWebSocket.last.op('subscribe').since, '7-6');
    FakeWebSocket.last.say({ channel: 'room:1', id: '7-7', data: 'd' }, { channel: 'room:1', id: '8-0', data: 'e' });
    assert.deepEqual(seen.filter(({ data }) => data).map(({ data }) => data), ['a', 'b', 'c', 'd', 'e']);
    assert.equal(seen.some(({ gap }) => gap), false);
});

test('a channel that was quiet continues from the position of its first reply', async () => {
    const { socket } = await connected({}, { 'room:1': {} }, { 'room:1': { position: '7-3' } });
    socket.drop(1006);
    await clock.tick(1000);
    FakeWebSocket.last.welcome();
    assert.equal(FakeWebSocket.last.op('subscribe').since, '7-3');
});

test('a position that cannot be continued is a gap, and the new one counts', async () => {
    const { socket, seen } = await connected({}, { 'room:1': {} }, { 'room:1': { position: '7-3' } });
    socket.drop(1006);
    await clock.tick(1000);
    FakeWebSocket.last.welcome({ 'room:1': { position: '9-0', recovered: false } });
    assert.deepEqual(seen, [
        { channel: 'room:1', subscribed: true, recovered: false },
        { channel: 'room:1', gap: true, position: '9-0' },
    ]);
    FakeWebSocket.last.drop(1006);
    await clock.tick(1000);
    FakeWebSocket.last.welcome();
    assert.equal(FakeWebSocket.last.op('subscribe').since, '9-0');
});

test('a channel without history is told of a gap when it comes back', async () => {
    const { socket, seen } = await connected({}, { 'room:1': {} });
    assert.deepEqual(seen, []);
    socket.drop(1006);
    await clock.tick(1000);
    FakeWebSocket.last.welcome();
    assert.deepEqual(seen.map(({ gap }) => gap), [undefined, true]);
});

test('gap events reach the listeners and may move the position', async () => {
    const { client, socket, seen } = await connected({}, { 'room:1': {} });
    socket.say({ event: 'gap', channel: 'room:1' }, { event: 'gap', channel: 'room:1', position: '8-1' });
    assert.deepEqual(seen, [
        { channel: 'room:1', gap: true, position: undefined },
        { channel: 'room:1', gap: true, position: '8-1' },
    ]);
    assert.equal(client.subscribe('room:1', {}).position, '8-1');
});

test('events that nobody knows yet reach no listener', async () => {
    const { client, socket } = await connected();
    const seen = [];
    client.subscribe('room:1', { onMessage: () => seen.push('message'), onError: () => seen.push('error') });
    socket.say({ event: 'message', channel: 'room:1' }, { event: 'error', channel: 'room:1' }, { event: 'new', channel: 'room:1' });
    assert.deepEqual(seen, []);
});

test('`last` is asked until there is a position, `since` from the start', async () => {
    const { client, socket } = await connected();
    const last = client.subscribe('room:1', { last: 20 });
    const since = client.subscribe('room:2', { since: '7-1' });
    const [first, second] = socket.sent.filter((op) => op.op === 'subscribe');
    assert.equal(first.last, 20);
    assert.deepEqual([second.since, 'last' in second], ['7-1', false]);
    socket.ok(first, { channel: 'room:1', position: '7-9' });
    assert.equal(last.position, undefined, 'the replay has yet to come');
    socket.say({ channel: 'room:1', id: '7-8', data: 1 });
    assert.equal(last.position, '7-8');
    assert.equal(since.position, '7-1');
});

test('back online, or in sight, the next attempt is made at once', async () => {
    for (const type of ['online', 'visibilitychange', 'pageshow']) {
        const { client } = create();
        client.connect();
        await clock.tick();
        FakeWebSocket.last.drop(1006);
        const count = FakeWebSocket.all.length;
        globalThis.document.hidden = true;
        listeners.get(type)({ type });
        await clock.tick();
        assert.equal(FakeWebSocket.all.length, count, 'a hidden page can wait');
        globalThis.document.hidden = false;
        listeners.get('offline')({ type: 'offline' });
        await clock.tick();
        assert.equal(FakeWebSocket.all.length, count);
        listeners.get(type)({ type });
        await clock.tick();
        assert.equal(FakeWebSocket.all.length, count + 1, type);
        await clock.tick(1000);
        assert.equal(FakeWebSocket.all.length, count + 1, 'and only one');
        client.disconnect();
    }
});

test('after a sleep a connection must show that it lives', async () => {
    const { client, socket } = await connected();
    await clock.tick(1000);
    listeners.get('visibilitychange')({ type: 'visibilitychange' });
    assert.equal(socket.op('ping').op, 'ping');
    await clock.tick(100);
    socket.say({ ok: true });
    await clock.tick(5000);
    assert.equal(client.state, 'connected');
    listeners.get('offline')({ type: 'offline' });
    await clock.tick(4900);
    assert.equal(client.state, 'connected');
    await clock.tick(200);
    assert.equal(client.state, 'connecting');
});

test('disconnect in a callback is obeyed at once', async () => {
    const { client, socket } = await connected();
    const seen = [];
    client.subscribe('room:1', (data) => {
        seen.push(data);
        client.disconnect();
    });
    socket.say({ channel: 'room:1', data: 1 }, { channel: 'room:1', data: 2 });
    assert.deepEqual(seen, [1]);
    socket.drop(1006);
    assert.equal(client.state, 'disconnected');
    client.connect();
    await clock.tick();
    FakeWebSocket.last.welcome();
    assert.equal(client.state, 'connected');
    assert.equal(FakeWebSocket.last.op('subscribe').channel, 'room:1', 'subscriptions outlive a disconnect');
});

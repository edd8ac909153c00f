// Where it runs and how it is used: in Node of several versions, from foreign pages, with wrong options, by parts of a
// page that come later.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import test from 'node:test';

import { Fantail } from '../fantail.js';
import { FakeWebSocket } from './fakes.mjs';
import { TRANSPORTS, only, useWorld } from './world.mjs';

const world = useWorld();
const error = (code, message = 'No.') => ({ error: { code, message } });

// npm's ws: an `error` that nobody listens to ends the process, also one that comes after close().
class WsLike extends EventEmitter {
    static all = [];
    readyState = 0;
    constructor() {
        super();
        WsLike.all.push(this);
        for (const name of ['open', 'message', 'close', 'error']) {
            Object.defineProperty(this, `on${name}`, {
                set: (callback) => {
                    this.removeAllListeners(name);
                    if (callback) this.on(name, callback);
                },
            });
        }
    }
    close() {
        if (this.readyState === 0) queueMicrotask(() => this.fail('WebSocket was closed before the connection was established'));
        this.readyState = 3;
    }
    fail(message) {
        this.emit('error', { message });
        this.emit('close', { code: 1006, reason: '' });
    }
}

test('with npm\'s ws a refusal is an attempt that failed, and nothing else', async () => {
    globalThis.WebSocket = WsLike;
    const { states, client } = await world.start(only('websocket'));
    WsLike.all.at(-1).fail('Unexpected server response: 403');
    assert.equal(states.at(-1).reason, 'Unexpected server response: 403');
    await world.clock.tick(250);
    assert.equal(WsLike.all.length, 2);
    client.disconnect();
    await world.clock.tick();
});

test('an error without a close is a loss at once', async () => {
    const { states } = await world.start(only('websocket'));
    FakeWebSocket.last.fail('connect ECONNREFUSED');
    await world.clock.tick();
    assert.equal(states.at(-1).reason, 'connect ECONNREFUSED');
    await world.clock.tick(250);
    FakeWebSocket.last.welcome();
    FakeWebSocket.last.fail('');
    FakeWebSocket.last.drop(3502, 'forbidden');
    assert.equal(states.at(-1).code, 3502, 'a close that follows says more');
});

test('without WebSocket it is event streams, and without both the constructor says so', async () => {
    delete globalThis.WebSocket;
    const { client } = await world.start({}, { a: {} });
    assert.equal(world.http.last.query.get('transport'), 'sse');
    await world.answer('sse', 'a');
    assert.deepEqual([client.state, client.transport], ['connected', 'sse']);
    await world.clock.tick(30_000);
    assert.throws(() => new Fantail('https://example.com', only('websocket')), /nothing here can do websocket/);
});

test('wrong options are errors at once that say what is right', () => {
    const url = 'https://example.com';
    for (const [wrong, pattern] of [
        [() => new Fantail(), /URL of the gateway/],
        [() => new Fantail('example.com'), /Invalid URL/],
        [() => new Fantail('localhost:8000'), /begins with http:.* not with localhost:/],
        [() => new Fantail('ftp://example.com'), /not with ftp:/],
        [() => new Fantail(url, only('websockets')), /unknown transport 'websockets'; known: websocket, sse/],
        [() => new Fantail(url, only()), /one or more/],
        [() => new Fantail(url, { transports: 'websocket' }), /is a list/],
        [() => new Fantail(url, { onstate() {} }), /unknown option 'onstate'; known: .*onState/],
        [() => new Fantail(url, null), /options are an object/],
    ]) assert.throws(wrong, pattern);
    const client = new Fantail(url);
    for (const [wrong, pattern] of [
        [() => client.subscribe('x'), /a listener is a function, or an object/],
        [() => client.subscribe('x', 'y'), /a listener is/],
        [() => client.subscribe('', () => {}), /named by a text/],
        [() => client.subscribe(5, () => {}), /named by a text/],
        [() => client.subscribe('\ud83d', () => {}), /URI/],
        [() => client.subscribe('x', { last: -1 }), /number of messages/],
        [() => client.subscribe('x', { last: '5' }), /number of messages/],
        [() => client.subscribe('x', { since: 5 }), /id of a message/],
        [() => client.subscribe('x', { onMessage: 'show' }), /onMessage is a function/],
    ]) assert.throws(wrong, pattern);
});

test('publishing what is no JSON fails at once, and nothing after it', async () => {
    const { client } = await world.start(only('websocket'));
    const circle = {};
    circle.circle = circle;
    for (const data of [undefined, () => {}, Symbol('x'), 1n, circle]) await assert.rejects(client.publish('a', data), TypeError);
    await assert.rejects(client.publish('a', 1, { idempotency_key: 'k' }), /unknown option 'idempotency_key'; known: key, priority/);
    await assert.rejects(client.publish('', 1), TypeError);
    await assert.rejects(client.history('a', { last: 'all' }), TypeError);
    const data = { text: 'now' };
    const published = client.publish('a', data);
    data.text = 'later';
    FakeWebSocket.last.welcome();
    assert.equal(FakeWebSocket.last.op('publish').data.text, 'now');
    FakeWebSocket.last.ok(FakeWebSocket.last.op('publish'));
    await published;
});

test('a URL with a query, a fragment or a name in it is taken without', async () => {
    const client = new Fantail('wss://me:secret@example.com/push?x=1#y', only('websocket'));
    client.connect();
    await world.clock.tick();
    assert.equal(FakeWebSocket.last.url, 'wss://example.com/push/v1/ws');
    client.disconnect();
});

test('a page of a refused origin is told so, and that is the end', async () => {
    for (const subscriptions of [{ a: {} }, {}]) {
        FakeWebSocket.refuse = true;
        const { states, codes, client } = await world.start({}, subscriptions);
        const published = assert.rejects(client.publish('a', 1), { code: 'disconnected', message: 'List it in origins.' });
        world.http.last.reply(error('origin_forbidden', 'List it in origins.'), { status: 403 });
        await world.clock.tick();
        assert.deepEqual(states.at(-1), { state: 'disconnected', code: 3502, reason: 'List it in origins.' });
        assert.deepEqual(codes(), ['origin_forbidden']);
        await published;
        const count = world.http.all.length;
        await world.clock.tick(60_000);
        assert.equal(world.http.all.length, count);
    }
});

test('a connect that is refused is final, also where no close follows', async () => {
    const { states, codes } = await world.start({ ...only('websocket'), token: 't' });
    const socket = FakeWebSocket.last;
    socket.open();
    socket.say({ ref: socket.op('connect').ref, ...error('token_unsupported', 'There are no tokens.') });
    await world.clock.tick(1000);
    assert.deepEqual(states.at(-1), { state: 'disconnected', code: 3501, reason: 'There are no tokens.' });
    assert.deepEqual(codes(), ['token_unsupported']);
    const busy = await world.start(only('websocket'));
    FakeWebSocket.last.open();
    FakeWebSocket.last.say({ ref: FakeWebSocket.last.op('connect').ref, ...error('internal') });
    await world.clock.tick(1000);
    assert.equal(busy.client.state, 'connecting');
});

test('a token that is no text is an attempt that failed', async () => {
    const { states, client } = await world.start({ ...only('sse'), token: () => ({}) }, { a: {} });
    assert.deepEqual([client.state, states.at(-1).reason, world.http.all.length], ['connecting', 'a token is a text', 0]);
});

for (const name of TRANSPORTS) {
    const reply = (messages, recovered) => {
        if (name === 'websocket') FakeWebSocket.last.ok(FakeWebSocket.last.op('history'), { channel: 'a', position: '7-5', messages, recovered });
        else {
            const { url } = world.http.last;
            assert.equal(url.searchParams.get('transport'), 'poll');
            world.http.last.reply({ cursor: '7-5', messages: [...(recovered === false ? [{ event: 'gap', channel: 'a', position: '7-5' }] : []), ...messages] });
        }
        return world.clock.tick();
    };
    const message = (number) => ({ channel: 'a', id: `7-${number}`, data: number });
    const say = async (number, stream) => {
        if (name === 'websocket') FakeWebSocket.last.say(message(number));
        else if (name === 'sse') stream.push(`id: 7-${number}\ndata: ${JSON.stringify(message(number))}\n\n`);
        else if (name === 'stream') stream.push(`${JSON.stringify({ cursor: `7-${number}`, ...message(number) })}\n`);
        else stream.reply({ cursor: `7-${number}`, messages: [message(number)] });
        await world.clock.tick();
        return name.endsWith('poll') ? world.http.last : stream;
    };

    test(`${name}: a listener that comes later gets what it asks for, in order, and is told`, async () => {
        const { hear, seen, client } = await world.start(only(name), { a: {} });
        await world.answer(name, 'a');
        let stream = world.http.last;
        if (name !== 'poll') stream = await say(3, stream);
        const late = [];
        hear('a', { last: 5 }, late);
        await world.clock.tick();
        const asking = world.http.last;
        assert.deepEqual(late, []);
        if (!name.endsWith('poll')) {
            await say(5, stream);
            await say(6, stream);
            assert.deepEqual(late, [], 'what was before comes first');
        }
        world.http.all.push(asking);
        await reply([1, 2, 3, 4, 5].map(message));
        assert.deepEqual(late, ['begun a', 1, 2, 3, 4, 5, ...(name.endsWith('poll') ? [] : [6])]);
        assert.deepEqual(seen, ['begun a', ...(name === 'poll' ? [] : [3]), ...(name.endsWith('poll') ? [] : [5, 6])], 'nobody else hears it again');
        const plain = [];
        hear('a', {}, plain);
        assert.deepEqual(plain, []);
        await world.clock.tick();
        assert.deepEqual(plain, ['begun a']);
        const since = [];
        hear('a', { since: '1-1' }, since);
        await world.clock.tick();
        await reply([], false);
        assert.deepEqual(since, ['begun a', 'gap 7-5']);
        client.disconnect();
    });
}

test('one that comes before the subscription holds is served after it', async () => {
    const { hear, seen } = await world.start(only('websocket'), { a: { last: 1 } });
    const late = [];
    hear('a', { last: 5 }, late);
    FakeWebSocket.last.welcome({ a: { position: '7-2' } });
    FakeWebSocket.last.say({ channel: 'a', id: '7-2', data: 2 });
    assert.deepEqual([seen, late], [['begun a', 2], []]);
    FakeWebSocket.last.ok(FakeWebSocket.last.op('history'), { channel: 'a', position: '7-2', messages: [{ channel: 'a', id: '7-1', data: 1 }, { channel: 'a', id: '7-2', data: 2 }] });
    await world.clock.tick();
    assert.deepEqual(late, ['begun a', 1, 2]);
});

test('where there is no history a late listener begins now; where it is refused it is told', async () => {
    for (const [code, expected] of [['no_history', ['begun a', 'now']], ['channel_forbidden', ['error channel_forbidden', 'begun a', 'gap undefined', 'now']]]) {
        const { hear, client } = await world.start(only('websocket'), { a: {} });
        FakeWebSocket.last.welcome({ a: {} });
        const late = [];
        hear('a', { last: 5 }, late);
        FakeWebSocket.last.say({ channel: 'a', data: 'now' });
        FakeWebSocket.last.say({ ref: FakeWebSocket.last.op('history').ref, ...error(code) });
        await world.clock.tick();
        assert.deepEqual(late, expected);
        client.disconnect();
    }
});

test('offline an HTTP client looks whether that is so, and says it', async () => {
    const { client, states } = await world.start(only('sse'), { a: {} });
    await world.answer('sse', 'a');
    world.listeners.get('offline')({ type: 'offline' });
    world.http.last.reply(error('channel_invalid'), { status: 400 });
    await world.clock.tick(1000);
    assert.equal(client.state, 'connected');
    world.listeners.get('offline')({ type: 'offline' });
    world.http.last.fail();
    await world.clock.tick();
    assert.deepEqual([client.state, states.at(-1).reason], ['connecting', 'fetch failed']);
});

// Errors are of two kinds: what passes by itself is asked for again, the rest is told once and stays told.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { FakeWebSocket } from './fakes.mjs';
import { TRANSPORTS, only, useWorld } from './world.mjs';

const world = useWorld();

// The table that clients are written by.
const table = readFileSync(new URL('../../../docs/protocols/native.md', import.meta.url), 'utf8');
const rows = [...table.matchAll(/^\| `(\w+)` \| (\d+) \| (again|never) \|/gm)].map(([, code, status, sort]) => ({ code, status: +status, sort }));
const AGAIN = rows.filter(({ sort }) => sort === 'again');
const NEVER = rows.filter(({ sort }) => sort === 'never');
const error = (code) => ({ error: { code, message: `It is ${code}.` } });
const asked = (op) => FakeWebSocket.last.sent.filter((each) => each.op === op);

async function connected(subscriptions) {
    const made = await world.start(only('websocket'), subscriptions);
    const socket = FakeWebSocket.last;
    socket.open();
    socket.ok(socket.op('connect'));
    return { ...made, socket };
}

test('the table has both kinds', () => {
    assert.ok(AGAIN.length >= 5 && NEVER.length >= 10);
});

test('a subscription that is refused for a while is asked for again until it holds, with backoff', async () => {
    for (const { code } of [...AGAIN, { code: 'new_one', retry: true }]) {
        const { socket, seen, client } = await connected({ a: {} });
        const refusal = error(code);
        if (code === 'new_one') refusal.error.retry = true;
        for (const delay of [250, 500, 1000, 2000]) {
            const count = asked('subscribe').length;
            socket.say({ ref: socket.op('subscribe').ref, ...refusal });
            await world.clock.tick(delay - 1);
            assert.equal(asked('subscribe').length, count, code);
            await world.clock.tick(1);
            assert.equal(asked('subscribe').length, count + 1, code);
        }
        socket.ok(socket.op('subscribe'), { channel: 'a', position: '7-0' });
        socket.say({ channel: 'a', id: '7-1', data: 'heard' });
        assert.deepEqual(seen, [`error ${code}`, 'begun a', 'heard']);
        client.disconnect();
    }
});

test('a subscription that is refused for good is told once, and not asked for with each connection', async () => {
    for (const { code } of NEVER) {
        const { socket, seen, client, hear } = await connected({ a: {}, b: {} });
        socket.say({ ref: socket.op('subscribe').ref, ...error(code) });
        await world.clock.tick(20_000);
        assert.equal(asked('subscribe').length, 2, code);
        FakeWebSocket.last.drop(1006);
        await world.clock.tick(1000);
        FakeWebSocket.last.welcome();
        assert.deepEqual(asked('subscribe').map(({ channel }) => channel), ['a'], code);
        assert.deepEqual(seen.filter((each) => each.startsWith('error')), [`error ${code}`]);
        hear('b');
        assert.equal(asked('subscribe').at(-1).channel, 'b', 'who asks anew is answered anew');
        client.disconnect();
    }
});

test('a channel given up is not asked for again', async () => {
    const { socket, held } = await connected({ a: {} });
    socket.say({ ref: socket.op('subscribe').ref, ...error('broker_refused') });
    held[0].unsubscribe();
    await world.clock.tick(20_000);
    assert.equal(asked('subscribe').length, 1);
    socket.say({ ref: socket.op('unsubscribe').ref, ...error('not_subscribed') });
});

test('a place that the server does not know is a gap, and the channel goes on without it', async () => {
    const { socket, seen } = await connected({ a: { since: '7-7' } });
    socket.say({ ref: socket.op('subscribe').ref, ...error('position_invalid') });
    await world.clock.tick(250);
    assert.equal('since' in socket.op('subscribe'), false);
    socket.ok(socket.op('subscribe'), { channel: 'a', position: '8-0' });
    assert.deepEqual(seen, ['error position_invalid', 'gap undefined', 'begun a']);
});

test('a publish and a question for history are repeated as well, with the same key, by WebSocket', async () => {
    for (const { code } of AGAIN) {
        for (const ask of [(client) => client.publish('a', 1), (client) => client.publish('a', 1, { key: 'k' }), (client) => client.history('a')]) {
            const { socket, client } = await connected();
            const answer = ask(client);
            const [, first] = socket.sent;
            for (const delay of [250, 500]) {
                const { length } = socket.sent;
                socket.say({ ref: first.ref, ...error(code) });
                await world.clock.tick(delay - 1);
                assert.equal(socket.sent.length, length);
                await world.clock.tick(1);
                assert.deepEqual(socket.sent.at(-1), first);
            }
            socket.ok(first, { id: '7-1' });
            assert.equal((await answer).id, '7-1');
            client.disconnect();
        }
    }
});

test('within the time for an answer, and then it is told as it is', async () => {
    const { socket, client } = await connected();
    const published = assert.rejects(client.publish('a', 1), { code: 'broker_refused', message: 'It is broker_refused.', retry: true });
    for (let second = 0; second < 10; second++) {
        socket.say({ ref: socket.op('publish').ref, ...error('broker_refused') });
        await world.clock.tick(1000);
    }
    await published;
    assert.ok(asked('publish').length < 8);
    const last = assert.rejects(client.publish('a', 1), { code: 'publish_forbidden', retry: false });
    socket.say({ ref: socket.op('publish').ref, ...error('publish_forbidden') });
    await last;
});

for (const name of TRANSPORTS.slice(1)) {
    test(`${name}: publishes and history are repeated`, async () => {
        for (const { code, status } of AGAIN) {
            const { client } = await world.start(only(name), { a: {} });
            await world.answer(name, 'a');
            const published = client.publish('a', 1);
            const first = world.http.last;
            const body = first.query.get('idempotency_key');
            assert.ok(body, 'a key makes the repetition safe');
            first.reply(error(code), { status, headers: { 'Retry-After': '1' } });
            await world.clock.tick(1249);
            const posts = () => world.http.all.filter(({ method }) => method === 'POST');
            assert.equal(posts().length, 1, 'not before Retry-After and the backoff');
            await world.clock.tick(1);
            assert.equal(posts()[1].url.href, first.url.href);
            posts()[1].reply({ ok: true });
            await published;
            const history = client.history('a', { since: '7-3' });
            const polled = () => world.http.all.filter(({ query }) => query.get('since'));
            polled()[0].reply(error(code), { status });
            await world.clock.tick(500);
            polled()[1].reply({ cursor: '7-5', messages: [{ channel: 'a', id: '7-5', data: 5 }] });
            const { position, recovered, messages } = await history;
            assert.deepEqual([position, recovered, messages.length], ['7-5', true, 1]);
            client.disconnect();
            world.http.all = [];
        }
    });

    test(`${name}: a request that is refused for a while is made again, and its error told once`, async () => {
        const { codes, client, states } = await world.start({ transports: [name, 'poll'] }, { a: {} });
        for (const delay of [250, 500, 1000]) {
            world.http.last.reply(error('broker_unavailable'), { status: 503 });
            await world.clock.tick();
            assert.equal(states.at(-1).retryMs, delay);
            await world.clock.tick(delay);
        }
        assert.deepEqual(codes(), ['broker_unavailable']);
        assert.equal(world.http.last.query.get('transport'), name);
        await world.answer(name, 'a');
        assert.equal(client.state, 'connected');
    });

    test(`${name}: of several channels only those that are refused are given up`, async () => {
        const bad = ['c3', 'c11'];
        const channels = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`c${index}`, {}]));
        const { seen, codes, client } = await world.start(only(name), channels);
        for (let round = 0; round < 60; round++) {
            const asked = world.http.last.query.getAll('channel');
            if (!asked.some((channel) => bad.includes(channel)) && asked.length === 18) break;
            if (asked.some((channel) => bad.includes(channel))) world.http.last.reply(error('channel_forbidden'), { status: 403 });
            else world.http.last.reply({ cursor: '', messages: [] });
            await world.clock.tick();
        }
        assert.deepEqual(seen, ['error channel_forbidden', 'error channel_forbidden']);
        assert.deepEqual(codes(), []);
        await world.answer(name, 'a');
        assert.equal(client.state, 'connected');
        assert.ok(world.http.all.length < 30);
    });
}

test('a POST that a proxy answers is told for what it is', async () => {
    const { client } = await world.start(only('poll'), { a: {} });
    await world.answer('poll', 'a');
    for (const [status, code] of [[413, 'message_too_large'], [502, 'connection_lost'], [403, 'connection_lost'], [200, 'connection_lost']]) {
        const published = assert.rejects(client.publish('a', 1), { code });
        world.http.last.reply('<html>', { status });
        await published;
    }
    const published = client.publish('a', 1);
    world.http.last.reply('<html>', { status: 503 });
    await world.clock.tick(250);
    world.http.last.reply({ ok: true });
    await published;
});

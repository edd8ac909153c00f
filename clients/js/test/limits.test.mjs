// What has to fit: times into timers, channels into URLs, waiting into patience.

import assert from 'node:assert/strict';
import test from 'node:test';

import { FakeWebSocket } from './fakes.mjs';
import { TRANSPORTS, event, line, only, useWorld } from './world.mjs';

const world = useWorld();
const error = (code, message = 'No.') => ({ error: { code, message } });
const FIVE_MINUTES = 300_000;

test('Retry-After is a number of seconds or a date, bounded, and never shortens the backoff', async () => {
    const date = (ms) => new Date(world.clock.now + ms).toUTCString();
    const cases = [
        ['2', 2000], ['0', 0], ['1.5', 1500], ['-5', 0], ['soon', 0], ['', 0], ['NaN', 0], ['Infinity', FIVE_MINUTES], ['1e400', FIVE_MINUTES],
        ['9999999', FIVE_MINUTES], ['86400', FIVE_MINUTES], ['99999999999999999999', FIVE_MINUTES], [() => date(30_000), 30_000], [() => date(-30_000), 0], [() => date(10 ** 10), FIVE_MINUTES], ['2, 3', undefined],
    ];
    for (const [value, expected] of cases) {
        for (const name of TRANSPORTS.slice(1)) {
            const { states, client } = await world.start(only(name), { a: {} });
            world.http.last.reply('<h1>Later</h1>', { status: 503, headers: { 'Retry-After': typeof value === 'string' ? value : value() } });
            await world.clock.tick();
            const { retryMs } = states.at(-1);
            if (expected === undefined) assert.ok(retryMs >= 250 && retryMs <= FIVE_MINUTES + 250);
            else assert.ok(Math.abs(retryMs - 250 - expected) < 1000, `${value}: ${retryMs}`);
            const count = world.http.all.length;
            await world.clock.tick(retryMs - 1);
            assert.equal(world.http.all.length, count);
            client.disconnect();
        }
    }
});

// What JSON can say where a number is meant.
const NUMBERS = ['-1', '0', '1e400', '-1e400', '2147483648', '1e15', '"soon"', '"5"', 'null', '{}', '[]', '[7]', 'true', '0.0001'];

test('no time that a server names makes a timer fire at once, again and again, or never', async () => {
    for (const number of NUMBERS) {
        const { client, states } = await world.start(only('websocket'));
        const socket = FakeWebSocket.last;
        socket.open();
        socket.onmessage({ data: `{"ref":${socket.op('connect').ref},"ok":true,"ping_seconds":${number}}` });
        await world.clock.tick(9000);
        assert.equal(client.state, 'connected', `ping_seconds ${number}`);
        socket.onmessage({ data: `{"event":"drain","retry_ms":${number}}\n{"event":"drain","retry_ms":${number}}` });
        await world.clock.tick(FIVE_MINUTES);
        assert.ok(FakeWebSocket.all.length > 1, `retry_ms ${number}`);
        assert.ok(states.length < 60, `${states.length} states within 5 minutes`);
        client.disconnect();
        FakeWebSocket.all = [];
    }
});

const many = (count, name = (index) => `chat:room-${index}`) => Object.fromEntries(Array.from({ length: count }, (_, index) => [name(index), {}]));
const open = () => world.http.all.filter(({ aborted, isAnswered, method }) => !aborted && !isAnswered && method === 'GET');

// Answers all requests under way as a gateway does that has news of each channel.
async function answerAll(name, offset) {
    for (const request of open()) {
        const channels = request.query.getAll('channel');
        const messages = channels.map((channel) => ({ channel, id: `7-${offset}`, data: channel }));
        if (name === 'sse') {
            request.begin('text/event-stream');
            request.push(event('7-0') + messages.map((message) => event(`7-${offset}`, message)).join(''));
        } else if (name === 'stream') {
            request.begin('application/x-ndjson');
            request.push(line({ cursor: '7-0', event: 'open' }) + messages.map(line).join(''));
        } else request.reply({ cursor: '7-0', messages });
        request.isAnswered = true;
    }
    await world.clock.tick();
}

for (const name of TRANSPORTS.slice(1)) {
    test(`${name}: 128 channels are heard, by as many requests as their URLs take`, async () => {
        const { client, seen } = await world.start(only(name), many(128));
        assert.ok(open().length <= 4);
        await answerAll(name, 1);
        assert.equal(client.state, 'connected');
        assert.equal(seen.filter((each) => each.startsWith('begun')).length, 128);
        assert.equal(new Set(seen.filter((each) => each.startsWith('chat:'))).size, 128);
        for (const { url, query } of world.http.all) {
            assert.ok(url.href.length < 4096, `${url.href.length} bytes`);
            assert.ok(query.getAll('channel').length <= 50);
        }
    });

    test(`${name}: a URL is not too long with the cursor of every channel either`, async () => {
        const { client } = await world.start(only(name), many(60, (index) => `${index}:${'ü'.repeat(10)}`));
        const channels = client;
        await answerAll(name, 1);
        assert.equal(channels.state, 'connected');
        for (const request of world.http.all) request.controller?.close?.();
        await world.clock.tick(30_000);
        assert.ok(world.http.all.length > 3);
        for (const { url } of world.http.all) assert.ok(url.href.length < 4096);
    });

    test(`${name}: "too long" leads to smaller pieces, down to one channel, and then to an error`, async () => {
        for (const status of [414, 431]) {
            const { client, codes } = await world.start(only(name), many(20));
            for (const most of [20, 10]) {
                assert.equal(Math.max(...open().map(({ query }) => query.getAll('channel').length)), most);
                for (const request of open().slice(0, 1)) request.reply('<h1>Too long</h1>', { status });
                await world.clock.tick();
            }
            client.disconnect();
            world.http.all = [];

            const lone = await world.start(only(name), many(1));
            for (let round = 0; round < 5; round++) {
                world.http.last.reply('<h1>Too long</h1>', { status });
                await world.clock.tick();
                await world.clock.tick(lone.states.at(-1).retryMs);
            }
            assert.deepEqual([...codes(), ...lone.codes()], ['request_too_large']);
            assert.ok(lone.states.at(-1).retryMs >= 2000, 'with backoff');
            lone.client.disconnect();
            world.http.all = [];
        }
    });
}

test('more channels than streams can carry are told, and polled', async () => {
    const { codes, client } = await world.start({ transports: ['sse', 'longpoll', 'poll'] }, many(300));
    assert.deepEqual(codes(), ['too_many_channels']);
    await answerAll('poll', 1);
    assert.deepEqual([client.state, client.transport], ['connected', 'poll']);
});

test('a limit of channels that is smaller than a piece makes the pieces smaller', async () => {
    await world.start(only('sse'), many(40));
    world.http.last.reply(error('channel_limit'), { status: 429 });
    await world.clock.tick();
    assert.deepEqual(open().map(({ query }) => query.getAll('channel').length), [20, 20]);
});

test('one piece that falls silent is noticed beside others that speak', async () => {
    const { states } = await world.start(only('stream'), many(60));
    await answerAll('stream', 1);
    const [first] = open().length ? open() : world.http.all;
    for (let second = 0; second < 40; second += 10) {
        await world.clock.tick(10_000);
        if (!first.aborted) first.push('\n');
    }
    assert.equal(states[2].reason, 'no sign of life');
});

test('by WebSocket no frame holds more than one command', async () => {
    const sizes = [];
    const { send } = FakeWebSocket.prototype;
    FakeWebSocket.prototype.send = function (text) {
        sizes.push(text.length);
        send.call(this, text);
    };
    await world.start(only('websocket'), many(128));
    FakeWebSocket.last.open();
    FakeWebSocket.prototype.send = send;
    assert.equal(sizes.length, 129);
    assert.ok(Math.max(...sizes) < 500);
});

// Until the client tries once more.
async function attempt() {
    const { length } = FakeWebSocket.all;
    while (FakeWebSocket.all.length === length) await world.clock.tick(100);
}

test('what is published while away is sent on return, at most five minutes later', async () => {
    const { client } = await world.start(only('websocket'));
    FakeWebSocket.last.welcome();
    const underWay = client.publish('a', 1, { key: 'k' });
    await world.clock.tick(2000);
    FakeWebSocket.refuse = true;
    FakeWebSocket.last.drop(1006);
    const typed = client.publish('a', 2);
    const late = assert.rejects(client.history('a'), { code: 'unreachable', message: /^The gateway could not be reached/ });
    await world.clock.tick(200_000);
    FakeWebSocket.refuse = false;
    await attempt();
    const published = () => FakeWebSocket.last.sent.filter(({ op }) => op === 'publish');
    FakeWebSocket.last.welcome();
    assert.deepEqual(published().map(({ data }) => data), [1, 2]);
    for (const op of published()) FakeWebSocket.last.ok(op, { id: '7-1' });
    assert.deepEqual([(await underWay).id, (await typed).id], ['7-1', '7-1']);
    FakeWebSocket.refuse = true;
    FakeWebSocket.last.drop(1006);
    await world.clock.tick(FIVE_MINUTES);
    await late;
});

test('a publish that was under way in connection after connection is given up', async () => {
    const { client } = await world.start(only('websocket'));
    const published = assert.rejects(client.publish('a', 1, { key: 'k' }), { code: 'connection_lost' });
    for (let round = 0; round < 4; round++) {
        FakeWebSocket.last.welcome();
        FakeWebSocket.last.drop(1006);
        await attempt();
    }
    await published;
    FakeWebSocket.last.welcome();
    assert.equal(FakeWebSocket.last.op('publish'), undefined);
});

test('after a sleep what has arrived is read before silence is judged', async () => {
    const { client, states } = await world.start(only('websocket'));
    FakeWebSocket.last.welcome();
    const published = client.publish('a', 1);
    world.clock.sleep(3_600_000);
    await world.clock.tick();
    assert.equal(client.state, 'connected');
    FakeWebSocket.last.say({ event: 'ping' });
    FakeWebSocket.last.ok(FakeWebSocket.last.op('publish'));
    await published;
    await world.clock.tick(30_000);
    assert.equal(states.length, 2);
    const late = assert.rejects(client.publish('a', 1), { code: 'connection_lost' });
    world.clock.sleep(3_600_000);
    await world.clock.tick(5000);
    assert.equal(client.state, 'connecting', 'what says nothing then is dead');
    await late;
});

for (const name of TRANSPORTS.slice(1)) {
    test(`${name}: so it is over HTTP`, async () => {
        const { states, seen } = await world.start(only(name), { a: {} });
        await world.answer(name, 'a');
        const request = world.http.last;
        world.clock.sleep(3_600_000);
        await world.clock.tick();
        if (name === 'sse') request.push(event('7-1', { channel: 'a', id: '7-1', data: 'news' }));
        else if (name === 'stream') request.push(line({ cursor: '7-1', channel: 'a', id: '7-1', data: 'news' }));
        else request.reply({ cursor: '7-1', messages: [{ channel: 'a', id: '7-1', data: 'news' }] });
        await world.clock.tick(20_000);
        assert.deepEqual(seen, ['begun a', 'news']);
        assert.equal(states.length, 2);
    });
}

test('an attempt that was under way when the computer fell asleep may still succeed', async () => {
    const { client, states } = await world.start(only('websocket'));
    world.clock.sleep(3_600_000);
    await world.clock.tick();
    FakeWebSocket.last.welcome();
    await world.clock.tick(10_000);
    assert.deepEqual([client.state, states.length], ['connected', 2]);
});

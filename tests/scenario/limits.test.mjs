// Every limit, what a client beyond it is told, and the counter that tells the operator.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { RawSocket } from '../lib/raw.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

// One worker, so that "per worker process" means all of it.
const start = (t, env) => Gateway.start(t, { env });

const refused = (options) => NativeClient.open(...options).then(
    () => assert.fail('let in'),
    (error) => error,
);

const refusals = (gateway, reason) => gateway.metric('fantail_refusals_total', `reason="${reason}"`);

function assertIsFull(error) {
    assert.equal(error.status, 503);
    assert.ok(Number(error.headers['retry-after']) > 0);
    assert.equal(JSON.parse(error.body).error.code, 'too_many_connections');
}

test('limits.connections: one more is answered with 503 and Retry-After, until another leaves', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_CONNECTIONS: '3' });
    const clients = [];
    for (let i = 0; i < 3; i++) clients.push(await NativeClient.open(gateway));
    for (let i = 0; i < 5; i++) assertIsFull(await refused([gateway]));
    assert.equal(await refusals(gateway, 'full'), 5);
    assert.equal(await gateway.metric('fantail_connections'), 3);
    for (const client of clients) assert.ok((await client.request({ op: 'ping' })).ok);

    await clients.pop().end();
    await until('room for another', async () => (await gateway.metric('fantail_connections')) === 2);
    clients.push(await NativeClient.open(gateway));
    assertIsFull(await refused([gateway]));
    for (const client of clients) await client.end();
});

test('limits.connections: those beyond it cost no memory that stays, however many come', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_CONNECTIONS: '1' });
    const client = await NativeClient.open(gateway);
    for (let round = 0; round < 20; round++) {
        const crowd = await Promise.all(Array.from({ length: 50 }, () => RawSocket.connect(gateway.port)));
        await Promise.all(crowd.map((raw) => raw.close()));
        assert.ok(crowd.every((raw) => raw.text.startsWith('HTTP/1.1 503 ')));
    }
    assert.equal(await refusals(gateway, 'full'), 1000);
    assert.ok((await client.request({ op: 'ping' })).ok);
    await client.end();
});

test('limits.connections_per_ip: each address has its own', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_CONNECTIONS_PER_IP: '2' });
    const clients = [await NativeClient.open(gateway), await NativeClient.open(gateway)];
    assertIsFull(await refused([gateway]));
    const neighbour = await NativeClient.open(gateway, { localAddress: '127.0.0.2' });
    assert.equal(await refusals(gateway, 'per_ip'), 1);
    await clients.pop().end();
    await until('its connection is gone', async () => (await gateway.metric('fantail_connections')) === 2);
    clients.push(await NativeClient.open(gateway));
    for (const client of [neighbour, ...clients]) await client.end();
});

test('limits.accepts_per_second: a storm is turned away, and who comes later gets in', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_ACCEPTS_PER_SECOND: '5' });
    const results = await Promise.allSettled(Array.from({ length: 30 }, () => NativeClient.open(gateway)));
    const inside = results.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
    const outside = results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason);
    assert.ok(inside.length >= 5 && inside.length <= 12, `${inside.length} got in`);
    outside.forEach(assertIsFull);
    assert.equal(await refusals(gateway, 'rate'), outside.length);
    inside.push(await until('another is let in', () => NativeClient.open(gateway)));
    for (const client of inside) await client.end();
});

test('limits.channels_per_session', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_CHANNELS_PER_SESSION: '3' });
    const client = await NativeClient.open(gateway);
    for (const channel of ['a', 'b', 'c']) await client.subscribe(channel);
    const reply = await client.request({ op: 'subscribe', channel: 'd' });
    assert.equal(reply.error.code, 'channel_limit');
    assert.equal(await gateway.metric('fantail_command_errors_total'), 1);
    assert.ok((await client.request({ op: 'subscribe', channel: 'a' })).ok, 'one it has is no further one');
    await client.request({ op: 'unsubscribe', channel: 'b' });
    await client.subscribe('d');
    const url = await refused([gateway, { path: '/v1/subscribe?channel=1&channel=2&channel=3&channel=4' }]);
    assert.equal(url.status, 429);
    assert.equal(JSON.parse(url.body).error.code, 'channel_limit');
    await client.end();
});

test('limits.message_bytes: for commands, frames and bodies', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_MESSAGE_BYTES: '100' });
    const client = await NativeClient.open(gateway);
    await client.subscribe('room');
    await client.publish('room', 'x'.repeat(98));
    assert.equal((await client.request({ op: 'publish', channel: 'room', data: 'x'.repeat(99) })).error.code, 'message_too_large');
    const post = (length) => fetch(`${gateway.url}/v1/publish?channel=room`, { method: 'POST', body: 'y'.repeat(length) });
    assert.equal((await post(100)).status, 200);
    assert.equal((await post(101)).status, 413);
    await client.message('room', (data) => data === 'y'.repeat(100));
    client.send('z'.repeat(10_000));
    assert.equal((await client.closed).code, 1009);
    assert.equal(await gateway.metric('fantail_closes_total', 'reason="too_large"'), 1);
});

test('limits.publishes_per_second: per client, by command and by HTTP', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_PUBLISHES_PER_SECOND: '3' });
    const client = await NativeClient.open(gateway);
    const neighbour = await NativeClient.open(gateway);
    const replies = await Promise.all(Array.from({ length: 10 }, (_, i) => client.request({ op: 'publish', channel: 'room', data: i })));
    assert.ok(replies.slice(0, 3).every(({ ok }) => ok));
    assert.ok(replies.slice(4).every(({ error }) => error.code === 'rate_limited'));
    assert.ok((await neighbour.publish('room', 1)).ok);
    assert.equal(await gateway.metric('fantail_command_errors_total'), replies.filter(({ error }) => error).length);
    await until('the next second', async () => (await client.request({ op: 'publish', channel: 'room', data: 1 })).ok);
    for (const each of [client, neighbour]) await each.end();

    // Several requests on one connection are one client.
    const raw = await RawSocket.connect(gateway.port);
    for (let i = 1; i <= 10; i++) {
        raw.write('POST /v1/publish?channel=room HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1');
        await until(`answer ${i}`, () => raw.text.split('HTTP/1.1 ').length === i + 1);
    }
    assert.match(raw.text, /HTTP\/1\.1 200 /);
    assert.match(raw.text, /HTTP\/1\.1 429 [^]*Retry-After: [^]*rate_limited/);
    raw.destroy();
});

test('limits.publishes_per_second: over HTTP an address is a client, on whatever connections', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_PUBLISHES_PER_SECOND: '3', FANTAIL_TRUSTED_PROXIES: '127.0.0.1' });
    // One connection of a proxy, which carries everybody's requests in turn.
    const proxy = await RawSocket.connect(gateway.port);
    let answers = 0;
    const publishAs = async (raw, client) => {
        const before = raw.text.length;
        const forwarded = client ? `X-Forwarded-For: ${client}\r\n` : '';
        raw.write(`POST /v1/publish?channel=room HTTP/1.1\r\nHost: x\r\n${forwarded}Content-Length: 1\r\n\r\n1`);
        await until(`answer ${++answers}`, () => /HTTP\/1\.1 \d+ [^]*\}\n$/.test(raw.text.slice(before)));
        return Number(raw.text.slice(before).match(/HTTP\/1\.1 (\d+)/)[1]);
    };
    const greedy = [];
    for (let i = 0; i < 10; i++) greedy.push(await publishAs(proxy, '192.0.2.1'));
    assert.deepEqual(greedy.slice(0, 3), [200, 200, 200]);
    assert.ok(greedy.filter((status) => status === 429).length >= 5, `${greedy}`);
    assert.equal(await publishAs(proxy, '192.0.2.2'), 200, 'its neighbour on the connection is another client');
    assert.equal(await publishAs(proxy, '2001:db8::1'), 200);

    // A connection for each request does not make it another client.
    const statuses = [];
    for (let i = 0; i < 10; i++) {
        const raw = await RawSocket.connect(gateway.port);
        statuses.push(await publishAs(raw, '198.51.100.7'));
        raw.destroy();
    }
    assert.ok(statuses.filter((status) => status === 429).length >= 3, `${statuses}`);
    proxy.destroy();
});

const withHistory = `
namespaces = ( { name = "default"; client_publish = true; }, { name = "chat"; client_publish = true; history_size = 2000; history_ttl_seconds = 300; } );
limits = { commands_per_second = 20; channels_per_session = 10; };
`;

async function startWithHistory(t, env) {
    const gateway = await Gateway.start(t, { dev: false, config: withHistory, env: { FANTAIL_BROKER: 'memory', ...env } });
    const client = await NativeClient.open(gateway);
    for (let at = 0; at < 2000; at += 100) {
        await Promise.all(Array.from({ length: 100 }, (_, i) => client.publish('chat:long', { number: at + i })));
    }
    return { gateway, client };
}

test('limits.commands_per_second: a history costs what it brings, and others do not feel it', async (t) => {
    const { gateway, client } = await startWithHistory(t);
    const neighbour = await NativeClient.open(gateway);
    const ask = { op: 'history', channel: 'chat:long', last: 2000 };
    const replies = await Promise.all(Array.from({ length: 60 }, () => client.request(ask)));
    const whole = replies.filter(({ ok }) => ok);
    assert.ok(whole.length >= 2 && whole.length <= 12, `${whole.length} were answered`);
    assert.ok(replies.every(({ ok, error }) => ok || error.code === 'rate_limited'));
    assert.equal(await gateway.metric('fantail_rate_limited_total'), 60 - whole.length);
    assert.ok((await neighbour.request(ask)).ok);
    await until('there is something left again', async () => (await client.request({ op: 'ping' })).ok);

    for (let i = 0; i < 1000; i++) client.send(JSON.stringify(ask));
    assert.equal((await client.closed).code, 3006, 'who goes on is closed');
    assert.equal(await gateway.metric('fantail_closes_total', 'reason="rate_limited"'), 1);
    assert.ok((await neighbour.request({ op: 'ping' })).ok);
    await neighbour.end();
});

test('limits.commands_per_second: what requests have replayed counts for the address', async (t) => {
    const { gateway, client } = await startWithHistory(t, { FANTAIL_TRUSTED_PROXIES: '127.0.0.1' });
    const poll = (address, query) =>
        fetch(`${gateway.url}/v1/subscribe?channel=chat:long&wait=0${query}`, { headers: { 'x-forwarded-for': address } });
    const greedy = await until('it is refused', async () => {
        const response = await poll('192.0.2.1', '&last=2000');
        const body = await response.json();
        return response.status === 429 && { response, body };
    }, { everyMs: 0 });
    assert.equal(greedy.body.error.code, 'rate_limited');
    assert.ok(Number(greedy.response.headers.get('retry-after')) > 0);
    assert.ok((await gateway.metric('fantail_rate_limited_total')) >= 1);
    assert.equal((await poll('192.0.2.1', '')).status, 200, 'what replays nothing is answered');
    assert.equal((await poll('192.0.2.2', '&last=2000')).status, 200, 'and so are others');
    const stream = await fetch(`${gateway.url}/v1/subscribe?channel=chat:long&last=2000`, {
        headers: { 'x-forwarded-for': '192.0.2.1', accept: 'text/event-stream' },
    });
    assert.equal(stream.status, 429, 'in whatever form it is asked');
    const again = await NativeClient.open(gateway, { headers: { 'x-forwarded-for': '192.0.2.1' } });
    assert.equal((await again.request({ op: 'history', channel: 'chat:long', last: 2000 })).error.code, 'rate_limited');
    assert.ok((await again.subscribe('chat:long')).ok);
    for (const each of [client, again]) await each.end();
});

test('limits.idle_seconds: a client that asks for nothing is closed with 3003', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_IDLE_SECONDS: '1' });
    const [idle, busy] = [await NativeClient.open(gateway), await NativeClient.open(gateway)];
    await idle.subscribe('room');
    const keep = setInterval(() => busy.send({ op: 'ping' }), 200);
    t.after(() => clearInterval(keep));
    assert.equal((await idle.closed).code, 3003);
    assert.equal(await gateway.metric('fantail_closes_total', 'reason="idle"'), 1);
    assert.equal(busy.close, undefined);
    clearInterval(keep);
    assert.equal((await busy.closed).code, 3003);
});

test('limits.handshake_seconds', async (t) => {
    const gateway = await start(t, { FANTAIL_LIMITS_HANDSHAKE_SECONDS: '1' });
    const silent = await Promise.all(Array.from({ length: 20 }, () => RawSocket.connect(gateway.port)));
    const client = await NativeClient.open(gateway);
    await Promise.all(silent.map((raw) => raw.close(4000)));
    await until('all are counted', async () => (await refusals(gateway, 'handshake')) === 20);
    assert.ok((await client.request({ op: 'ping' })).ok);
    await client.end();
});

test('file descriptors are set aside: clients that hold all others do not keep Redis away', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, workers: 1, nofile: 256, env: { FANTAIL_LIMITS_CONNECTIONS: '1000' } });
    assert.match(gateway.output, /fewer connections than configured limits\.connections=1000 possible=\d+/);
    const clients = [];
    t.after(() => Promise.all(clients.map((client) => client.end())));
    for (;;) {
        const client = await NativeClient.open(gateway).catch((error) => error);
        if (client.status !== undefined) {
            assertIsFull(client);
            break;
        }
        clients.push(client);
    }
    assert.ok(clients.length > 150, `${clients.length} clients`);
    await clients[0].subscribe('open:a');
    await redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until('the link is back', async () => (await gateway.metric('fantail_redis_lost_total')) > 0 && (await gateway.isReady()));
    await redis.publish('open:a', '"again"');
    await clients[0].message('open:a', (data) => data === 'again');
});

test('the admin port has a maximum of connections as well', async (t) => {
    const gateway = await start(t, {});
    const raws = [];
    t.after(() => raws.forEach((raw) => raw.destroy()));
    for (let n = 0; n < 520; n++) raws.push(await RawSocket.connect(gateway.adminPort));
    await until('some are refused', () => raws.some((raw) => raw.text.startsWith('HTTP/1.1 503 ')));
    raws.slice(0, 100).forEach((raw) => raw.destroy());
    await until('it answers again', async () => (await gateway.readyStatus()) === 200);
});

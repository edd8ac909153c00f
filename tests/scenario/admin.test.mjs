// The admin port: health, metrics, and the API behind its key.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { apiIsOn, apiKey, callApi } from '../lib/api.mjs';
import { openClientPerWorker } from '../lib/clients.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const WORKERS = 2;
const redis = await Redis.start({ after });
const gateway = await Gateway.start({ after }, { redis, workers: WORKERS, node: 'n1', env: apiIsOn });
const [ann, bob] = await openClientPerWorker(gateway, WORKERS);
after(() => [ann, bob].forEach((client) => client.socket.terminate()));
await ann.subscribe('chat:1');
await bob.subscribe('chat:1');
await bob.subscribe('news');

const get = (path, options) => fetch(`${gateway.adminUrl}${path}`, options);

test('the front of the admin port says what is there', async () => {
    const front = await get('/');
    assert.equal(front.status, 200);
    const text = await front.text();
    const known = ['/healthz', '/readyz', '/metrics', '/api/v1/'];
    for (const path of known) assert.ok(text.includes(`${path} `), path);
    for (const path of known.slice(0, 3)) assert.equal((await get(path)).status, 200, path);
    assert.doesNotMatch(text, new RegExp(apiKey));
});

test('healthz and readyz', async () => {
    const health = await get('/healthz');
    assert.equal(health.status, 200);
    assert.equal(health.headers.get('content-type'), 'application/json');
    assert.deepEqual(await health.json(), { ok: true });
    const ready = await get('/readyz');
    assert.equal(ready.status, 200);
    assert.deepEqual(await ready.json(), { ready: true });
    const head = await get('/healthz', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(await head.text(), '');
    assert.equal((await get('/healthz', { method: 'POST', body: 'x' })).status, 405);
});

test('the admin port serves nothing else, and the public port nothing of it', async () => {
    for (const path of ['/nothing', '/v1/ws', '/v1/publish', '/api', '/api/v2/clients', '/healthz/x']) assert.equal((await get(path)).status, 404, path);
    for (const path of ['/healthz', '/readyz', '/metrics', '/api/v1/clients']) assert.equal((await fetch(`${gateway.url}${path}`)).status, 404, path);
    const error = await NativeClient.open({ wsUrl: `ws://127.0.0.1:${gateway.adminPort}` }).catch((error) => error);
    assert.ok(error.status === 404 || error.status === 400, 'no WebSockets here');
});

// Prometheus' text format 0.0.4, read strictly.
function parseMetrics(text) {
    const families = new Map();
    assert.ok(text.endsWith('\n'));
    for (const line of text.slice(0, -1).split('\n')) {
        const help = line.match(/^# HELP ([a-z_:][a-z0-9_:]*) (\S.*)$/);
        const type = line.match(/^# TYPE (\S+) (counter|gauge|histogram)$/);
        const sample = line.match(/^([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9.]+(?:e[+-]?\d+)?|\+Inf|NaN)$/);
        if (help) {
            assert.ok(!families.has(help[1]), `${help[1]} twice`);
            families.set(help[1], { samples: new Map() });
        } else if (type) {
            assert.equal([...families.keys()].at(-1), type[1], 'TYPE follows its HELP');
            families.get(type[1]).type = type[2];
        } else {
            assert.ok(sample, `not a sample: ${line}`);
            const [, name, labels = '', value] = sample;
            const [family, { type, samples }] = [...families].at(-1);
            const suffix = name.slice(family.length);
            assert.ok(name.startsWith(family) && (type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']).includes(suffix), `${name} in ${family}`);
            assert.ok(!samples.has(`${name}{${labels}}`), `${line} twice`);
            samples.set(`${name}{${labels}}`, Number(value));
            if (type === 'counter') assert.match(family, /_total$/);
        }
    }
    return families;
}

test('metrics are what Prometheus reads', async () => {
    await ann.publish('chat:1', 1);
    await bob.message('chat:1');
    const response = await get('/metrics');
    assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    const families = parseMetrics(await response.text());
    const value = (family, sample = `${family}{}`) => families.get(family).samples.get(sample);
    assert.equal(value('fantail_workers'), WORKERS);
    assert.ok(value('fantail_connections') >= 2);
    assert.equal(value('fantail_subscriptions'), 3);
    assert.equal(value('fantail_sessions', 'fantail_sessions{transport="websocket"}'), 2);
    assert.equal(value('fantail_redis_up'), WORKERS);
    assert.ok([...families.get('fantail_build_info').samples.keys()][0].includes('node="n1"'));
    assert.ok(value('fantail_deliveries_total') >= 2);
    for (const [name, { type, samples }] of families) {
        if (type !== 'histogram') continue;
        const buckets = [...samples].filter(([sample]) => sample.startsWith(`${name}_bucket`));
        const bounds = buckets.map(([sample]) => Number(sample.match(/le="([^"]+)"/)[1].replace('+Inf', 'Infinity')));
        assert.deepEqual(bounds, [...bounds].sort((a, b) => a - b));
        assert.equal(bounds.at(-1), Infinity);
        const counts = buckets.map(([, count]) => count);
        assert.deepEqual(counts, [...counts].sort((a, b) => a - b), 'buckets are cumulative');
        assert.equal(counts.at(-1), samples.get(`${name}_count{}`));
    }
    assert.ok(value('fantail_delivery_seconds', 'fantail_delivery_seconds_count{}') >= 1);
});

test('the API wants its key, in either header', async () => {
    for (const headers of [
        {},
        { authorization: 'Bearer wrong' },
        { authorization: `Bearer ${apiKey.slice(0, -1)}` },
        { authorization: `Bearer ${apiKey}x` },
        { authorization: 'Bearer ' },
        { authorization: `Basic ${Buffer.from(`x:${apiKey}`).toString('base64')}` },
        { 'x-api-key': 'wrong' },
        { 'x-api-key': '' },
    ]) {
        const reply = await callApi(gateway, 'clients', undefined, { headers });
        assert.equal(reply.status, 401, JSON.stringify(headers));
        assert.equal(reply.body.error.code, 'key_required');
    }
    for (const headers of [{ authorization: `Bearer ${apiKey}` }, { authorization: `bearer ${apiKey}` }, { 'x-api-key': apiKey }]) {
        assert.equal((await callApi(gateway, 'clients', undefined, { headers })).status, 200);
    }
});

test('without a key in the configuration there is no API', async (t) => {
    const other = await Gateway.start(t);
    for (const headers of [{}, { authorization: 'Bearer ' }, { 'x-api-key': '' }]) {
        const reply = await callApi(other, 'clients', undefined, { headers });
        assert.equal(reply.status, 404);
        assert.equal(reply.body.error.code, 'api_disabled');
    }
});

test('calls that are none, or not meant so', async () => {
    assert.equal((await callApi(gateway, 'explode', {})).body.error.code, 'not_found');
    assert.equal((await callApi(gateway, 'publish')).status, 405);
    assert.equal((await callApi(gateway, 'disconnect')).status, 405);
    for (const body of ['', '{', '[]', '"text"', '{"channel":"a"', '\xff']) {
        const reply = await callApi(gateway, 'publish', body);
        assert.equal(reply.status, 400, body);
        assert.equal(reply.body.error.code, 'bad_json');
    }
    const refused = {
        channel_invalid: [{ data: 1 }, { channel: '', data: 1 }, { channel: 'a b', data: 1 }, { channel: 7, data: 1 }, { channel: '__sentinel__:hello', data: 1 }, { channel: 'fantail:probe:x', data: 1 }],
        bad_request: [{ channel: 'a' }, { channel: 'a', base64: '*' }, { channel: 'a', base64: 5 }],
        message_too_large: [{ channel: 'a', data: 'x'.repeat(70_000) }],
    };
    for (const [code, bodies] of Object.entries(refused)) {
        for (const body of bodies) assert.equal((await callApi(gateway, 'publish', body)).body.error.code, code, JSON.stringify(body).slice(0, 100));
    }
});

test('broadcast tells of each channel that did not take it', async () => {
    const reply = await callApi(gateway, 'broadcast', { channels: ['chat:1', 'not good', '', null, 7], data: 'b' });
    assert.equal(reply.status, 200);
    assert.equal(reply.body.ok, false);
    assert.equal(reply.body.published, 1);
    assert.deepEqual(reply.body.errors, { 'not good': 'channel_invalid', '': 'channel_invalid' });
    for (const client of [ann, bob]) await client.message('chat:1', (data) => data === 'b');
    assert.equal((await callApi(gateway, 'broadcast', { data: 1 })).body.error.code, 'bad_request');
    assert.deepEqual((await callApi(gateway, 'broadcast', { channels: [], data: 1 })).body, { ok: true, published: 0, errors: {} });
});

test('channels: how many subscribers each has, over all workers', async () => {
    const { body } = await callApi(gateway, 'channels');
    assert.deepEqual(body.channels['chat:1'].subscribers, 2);
    assert.deepEqual(body.channels.news.subscribers, 1);
    const some = await callApi(gateway, 'channels?prefix=chat:');
    assert.deepEqual(Object.keys(some.body.channels), ['chat:1']);
    assert.deepEqual((await callApi(gateway, 'channels', { prefix: 'ne' })).body.channels.news.subscribers, 1);
    assert.deepEqual((await callApi(gateway, 'channels?prefix=nobody')).body.channels, {});
});

test('clients: who is there, from where, and in which channels', async () => {
    const { body } = await callApi(gateway, 'clients');
    assert.equal(body.count, 2);
    const { session } = await bob.request({ op: 'connect' });
    const me = body.clients.find((client) => client.session === session);
    assert.match(me.address, /^127\.0\.0\.1:\d+$/);
    assert.equal(me.transport, 'websocket');
    assert.equal(me.protocol, 'fantail.v1');
    assert.deepEqual(me.channels.sort(), ['chat:1', 'news']);
    assert.deepEqual((await callApi(gateway, 'clients?channel=news')).body.clients.map((client) => client.session), [session]);
    assert.equal((await callApi(gateway, 'clients?limit=1')).body.count, 2);
});

test('disconnect: with and without coming back', async () => {
    for (const [body, code] of [[{}, 3000], [{ reconnect: true }, 3000], [{ reconnect: false }, 3504]]) {
        const client = await NativeClient.open(gateway);
        const { session } = await client.request({ op: 'connect' });
        assert.deepEqual((await callApi(gateway, 'disconnect', { session, ...body })).body, { disconnected: 1 });
        assert.equal((await client.closed).code, code);
        await until('it is gone', async () => (await callApi(gateway, 'disconnect', { session })).body.disconnected === 0);
    }
    assert.deepEqual((await callApi(gateway, 'disconnect', { session: 'nobody' })).body, { disconnected: 0 });
    assert.deepEqual((await callApi(gateway, 'disconnect', {})).body, { disconnected: 0 });
    assert.equal(ann.close, undefined);
    assert.equal(bob.close, undefined);
});

test('a caller that leaves before the answer harms nobody', async () => {
    for (let i = 0; i < 20; i++) {
        const leaving = new AbortController();
        const call = fetch(`${gateway.adminUrl}/api/v1/publish`, {
            method: 'POST',
            headers: { 'x-api-key': apiKey },
            body: '{"channel":"chat:1","data":1}',
            signal: leaving.signal,
        }).catch(() => {});
        if (i % 2) await new Promise((resolve) => setImmediate(resolve));
        leaving.abort();
        await call;
    }
    assert.equal((await get('/healthz')).status, 200);
    gateway.assertSane();
});

test('while Redis is away, publish says so', async () => {
    await redis.kill();
    await until('readyz says 503', async () => (await gateway.readyStatus()) === 503);
    await until('both workers know', async () => (await gateway.metric('fantail_redis_up')) === 0);
    const reply = await callApi(gateway, 'publish', { channel: 'chat:1', data: 1 });
    assert.equal(reply.status, 503);
    assert.equal(reply.body.error.code, 'broker_unavailable');
    assert.equal((await get('/healthz')).status, 200, 'healthz is about the process');
    assert.equal((await callApi(gateway, 'clients')).status, 200);
});

test('a list that clients have made long is cut, says so, and costs nobody anything', { timeout: 120_000 }, async (t) => {
    const many = await Gateway.start(t, { workers: 1, env: { ...apiIsOn, FANTAIL_LIMITS_CHANNELS_PER_SESSION: '2000' } });
    const clients = [];
    for (let i = 0; i < 12; i++) {
        const client = await NativeClient.open(many);
        t.after(() => client.socket.terminate());
        // Each backslash is two bytes in the list: 12 MB in all.
        const channels = Array.from({ length: 2000 }, (_, n) => `${'\\'.repeat(240)}:${i}:${n}`);
        for (let at = 0; at < channels.length; at += 100) {
            client.send(channels.slice(at, at + 100).map((channel) => JSON.stringify({ op: 'subscribe', channel })).join('\n'));
        }
        clients.push(client);
    }
    await until('all are subscribed', async () => (await many.metric('fantail_subscriptions')) === 24_000, { timeoutMs: 60_000 });
    const list = await callApi(many, 'clients', { limit: 100_000 });
    assert.equal(list.status, 200);
    assert.equal(list.body.count, 12);
    assert.equal(list.body.truncated, true);
    assert.ok(JSON.stringify(list.body).length <= 8 * 1024 * 1024 + 1024);
    const channels = await callApi(many, 'channels', { limit: 100_000 });
    assert.equal(channels.body.count, 24_000);
    assert.equal(channels.body.truncated, true);
    assert.equal((await callApi(many, 'channels', { limit: 3 })).body.truncated, true);
    assert.equal((await callApi(many, 'clients', { channel: `${'\\'.repeat(240)}:3:3` })).body.count, 1);
    for (const client of clients) assert.ok((await client.request({ op: 'ping' })).ok);
    assert.equal(await many.metric('fantail_worker_restarts_total'), 0);
});

test('a broadcast to more channels than one call may have', async () => {
    const { status, body } = await callApi(gateway, 'broadcast', { channels: new Array(100_001).fill('a'), data: 1 });
    assert.equal(status, 400);
    assert.equal(body.error.code, 'bad_request');
});

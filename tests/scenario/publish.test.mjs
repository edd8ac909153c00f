// A message published once, whichever way, reaches every subscriber on every worker of every node.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { apiIsOn, callApi } from '../lib/api.mjs';
import { openClientPerWorker } from '../lib/clients.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';

const WORKERS = 2;
const redis = await Redis.start({ after });
const nodes = await Promise.all(
    ['a', 'b'].map((node) => Gateway.start({ after }, { redis, node, workers: WORKERS, env: apiIsOn })),
);
const everyone = (await Promise.all(nodes.map((node) => openClientPerWorker(node, WORKERS)))).flat();
after(() => everyone.forEach((client) => client.socket.terminate()));

async function everyoneGets(channel, expected) {
    for (const client of everyone) {
        const { data } = await client.message(channel);
        assert.deepEqual(data, expected);
    }
}

async function everyoneSubscribes(channel) {
    for (const client of everyone) await client.subscribe(channel);
}

test('redis-cli PUBLISH reaches every subscriber on both nodes', async () => {
    await everyoneSubscribes('chat:redis');
    assert.equal(await redis.publish('chat:redis', '{"text":"hi"}'), 2 * WORKERS);
    await everyoneGets('chat:redis', { text: 'hi' });
});

test('an HTTP POST reaches every subscriber on both nodes', async () => {
    await everyoneSubscribes('chat:http');
    const response = await fetch(`${nodes[0].url}/v1/publish?channel=chat:http`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"text":"by http"}',
    });
    assert.equal(response.status, 200);
    assert.equal((await response.json()).ok, true);
    await everyoneGets('chat:http', { text: 'by http' });
});

test('what a client publishes reaches every subscriber on both nodes, itself included', async () => {
    await everyoneSubscribes('chat:client');
    await everyone[0].publish('chat:client', { text: 'from me' });
    await everyoneGets('chat:client', { text: 'from me' });
});

test('publish of the admin API reaches every subscriber on both nodes', async () => {
    await everyoneSubscribes('chat:api');
    const reply = await callApi(nodes[1], 'publish', { channel: 'chat:api', data: { text: 'from the office' } });
    assert.deepEqual(reply, { status: 200, body: { ok: true } });
    await everyoneGets('chat:api', { text: 'from the office' });
});

test('broadcast of the admin API reaches the subscribers of all its channels', async () => {
    for (const channel of ['chat:b1', 'chat:b2', 'news']) await everyoneSubscribes(channel);
    const reply = await callApi(nodes[0], 'broadcast', { channels: ['chat:b1', 'chat:b2', 'news'], data: 'fire drill' });
    assert.deepEqual(reply, { status: 200, body: { ok: true, published: 3, errors: {} } });
    for (const channel of ['chat:b1', 'chat:b2', 'news']) await everyoneGets(channel, 'fire drill');
});

test('/v1/subscribe as a WebSocket takes its channels from the URL', async () => {
    const client = await NativeClient.open(nodes[0], { path: '/v1/subscribe?channel=url:one&channel=url:%C3%BC&channel=url%3Athree' });
    for (const channel of ['url:one', 'url:ü', 'url:three']) {
        await client.frame(`confirmation of ${channel}`, (frame) => frame.ok && frame.channel === channel);
        await redis.publish(channel, `"to ${channel}"`);
        assert.equal((await client.message(channel)).data, `to ${channel}`);
    }
    await client.end();
});

test('who unsubscribes gets no more, and the others still do', async () => {
    await everyoneSubscribes('chat:leave');
    const [leaver, ...others] = everyone;
    await leaver.request({ op: 'unsubscribe', channel: 'chat:leave' });
    await redis.publish('chat:leave', '"after"');
    for (const client of others) await client.message('chat:leave');
    await leaver.request({ op: 'ping' });
    assert.deepEqual(leaver.messages('chat:leave'), []);
});

test('a client of another channel hears nothing of it', async () => {
    await everyone[0].subscribe('chat:mine');
    await everyone[1].subscribe('chat:mine2');
    await redis.publish('chat:mine', '1');
    await redis.publish('chat:mine2', '2');
    await everyone[0].message('chat:mine');
    await everyone[1].message('chat:mine2');
    assert.deepEqual(everyone[0].messages('chat:mine2'), []);
    assert.deepEqual(everyone[1].messages('chat:mine'), []);
});

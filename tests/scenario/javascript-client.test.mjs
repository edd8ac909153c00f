// The JavaScript client against the real thing, on each of its transports. What needs a clock is in clients/js/test.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { WebSocket } from 'ws';

import { Fantail } from '../../clients/js/fantail.js';
import { wholeFile } from '../lib/file.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { freePort } from '../lib/ports.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const config = `
namespaces = ( { name = "default"; client_publish = true; }, { name = "chat"; client_publish = true; history_size = 100; history_ttl_seconds = 300; } );`;
const TRANSPORTS = ['websocket', 'sse', 'stream', 'longpoll', 'poll'];

const file = wholeFile();
let redis, gateway;

before(async () => {
    globalThis.WebSocket = WebSocket;
    redis = await Redis.start(file);
    gateway = await Gateway.start(file, { config, redis, workers: 1 });
});

const fcall = (channel, payload) => redis.cli('FCALL', 'fantail_publish', 1, channel, payload);

// What a client hears of channels on one transport, in one list.
function connect(t, transports, channels = [], url = gateway.url) {
    const seen = [];
    const states = [];
    const client = new Fantail(url, { transports, onState: (state) => states.push(state), onError: ({ code }) => seen.push(code) });
    t.after(() => client.disconnect());
    for (const channel of channels) {
        client.subscribe(channel, {
            onMessage: (data) => seen.push(data),
            onSubscribed: () => seen.push(`begun ${channel}`),
            onGap: () => seen.push('gap'),
            onError: ({ code }) => seen.push(code),
        });
    }
    client.connect();
    const begun = () => until(`${transports} to begin`, () => channels.every((channel) => seen.includes(`begun ${channel}`)));
    return { client, seen, states, begun };
}

for (const name of TRANSPORTS) {
    test(`${name}: texts with separators of lines and paragraphs come as they are, over one connection`, async (t) => {
        const { seen, states, begun } = connect(t, [name], [`chat:odd-${name}`]);
        await begun();
        const texts = ['a\u2028b', 'c\u2029d', '\ufeffe\u0085f', '\u{1f389}', 'plain'];
        for (const text of texts) await fcall(`chat:odd-${name}`, JSON.stringify(text));
        await until('all', () => seen.length > texts.length);
        assert.deepEqual(seen.slice(1), texts);
        assert.deepEqual(states, ['connecting', 'connected']);
    });

    test(`${name}: 128 channels are heard`, async (t) => {
        const channels = Array.from({ length: 128 }, (_, index) => `chat:${name}-${index}`);
        const { seen, begun } = connect(t, [name], channels);
        await begun();
        await Promise.all(channels.map((channel) => fcall(channel, JSON.stringify(channel))));
        await until('each', () => channels.every((channel) => seen.includes(channel)));
        assert.equal(seen.length, 256);
    });

    test(`${name}: who only publishes is connected when somebody is there, and sends then what was typed before`, async (t) => {
        const port = await freePort();
        const { client, states } = connect(t, [name], [], `http://127.0.0.1:${port}`);
        const published = client.publish(`chat:only-${name}`, 'typed before');
        await until('some attempts', () => states.length > 3);
        assert.equal(states.includes('connected'), false);
        await Gateway.start(t, { config, redis, port, workers: 1 });
        assert.match((await published).id, /^\d+-0$/);
        assert.equal(states.at(-1), 'connected');
    });

    test(`${name}: a listener that comes later gets what it asks for, and is told`, async (t) => {
        const channel = `chat:late-${name}`;
        const { client, seen, begun } = connect(t, [name], [channel]);
        await begun();
        for (let number = 1; number <= 5; number++) await fcall(channel, number);
        await until('five', () => seen.length === 6);
        const late = [];
        client.subscribe(channel, { last: 3, onMessage: (data) => late.push(data), onSubscribed: ({ position }) => late.push(position.split('-')[1]) });
        await fcall(channel, 6);
        await until('three, and those that come', () => late.includes(6) && seen.includes(6));
        // The sixth may be there already when the last three are looked for.
        const heard = late.filter((each) => typeof each === 'number');
        assert.deepEqual(heard, heard.length === 3 ? [4, 5, 6] : [3, 4, 5, 6]);
        assert.deepEqual(seen.slice(1), [1, 2, 3, 4, 5, 6]);
        const { messages } = await client.history(channel, { last: 2 });
        assert.deepEqual(messages.map(({ data }) => data), [5, 6]);
    });

    test(`${name}: one channel that is none spoils nothing for the others`, async (t) => {
        const { seen, states } = connect(t, [name], ['no{name}', `chat:good-${name}`]);
        await until('one to begin', () => seen.includes(`begun chat:good-${name}`));
        await fcall(`chat:good-${name}`, 1);
        await until('the message', () => seen.includes(1));
        assert.deepEqual(seen.filter((each) => each === 'channel_invalid'), ['channel_invalid']);
        assert.equal(states.at(-1), 'connected');
    });
}

test('while Redis refuses, subscriptions and publishes are tried again, on every transport', async (t) => {
    const full = await Redis.start(t);
    const node = await Gateway.start(t, { config, redis: full, workers: 1 });
    await full.cli('CONFIG', 'SET', 'maxmemory', '1mb');
    const clients = TRANSPORTS.map((name) => connect(t, [name], [`chat:${name}`], node.url));
    await until('the connected ones to be', () => clients[0].states.includes('connected'));
    const published = clients.map(({ client }, index) => client.publish(`chat:${TRANSPORTS[index]}`, 'typed while it was full', { key: 'k' }));
    await until('WebSocket to hear of it', () => clients[0].seen.length > 0 || clients[0].states.length > 1);
    await full.cli('CONFIG', 'SET', 'maxmemory', '0');
    await Promise.all(published);
    for (const [index, { seen, begun }] of clients.entries()) {
        await begun();
        await full.cli('FCALL', 'fantail_publish', 1, `chat:${TRANSPORTS[index]}`, '"well again"');
        await until(`${TRANSPORTS[index]} to hear`, () => seen.includes('well again'));
    }
});

// Pings: how the gateway finds clients that are gone, and how a page finds that the gateway is.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { RawSocket } from '../lib/raw.mjs';
import { until } from '../lib/wait.mjs';

const gateway = await Gateway.start({ after }, { env: { FANTAIL_PING_INTERVAL_SECONDS: '1', FANTAIL_PING_TIMEOUT_SECONDS: '1' } });

const eventPings = (client) => client.frames.filter(({ event }) => event === 'ping').length;

test('a client that only listens is pinged again and again, and stays', async () => {
    const client = await NativeClient.open(gateway);
    let pings = 0;
    client.socket.on('ping', () => pings++); // npm's ws answers by itself.
    await until('three pings', () => pings >= 3);
    await client.request({ op: 'ping' });
    assert.equal(eventPings(client), 0, 'nothing for scripts unless they ask for it');
    await client.end();
});

test('a client that asks for visible pings gets them as well, and stays with or without a pong', async () => {
    const client = await NativeClient.open(gateway);
    const reply = await client.request({ op: 'connect', ping: true });
    assert.equal(reply.ping_seconds, 1);
    let pings = 0;
    client.socket.on('ping', () => pings++);
    await until('two visible pings', () => eventPings(client) >= 2);
    client.send({ op: 'pong' });
    await until('a third', () => eventPings(client) >= 3);
    assert.ok(pings >= 3);
    assert.ok(client.frames.every((frame) => !frame.error), 'a pong is answered with nothing');
    await client.end();
});

test('a client that answers nothing is closed with 3004', async () => {
    const before = await gateway.metric('fantail_closes_total', 'reason="ping_timeout"');
    const client = await NativeClient.open(gateway, { autoPong: false });
    assert.deepEqual(await client.closed, { code: 3004, reason: 'the client did not answer a ping' });
    assert.equal(await gateway.metric('fantail_closes_total', 'reason="ping_timeout"'), before + 1);
});

test('a visible pong, or any command, is as good as a WebSocket pong', async () => {
    const client = await NativeClient.open(gateway, { autoPong: false });
    await client.request({ op: 'connect', ping: true });
    for (let count = 1; count <= 4; count++) {
        await until(`visible ping ${count}`, () => eventPings(client) >= count);
        client.send({ op: count % 2 ? 'pong' : 'ping' });
    }
    await client.end();
});

test('a client whose host is gone without a word is given up', async () => {
    const raw = await RawSocket.webSocket(gateway);
    raw.socket.pause(); // Reads nothing and says nothing: what a suspended laptop looks like.
    const before = await gateway.metric('fantail_connections');
    await until('the connection is gone', async () => (await gateway.metric('fantail_connections')) < before, { timeoutMs: 12_000 });
    raw.destroy();
});

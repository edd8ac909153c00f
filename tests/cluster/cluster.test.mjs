// Three nodes, Redis and HAProxy in real containers: what the system promises as a whole.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';

import { NativeClient } from '../lib/native.mjs';
import { until } from '../lib/wait.mjs';
import * as cluster from './compose.mjs';

const opened = new Set();

// A client anywhere, through the load balancer; `node` is where it came out.
async function connect() {
    const client = await NativeClient.open(cluster);
    opened.add(client);
    const reply = await client.request({ op: 'connect' });
    client.node = reply.node;
    return client;
}

// A client on each node. The balancer chooses, so ask it until it has chosen all of them.
async function connectToAll(nodes = cluster.nodes) {
    const clients = {};
    await until(`a client on each of ${nodes}`, async () => {
        const client = await connect();
        if (nodes.includes(client.node) && !clients[client.node]) clients[client.node] = client;
        else await leave(client);
        return nodes.every((node) => clients[node]);
    });
    return clients;
}

async function leave(client) {
    opened.delete(client);
    await client.end();
}

before(() => cluster.allUp());

beforeEach(async () => {
    await Promise.all([...opened].map((client) => leave(client).catch(() => {})));
    await cluster.allUp();
});

after(() => {
    for (const client of opened) client.socket.terminate();
});

test('one redis-cli PUBLISH reaches clients on all three nodes', async () => {
    const clients = await connectToAll();
    for (const client of Object.values(clients)) await client.subscribe('chat:lobby');

    await cluster.redisPublish('chat:lobby', '{"text":"to all"}');
    for (const client of Object.values(clients)) await client.message('chat:lobby', (data) => data.text === 'to all');
});

test('what a client publishes on one node arrives on the others', async () => {
    const { node1, node2, node3 } = await connectToAll();
    for (const client of [node2, node3]) await client.subscribe('chat:across');

    await node1.publish('chat:across', { text: 'from node1' });
    for (const client of [node2, node3]) await client.message('chat:across', (data) => data.text === 'from node1');
});

test('a draining node gets nobody new, keeps whom it has, and sends them away', async (t) => {
    // They are sent away at moments spread over drain_seconds, so of many some are still there a second later.
    const clients = [];
    await until('20 clients on node2', async () => {
        const client = await connect();
        if (client.node === 'node2') clients.push(client);
        return clients.length === 20;
    }, { timeoutMs: 30_000 });
    t.after(() => cluster.start('node2'));

    await cluster.end('node2', 'TERM');
    const found = await cluster.judged('node2', 'DOWN');
    assert.equal(found.code, 503, 'it was readyz that told HAProxy, not a refused connection');
    assert.ok(clients.some((client) => !client.close), 'nobody is left on a node that began to drain just now');
    for (let i = 0; i < 12; i++) {
        const other = await connect();
        assert.notEqual(other.node, 'node2');
        await leave(other);
    }
    for (const client of clients) {
        const drain = await client.event('drain');
        assert.ok(drain.retry_ms >= 0);
        // 1006 would be HAProxy cutting them off.
        assert.equal((await client.closed).code, 1001);
    }
});

test('a node that lost Redis gets nobody new and keeps whom it has', async (t) => {
    const { node3 } = await connectToAll(['node3']);
    // Without history: what was missed of a channel with one is read from its stream, and nobody is told of a gap.
    await node3.subscribe('plain:deaf');
    let cut = true;
    const mend = async () => {
        if (cut) await cluster.reconnect('node3', 'back');
        cut = false;
    };
    t.after(mend);

    await cluster.disconnect('node3', 'back');
    assert.equal((await cluster.judged('node3', 'DOWN')).code, 503);
    for (let i = 0; i < 12; i++) {
        const other = await connect();
        assert.notEqual(other.node, 'node3');
        await leave(other);
    }
    await cluster.redisPublish('plain:deaf', '"never seen on node3"');

    await mend();
    await cluster.judged('node3', 'UP');
    await node3.event('gap', (frame) => frame.channel === 'plain:deaf');
    await cluster.redisPublish('plain:deaf', '"seen again"');
    await node3.message('plain:deaf', (data) => data === 'seen again');
    assert.deepEqual(node3.messages('plain:deaf'), ['seen again']);
    assert.equal(node3.close, undefined);
});

test('a node that was killed is back in service after its restart', async (t) => {
    t.after(() => cluster.start('node1'));
    await cluster.end('node1', 'KILL');
    await cluster.judged('node1', 'DOWN');
    await cluster.start('node1');
    await cluster.judged('node1', 'UP');
    const { node1 } = await connectToAll(['node1']);
    await node1.subscribe('chat:again');
    await cluster.redisPublish('chat:again', '"hello again"');
    await node1.message('chat:again');
});

test('every metric on the dashboard is one that the nodes export', async () => {
    const dashboard = await readFile(new URL('../../deploy/grafana/dashboards/fantail.json', import.meta.url), 'utf8');
    const address = await cluster.addressOf('node1', 'front');
    const metrics = await (await fetch(`http://${address}:8001/metrics`)).text();
    const exported = new Set([...metrics.matchAll(/^(fantail_[a-z0-9_]+)/gm)].map((match) => match[1]));
    const asked = new Set([...dashboard.matchAll(/fantail_[a-z0-9_]+/g)].map((match) => match[0]));
    assert.deepEqual(
        [...asked].filter((name) => !exported.has(name)),
        [],
    );
});

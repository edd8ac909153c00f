// Clients that are gone without a word: a network namespace of its own, whose link goes down.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { run } from '../lib/process.mjs';
import { until } from '../lib/wait.mjs';

const OURS = '10.77.0.1';
const THEIRS = '10.77.0.2';

// A namespace with one link to ours; false where the system does not let us.
async function farAway(t) {
    const name = `fantail-far-${process.pid}`;
    const ip = (...args) => run('ip', args);
    const there = (...args) => ip('netns', 'exec', name, ...args);
    t.after(() => ip('netns', 'delete', name).catch(() => {}));
    try {
        await ip('netns', 'add', name);
        await ip('link', 'add', `f${process.pid}`, 'type', 'veth', 'peer', 'name', 'near', 'netns', name);
    } catch {
        return false;
    }
    t.after(() => ip('link', 'delete', `f${process.pid}`).catch(() => {}));
    await ip('address', 'add', `${OURS}/30`, 'dev', `f${process.pid}`);
    await ip('link', 'set', `f${process.pid}`, 'up');
    await there('ip', 'address', 'add', `${THEIRS}/30`, 'dev', 'near');
    await there('ip', 'link', 'set', 'near', 'up');
    return { name, cut: () => there('ip', 'link', 'set', 'near', 'down') };
}

const client = `
    const net = require('net');
    const get = (transport, ...headers) => ['GET /v1/subscribe?channel=a&transport=' + transport + '&wait=120 HTTP/1.1', 'Host: x', ...headers, '', ''];
    const requests = [
        get('sse'), get('stream'), get('longpoll'),
        get('ws', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='),
        ['GET /none HTTP/1.1', 'Host: x', '', ''],
    ];
    for (const lines of requests) net.connect(PORT, '${OURS}').write(lines.join('\\r\\n'));
`;

test('whatever it carried, a connection whose client is gone without a word is given up', async (t) => {
    const far = await farAway(t);
    if (!far) return t.skip('no network namespaces here');
    const gateway = await Gateway.start(t, {
        dev: true,
        config: 'ping = { interval_seconds = 2; timeout_seconds = 2; };',
        workers: 1,
        env: { FANTAIL_LISTEN_ADDRESS: OURS, FANTAIL_BROKER: 'memory' },
    });
    const process = spawn('ip', ['netns', 'exec', far.name, 'node', '-e', client.replace('PORT', gateway.port)], { stdio: 'inherit' });
    t.after(() => process.kill('SIGKILL'));
    const kinds = ['sse', 'stream', 'longpoll', 'websocket'];
    const open = async () => Promise.all(kinds.map((kind) => gateway.metric('fantail_sessions', `transport="${kind}"`)));
    await until('all are there', async () => (await open()).every((count) => count === 1) && (await gateway.metric('fantail_connections')) === 5);
    await far.cut();
    const started = performance.now();
    await until('all are given up', async () => (await gateway.metric('fantail_connections')) === 0, { timeoutMs: 20_000 });
    assert.deepEqual(await open(), [0, 0, 0, 0]);
    t.diagnostic(`gone ${((performance.now() - started) / 1000).toFixed(1)} s after the link`);
});

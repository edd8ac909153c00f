// What answers at Redis' address is no Redis, or a proxy that miscounts: a bad peer is a lost link, and no more.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { until } from '../lib/wait.mjs';

async function startLiar(t, says) {
    const server = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.on('data', (asked) => socket.writable && says(socket, asked));
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    return `redis://127.0.0.1:${server.address().port}`;
}

const lies = {
    'a reply too many': [(socket) => socket.write('+OK\r\n:1\r\n+PONG\r\n:1\r\n'.repeat(5)), /not asked/],
    'messages on the link for commands': [(socket) => socket.write('*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n'.repeat(5)), /not asked/],
    'an error out of the blue': [(socket) => socket.write('-ERR max number of clients reached\r\n'.repeat(5)), /max number of clients/],
    'a line without end': [(socket) => socket.write(`+${'x'.repeat(1 << 20)}`), /line without end/],
    'a web page': [(socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), /Protocol error/],
};

for (const [what, [says, why]] of Object.entries(lies)) {
    test(`${what}: the link is lost, the worker lives`, async (t) => {
        const redis = await startLiar(t, says);
        const gateway = await Gateway.start(t, { redis, workers: 1, awaitReady: false });
        await until('the reason is told', async () => why.test(gateway.output));
        const client = await NativeClient.open(gateway);
        assert.ok((await client.request({ op: 'ping' })).ok);
        assert.equal(await gateway.readyStatus(), 503);
        assert.equal(await gateway.metric('fantail_worker_restarts_total'), 0);
        await client.end();
    });
}

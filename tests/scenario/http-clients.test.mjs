// HTTP as the libraries of others speak it: each publishes, polls and reads a stream. What is not installed is left out;
// docs/protocols/conformance.md says which versions were run by hand.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import { Gateway, root } from '../lib/gateway.mjs';
import { run } from '../lib/process.mjs';

const config = `
broker = "memory";
limits = { message_bytes = 2000000; outbox_bytes = 4000000; };
namespaces = (
  { name = "default"; },
  { name = "chat"; client_publish = true; history_size = 1; history_ttl_seconds = 300; }
);`;
const gateway = await Gateway.start({ after }, { config });
const at = (file) => path.join(root, 'tests/lib/http-clients', file);

// `asks` is a command that succeeds where the client is installed.
const clients = {
    curl: { asks: ['curl', '--version'], runs: ['bash', at('curl.sh')] },
    "Python's requests": { asks: ['/usr/bin/python3', '-c', 'import requests'], runs: ['/usr/bin/python3', at('python_requests.py')] },
    "Python's aiohttp": { asks: ['/usr/bin/python3', '-c', 'import aiohttp'], runs: ['/usr/bin/python3', at('python_aiohttp.py')] },
    "node's fetch": { asks: ['node', '--version'], runs: ['node', at('node_fetch.mjs')] },
    "node's http": { asks: ['node', '--version'], runs: ['node', at('node_http.mjs')] },
    "Java's HttpClient": { asks: ['java', '--version'], runs: ['java', at('Client.java')] },
    "Go's net/http": { asks: ['go', 'version'], runs: ['go', 'run', at('client.go')] },
    PHP: { asks: ['php', '--version'], runs: ['php', at('client.php')] },
    Ruby: { asks: ['ruby', '--version'], runs: ['ruby', at('client.rb')] },
};

const isInstalled = ([command, ...args]) => spawnSync(command, args).status === 0;

for (const [name, { asks, runs }] of Object.entries(clients)) {
    test(`${name} publishes, polls and reads a stream`, { skip: isInstalled(asks) ? false : 'not installed' }, async (t) => {
        const channel = `chat:${name.replace(/[^A-Za-z]/g, '')}`;
        const cache = await mkdtemp(path.join(os.tmpdir(), 'fantail-client-'));
        t.after(() => rm(cache, { recursive: true, force: true }));
        const env = { GOFLAGS: '-mod=mod', GO111MODULE: 'off', HOME: cache };
        const output = await run(runs[0], [...runs.slice(1), gateway.url, channel], { timeoutMs: 60_000, env });
        const said = Object.fromEntries(output.split('\n').map((line) => [line.split(' ')[0], line.slice(line.indexOf(' ') + 1)]));
        t.diagnostic(said.version);
        const published = JSON.parse(said.published);
        assert.equal(published.ok, true);
        const message = { channel, id: published.id, data: { n: 1 } };
        assert.deepEqual(JSON.parse(said.polled).messages, [message]);
        assert.deepEqual(JSON.parse(said.streamed), { cursor: published.id, ...message });
    });
}

// Body, status and seconds of one request by curl.
async function curl(...args) {
    const output = await run('curl', ['-sS', '-w', '\n%{http_code} %{time_total}', ...args]);
    const [, body, status, seconds] = output.match(/^([^]*)\n(\d+) (\S+)$/);
    return { body, status: Number(status), seconds: Number(seconds) };
}
const publishUrl = `${gateway.url}/v1/publish?channel=chat:curl`;

test('curl offers HTTP/2 by an upgrade, and is served without', async () => {
    assert.equal((await curl('--http2', '-d', '1', publishUrl)).status, 200);
    assert.equal((await curl('--http2', `${gateway.url}/v1/subscribe?channel=chat:curl&last=1&wait=0`)).status, 200);
});

test('curl that waits for 100 Continue does not wait in vain', async () => {
    for (const body of ['1', JSON.stringify('x'.repeat(1_500_000))]) {
        const file = path.join(gateway.dir, 'body');
        await writeFile(file, body);
        const { status, seconds } = await curl('-H', 'Expect: 100-continue', '--expect100-timeout', '8', '--data-binary', `@${file}`, publishUrl);
        assert.equal(status, 200);
        assert.ok(seconds < 6, `${seconds} s`);
    }
});

test('curl that waits for 100 Continue reads the refusal, without sending its body', async () => {
    const { status, body, seconds } = await curl('-H', 'Expect: 100-continue', '--expect100-timeout', '8', '-d', '1', `${gateway.url}/v1/publish?channel=closed`);
    assert.deepEqual([status, JSON.parse(body).error.code], [403, 'publish_forbidden']);
    assert.ok(seconds < 6, `${seconds} s`);
});

test('curl that sends its body by chunks is told what is wanted', async () => {
    const { status, body } = await curl('-H', 'Transfer-Encoding: chunked', '-d', '1', publishUrl);
    assert.deepEqual([status, JSON.parse(body).error.code], [411, 'length_required']);
});

test('curl as to a proxy, with the whole URL in its request, is served', async () => {
    assert.equal((await curl('-x', gateway.url, '-d', '1', publishUrl)).status, 200);
});

// The examples of docs/protocols/http.md, run as they are printed: each line after a `$` by a shell, and what is shown
// below it is what comes.

import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { Gateway, root } from '../lib/gateway.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const EPOCH = '1763680000123';

async function readPage() {
    const text = await readFile(path.join(root, 'docs/protocols/http.md'), 'utf8');
    const blocks = (kind) => [...text.matchAll(new RegExp(`^\`\`\`${kind}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, block]) => block);
    const examples = blocks('console').flatMap((block) =>
        block
            .split(/^\$ /m)
            .slice(1)
            .map((example) => ({ command: example.slice(0, example.indexOf('\n')), shown: example.slice(example.indexOf('\n') + 1).trimEnd() })),
    );
    return { config: blocks('conf').join('\n'), examples };
}

// A shell in which localhost:8000 is the gateway, and redis-cli finds the Redis of the test.
async function shellFor(t, gateway, redis) {
    const home = await mkdtemp(path.join(os.tmpdir(), 'fantail-docs-'));
    t.after(() => rm(home, { recursive: true, force: true }));
    await writeFile(path.join(home, '.curlrc'), `silent\nconnect-to = "localhost:8000:127.0.0.1:${gateway.port}"\n`);
    await writeFile(path.join(home, 'redis-cli'), `#!/bin/sh\nPATH=$REAL_PATH exec redis-cli -p ${redis.port} "$@"\n`);
    await chmod(path.join(home, 'redis-cli'), 0o755);
    const env = { CURL_HOME: home, HOME: home, REAL_PATH: process.env.PATH, PATH: `${home}:${process.env.PATH}` };
    return (command) => new Process('sh', 'sh', ['-c', command], { env });
}

// Streams of which the page knows the ids: as if their last messages had been published then.
async function forge(redis, channel, offset) {
    await redis.cli('FCALL', 'fantail_publish', 1, 'chat:other', 'x');
    const run = await redis.cli('HGET', 'fantail:meta:{chat:other}', 'run');
    assert.notEqual(run, '');
    const now = Date.now();
    for (let n = 0; n <= offset; n++) await redis.cli('XADD', `fantail:stream:{${channel}}`, `${EPOCH}-${n}`, 't', now, 'd', '"older"');
    await redis.cli('HSET', `fantail:meta:{${channel}}`, 'run', run, 'epoch', EPOCH, 'oldest', now);
}

test('the examples of docs/protocols/http.md do what they show', async (t) => {
    const { config, examples } = await readPage();
    assert.ok(examples.length > 10);
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { config, redis, workers: 1 });
    await forge(redis, 'chat:lobby', 41);
    await forge(redis, 'chat:help', 0);
    const shell = await shellFor(t, gateway, redis);
    for (const { command, shown } of examples) {
        const run = shell(command);
        const output = () => run.output.replaceAll('\r', '').trimEnd();
        await until(`what is shown below: ${command}\n${shown}\nhas come, and is\n${output()}`, () => run.exit || (output() === shown && !/^HTTP/.test(shown)));
        // A stream without end is over when all has come that is shown.
        if (!run.exit) await run.killAll();
        assert.equal(output(), shown, command);
    }
    t.diagnostic(`${examples.length} examples`);
});

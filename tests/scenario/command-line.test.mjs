// What an operator sees: --check, --help, --version, exit statuses, and the log.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import { binary, Gateway, root } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { within } from '../lib/wait.mjs';

const dir = await mkdtemp(path.join(os.tmpdir(), 'fantail-command-line-'));
after(() => rm(dir, { recursive: true, force: true }));

async function fantail(args, env = {}) {
    const child = new Process('fantail', binary, args, { env });
    const { code } = await within(`fantail ${args.join(' ')}`, child.exited);
    return { code, output: child.output };
}

async function configFile(text) {
    const file = path.join(dir, 'fantail.conf');
    await writeFile(file, text);
    return file;
}

test('--help tells how to begin, --version the version, --help-settings every setting', async () => {
    for (const flag of ['--help', '-h']) {
        const { code, output } = await fantail([flag]);
        assert.equal(code, 0);
        for (const what of ['usage:', '--config', '--dev', '--check', 'TERM', 'HUP']) assert.ok(output.includes(what), what);
    }
    const { code, output } = await fantail(['--version']);
    assert.equal(code, 0);
    assert.match(output, /^fantail \d+\.\d+\.\d+\n$/);
    const settings = await fantail(['--help-settings']);
    assert.equal(settings.code, 0);
    for (const name of ['limits.message_bytes', 'FANTAIL_REDIS_URL', 'drain_seconds', 'slow_consumer']) assert.ok(settings.output.includes(name), name);
});

test('arguments that are none end with 2', async () => {
    for (const args of [['--what'], ['nonsense'], ['--config'], ['--config', '/nowhere/fantail.conf']]) {
        const { code, output } = await fantail(args);
        assert.equal(code, 2, args.join(' '));
        assert.notEqual(output, '');
    }
});

test('--check is content with the example, and with nothing at all', async () => {
    const example = path.join(root, 'deploy/fantail.example.conf');
    const { code, output } = await fantail(['--check', '--config', example]);
    assert.equal(code, 0);
    const lines = output.trim().split('\n');
    assert.deepEqual(lines.filter((line) => !line.startsWith('warning: ')), [`${example}: ok`]);
    assert.equal((await fantail(['--check'])).code, 0);
    assert.equal((await fantail(['--check', '--config', await configFile('')])).code, 0);
});

test('--check names every fault with file and line, and so does a start', async () => {
    const file = await configFile('workers = 2;\nlimits = { message_bites = 5; connections = -1; };\nredis = { url = "http://x"; };\norigins = [ "example.com/" ];\n');
    for (const args of [['--check', '--config', file], ['--config', file]]) {
        const { code, output } = await fantail(args);
        assert.equal(code, 2);
        const lines = output.trim().split('\n');
        assert.equal(lines.length, 4, output);
        for (const [i, pattern] of [/:2: limits\.message_bites: .*message_bytes/, /:2: limits\.connections: /, /:3: redis\.url: /, /:4: origins/].entries()) {
            assert.ok(lines[i].startsWith(file), lines[i]);
            assert.match(lines[i], pattern);
        }
    }
    const broken = await fantail(['--check', '--config', await configFile('workers = ;\n')]);
    assert.equal(broken.code, 2);
    assert.match(broken.output, /fantail\.conf:1: /);
});

test('the environment is checked like the file', async () => {
    const { code, output } = await fantail(['--check'], { FANTAIL_LISTEN_PORT: '99999', FANTAIL_WORKERS: 'two', FANTAIL_LOG_LEVEL: 'loud' });
    assert.equal(code, 2);
    for (const name of ['FANTAIL_LISTEN_PORT', 'FANTAIL_WORKERS', 'FANTAIL_LOG_LEVEL']) assert.match(output, new RegExp(`^${name}: `, 'm'));
});

test('--check warns of what is open, and a start of variables that are nobody’s', async (t) => {
    const closed = await configFile('hosts = [ "chat.example" ];\nredis = { prefix = "app:"; };\nlimits = { accepts_per_second = 100; };\n');
    assert.deepEqual(await fantail(['--check', '--config', closed]), { code: 0, output: `${closed}: ok\n` });
    const open = await fantail(['--check', '--dev', '--config', closed], { FANTAIL_ADMIN_ADDRESS: '0.0.0.0', FANTAIL_LISTNE_PORT: '3' });
    assert.equal(open.code, 0);
    for (const what of ['origins', 'namespaces', 'admin.address', 'FANTAIL_LISTNE_PORT']) assert.match(open.output, new RegExp(`^warning: ${what}: `, 'm'));

    const gateway = await Gateway.start(t, { env: { FANTAIL_LISTNE_PORT: '3' } });
    await gateway.process.saw(/warn .*FANTAIL_LISTNE_PORT: unknown setting, did you mean FANTAIL_LISTEN_PORT\?/);
});

test('a static_dir that is not there is a fault, of --check and of a start', async () => {
    const file = await configFile('broker = "memory";\nstatic_dir = "/nonexistent";\n');
    for (const args of [['--check', '--config', file], ['--config', file]])
        assert.deepEqual(await fantail(args), { code: 2, output: `${file}:2: static_dir: /nonexistent: No such file or directory\n` });
    const named = await fantail(['--check'], { FANTAIL_STATIC_DIR: file });
    assert.deepEqual(named, { code: 2, output: 'FANTAIL_STATIC_DIR: ' + file + ': Not a directory\n' });
});

test('a file that is no UTF-8 is refused', async () => {
    const { code, output } = await fantail(['--check', '--config', await configFile(Buffer.from('broker = "memory";\n# caf\xe9\n', 'latin1'))]);
    assert.equal(code, 2);
    assert.match(output, /fantail\.conf:2: is not UTF-8/);
});

test('the text log: one line per event, who, what and how', async (t) => {
    const gateway = await Gateway.start(t, { node: 'n1' });
    await gateway.stop();
    const lines = gateway.output.trim().split('\n');
    assert.ok(lines.length >= 4);
    for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn |info |debug) n1(\/\d)? [a-z]+: \S/);
});

test('the JSON log: an object per line, whatever clients send', async (t) => {
    const redis = await Redis.start(t);
    const gateway = await Gateway.start(t, { redis, workers: 2, node: 'n1', env: { FANTAIL_LOG_FORMAT: 'json', FANTAIL_LOG_LEVEL: 'debug', FANTAIL_LIMITS_CONNECTIONS: '2' } });
    const client = await NativeClient.open(gateway);
    client.send('{"op":"subscribe","channel":"quote\\"and\\nbreak"}');
    await client.publish('room:"x"=1', 'secret text');
    await Promise.allSettled(Array.from({ length: 20 }, () => NativeClient.open(gateway)));
    await redis.kill();
    await gateway.process.saw(/link lost/);
    client.socket.terminate();
    await gateway.stop();
    const events = gateway.output.trim().split('\n').map((line) => JSON.parse(line));
    for (const event of events) {
        for (const key of ['ts', 'level', 'node', 'area', 'event']) assert.equal(typeof event[key], 'string', JSON.stringify(event));
        assert.ok(!Number.isNaN(Date.parse(event.ts)));
    }
    const started = events.find(({ event }) => event === 'started');
    assert.equal(started.workers, 2);
    assert.equal(gateway.output.match(/"event":"started".*/)[0].match(/"node"/), null, 'once, and that is before');
    assert.ok(events.some(({ area, error }) => area === 'redis' && error));
    assert.ok(!gateway.output.includes('secret text'), 'payloads are nobody else’s business');
});

test('no secret is ever logged', async (t) => {
    const gateway = await Gateway.start(t, {
        redis: 'redis://user:sesame-open@127.0.0.1:1/0',
        awaitReady: false,
        workers: 1,
        env: { FANTAIL_ADMIN_API_KEY: 'abracadabra-0123456789', FANTAIL_LOG_LEVEL: 'debug' },
    });
    await gateway.process.saw(/no link, will keep trying/);
    await gateway.stop();
    assert.doesNotMatch(gateway.output, /sesame|abracadabra/);
    const refused = await fantail(['--check'], { FANTAIL_REDIS_URL: 'redis://user:sesame-open@/0', FANTAIL_ADMIN_API_KEY: 'short-key' });
    assert.equal(refused.code, 2);
    assert.doesNotMatch(refused.output, /sesame|short-key/);
});

// Row by row, what ARCHITECTURE.md's table "What bounds memory" promises: a test here, or the name of the one that there
// is. tests/docs/check holds table and list against each other.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { apiIsOn, callApi } from '../lib/api.mjs';
import { Gateway, root } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { run } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const KIB = 1024;

// Resident memory of a process, in KiB.
const residentOf = async (pid) => Number((await readFile(`/proc/${pid}/status`, 'utf8')).match(/VmRSS:\s+(\d+)/)[1]);

const workerOf = async (gateway) => Number((await run('pgrep', ['-P', String(gateway.pid)])).trim().split('\n')[0]);

async function channelsLinger(t) {
    const gateway = await Gateway.start(t, { env: { FANTAIL_REDIS_LINGER_MS: '200', FANTAIL_LIMITS_CHANNELS_PER_SESSION: '50' } });
    const client = await NativeClient.open(gateway);
    for (let round = 0; round < 4; round++) {
        const names = Array.from({ length: 50 }, (_, i) => `room:${round}:${i}`);
        for (const name of names) await client.subscribe(name);
        for (const channel of names) await client.request({ op: 'unsubscribe', channel });
    }
    await until('none is left', async () => (await gateway.metric('fantail_channels')) === 0);
    await client.end();
}

// Redis takes nothing: what is on its way to it is bounded, and the rest is refused.
async function publishesWait(t) {
    const redis = await Redis.start(t);
    const env = { FANTAIL_REDIS_PROBE_TIMEOUT_MS: '60000', FANTAIL_REDIS_PROBE_MS: '30000' };
    const gateway = await Gateway.start(t, { redis, workers: 1, env });
    // One client has a share only.
    const clients = [];
    for (let i = 0; i < 10; i++) clients.push(await NativeClient.open(gateway));
    const [client] = clients;
    const data = 'x'.repeat(60_000);
    await client.publish('room', data);
    const before = await residentOf(await workerOf(gateway));
    redis.pause();
    t.after(() => redis.resume());
    const flood = (who) => Array.from({ length: 150 }, () => who.send({ op: 'publish', channel: 'room', data }));
    flood(client);
    await client.frame('its share', ({ error }) => error?.code === 'too_many_waiting', 30_000);
    const others = clients.slice(1);
    others.forEach(flood);
    await Promise.any(others.map((each) => each.frame('a refusal', ({ error }) => error?.code === 'broker_unavailable', 30_000)));
    assert.ok((await client.request({ op: 'ping' }, 30_000)).ok);
    const grown = (await residentOf(await workerOf(gateway))) - before;
    // 86 MB were sent. A debug build keeps what was freed for a while.
    assert.ok(grown < 400 * KIB, `grown by ${grown} KiB`);
    assert.ok((await gateway.metric('fantail_publish_errors_total')) > 0);
    redis.resume();
    for (const each of clients) each.socket.terminate();
}

// A worker that reads nothing: calls wait for it up to a bound, those beyond fail at once, and the master lives.
async function callsWait(t) {
    const env = { ...apiIsOn, FANTAIL_WORKER_TIMEOUT_SECONDS: '0' };
    const gateway = await Gateway.start(t, { workers: 1, env });
    const worker = await workerOf(gateway);
    const body = JSON.stringify({ channel: 'room', data: 'x'.repeat(7 * KIB * KIB) });
    process.kill(worker, 'SIGSTOP');
    const answers = await Promise.all(Array.from({ length: 14 }, () => callApi(gateway, 'publish', body))).finally(() => process.kill(worker, 'SIGCONT'));
    assert.ok(answers.every(({ status, body }) => status === 500 && body.error.code === 'internal'));
    const { length } = gateway.output.match(/a worker cannot be asked worker=0 call=publish/g) ?? [];
    assert.ok(length >= 4 && length <= 10, `${length} were refused at once`);
    // A debug build on a loaded machine takes its time over what has waited, and calls time out meanwhile.
    const publish = async () => (await callApi(gateway, 'publish', { channel: 'room', data: 1 })).status === 200;
    await until('it is asked again', publish, { timeoutMs: 60_000 });
    assert.equal(await gateway.metric('fantail_worker_restarts_total'), 0);
}

// File below tests/, then the test.
const rows = {
    'connections': 'scenario/limits.test.mjs: limits.connections: one more is answered with 503 and Retry-After, until another leaves',
    'connections of an address': 'scenario/limits.test.mjs: limits.connections_per_ip: each address has its own',
    'connects per second': 'scenario/limits.test.mjs: limits.accepts_per_second: a storm is turned away, and who comes later gets in',
    'sockets that owe a PROXY header': 'scenario/proxy.test.mjs: a listed proxy without its header, or with a broken one, is turned away and counted',
    'refused sockets that read their answer': 'scenario/limits.test.mjs: limits.connections: those beyond it cost no memory that stays, however many come',
    'request headers': 'scenario/bad-input.test.mjs: a handshake that drips in is given up after limits.handshake_seconds',
    'request body': 'scenario/http-strict.test.mjs: the body of an API call waits for the key',
    'requests behind one that is being answered': 'scenario/http-strict.test.mjs: requests behind one that is being answered wait, but not any number of them',
    'answers to pings where the socket takes nothing': 'scenario/http-strict.test.mjs: where the socket takes nothing, the last ping alone is answered',
    'files kept in memory': 'unit/test_http_files.c: what_was_not_asked_for_longest_goes',
    'a WebSocket message in parts': 'scenario/bad-input.test.mjs: a message of fragments that together are too large is closed with 1009',
    'the same, compressed': 'scenario/deflate.test.mjs: more than fits, compressed already',
    'what is not understood': 'scenario/bad-input.test.mjs: a client that is never understood is closed with 3500, one that sometimes is stays',
    'subscriptions of a session': 'scenario/limits.test.mjs: limits.channels_per_session',
    'channels': channelsLinger,
    'channels without subscribers': 'unit/test_hub.c: channels_that_linger_make_room',
    "a session's outbox": 'scenario/slow-consumer.test.mjs: disconnect: it is closed with 3001',
    'replays in an outbox': 'unit/test_recovery.c: replays_asked_for_without_end_are_held_against_the_client',
    'all outboxes': 'scenario/slow-consumer.test.mjs: outbox_total_bytes: many sleepers together hold no more, also of different channels',
    "a socket's unsent rest": 'unit/test_congestion.c: long_outbox_leaves_in_pieces',
    'an answer to a poll': 'scenario/polling.test.mjs: messages of more than a reply holds come with the next ones',
    "a channel's ring": 'scenario/history.test.mjs: the namespace says how many messages stay; a position from before them is not recovered',
    'what waits for a stream to be read': 'unit/test_recovery.c: more_than_may_wait_is_read_once_more',
    'a message from Redis': 'scenario/history.test.mjs: a message larger than limits.message_bytes is a gap for everybody, also for who comes later',
    'commands that wait for Redis to confirm a channel': 'unit/test_session.c: too_many_waiting',
    'publishes without an answer': publishesWait,
    'those of a session': 'unit/test_session.c: publishes_without_an_answer_have_a_share',
    'a message from Redis, while it comes': 'unit/test_redis_push.c: long_payloads_pass_whole',
    'what a client asks': 'scenario/limits.test.mjs: limits.commands_per_second: a history costs what it brings, and others do not feel it',
    'publishes of a client': 'scenario/limits.test.mjs: limits.publishes_per_second: over HTTP an address is a client, on whatever connections',
    'what is known of addresses (rates.c)': 'unit/test_rates.c: crowd_does_not_free_who_goes_on',
    'log lines about refused pages': 'unit/test_told.c: oldest_is_forgotten_first',
    'a list that the API answers': 'scenario/admin.test.mjs: a list that clients have made long is cut, says so, and costs nobody anything',
    'channels of a broadcast': 'scenario/admin.test.mjs: a broadcast to more channels than one call may have',
    'a line between master and worker': 'fuzz/fuzz_lines.c: lines.received.len <= LINE_MAX',
    'what master or worker has not read of the other': callsWait,
    'silent clients': 'scenario/heartbeats.test.mjs: a client that answers nothing is closed with 3004',
};

for (const [row, where] of Object.entries(rows)) {
    if (typeof where === 'function') {
        test(row, { timeout: 90_000 }, where);
        continue;
    }
    test(row, async () => {
        const [, file, title] = where.match(/^(\S+): (.*)$/);
        const text = await readFile(path.join(root, 'tests', file), 'utf8');
        assert.ok(text.includes(title), `${file} has no test "${title}"`);
    });
}

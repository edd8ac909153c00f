// Redis restarts with all it had, with less than it had, and hands over to a replica and back: no id may ever mean two
// messages, what is whole goes on, and what is lost is marked, once.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { epochOf, Functions, KEEP_EVERYTHING, offsetOf } from '../lib/functions.mjs';
import { until } from '../lib/wait.mjs';

// Publishes 'a' and 'b', which go into a dump, and 'c', which does not; then Redis crashes. Their ids.
async function loseC(functions, channel) {
    const ids = [await functions.publish(channel, 'a'), await functions.publish(channel, 'b')];
    await functions.call('SAVE');
    ids.push(await functions.publish(channel, 'c'));
    await functions.crash();
    await functions.subscribe(channel);
    return ids;
}

// A master that does not wait for more replicas before it sends its data.
const AT_ONCE = { args: ['--repl-diskless-sync-delay', '0'] };

async function follow(replica, master) {
    await replica.call('REPLICAOF', '127.0.0.1', master.server.port);
    await until('the replica is in step', async () => {
        const info = await replica.call('INFO', 'replication');
        return info.includes('master_link_status:up') && info.includes('master_sync_in_progress:0');
    });
}

test('a restart that lost nothing: a boundary that everybody crosses', async (t) => {
    const functions = await Functions.start(t, { args: KEEP_EVERYTHING });
    const [a, b] = [await functions.publish('chat:a', 'a'), await functions.publish('chat:a', 'b')];
    const empty = (await functions.sync('chat:empty')).head;
    await functions.crash();
    await functions.subscribe('chat:a');

    // Reading alone begins nothing.
    assert.deepEqual(await functions.sync('chat:a', b), { head: b, entries: [] });
    const { head, entries } = await functions.sync('chat:empty', empty);
    assert.deepEqual(entries, []);
    assert.ok(epochOf(head) > epochOf(empty), 'of nothing it is not known that nothing was lost');
    const c = await functions.publish('chat:a', 'c');
    assert.ok(epochOf(c) > epochOf(b));
    const boundary = `b ${epochOf(c)}-0 < ${b}`;
    assert.deepEqual(await functions.heard('chat:a'), [boundary, `m ${c} c`]);
    assert.deepEqual(await functions.read('chat:a', a), [`m ${b} b`, boundary, `m ${c} c`]);
    assert.deepEqual(await functions.read('chat:a', b), [boundary, `m ${c} c`]);
    assert.equal(offsetOf(await functions.publish('chat:a', 'd')), 2);
    assert.deepEqual(await functions.heard('chat:a'), [`m ${epochOf(c)}-2 d`]);
});

test('a restart from an older dump: one mark, told before the next publish, however many tell', async (t) => {
    const functions = await Functions.start(t);
    const [a, b, c] = await loseC(functions, 'chat:a');
    assert.deepEqual(await functions.sync('chat:a', b), { head: b, entries: [] }, 'who has seen less proves nothing');
    await functions.read('chat:a', c);
    const [mark] = await functions.heard('chat:a');
    assert.match(mark, new RegExp(`^g \\d+-0 < ${b}$`));
    await Promise.all([functions.sync('chat:a', c), functions.sync('chat:a', c), functions.sync('chat:a', a)]);
    const d = await functions.publish('chat:a', 'd');
    assert.deepEqual(await functions.heard('chat:a'), [`m ${d} d`], 'no second mark, no boundary');
    assert.equal(offsetOf(d), 1);
    assert.deepEqual(await functions.read('chat:a', b), [mark, `m ${d} d`]);
});

test('a restart from an older dump: one mark, told after the next publish', async (t) => {
    const functions = await Functions.start(t);
    const [, b, c] = await loseC(functions, 'chat:a');
    const d = await functions.publish('chat:a', 'd');
    assert.notEqual(d, c);
    await Promise.all([functions.sync('chat:a', c), functions.sync('chat:a', c)]);
    const mark = `g ${epochOf(d)}-2`;
    assert.deepEqual(await functions.heard('chat:a'), [`b ${epochOf(d)}-0 < ${b}`, `m ${d} d`, mark]);
    // A second restart, with all of that on disk, and a node that comes late: it is still the same loss.
    await functions.call('SAVE');
    await functions.crash();
    await functions.subscribe('chat:a');
    await functions.sync('chat:a', c);
    assert.deepEqual(await functions.heard('chat:a'), []);
    assert.deepEqual(await functions.read('chat:a', d), [mark]);
});

test('ten crashes in a row: no id twice', async (t) => {
    const functions = await Functions.start(t);
    const ids = [];
    await functions.publish('chat:a', 'first');
    await functions.call('SAVE');
    for (let crash = 0; crash < 10; crash++) {
        for (let i = 0; i < 5; i++) ids.push(await functions.publish('chat:a', `${crash} ${i}`));
        if (crash % 3 === 0) await functions.call('SAVE');
        ids.push(await functions.publish('chat:a', 'lost'));
        await functions.crash();
    }
    assert.equal(new Set(ids).size, ids.length);
    const epochs = ids.map(epochOf);
    assert.deepEqual(epochs, [...epochs].sort((x, y) => x - y), 'and they grow');
});

test('a replica that takes over begins an epoch', async (t) => {
    const master = await Functions.start(t, AT_ONCE);
    const replica = await Functions.start(t, AT_ONCE);
    const a = await master.publish('chat:a', 'a');
    await follow(replica, master);
    const b = await master.publish('chat:a', 'b');
    await until('the replica has it', async () => (await replica.held('chat:a')) === 2);
    await replica.call('REPLICAOF', 'NO', 'ONE');
    const c = await replica.publish('chat:a', 'c');
    assert.deepEqual(await replica.read('chat:a', a), [`m ${b} b`, `b ${epochOf(c)}-0 < ${b}`, `m ${c} c`]);
});

// The process that comes back as the master is the one that it was, and its run_id with it; only its data is another's.
test('a master that comes back with what a replica had begins an epoch', async (t) => {
    const first = await Functions.start(t, AT_ONCE);
    const second = await Functions.start(t, AT_ONCE);
    await first.publish('chat:a', 'a');
    await follow(second, first);
    await second.call('REPLICAOF', 'NO', 'ONE');
    const lost = await first.publish('chat:a', 'lost');
    await follow(first, second);
    assert.equal(await first.held('chat:a'), 1);
    await first.call('REPLICAOF', 'NO', 'ONE');
    const next = await first.publish('chat:a', 'next');
    assert.notEqual(next, lost);
    assert.ok(epochOf(next) > epochOf(lost));
});

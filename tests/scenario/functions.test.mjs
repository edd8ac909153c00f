// The functions in a real Redis, as a publisher with redis-cli and as a gateway call them.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { entryText, epochOf, Functions, offsetOf } from '../lib/functions.mjs';
import { wholeFile } from '../lib/file.mjs';
import { openEnvelope } from '../lib/resp.mjs';
import { until } from '../lib/wait.mjs';

const functions = await Functions.start(wholeFile());

test('redis-cli alone publishes: an id, live, and kept', async () => {
    await functions.subscribe('cli:room');
    const id = await functions.server.cli('FCALL', 'fantail_publish', 1, 'cli:room', 'hello');
    assert.match(id, /^\d{13}-0$/);
    assert.ok(Math.abs(epochOf(id) - Date.now()) < 60_000, 'the epoch is a time');
    assert.equal(await functions.server.cli('FCALL', 'fantail_publish', 1, 'cli:room', 'again'), id.replace('-0', '-1'));
    assert.deepEqual(await functions.heard('cli:room'), [`m ${id} hello`, `m ${epochOf(id)}-1 again`]);
    assert.deepEqual(await functions.read('cli:room'), [`m ${id} hello`, `m ${epochOf(id)}-1 again`]);
});

test('ids have no holes, however many publish', async () => {
    const ids = await Promise.all(Array.from({ length: 500 }, (_, i) => functions.publish('many:a', i, 'size', 1000)));
    assert.deepEqual(ids.map(offsetOf), ids.map((_, i) => i));
    assert.equal(new Set(ids.map(epochOf)).size, 1);
});

test('the size is exact', async () => {
    for (let i = 0; i < 30; i++) await functions.publish('size:a', i, 'size', 7);
    assert.equal(await functions.held('size:a'), 7);
    const { head, entries } = await functions.sync('size:a');
    assert.deepEqual(entries.map((entry) => entry[5]), ['23', '24', '25', '26', '27', '28', '29']);
    assert.equal(offsetOf(head), 29);
});

test('messages past their age are not read, and go with later ones; the position stays', async () => {
    const first = await functions.publish('age:a', 'old', 'ttl', 1);
    await functions.publish('age:a', 'old too', 'ttl', 1);
    await until('they are too old', async () => (await functions.read('age:a', '', 'ttl', 1)).length === 0);
    const last = `${epochOf(first)}-1`;
    assert.deepEqual(await functions.sync('age:a', last, 'ttl', 1), { head: last, entries: [] });
    await until('they have gone', async () => {
        await functions.publish('age:a', 'new', 'ttl', 1);
        return !(await functions.read('age:a', '', 'ttl', 1000)).some((entry) => entry.includes('old'));
    });
});

test('a stream expires only after its position is not worth keeping', async () => {
    const first = await functions.publish('expiry:a', 'x', 'ttl', 1, 'position_ttl', 2);
    for (const key of ['fantail:stream:{expiry:a}', 'fantail:meta:{expiry:a}']) {
        const left = await functions.call('PTTL', key);
        assert.ok(left > 1000 && left <= 2020, `${key} lives ${left} ms more`);
    }
    assert.equal((await functions.sync('expiry:a', first)).head, first);
    await until('it expires', async () => (await functions.call('EXISTS', 'fantail:stream:{expiry:a}')) === 0);
    assert.equal(await functions.call('EXISTS', 'fantail:meta:{expiry:a}'), 0);
    const next = await functions.publish('expiry:a', 'y', 'position_ttl', 600);
    assert.equal(offsetOf(next), 0);
    assert.ok(epochOf(next) > epochOf(first));
    // Each publish promises the time anew.
    await functions.publish('expiry:a', 'z', 'position_ttl', 1200);
    assert.ok((await functions.call('PTTL', 'fantail:stream:{expiry:a}')) > 1_199_000);
});

test('a repeated idempotency key is the same message', async () => {
    await functions.subscribe('once:a');
    const first = await functions.publish('once:a', 'one', 'idempotency_key', 'k');
    assert.equal(await functions.publish('once:a', 'two', 'idempotency_key', 'k'), first);
    assert.equal(offsetOf(await functions.publish('once:a', 'three', 'idempotency_key', 'other')), 1);
    // Keys are the channel's own.
    assert.notEqual(await functions.publish('once:b', 'four', 'idempotency_key', 'k'), first);
    assert.deepEqual(await functions.heard('once:a'), [`m ${first} one`, `m ${epochOf(first)}-1 three`]);
    const left = await functions.call('TTL', 'fantail:once:{once:a}:k');
    assert.ok(left > 290 && left <= 300, `the window is ${left} s`);
    await functions.publish('once:c', 'x', 'idempotency_key', 'k', 'idempotency_window', 1);
    await until('the window is over', async () => offsetOf(await functions.publish('once:c', 'x', 'idempotency_key', 'k', 'idempotency_window', 1)) > 0);
});

test('options not given come from fantail:namespaces, the longest name that fits', async () => {
    await functions.call('HSET', 'fantail:namespaces', '', '4 300 5000', 'ns:', '2 300 6000', 'ns:deep', '3 300 7000', 'live:', '0 0 604800', 'broken:', 'x');
    try {
        const counts = {};
        for (const channel of ['ns:a', 'ns:deeper', 'nsx', 'broken:a']) {
            for (let i = 0; i < 6; i++) await functions.publish(channel, i);
            counts[channel] = await functions.held(channel);
        }
        assert.deepEqual(counts, { 'ns:a': 2, 'ns:deeper': 3, nsx: 4, 'broken:a': 4 });
        assert.ok(Math.abs((await functions.call('TTL', 'fantail:stream:{ns:a}')) - 6060) < 10);
        await functions.publish('ns:a', 'x', 'size', 5);
        await functions.publish('ns:a', 'x', 'size', 5);
        assert.equal(await functions.held('ns:a'), 4, 'an option that is given counts');
        // A namespace without history: the same call works for the publisher.
        await functions.subscribe('live:a');
        assert.equal(await functions.publish('live:a', 'hi'), null);
        assert.deepEqual(await functions.heard('live:a'), ['bare hi']);
        await assert.rejects(functions.sync('live:a'), /ERR fantail: this channel has no history/);
    } finally {
        await functions.call('DEL', 'fantail:namespaces');
    }
    for (let i = 0; i < 105; i++) await functions.publish('ns:without', i);
    assert.equal(await functions.held('ns:without'), 100);
    assert.ok((await functions.call('TTL', 'fantail:stream:{ns:without}')) >= 604_800);
});

test('wrong options are refused in words, and nothing is published', async () => {
    await functions.subscribe('wrong:a');
    const wrong = [
        [['sise', 5], 'ERR fantail: unknown option "sise"'],
        [['size', 'many'], 'ERR fantail: size must be a whole number, at least 0'],
        [['size', '-1'], 'ERR fantail: size must be a whole number, at least 0'],
        [['size', '99999999999'], 'ERR fantail: size must be a whole number, at least 0'],
        [['ttl', '0'], 'ERR fantail: ttl must be a whole number, at least 1'],
        [['position_ttl', '1.5'], 'ERR fantail: position_ttl must be a whole number, at least 1'],
        [['priority', 'urgent'], 'ERR fantail: priority must be high or low'],
        [['idempotency_key', ''], 'ERR fantail: idempotency_key must have 1 to 512 bytes'],
        [['idempotency_key', 'k'.repeat(513)], 'ERR fantail: idempotency_key must have 1 to 512 bytes'],
        [['idempotency_window', 'x'], 'ERR fantail: idempotency_window must be a whole number, at least 1'],
        [['size'], 'ERR fantail: option "size" has no value'],
    ];
    for (const [options, message] of wrong) {
        await assert.rejects(functions.publish('wrong:a', 'x', ...options), { message });
    }
    await assert.rejects(functions.call('FCALL', 'fantail_publish', 1, 'wrong:a'), /ERR fantail: usage: /);
    await assert.rejects(functions.call('FCALL', 'fantail_publish', 0, 'x'), /ERR fantail: usage: /);
    await assert.rejects(functions.call('FCALL', 'fantail_sync', 1, 'wrong:a'), /ERR fantail: usage: /);
    for (const seen of ['x', '1', '1-', '01-0', '1-00', '111111111111111111111-0', '-']) {
        await assert.rejects(functions.sync('wrong:a', seen), { message: 'ERR fantail: a position is EPOCH-OFFSET, or empty' });
    }
    await assert.rejects(functions.sync('wrong:a', '', 'priority', 'high'), { message: 'ERR fantail: unknown option "priority"' });
    await functions.call('SET', 'fantail:stream:{wrong:type}', 'a string');
    await assert.rejects(functions.publish('wrong:type', 'x'), /WRONGTYPE/);
    assert.deepEqual(await functions.heard('wrong:a'), []);
    assert.equal(await functions.call('EXISTS', 'fantail:stream:{wrong:a}'), 0);
});

test('payloads travel as they are: binary, empty, large', async () => {
    await functions.listener.call('SUBSCRIBE', 'binary:a');
    const payloads = [Buffer.from([0, 1, 109, 10, 13, 255, 0]), Buffer.alloc(0), randomBytes(3_000_000)];
    for (const payload of payloads) await functions.publish('binary:a', payload, 'priority', 'high');
    const heard = (await functions.listener.heard('binary:a', functions.redis)).map(openEnvelope);
    const [, entries] = await functions.redis.raw('FCALL', 'fantail_sync', 1, 'binary:a', '');
    payloads.forEach((payload, i) => {
        assert.equal(heard[i][4], 'h');
        assert.ok(Buffer.from(heard[i][5], 'latin1').equals(payload), `payload ${i} live`);
        assert.ok(entries[i][5].equals(payload), `payload ${i} read`);
    });
});

const NOTHING = '18446744073709551615';

test('a read of nothing has a position, and makes no key of the channel', async () => {
    await functions.publish('nothing:other', 'so that this life of the data has begun');
    await functions.subscribe('nothing:a');
    const read = (seen = '') => functions.call('FCALL_RO', 'fantail_read', 1, 'nothing:a', seen);
    const [head, entries, calm] = await read();
    assert.equal(head.split('-')[1], NOTHING);
    assert.deepEqual(entries, []);
    assert.ok(Number(calm) <= epochOf(head));
    assert.deepEqual((await functions.sync('nothing:a', head)).entries, []);
    assert.deepEqual(await functions.heard('nothing:a'), []);
    assert.deepEqual(await functions.call('KEYS', '*nothing:a*'), []);
    const id = await functions.publish('nothing:a', 'first');
    assert.ok(epochOf(id) > epochOf(head));
    const after = await read(head);
    assert.deepEqual([after[0], after[1].map(entryText)], [id, [`m ${id} first`]]);
    assert.ok(Number(after[2]) <= epochOf(head), 'nothing was in between');

    await functions.call('FLUSHALL');
    assert.deepEqual(await read(), [], 'it cannot be said since when, until somebody writes');
    const { head: later } = await functions.sync('nothing:a', head);
    assert.equal(later.split('-')[1], NOTHING);
    assert.ok(Number((await read())[2]) > epochOf(id));
});

test('a read is a read: where nothing is to be marked Redis need take no writes', async () => {
    const id = await functions.publish('full:a', 'x');
    await functions.call('CONFIG', 'SET', 'maxmemory', '1');
    await assert.rejects(functions.sync('full:a'), /OOM/);
    const read = (channel, seen) => functions.call('FCALL_RO', 'fantail_read', 1, channel, seen);
    assert.equal((await read('full:a', ''))[0], id);
    assert.deepEqual((await read('full:a', id))[1], []);
    assert.equal((await read('full:unknown', ''))[0].split('-')[1], NOTHING);
    await functions.call('CONFIG', 'SET', 'maxmemory', '0');
    assert.deepEqual(await read('full:a', `${epochOf(id)}-9`), [], 'a loss is to be marked');
});

test('FLUSHALL: the next life of a stream has an epoch of its own', async () => {
    const before = await functions.publish('flush:a', 'x');
    await functions.call('FLUSHALL');
    // A place of nothing is the moment of the read, which may still be the millisecond in which that stream began.
    const { head, entries } = await functions.sync('flush:a', before);
    assert.ok(epochOf(head) >= epochOf(before));
    assert.notEqual(head, before);
    assert.deepEqual(entries, []);
    // However fast it goes.
    const epochs = [];
    for (let i = 0; i < 50; i++) {
        functions.call('FLUSHALL');
        epochs.push(functions.publish('flush:a', 'x').then(epochOf));
    }
    assert.equal(new Set(await Promise.all(epochs)).size, 50);
});

test('FUNCTION FLUSH: loaded again, it goes on where it was', async () => {
    const before = await functions.publish('functions:a', 'x');
    await functions.call('FUNCTION', 'FLUSH');
    await assert.rejects(functions.publish('functions:a', 'y'), /Function not found/);
    await functions.load();
    assert.equal(await functions.publish('functions:a', 'z'), `${epochOf(before)}-1`);
    assert.equal(await functions.call('FCALL_RO', 'fantail_version', 0), 2);
});

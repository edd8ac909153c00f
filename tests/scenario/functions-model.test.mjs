// fantail.lua in a real Redis and stream_store.c, the model of it that the memory broker and the simulation use, do
// the same: random commands go to both, and every answer and everything published is compared. The time and the run
// are arguments of the model; in Redis the library gets them from two keys instead of from the clock and from INFO.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';

import { root } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';
import { openEnvelope, Resp } from '../lib/resp.mjs';

const DRIVER = process.env.FANTAIL_STREAM_DRIVER ?? path.join(root, 'build/debug/tests/unit/stream_driver');
const SEEDS = Number(process.env.FANTAIL_MODEL_SEEDS ?? 20);
const FIRST_SEED = Number(process.env.FANTAIL_MODEL_FIRST_SEED ?? 1);
const STEPS = 200;
const BARRIER = 'test:barrier';

// The channels' options: small, so that size and age are reached. Positions and idempotency keys live longer than a
// sequence takes: Redis expires keys by its own clock.
const CHANNELS = [
    { name: 'chat:a', size: 5, ttl: 1000, positionTtl: 100000 },
    { name: 'chat:b', size: 100, ttl: 7, positionTtl: 100000 },
    { name: 'chat:c', size: 1, ttl: 20, positionTtl: 100000 },
    { name: 'chat:d', size: 40, ttl: 3, positionTtl: 100000 },
];

// Mulberry32: the same numbers for the same seed.
function dice(seed) {
    let state = seed;
    const next = () => {
        state = (state + 0x6d2b79f5) | 0;
        let t = Math.imul(state ^ (state >>> 15), 1 | state);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
    return { below: (n) => Math.floor(next() * n), of: (list) => list[Math.floor(next() * list.length)], chance: (p) => next() < p };
}

class Model {
    constructor(t) {
        this.child = spawn(DRIVER, { stdio: ['pipe', 'pipe', 'inherit'] });
        this.failed = new Promise((_, reject) => {
            this.child.once('error', reject);
            this.child.once('exit', (code) => reject(new Error(`stream_driver ended with ${code}`)));
        });
        this.failed.catch(() => {});
        this.child.stdin.on('error', () => {});
        this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
        t.after(() => this.child.kill());
    }

    async call(...words) {
        this.child.stdin.write(`${words.join(' ')}\n`);
        const { value } = await Promise.race([this.lines.next(), this.failed]);
        const [answer, ...live] = JSON.parse(value);
        return { answer, live };
    }
}

// The library in Redis, with its clock and its run in our hands.
class Functions {
    static async start(t) {
        const functions = new Functions();
        const redis = await Redis.start(t);
        functions.redis = await Resp.connect(t, redis.port);
        functions.listener = await Resp.connect(t, redis.port);
        const source = await readFile(path.join(root, 'gateway/broker/fantail.lua'), 'utf8');
        let replaced = 0;
        const fake = source.replace(/local function (now_ms|current_run)\(\)\n[^]*?\nend\n/g, (_, name) => {
            replaced++;
            return name === 'now_ms'
                ? "local function now_ms()\n    return tonumber(redis.call('GET', 'test:now'))\nend\n"
                : "local function current_run()\n    return redis.call('GET', 'test:run')\nend\n";
        });
        assert.equal(replaced, 2, 'the clock and the run were found in fantail.lua');
        await functions.redis.call('FUNCTION', 'LOAD', fake);
        for (const name of [BARRIER, ...CHANNELS.map((channel) => channel.name)]) {
            // Each channel's confirmation is a reply of its own.
            await functions.listener.call('SUBSCRIBE', name);
        }
        return functions;
    }

    async at(run, now) {
        await this.redis.call('MSET', 'test:run', run, 'test:now', now);
    }

    async live() {
        await this.listener.heard(BARRIER, this.redis);
        return this.listener.messages.splice(0).map(([channel, payload]) => [channel, openEnvelope(payload)]);
    }

    async keys() {
        return (await this.redis.call('KEYS', 'fantail:*')).sort();
    }

    async dump() {
        this.dumped = [];
        for (const key of await this.keys()) this.dumped.push([key, await this.redis.raw('DUMP', key)]);
    }

    async clear() {
        const keys = await this.keys();
        if (keys.length > 0) await this.redis.call('DEL', ...keys);
    }

    async restore() {
        await this.clear();
        for (const [key, value] of this.dumped) await this.redis.raw('RESTORE', key, 0, value);
    }

    async forget(channel) {
        await this.redis.call('DEL', `fantail:stream:{${channel}}`, `fantail:meta:{${channel}}`);
    }
}

// A position somebody may tell: mostly one that was issued, lost since or not; sometimes none, or one that never was.
function somePosition(random, issued) {
    if (issued.length === 0 || random.chance(0.1)) return '-';
    const recent = random.chance(0.7) ? issued.slice(-6) : issued;
    const id = random.of(recent);
    if (random.chance(0.85)) return id;
    const [epoch, offset] = id.split('-').map(Number);
    return random.of([`${epoch}-${offset + 1 + random.below(3)}`, `${epoch + 1 + random.below(3000)}-${random.below(4)}`, `${epoch - 1}-7`, '18446744073709551615-0']);
}

async function runSeed(seed, model, functions, counts) {
    const random = dice(seed);
    const issued = new Map(CHANNELS.map(({ name }) => [name, []]));
    let { now } = functions;
    const end = now + 280_000;
    let payloads = 0;
    let hasDump = false;

    async function both(what, command, inRedis) {
        await functions.at(functions.run, now);
        const [expected, answer] = await Promise.all([model.call(...command), inRedis()]);
        const live = await functions.live();
        const where = `seed ${seed}: ${what}: ${command.join(' ')}`;
        assert.deepEqual(live, expected.live, `${where}: published`);
        if (expected.answer !== null) assert.deepEqual(answer, expected.answer, `${where}: answered`);
        for (const [channel, entry] of live) {
            assert.ok(!issued.get(channel).includes(entry[0]), `${where}: ${entry[0]} was issued before`);
            issued.get(channel).push(entry[0]);
            counts[entry[1]]++;
        }
        return answer;
    }

    for (let step = 0; step < STEPS; step++) {
        if (now < end && random.chance(0.7)) now += random.below(random.of([3, 500, 4000]));
        const { name, size, ttl, positionTtl } = random.of(CHANNELS);
        const options = ['size', size, 'ttl', ttl, 'position_ttl', positionTtl];
        const dieRoll = random.below(100);
        if (dieRoll < 55) {
            const priority = random.chance(0.2) ? 'h' : '-';
            const once = random.chance(0.2) ? `k${random.below(4)}` : '-';
            const payload = `p${payloads++}`;
            await both('publish', ['publish', functions.run, now, name, size, ttl, positionTtl, priority, once, payload], () =>
                functions.redis.call(
                    ...['FCALL', 'fantail_publish', 1, name, payload, ...options],
                    ...(priority === 'h' ? ['priority', 'high'] : []),
                    ...(once === '-' ? [] : ['idempotency_key', once]),
                ),
            );
        } else if (dieRoll < 88) {
            const seen = somePosition(random, issued.get(name));
            await both('sync', ['sync', functions.run, now, name, size, ttl, positionTtl, seen], () =>
                functions.redis.call('FCALL', 'fantail_sync', 1, name, seen === '-' ? '' : seen, ...options),
            );
        } else if (dieRoll < 91) {
            await both('dump', ['dump'], () => functions.dump());
            hasDump = true;
        } else if (dieRoll < 94 && hasDump) {
            functions.run++;
            await both('restart from a dump', ['restore'], () => functions.restore());
        } else if (dieRoll < 97) {
            functions.run++; // A restart that loses nothing.
        } else if (dieRoll < 98) {
            await both('FLUSHALL', ['clear'], () => functions.clear());
        } else if (dieRoll < 99) {
            await both('sweep', ['sweep', now], async () => {});
        } else {
            await both('expiry', ['forget', name], () => functions.forget(name));
        }
    }
    await both('the end', ['clear'], () => functions.clear());
    // Later than any epoch of this seed, so that the next one's clock leads again.
    functions.now = now + 10_000_000;
}

test('the functions in Redis and the model in C do the same', async (t) => {
    const model = new Model(t);
    const functions = await Functions.start(t);
    functions.run = 1;
    functions.now = 1_763_680_000_000;
    const counts = { m: 0, b: 0, g: 0 };
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) await runSeed(seed, model, functions, counts);
    t.diagnostic(`${SEEDS} sequences of ${STEPS} commands: ${counts.m} messages, ${counts.b} boundaries, ${counts.g} gap marks`);
    assert.ok(counts.m > 0 && counts.b > 0 && counts.g > 0, 'all kinds of entries came up');
});

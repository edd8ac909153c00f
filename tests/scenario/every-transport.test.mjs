// Clients on every transport, while nodes, Redis and connections come and go: each ends with exactly what was
// published.
//
// FANTAIL_CHAOS_SECONDS (20) and FANTAIL_CHAOS_CLIENTS (100, on each transport) make it longer and larger.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { Gateway } from '../lib/gateway.mjs';
import { receivers } from '../lib/receivers.mjs';
import { Redis } from '../lib/redis.mjs';
import { Resp } from '../lib/resp.mjs';
import { until } from '../lib/wait.mjs';

const seconds = Number(process.env.FANTAIL_CHAOS_SECONDS ?? 20);
const count = Number(process.env.FANTAIL_CHAOS_CLIENTS ?? 100);
const PER_SECOND = 20;
const CALAMITY_MS = 5000;

const config = `
ping = { interval_seconds = 2; timeout_seconds = 2; };
namespaces = (
  { name = "default"; },
  { name = "chat"; history_size = 1000; history_ttl_seconds = 300; }
);`;

// Publishes 0, 1, 2, ... by FCALL, one after the other at a steady pace. A call that Redis did not answer is made
// again with the same idempotency key, so that each number is published once.
class Publisher {
    constructor(t, redis, channel) {
        this.connect = () => Resp.connect(t, redis.port);
        this.channel = channel;
        this.ids = [];
        this.isRunning = true;
        this.ended = this.#run();
    }

    async #run() {
        const started = performance.now();
        while (this.isRunning) {
            const n = this.ids.length;
            try {
                if (!this.client || this.client.socket.destroyed) this.client = await this.connect();
                this.ids.push(await this.client.call('FCALL', 'fantail_publish', 1, this.channel, n, 'idempotency_key', `n${n}`));
            } catch {
                this.client = undefined;
                await pause(20);
                continue;
            }
            await pause(Math.max(0, started + ((n + 1) * 1000) / PER_SECOND - performance.now()));
        }
    }

    async stop() {
        this.isRunning = false;
        await this.ended;
    }
}

test(`${count} clients on each transport lose, double and swap nothing in ${seconds} s of calamities`, { timeout: (seconds + 150) * 1000 }, async (t) => {
    const redis = await Redis.start(t, { args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const nodes = [];
    for (const node of ['a', 'b', 'c']) nodes.push(await Gateway.start(t, { config, redis, workers: 1, node }));
    const clients = Object.entries(receivers).flatMap(([transport, Client]) =>
        Array.from({ length: count }, () => Object.assign(new Client({ nodes, channel: 'chat:all' }), { transport })),
    );
    t.after(() => Promise.all(clients.map((client) => client.stop())));
    await until('all to know where they begin', () => clients.every(({ position }) => position), { timeoutMs: 30_000 });

    const publisher = new Publisher(t, redis, 'chat:all');
    t.after(() => publisher.stop());
    const calamities = [
        async function nodeKilled() {
            const node = nodes[Math.floor(Math.random() * nodes.length)];
            await node.kill();
            await node.run();
        },
        async function redisKilled() {
            await redis.kill();
            await redis.run();
        },
        async function connectionsCut() {
            for (const client of clients) client.cut();
        },
    ];
    const happened = [];
    const started = performance.now();
    for (let next = started + CALAMITY_MS / 2; next < started + seconds * 1000; next += CALAMITY_MS) {
        // The pace of the calamities is what the test is about.
        await pause(Math.max(0, next - performance.now()));
        const calamity = calamities[happened.length % calamities.length];
        happened.push(calamity.name);
        await calamity();
    }
    await pause(Math.max(0, started + seconds * 1000 - performance.now()));
    await publisher.stop();

    const published = publisher.ids.length;
    await until('everybody to have the last message', () => clients.every(({ received }) => received.at(-1) === published - 1), { timeoutMs: 30_000 }).catch(() => {});
    assert.equal(new Set(publisher.ids).size, published, 'an id was issued twice');
    for (const [transport, mine] of Object.entries(groupByTransport(clients))) {
        const connections = mine.reduce((sum, client) => sum + client.connections, 0);
        t.diagnostic(`${transport}: ${mine.length} clients, ${connections} connections or polls, ${mine.reduce((sum, { received }) => sum + received.length, 0)} messages`);
        for (const client of mine) {
            const wrong = client.received.findIndex((n, i) => n !== i);
            const seen = `${client.received.length} of ${published}, the first wrong one at ${wrong}: ${client.received.slice(Math.max(0, wrong - 2), wrong + 3)}`;
            assert.ok(client.received.length === published && wrong < 0, `${transport}: ${seen}; gaps ${JSON.stringify(client.gaps)}`);
            assert.deepEqual(client.gaps, [], transport);
        }
    }
    t.diagnostic(`${published} messages published; ${happened.join(', ')}`);
});

function groupByTransport(clients) {
    const groups = {};
    for (const client of clients) (groups[client.transport] ??= []).push(client);
    return groups;
}

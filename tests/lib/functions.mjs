// The function library in a Redis of the test's own, called as any publisher and any gateway would.

import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { root } from './gateway.mjs';
import { Redis } from './redis.mjs';
import { openEnvelope, Resp } from './resp.mjs';

export const librarySource = await readFile(path.join(root, 'gateway/broker/fantail.lua'), 'utf8');

export const KEEP_EVERYTHING = ['--appendonly', 'yes', '--appendfsync', 'always'];

export class Functions {
    // `args` are further redis-server options.
    static async start(t, { args } = {}) {
        const functions = new Functions();
        functions.t = t;
        functions.server = await Redis.start(t, { args });
        await functions.connect();
        await functions.load();
        return functions;
    }

    // Again after the server was restarted.
    async connect() {
        this.redis = await Resp.connect(this.t, this.server.port);
        this.listener = await Resp.connect(this.t, this.server.port);
    }

    async load() {
        await this.call('FUNCTION', 'LOAD', librarySource);
    }

    // As after a crash; what Redis wrote to disk before is what it has after.
    async crash() {
        await this.server.kill();
        await this.server.run();
        await this.connect();
    }

    call(...words) {
        return this.redis.call(...words);
    }

    publish(channel, payload, ...options) {
        return this.call('FCALL', 'fantail_publish', 1, channel, payload, ...options);
    }

    // { head, entries }, an entry as [id, kind, previous, ms, priority, payload].
    async sync(channel, seen = '', ...options) {
        const [head, entries] = await this.call('FCALL', 'fantail_sync', 1, channel, seen, ...options);
        return { head, entries };
    }

    // The entries, each as text: "m 1-0 payload", "b 2-0 < 1-7", "g 2-3".
    async read(channel, seen, ...options) {
        return (await this.sync(channel, seen, ...options)).entries.map(entryText);
    }

    async subscribe(channel) {
        await this.listener.call('SUBSCRIBE', channel);
    }

    // What was heard in the channel since the last time, as text.
    async heard(channel) {
        return (await this.listener.heard(channel, this.redis)).map((payload) => entryText(openEnvelope(payload)));
    }

    // Entries really held, also those that no sync would return.
    held(channel) {
        return this.call('XLEN', `fantail:stream:{${channel}}`);
    }
}

export function entryText(entry) {
    if (!Array.isArray(entry)) return `bare ${entry}`;
    const [id, kind, previous, , priority, payload] = entry;
    return [kind, id, previous && `< ${previous}`, priority === 'h' && 'high', kind === 'm' && payload].filter(Boolean).join(' ');
}

export const epochOf = (id) => Number(id.split('-')[0]);
export const offsetOf = (id) => Number(id.split('-')[1]);

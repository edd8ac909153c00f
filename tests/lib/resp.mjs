// A client of Redis that is close to the wire: binary safe, pipelined, errors as values. For what redis-cli cannot show.

import net from 'node:net';

import { until, within } from './wait.mjs';

export class RespError extends Error {}

// One reply from `at` on, as [value, end]; undefined when it is not all there. Strings are Buffers.
function parse(data, at) {
    const end = data.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const line = data.toString('latin1', at + 1, end);
    let next = end + 2;
    switch (String.fromCharCode(data[at])) {
        case '+':
            return [line, next];
        case '-':
            return [new RespError(line), next];
        case ':':
            return [Number(line), next];
        case '$': {
            const length = Number(line);
            if (length < 0) return [null, next];
            if (data.length < next + length + 2) return undefined;
            return [data.subarray(next, next + length), next + length + 2];
        }
        case '*': {
            const values = [];
            for (let i = 0; i < Number(line); i++) {
                const element = parse(data, next);
                if (element === undefined) return undefined;
                values.push(element[0]);
                next = element[1];
            }
            return [values, next];
        }
        default:
            throw new Error(`not RESP: ${line}`);
    }
}

export function textOf(value) {
    if (Buffer.isBuffer(value)) return value.toString();
    return Array.isArray(value) ? value.map(textOf) : value;
}

export class Resp {
    static async connect(t, port) {
        const client = new Resp();
        client.waiting = [];
        client.messages = []; // Of channels subscribed: [channel, payload], payload as a Buffer.
        client.data = Buffer.alloc(0);
        client.socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
        client.socket.on('data', (data) => client.#received(data));
        client.socket.on('error', () => {});
        client.socket.on('close', () => client.waiting.splice(0).forEach(({ reject }) => reject(new Error('Redis closed the connection'))));
        t.after(() => client.socket.destroy());
        await within('a connection to Redis', new Promise((resolve, reject) => {
            client.socket.once('connect', resolve);
            client.socket.once('error', reject);
        }));
        return client;
    }

    #received(data) {
        this.data = Buffer.concat([this.data, data]);
        for (let reply; (reply = parse(this.data, 0)) !== undefined; ) {
            const [value, end] = reply;
            this.data = this.data.subarray(end);
            if (Array.isArray(value) && String(value[0]) === 'message') this.messages.push([String(value[1]), value[2]]);
            else this.waiting.shift().resolve(value);
        }
    }

    // The reply as it came: Buffers, numbers, arrays. An error of Redis is thrown.
    async raw(...words) {
        const parts = [Buffer.from(`*${words.length}\r\n`)];
        for (const word of words) {
            const bytes = Buffer.isBuffer(word) ? word : Buffer.from(String(word));
            parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
        }
        const answered = new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
        this.socket.write(Buffer.concat(parts));
        const value = await within(`the reply to ${words[0]}`, answered);
        if (value instanceof RespError) throw value;
        return value;
    }

    // The reply with strings as text.
    async call(...words) {
        return textOf(await this.raw(...words));
    }

    // The payloads heard in a channel since the last time, once `publisher`, who wrote them, has passed a barrier.
    async heard(channel, publisher) {
        const barrier = `${Math.random()}`;
        await publisher.call('PUBLISH', channel, barrier);
        await until('the barrier', () => this.messages.some(([name, payload]) => name === channel && String(payload) === barrier), { everyMs: 1 });
        const heard = this.messages.filter(([name, payload]) => name === channel && String(payload) !== barrier).map(([, payload]) => payload);
        this.messages = this.messages.filter(([name]) => name !== channel);
        return heard;
    }
}

const ENVELOPE = /^\0\x01(.)([0-9]+-[0-9]+) ([0-9]+-[0-9]+|-) ([0-9]+) ([h-])\n([^]*)$/;

// An envelope as fantail_sync returns the entry, payload in latin1; a bare payload as it is.
export function openEnvelope(payload) {
    const match = payload.toString('latin1').match(ENVELOPE);
    if (!match) return payload;
    const [, kind, id, previous, published, priority, data] = match;
    return [id, kind, previous === '-' ? '' : previous, published, priority, data];
}

// A client among stand-ins: what most tests begin with.

import assert from 'node:assert/strict';
import { afterEach, beforeEach } from 'node:test';

import { Fantail } from '../fantail.js';
import { FakeClock, FakeFetch, FakeStorage, FakeWebSocket } from './fakes.mjs';

export const TRANSPORTS = ['websocket', 'sse', 'stream', 'longpoll', 'poll'];
export const only = (...names) => ({ transports: names });
export const line = (value) => `${JSON.stringify(value)}\n`;
export const event = (id, data) => `${id ? `id: ${id}\n` : ''}${data ? `data: ${JSON.stringify(data)}\n` : ''}\n`;

// Fakes that are new in each test of a file.
export function useWorld() {
    const random = Math.random;
    const world = { listeners: new Map() };
    let clients;

    beforeEach(() => {
        world.clock = new FakeClock().install();
        world.http = new FakeFetch().install();
        FakeWebSocket.all = [];
        FakeWebSocket.refuse = false;
        Math.random = () => 0.5;
        clients = [];
        globalThis.WebSocket = FakeWebSocket;
        globalThis.addEventListener = (name, callback) => world.listeners.set(name, callback);
        globalThis.removeEventListener = (name) => world.listeners.delete(name);
        globalThis.document = { hidden: false };
        Object.defineProperty(globalThis, 'localStorage', { value: new FakeStorage(), configurable: true });
    });

    afterEach(() => {
        for (const client of clients) client.disconnect();
        const left = world.clock.pending;
        world.clock.restore();
        Math.random = random;
        delete globalThis.document;
        assert.equal(left, 0, 'a disconnected client leaves no timer behind');
    });

    // A client with subscriptions { channel: options }; what they hear is in `seen`.
    world.start = async (options, subscriptions = {}) => {
        const states = [];
        const errors = [];
        const seen = [];
        const client = new Fantail('https://example.com', {
            onState: (state, detail) => states.push({ state, ...detail }),
            onError: (error) => errors.push(error),
            ...options,
        });
        clients.push(client);
        const hear = (channel, more = {}, heard = seen) =>
            client.subscribe(channel, {
                onMessage: (data) => heard.push(data),
                onGap: ({ position }) => heard.push(`gap ${position}`),
                onSubscribed: () => heard.push(`begun ${channel}`),
                onError: ({ code }) => heard.push(`error ${code}`),
                ...more,
            });
        const held = Object.entries(subscriptions).map(([channel, more]) => hear(channel, more));
        client.connect();
        await world.clock.tick();
        return { client, states, errors, seen, held, hear, codes: () => errors.map(({ code }) => code) };
    };

    // Answers what is asked on this transport, and says `frames`: texts that need not be JSON, with the cursors they bring.
    world.answer = async (name, channel, frames = []) => {
        const { http, clock } = world;
        const request = http.last;
        if (name === 'websocket') {
            FakeWebSocket.last.welcome({ [channel]: { position: '7-0' } });
            for (const { text } of frames) FakeWebSocket.last.onmessage({ data: text });
        } else if (name === 'sse') {
            request.begin('text/event-stream');
            request.push(event('7-0'));
            for (const { text, cursor } of frames) request.push(`${cursor ? `id: ${cursor}\n` : ''}data: ${text}\n\n`);
        } else if (name === 'stream') {
            request.begin('application/x-ndjson');
            request.push(line({ cursor: '7-0', event: 'open' }));
            for (const { text } of frames) request.push(`${text}\n`);
        } else {
            request.reply({ cursor: '7-0', messages: [] });
            await clock.tick(name === 'poll' ? 3000 : 0);
            const cursor = frames.at(-1)?.cursor;
            if (frames.length > 0) {
                const body = `{"cursor":"${cursor}","messages":[${frames.map(({ text }) => text)}]}`;
                http.last.reply(body, { headers: { ETag: `"${cursor}"` } });
            }
        }
        await clock.tick();
    };
    return world;
}

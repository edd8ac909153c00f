// Small clients that come back, one per transport, written after docs/protocols alone: they keep what they were told
// last and ask to go on from there, on any node. For tests of what arrives in the end.

import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

import WebSocket from 'ws';

import { subscribePath } from './subscribe.mjs';

const BACKOFF_MS = { first: 50, most: 1000 };
// A server that says nothing for so long is not there; nodes of the tests send heartbeats more often.
const SILENCE_MS = 8000;

class Receiver {
    // `nodes` are gateways; each connection goes to a random one.
    constructor({ nodes, channel }) {
        this.nodes = nodes;
        this.channel = channel;
        this.received = []; // Payloads, in the order in which they came.
        this.gaps = [];
        this.connections = 0;
        this.position = undefined; // Where it is; it begins wherever the channel is.
        this.isRunning = true;
        this.ended = this.#run();
    }

    async #run() {
        let failures = 0;
        while (this.isRunning) {
            const before = this.connections;
            try {
                await this.connectOnce(this.nodes[Math.floor(Math.random() * this.nodes.length)]);
            } catch {
                // Refused, cut, or silent: all the same.
            }
            failures = this.connections > before ? 0 : failures + 1;
            // Full jitter, so that those who were cut off at once do not come back at once.
            await pause(Math.random() * Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** failures));
        }
    }

    // An object as it comes on every transport.
    take(object) {
        if (object.event === 'gap') {
            this.gaps.push(object);
            if (object.position) this.position = object.position;
        } else if ('data' in object) {
            this.received.push(object.data);
            this.position = object.id;
        }
    }

    cut() {
        this.destroy?.();
    }

    async stop() {
        this.isRunning = false;
        this.cut();
        await this.ended;
    }
}

class WebSocketReceiver extends Receiver {
    connectOnce(node) {
        return new Promise((resolve) => {
            const socket = new WebSocket(`${node.wsUrl}/v1/ws`, 'fantail.v1', { perMessageDeflate: false, handshakeTimeout: SILENCE_MS });
            let silence;
            const heard = () => {
                clearTimeout(silence);
                silence = setTimeout(() => socket.terminate(), SILENCE_MS);
            };
            this.destroy = () => socket.terminate();
            socket.on('open', () => {
                heard();
                socket.send(JSON.stringify({ ref: 1, op: 'subscribe', channel: this.channel, since: this.position }));
            });
            socket.on('ping', heard);
            socket.on('message', (text) => {
                heard();
                for (const line of text.toString().split('\n')) if (line) this.#frame(JSON.parse(line), socket);
            });
            socket.on('error', () => {});
            socket.on('close', () => {
                clearTimeout(silence);
                resolve();
            });
        });
    }

    #frame(frame, socket) {
        if (frame.ref === 1 && frame.ok) {
            this.connections++;
            if (frame.recovered === false) this.take({ event: 'gap', ...frame });
            this.position ??= frame.position;
        } else if (frame.ref === 1) socket.terminate();
        else this.take(frame);
    }
}

// One GET; `onData` gets the text of its body as it comes. Resolves with the response when that is over.
function get(receiver, node, options, headers, agent, onData) {
    return new Promise((resolve, reject) => {
        const url = node.url + subscribePath(receiver.channel, options);
        const request = http.get(url, { headers, agent, timeout: SILENCE_MS + 1000 * (options.wait ?? 0) }, (response) => {
            response.setEncoding('utf8');
            if (response.statusCode === 200) receiver.connections++;
            response.on('data', (text) => response.statusCode === 200 && onData(text));
            response.on('error', reject);
            response.on('end', () => resolve(response));
            response.on('close', () => reject(new Error('cut')));
        });
        request.on('timeout', () => request.destroy());
        request.on('error', reject);
        receiver.destroy = () => request.destroy();
    });
}

class SseReceiver extends Receiver {
    async connectOnce(node) {
        let rest = '';
        const headers = { Accept: 'text/event-stream', ...(this.position ? { 'Last-Event-ID': this.position } : {}) };
        await get(this, node, {}, headers, false, (text) => {
            const events = (rest + text).split('\n\n');
            rest = events.pop();
            for (const event of events) {
                const data = event.match(/^data: (.*)$/m);
                const id = event.match(/^id: (.*)$/m);
                if (data) this.take(JSON.parse(data[1]));
                if (id) this.position = id[1];
            }
        });
    }
}

class StreamReceiver extends Receiver {
    async connectOnce(node) {
        let rest = '';
        await get(this, node, this.position ? { cursor: this.position } : {}, { Accept: 'application/x-ndjson' }, false, (text) => {
            const lines = (rest + text).split('\n');
            rest = lines.pop();
            for (const line of lines) {
                if (line === '') continue;
                const object = JSON.parse(line);
                this.take(object);
                if (object.cursor) this.position = object.cursor;
            }
        });
    }
}

// Polls know where they are only when a reply has come whole.
class PollingReceiver extends Receiver {
    constructor(options) {
        super(options);
        this.agent = new http.Agent({ keepAlive: true });
    }

    async poll(node, options) {
        let body = '';
        const response = await get(this, node, this.position ? { cursor: this.position, ...options } : { wait: 0 }, {}, this.agent, (text) => (body += text));
        if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
        const { cursor, messages } = JSON.parse(body);
        for (const object of messages) this.take(object);
        this.position = cursor;
    }

    async stop() {
        await super.stop();
        this.agent.destroy();
    }
}

class LongPollReceiver extends PollingReceiver {
    async connectOnce(node) {
        await this.poll(node, { wait: 5 });
    }
}

class PollReceiver extends PollingReceiver {
    async connectOnce(node) {
        await this.poll(node, { wait: 0 });
        await pause(500 + Math.random() * 500);
    }
}

export const receivers = {
    ws: WebSocketReceiver,
    sse: SseReceiver,
    stream: StreamReceiver,
    longpoll: LongPollReceiver,
    poll: PollReceiver,
};

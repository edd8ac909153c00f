// A client of the native protocol over npm's `ws`, close to the wire: for tests of the gateway, not of fantail.js.

import WebSocket from 'ws';

import { within } from './wait.mjs';

export class NativeClient {
    // Resolves when the WebSocket is open; rejects with `.status` when the gateway answers otherwise.
    static open(gateway, { path = '/v1/ws', protocol = 'fantail.v1', origin, headers, timeoutMs = 10_000, ...options } = {}) {
        const client = new NativeClient();
        client.frames = []; // Every JSON object received, in order.
        client.waiting = [];
        client.nextRef = 1;
        client.socket = new WebSocket(`${gateway.wsUrl}${path}`, protocol === null ? [] : protocol, {
            origin,
            headers,
            perMessageDeflate: false,
            ...options,
        });
        client.closed = new Promise((resolve) => {
            client.socket.on('close', (code, reason) => {
                client.close = { code, reason: reason.toString() };
                resolve(client.close);
            });
        });
        client.socket.on('message', (data) => {
            for (const line of data.toString().split('\n')) {
                if (line !== '') client.#received(JSON.parse(line));
            }
        });
        const opened = new Promise((resolve, reject) => {
            client.socket.once('open', () => resolve(client));
            client.socket.once('error', reject);
            client.socket.once('unexpected-response', (request, response) => {
                let body = '';
                response.setEncoding('utf8');
                response.on('data', (text) => (body += text));
                response.on('end', () => {
                    reject(Object.assign(new Error(`status ${response.statusCode}`), { status: response.statusCode, headers: response.headers, body }));
                });
            });
        });
        // An error after opening is told by the close that follows it.
        client.socket.on('error', () => {});
        return within(`a WebSocket to ${path}`, opened, timeoutMs);
    }

    #received(frame) {
        this.frames.push(frame);
        this.waiting = this.waiting.filter((wait) => !wait(frame));
    }

    // One operation; its reply, also when that is an error.
    async request(op, timeoutMs) {
        const ref = this.nextRef++;
        const reply = this.#next(`a reply to ${op.op}`, (frame) => frame.ref === ref, timeoutMs);
        this.send({ ref, ...op });
        return reply;
    }

    async subscribe(channel, options = {}) {
        const reply = await this.request({ op: 'subscribe', channel, ...options });
        if (!reply.ok) throw new Error(`subscribe ${channel}: ${JSON.stringify(reply)}`);
        return reply;
    }

    async publish(channel, data, options = {}) {
        const reply = await this.request({ op: 'publish', channel, data, ...options });
        if (!reply.ok) throw new Error(`publish ${channel}: ${JSON.stringify(reply)}`);
        return reply;
    }

    // An object as JSON; a string or Buffer as it is.
    send(what) {
        this.socket.send(typeof what === 'string' || Buffer.isBuffer(what) ? what : JSON.stringify(what));
    }

    // The first frame for which `matches` holds, among those received or yet to come.
    async frame(what, matches, timeoutMs) {
        return this.frames.find(matches) ?? this.#next(what, matches, timeoutMs);
    }

    async message(channel, matches = () => true, timeoutMs) {
        return this.frame(`a message in ${channel}`, (frame) => 'data' in frame && frame.channel === channel && matches(frame.data), timeoutMs);
    }

    async event(name, matches = () => true, timeoutMs) {
        return this.frame(`the event ${name}`, (frame) => frame.event === name && matches(frame), timeoutMs);
    }

    #next(what, matches, timeoutMs = 10_000) {
        let wait;
        const found = new Promise((resolve, reject) => {
            wait = (frame) => {
                if (!matches(frame)) return false;
                resolve(frame);
                return true;
            };
            this.waiting.push(wait);
            this.closed.then(({ code }) => reject(new Error(`closed with ${code} while waiting for ${what}`)));
        });
        return within(what, found, timeoutMs).finally(() => {
            this.waiting = this.waiting.filter((other) => other !== wait);
        });
    }

    messages(channel) {
        return this.frames.filter((frame) => 'data' in frame && frame.channel === channel).map((frame) => frame.data);
    }

    // Closes properly and waits for it.
    async end(code = 1000) {
        this.socket.close(code);
        return within('the close', this.closed);
    }
}

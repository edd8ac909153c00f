// GET /v1/subscribe, one request at a time: for tests of single answers. receivers.mjs has clients that come back.

import http from 'node:http';

import { until } from './wait.mjs';

// '/v1/subscribe?channel=...': `channels` is a name or a list, `options` further parameters.
export function subscribePath(channels, options = {}) {
    const query = new URLSearchParams();
    for (const channel of [channels].flat()) query.append('channel', channel);
    for (const [name, value] of Object.entries(options)) query.append(name, String(value));
    return `/v1/subscribe?${query}`;
}

// One poll: { status, headers, cursor, messages, error, ms }.
export async function poll(gateway, channels, options = {}, { headers = {}, signal } = {}) {
    const started = performance.now();
    const response = await fetch(gateway.url + subscribePath(channels, options), { headers, signal });
    const text = await response.text();
    return {
        status: response.status,
        headers: response.headers,
        ms: performance.now() - started,
        text,
        ...(text ? JSON.parse(text) : {}),
    };
}

// POST /v1/publish; the reply, which has to be a good one.
export async function publish(gateway, channel, payload, options = {}) {
    const query = new URLSearchParams({ channel, ...options });
    const response = await fetch(`${gateway.url}/v1/publish?${query}`, { method: 'POST', body: payload });
    const reply = await response.json();
    if (response.status !== 200) throw new Error(`publish ${channel}: ${response.status} ${JSON.stringify(reply)}`);
    return reply;
}

// An SSE or NDJSON stream: every event or line as it comes, in `elements`.
export class Stream {
    // `form` is 'sse' or 'stream'. Resolves when the headers are there; they must say 200.
    static async open(gateway, form, channels, options = {}, { headers = {} } = {}) {
        const stream = new Stream();
        stream.elements = []; // SSE: { id, data, retry, comment }, what each event has; NDJSON: objects.
        stream.heartbeats = 0;
        stream.isEnded = false;
        stream.rest = '';
        const url = gateway.url + subscribePath(channels, { transport: form, ...options });
        stream.response = await new Promise((resolve, reject) => {
            stream.request = http.get(url, { headers, agent: false }, resolve);
            stream.request.once('error', reject);
        });
        const { response } = stream;
        response.setEncoding('utf8');
        if (response.statusCode !== 200) throw Object.assign(new Error(`status ${response.statusCode}`), { status: response.statusCode });
        stream.request.on('error', () => {});
        response.on('error', () => {});
        response.on('close', () => (stream.isEnded = true));
        response.on('data', (text) => stream.#received(text, form === 'sse'));
        return stream;
    }

    #received(text, isSse) {
        const pieces = (this.rest + text).split(isSse ? '\n\n' : '\n');
        this.rest = pieces.pop();
        for (const piece of pieces) {
            if (piece === '' || piece === ':') this.heartbeats++;
            else this.elements.push(isSse ? parseEvent(piece) : JSON.parse(piece));
        }
    }

    // What the elements carry: messages and events of the gateway.
    get objects() {
        const objects = this.elements.map((element) => ('data' in element && !('channel' in element) ? element.data : element));
        return objects.filter((object) => object.channel !== undefined || object.event === 'drain');
    }

    get messages() {
        return this.objects.filter((object) => 'data' in object).map((object) => object.data);
    }

    // The first object for which `matches` holds.
    async object(what, matches, timeoutMs) {
        return until(`${what} in ${JSON.stringify(this.elements.slice(-5))}`, () => this.objects.find(matches), { timeoutMs });
    }

    async sees(payload, timeoutMs) {
        return this.object(JSON.stringify(payload), (object) => JSON.stringify(object.data) === JSON.stringify(payload), timeoutMs);
    }

    // The cursor as it is now.
    get cursor() {
        return this.elements.findLast((element) => element.id ?? element.cursor)?.id ?? this.elements.findLast((element) => element.cursor)?.cursor;
    }

    end() {
        this.request.destroy();
    }
}

function parseEvent(text) {
    const event = {};
    for (const line of text.split('\n')) {
        const [, field, value] = line.match(/^([^:]*):? ?(.*)$/);
        if (field === 'data') event.data = JSON.parse(value);
        else if (field === '') event.comment = value;
        else event[field] = value;
    }
    return event;
}

import { setMaxListeners } from 'node:events';

// Stand-ins for what a browser gives: a clock that tests move, and WebSockets, requests and storage whose other side
// is the test.

// Replaces timers and Date.now until `restore`. Time passes only in `tick`.
export class FakeClock {
    #real = {};
    #timers = new Map();
    #ids = 0;
    now = 1_763_680_000_000;

    install() {
        for (const name of ['setTimeout', 'clearTimeout']) this.#real[name] = globalThis[name];
        this.#real.now = Date.now;
        globalThis.setTimeout = (callback, delay = 0, ...values) => {
            this.#timers.set(++this.#ids, { at: this.now + Math.max(0, delay), callback, values });
            return this.#ids;
        };
        globalThis.clearTimeout = (id) => this.#timers.delete(id);
        Date.now = () => this.now;
        return this;
    }

    restore() {
        Object.assign(globalThis, { setTimeout: this.#real.setTimeout, clearTimeout: this.#real.clearTimeout });
        Date.now = this.#real.now;
    }

    get pending() {
        return this.#timers.size;
    }

    // Time passes and no timer fires, as in a laptop whose lid is closed.
    sleep(ms) {
        this.now += ms;
    }

    // Lets what is already settled run on, then moves on from timer to timer.
    async tick(ms = 0) {
        const end = this.now + ms;
        await settle();
        for (;;) {
            const [id, next] = [...this.#timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
            if (!next || next.at > end) break;
            this.now = Math.max(this.now, next.at);
            this.#timers.delete(id);
            next.callback(...next.values);
            await settle();
        }
        this.now = Math.max(this.now, end);
    }
}

const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

export class FakeWebSocket {
    static all = [];
    readyState = 0;
    sent = []; // Every op, in order.

    constructor(url, protocol) {
        Object.assign(this, { url, protocol });
        FakeWebSocket.all.push(this);
        if (FakeWebSocket.refuse) queueMicrotask(() => this.drop(1006));
    }

    static get last() {
        return this.all.at(-1);
    }

    send(text) {
        this.sent.push(...text.split('\n').map((line) => JSON.parse(line)));
    }

    close() {
        this.readyState = 3;
        this.closedByClient = true;
    }

    // What the server does:

    open() {
        this.readyState = 1;
        this.onopen?.();
    }

    say(...frames) {
        this.onmessage?.({ data: frames.map((frame) => JSON.stringify(frame)).join('\n') });
    }

    // As in Node 22, which tells of no close after it; browsers and Node 24 do.
    fail(message) {
        this.readyState = 3;
        this.onerror({ message });
    }

    drop(code, reason = '') {
        this.readyState = 3;
        this.onclose?.({ code, reason });
    }

    op(name) {
        return this.sent.findLast((op) => op.op === name);
    }

    ok(op, reply = {}) {
        this.say({ ref: op.ref, ok: true, ...reply });
    }

    // Opens, answers connect, and each subscription as `answers[channel]` says.
    welcome(answers = {}, greeting = {}) {
        this.open();
        this.ok(this.op('connect'), { session: 's1', node: 'n1', version: '0.1.0', ping_seconds: 25, ...greeting });
        for (const op of this.sent.filter((op) => op.op === 'subscribe')) {
            this.ok(op, { channel: op.channel, ...answers[op.channel] });
        }
    }
}

// fetch() whose answers the test gives.
export class FakeFetch {
    all = [];
    refuse = false; // As when nobody listens.

    install() {
        globalThis.fetch = (url, options = {}) => {
            const request = new FakeRequest(url, options);
            this.all.push(request);
            if (this.refuse) request.fail();
            return request.response;
        };
        return this;
    }

    get last() {
        return this.all.at(-1);
    }
}

class FakeRequest {
    constructor(url, options) {
        this.url = new URL(url);
        this.query = this.url.searchParams;
        Object.assign(this, { method: 'GET', headers: {}, ...options });
        this.response = new Promise((resolve, reject) => {
            this.resolve = resolve;
            this.reject = reject;
        });
        this.response.catch(() => {});
        if (this.signal) setMaxListeners(0, this.signal);
        this.signal?.addEventListener('abort', () => {
            this.aborted = true;
            this.reject(new DOMException('aborted', 'AbortError'));
            this.controller?.error(new DOMException('aborted', 'AbortError'));
        });
    }

    fail() {
        this.reject(new TypeError('fetch failed'));
    }

    reply(body, { status = 200, headers = {} } = {}) {
        const text = typeof body === 'string' ? body : JSON.stringify(body);
        this.resolve(new Response(text, { status, headers: { 'Content-Type': 'application/json', ...headers } }));
    }

    // The head of a response without end; then push() and end().
    begin(type) {
        const stream = new ReadableStream({ start: (controller) => (this.controller = controller) });
        this.resolve(new Response(stream, { headers: { 'Content-Type': type } }));
    }

    push(text) {
        this.controller.enqueue(new TextEncoder().encode(text));
    }

    pushBytes(bytes) {
        this.controller.enqueue(bytes);
    }

    end() {
        this.controller.close();
    }
}

export class FakeStorage {
    #items = new Map();

    getItem(name) {
        return this.#items.get(name) ?? null;
    }

    setItem(name, value) {
        this.#items.set(name, String(value));
    }
}

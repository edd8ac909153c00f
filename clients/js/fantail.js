// fantail.js: the browser's side of a fantail gateway. One ES module, no dependencies. MIT licence.
// README.md shows its use, fantail.d.ts says what each option means.

const OPEN_MS = 6000; // An attempt without an answer for so long has failed.
const PROBE_MS = 5000; // After waking up, a connection must show life within this.
const PING_MARGIN_MS = 10000; // How late the server's ping may be.
const RETRY_FAST_MS = 250; // The first retry after a working connection: failover should not be felt.
const RETRY_BASE_MS = 500; // Further ones: full jitter below this times 2, 4, 8, ...
const RETRY_MAX_MS = 20000;
const STABLE_MS = 1000; // A connection that lived for so long starts the backoff afresh.
const REQUEST_MS = 10000; // How long publish() and the others wait for their answer.
const NEVER_MS = 2 ** 31 - 1; // The longest time that setTimeout knows.
const WAKING = ['online', 'offline', 'visibilitychange', 'pageshow'];

export class FantailError extends Error {
    constructor(code, message) {
        super(message || code);
        this.name = 'FantailError';
        this.code = code;
    }
}

// A transport is { name, open(link) }. `open` starts connecting and gives { close(), subscribe(channel),
// unsubscribe(channel), send(...ops) }. It tells of its life by the link's receive(text), subscribed(channel,
// reply) and lost({ code, reason }), and reads base, token and channels of it.
const websocket = {
    name: 'websocket',
    open(link) {
        const socket = new WebSocket(`${link.base}v1/ws`.replace(/^http/, 'ws'), 'fantail.v1');
        const send = (...ops) => {
            if (socket.readyState === 1) socket.send(ops.map((op) => JSON.stringify(op)).join('\n'));
        };
        const subscription = (channel) => ({
            ref: link.ref((reply) => link.subscribed(channel, reply)),
            op: 'subscribe',
            channel: channel.name,
            ...channel.from(),
        });
        socket.onopen = () =>
            send(
                { ref: link.ref(link.welcome), op: 'connect', ping: true, token: link.token },
                ...[...link.channels()].map(subscription),
            );
        socket.onmessage = ({ data }) => link.receive(data);
        socket.onclose = ({ code, reason }) => link.lost({ code, reason });
        return {
            send,
            subscribe: (channel) => send(subscription(channel)),
            unsubscribe: (channel) => send({ op: 'unsubscribe', channel: channel.name }),
            close() {
                socket.onopen = socket.onmessage = socket.onclose = null;
                socket.close();
            },
        };
    },
};

// One channel: who listens here, and how far we have read.
class Channel {
    listeners = new Set();
    live = false; // It was subscribed once: from then on, what we do not get is a loss.

    constructor(name, { since, last }) {
        this.name = name;
        this.position = since;
        this.last = last;
    }

    // Where the server should begin. `last` counts only until there is a position.
    from() {
        const from = this.position !== undefined ? { since: this.position } : { last: this.last };
        this.asked = from.since ?? from.last;
        return from;
    }

    // False for an id that was here before.
    advance(id) {
        if (id === undefined) return true;
        const [epoch, offset] = id.split('-');
        const [lastEpoch, lastOffset] = (this.position ?? '').split('-');
        if (epoch === lastEpoch && +offset <= +lastOffset) return false;
        this.position = id;
        return true;
    }

    subscribed(reply) {
        const { error, position, recovered } = reply;
        if (error) return this.tell('onError', new FantailError(error.code, error.message));
        // Where a replay follows, the replayed messages move the position: were the reply's taken at once, a
        // connection lost in mid-replay would lose the rest of it.
        if (this.asked === undefined || recovered === false) this.position = position;
        this.tell('onSubscribed', reply);
        // Without history nobody can tell what passed while we were away; something may have.
        if (recovered === false || (this.live && recovered === undefined && position === undefined)) {
            this.tell('onGap', { event: 'gap', channel: this.name, position });
        }
        this.live = true;
    }

    tell(callback, ...values) {
        for (const listener of [...this.listeners]) call(listener, callback, ...values);
    }
}

// An error in the application's callback must not stop ours.
function call(target, callback, ...values) {
    try {
        target[callback]?.(...values);
    } catch (error) {
        (globalThis.reportError ?? console.error)(error);
    }
}

const failure = (code, message) => ({ error: { code, message } });

export class Fantail {
    state = 'disconnected';
    session;
    node;
    version;
    transport;

    #options;
    #base;
    #channels = new Map();
    #requests = new Map(); // By ref: what is to be sent, or waits for its answer.
    #refs = 0;
    #link; // The one attempt or connection there is; all others are dead.
    #retry; // The timer of the next attempt.
    #attempts = 0;
    #tokenRefused = false;

    constructor(url, options = {}) {
        const base = new URL(url ?? '/', globalThis.location?.href).href;
        this.#base = base.replace(/^ws/, 'http').replace(/\/?$/, '/');
        this.#options = options;
    }

    connect() {
        if (this.state !== 'disconnected') return;
        for (const name of WAKING) globalThis.addEventListener?.(name, this.#wake);
        this.#attempts = 0;
        this.#enter('connecting', {});
        this.#open();
    }

    disconnect() {
        if (this.state !== 'disconnected') this.#stop({ reason: 'disconnect() was called' });
    }

    subscribe(name, listener) {
        // An object of our own, so that the same listener may be given twice.
        const own = typeof listener === 'function' ? { onMessage: listener } : Object.create(listener);
        let channel = this.#channels.get(name);
        if (!channel) {
            channel = new Channel(name, own);
            this.#channels.set(name, channel);
            this.#link?.handle?.subscribe(channel);
        }
        channel.listeners.add(own);
        return {
            channel: name,
            get position() {
                return channel.position;
            },
            unsubscribe: () => {
                if (!channel.listeners.delete(own) || channel.listeners.size > 0) return;
                this.#channels.delete(name);
                this.#link?.handle?.unsubscribe(channel);
            },
        };
    }

    publish(channel, data, options) {
        const text = () => Array.from(data, (byte) => String.fromCharCode(byte)).join('');
        const payload = data instanceof Uint8Array ? { base64: btoa(text()) } : { data };
        return this.#request({ op: 'publish', channel, ...payload, ...options });
    }

    history(channel, options) {
        return this.#request({ op: 'history', channel, ...options });
    }

    presence(channel) {
        return this.#request({ op: 'presence', channel });
    }

    #request(op) {
        const ref = ++this.#refs;
        return new Promise((resolve, reject) => {
            const settle = (reply) => {
                clearTimeout(timer);
                this.#requests.delete(ref);
                if (reply.error) reject(new FantailError(reply.error.code, reply.error.message));
                else resolve(reply);
            };
            const timer = setTimeout(settle, REQUEST_MS, failure('timeout', 'no answer in time'));
            if (this.state === 'disconnected') return settle(failure('disconnected', 'not connected; call connect()'));
            this.#requests.set(ref, { op: { ref, ...op }, settle });
            this.#flush();
        });
    }

    #flush() {
        if (!this.#link?.opened) return;
        for (const request of this.#requests.values()) {
            if (!request.sent) this.#link.handle.send(request.op);
            request.sent = true;
        }
    }

    #enter(state, detail) {
        this.state = state;
        call(this.#options, 'onState', state, detail);
    }

    async #open() {
        clearTimeout(this.#retry);
        this.#retry = undefined;
        const replies = new Map();
        const link = {
            base: this.#base,
            seen: Date.now(),
            limit: OPEN_MS,
            replies,
            channels: () => this.#channels.values(),
            ref: (callback) => replies.set(++this.#refs, callback) && this.#refs,
            welcome: (reply) => this.#welcome(link, reply),
            receive: (text) => this.#receive(link, text),
            lost: (why) => this.#lost(link, why),
            // The reply to a subscription that has been given up, or begun anew, since says nothing.
            subscribed: (channel, reply) => this.#channels.get(channel.name) === channel && channel.subscribed(reply),
        };
        this.#link = link;
        this.#watch(link, OPEN_MS);
        try {
            const { token } = this.#options;
            link.token = typeof token === 'function' ? await token() : token;
            if (link === this.#link) link.handle = websocket.open(link);
        } catch (error) {
            this.#lost(link, { reason: error.message });
        }
    }

    #welcome(link, reply) {
        // The close that follows says whether to come back.
        if (reply.error) return call(this.#options, 'onError', new FantailError(reply.error.code, reply.error.message));
        const { session, node, version, ping_seconds: pings } = reply;
        Object.assign(this, { session, node, version, transport: websocket.name });
        link.opened = Date.now();
        link.limit = pings ? pings * 1000 + PING_MARGIN_MS : NEVER_MS;
        this.#tokenRefused = false;
        this.#watch(link, link.limit);
        this.#enter('connected', { session, node, version, transport: this.transport });
        this.#flush();
    }

    // Silence for `limit` ends the link. Looks again after `delay`.
    #watch(link, limit, delay = limit) {
        clearTimeout(link.timer);
        link.timer = setTimeout(() => {
            const quiet = Date.now() - link.seen;
            if (quiet >= limit) this.#lost(link, { reason: 'no sign of life' });
            else this.#watch(link, link.limit, link.limit - quiet);
        }, delay);
    }

    #receive(link, text) {
        link.seen = Date.now();
        for (const line of text.split('\n')) {
            if (link !== this.#link) return; // A callback may have ended it.
            if (line === '') continue;
            let frame;
            try {
                frame = JSON.parse(line);
            } catch {
                return this.#lost(link, { reason: 'not the fantail protocol' });
            }
            this.#frame(link, frame);
        }
    }

    #frame(link, frame) {
        const { ref, event, error, id, data, base64 } = frame;
        const channel = this.#channels.get(frame.channel);
        if (ref !== undefined) {
            const expected = link.replies.get(ref);
            link.replies.delete(ref);
            if (expected) expected(frame);
            else this.#requests.get(ref)?.settle(frame);
        } else if (event === 'ping') {
            link.handle.send({ op: 'pong' });
        } else if (event === 'drain') {
            link.draining = setTimeout(() => this.#lost(link, { code: 1001, reason: 'drain' }), frame.retry_ms);
        } else if (event) {
            if (channel && frame.position) channel.position = frame.position;
            channel?.tell(`on${event[0].toUpperCase()}${event.slice(1)}`, frame);
        } else if (error) {
            call(this.#options, 'onError', new FantailError(error.code, error.message));
        } else if (('data' in frame || base64 !== undefined) && channel?.advance(id)) {
            const bytes = () => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
            channel.tell('onMessage', base64 === undefined ? data : bytes(), frame);
        }
    }

    #drop() {
        const link = this.#link;
        this.#link = undefined;
        clearTimeout(this.#retry);
        this.#retry = undefined;
        clearTimeout(link?.timer);
        clearTimeout(link?.draining);
        link?.handle?.close();
    }

    #lost(link, { code, reason }) {
        if (link !== this.#link) return;
        this.#drop();
        // A token function may have a fresher one; only a second refusal in a row is final.
        const retoken = code === 3501 && typeof this.#options.token === 'function' && !this.#tokenRefused;
        if (code >= 3500 && code < 4000 && !retoken) return this.#stop({ code, reason });
        this.#tokenRefused ||= retoken;

        const lasted = link.opened && Date.now() - link.opened >= STABLE_MS;
        if (lasted) this.#attempts = 0;
        // A draining server has spread its clients over time already.
        let most = lasted ? RETRY_FAST_MS : Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** this.#attempts);
        if (lasted && link.draining) most = 0;
        this.#attempts++;
        const retryMs = Math.round(Math.random() * most);
        this.#retry = setTimeout(() => this.#open(), retryMs);
        this.#enter('connecting', { code, reason, retryMs });

        // Whether a publish took effect is unknown now. With an idempotency key, and where it only reads, it is
        // simply sent again.
        for (const { op, sent, settle } of this.#requests.values()) {
            if (!sent) continue;
            if (code === 1009) settle(failure('message_too_large', 'larger than the server takes'));
            else if (op.op === 'publish' && op.key === undefined) settle(failure('connection_lost', 'the connection was lost before the answer'));
            else this.#requests.get(op.ref).sent = false;
        }
    }

    #stop(why) {
        this.#drop();
        for (const name of WAKING) globalThis.removeEventListener?.(name, this.#wake);
        this.#enter('disconnected', why);
        for (const { settle } of this.#requests.values()) settle(failure('disconnected', why.reason));
    }

    // The page or the network came back, or went: timers may have slept, and a socket may be dead unnoticed.
    #wake = ({ type }) => {
        if (globalThis.document?.hidden) return;
        const link = this.#link;
        if (this.#retry !== undefined) {
            if (type !== 'offline') this.#open();
        } else if (link?.opened) {
            link.handle.send({ op: 'ping' });
            this.#watch(link, PROBE_MS);
        }
    };
}

// fantail.js: the browser's side of a fantail gateway. MIT licence. See README.md and fantail.d.ts.

const OPEN_MS = 6000; // An attempt without an answer has failed.
const PROBE_MS = 5000; // After waking up, a connection must show life.
const SILENCE_MS = 4000; // A stream that begins and then says nothing is held back by a proxy.
const PING_SECONDS = 25; // Of the server, where it does not say.
const PING_MARGIN_MS = 10000;
const RETRY_FAST_MS = 250; // The first retry after a working connection.
const RETRY_BASE_MS = 500; // Further ones: full jitter below this times 2, 4, 8, ...
const RETRY_MAX_MS = 20000;
const STABLE_MS = 1000; // A connection that lived for so long starts the backoff afresh.
const REQUEST_MS = 10000;
const POLL_MS = 3000;
const LOYALTY = 3; // So many failures of a transport that has worked are the server's.
const UPGRADE_MS = 10000; // When better transports are tried again; doubles.
const UPGRADE_MAX_MS = 600000;
const NEVER_MS = 2 ** 31 - 1; // The longest time that setTimeout knows.
const WAKING = ['online', 'offline', 'visibilitychange', 'pageshow'];

export class FantailError extends Error {
    constructor(code, message) {
        super(message || code);
        this.name = 'FantailError';
        this.code = code;
    }
}

const failure = (code, message) => ({ error: { code, message } });
const LOST = failure('connection_lost', 'the connection was lost before the answer');
const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

// The transport that worked last. Not every visitor has storage.
function remembered(...name) {
    try {
        return localStorage[name[0] ? 'setItem' : 'getItem']('fantail.transport', ...name);
    } catch {}
}

// XXH32 with seed 0: how a cursor names its channels.
function hashOf(name) {
    const data = new TextEncoder().encode(name);
    const view = new DataView(data.buffer);
    const [A, B, C, D, E] = [2654435761, 2246822519, 3266489917, 668265263, 374761393];
    const { imul } = Math;
    const rotate = (value, bits) => (value << bits) | (value >>> (32 - bits));
    let at = 0;
    let hash = E;
    if (data.length >= 16) {
        const lanes = [A + B, B, 0, -A];
        for (; at + 16 <= data.length; at += 16) {
            lanes.forEach((lane, i) => (lanes[i] = imul(rotate(lane + imul(view.getUint32(at + 4 * i, true), B), 13), A)));
        }
        hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
    }
    hash += data.length;
    for (; at + 4 <= data.length; at += 4) hash = imul(rotate(hash + imul(view.getUint32(at, true), C), 17), D);
    for (; at < data.length; at++) hash = imul(rotate(hash + imul(data[at], E), 11), A);
    hash = imul(hash ^ (hash >>> 15), B);
    hash = imul(hash ^ (hash >>> 13), C);
    return ((hash ^ (hash >>> 16)) >>> 0).toString(16).padStart(8, '0');
}

// A transport is { name, open(link) }. `open` starts connecting and gives { close, subscribe, unsubscribe, send }. It
// tells of its life by the link's welcome(reply), receive(text), subscribed(channel, reply) and lost(why).
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

function subscribeUrl(link, name, channels, more) {
    const query = new URLSearchParams({ transport: name, ...more });
    for (const channel of channels) query.append('channel', channel.name);
    const known = channels.filter((channel) => (channel.asked = channel.position));
    const cursor = known.map(({ hash, position }) => (channels.length > 1 ? `${hash}:${position}` : position));
    if (known.length > 0) query.set('cursor', cursor);
    const last = Math.max(...channels.map((channel) => (channel.asked ? 0 : channel.last ?? 0)));
    if (last > 0) query.set('last', last);
    return `${link.base}v1/subscribe?${query}`;
}

const authorization = ({ token }) => (token === undefined ? {} : { Authorization: `Bearer ${token}` });

async function readLines(link, response, take) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = '';
    for (;;) {
        const { done, value } = await reader.read();
        if (done) throw ENDED;
        link.receive(''); // A sign of life.
        const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
        rest = lines.pop();
        lines.forEach(take);
    }
}

const ENDED = { reason: 'the response ended' };
const withCursor = (json, id) => (id ? json.replace('{', `{"cursor":"${id}",`) : json);

function readEvents(link, response) {
    let event = {};
    return readLines(link, response, (line) => {
        const [, field, value] = line.match(/^(id|data): ?(.*)/) ?? [];
        if (field) event[field] = value;
        else if (line === '') {
            // An id alone says that all channels are there, and where they begin.
            const { id, data = id && '{"event":"open"}' } = event;
            if (data) link.receive(withCursor(data, id));
            event = {};
        }
    });
}

// Where fetch cannot stream; without a token.
const nativeEvents = (link, url) =>
    new Promise((_, reject) => {
        const source = new EventSource(url);
        source.onopen = link.welcome;
        source.onmessage = ({ data, lastEventId }) => link.receive(withCursor(data, lastEventId));
        link.signal.onabort = source.onerror = () => {
            source.close();
            reject(ENDED);
        };
    });

async function refusal(response) {
    const { error } = await response.json().catch(() => ({}));
    const { status, headers } = response;
    return {
        error,
        // A proxy may refuse a transport; only the server's own word is final.
        code: error && { 401: 3501, 403: 3502 }[status],
        isBusy: error && (status === 429 || status >= 500),
        retryMs: 1000 * headers.get('Retry-After'),
        reason: error?.message ?? `HTTP status ${status}`,
    };
}

// Receives by GET /v1/subscribe, publishes by POST. `read` makes one request.
const overHttp = (name, read) => ({
    name,
    open(link) {
        let request;
        let timer;
        const pause = (ms) => new Promise((resolve) => (timer = setTimeout(resolve, ms)));

        async function run() {
            request?.abort();
            const own = (request = new AbortController());
            const channels = (link.asked = [...link.channels()]);
            link.signal = own.signal;
            if (channels.length === 0) return link.welcome({});
            try {
                while (own === request) await read(link, channels, pause);
            } catch (why) {
                if (own === request) link.lost(why.reason ? why : { reason: why.message });
            }
        }

        async function post({ ref, op, channel, data, base64, ...options }) {
            if (ref === undefined) return;
            let reply = failure('not_supported', `${op} needs the websocket transport`);
            if (op === 'publish') {
                const isBinary = base64 !== undefined;
                const type = isBinary ? 'application/octet-stream' : 'application/json';
                try {
                    const response = await fetch(`${link.base}v1/publish?${new URLSearchParams({ channel, ...options })}`, {
                        method: 'POST',
                        headers: { 'Content-Type': type, ...authorization(link) },
                        body: isBinary ? fromBase64(base64) : JSON.stringify(data),
                    });
                    reply = await response.json();
                } catch {
                    reply = LOST;
                }
            }
            link.answer({ ...reply, ref });
        }

        const again = () => {
            clearTimeout(timer);
            timer = setTimeout(run);
        };
        run();
        return {
            posts: true,
            send: post,
            subscribe: again,
            unsubscribe: again,
            close() {
                clearTimeout(timer);
                request?.abort();
                request = undefined;
            },
        };
    },
});

const streaming = (name, accept, read) =>
    overHttp(name, async (link, channels) => {
        const url = subscribeUrl(link, name, channels);
        if (name === 'sse' && !globalThis.Response?.prototype.hasOwnProperty('body')) return nativeEvents(link, url);
        const response = await fetch(url, { signal: link.signal, headers: { Accept: accept, ...authorization(link) } });
        if (!response.ok) throw await refusal(response);
        if (!response.headers.get('Content-Type')?.startsWith(accept)) throw { reason: 'not the fantail protocol' };
        link.begun();
        return read(link, response);
    });

const polling = (name, wait) =>
    overHttp(name, async (link, channels, pause) => {
        const began = Date.now();
        // The first answer comes at once.
        const url = subscribeUrl(link, name, channels, { wait: link.opened ? wait : 0 });
        const response = await fetch(url, { signal: link.signal, headers: authorization(link) });
        if (!response.ok) throw await refusal(response);
        const { cursor, messages } = await response.json();
        // Nodes may take turns in telling gaps.
        const isEager = link.opened && messages.every(({ event }) => event) && Date.now() - began < STABLE_MS;
        link.receive([...messages, { event: 'open', cursor }].map((frame) => JSON.stringify(frame)).join('\n'));
        if (wait === 0 || isEager) await pause(POLL_MS);
    });

const TRANSPORTS = [
    websocket,
    streaming('sse', 'text/event-stream', readEvents),
    streaming('stream', 'application/x-ndjson', (link, response) => readLines(link, response, (line) => link.receive(line))),
    polling('longpoll', PING_SECONDS),
    polling('poll', 0),
];

// One channel: who listens here, and how far we have read.
class Channel {
    listeners = new Set();
    live = false; // Once subscribed, what does not come is a loss.

    constructor(name, { since, last }) {
        this.name = name;
        this.hash = hashOf(name);
        this.position = since;
        this.last = last;
    }

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
        // A replay moves the position by its messages, so that one cut short is continued.
        if (this.asked === undefined || recovered === false || position === undefined) this.position = position;
        this.tell('onSubscribed', reply);
        // Without history nobody knows what passed while we were away.
        this.bare = recovered === undefined && position === undefined;
        if (recovered === false || (this.live && this.bare)) this.tell('onGap', { event: 'gap', channel: this.name, position });
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

export class Fantail {
    state = 'disconnected';
    session;
    node;
    version;
    transport;

    #options;
    #base;
    #channels = new Map();
    #requests = new Map(); // By ref: to be sent, or waiting for the answer.
    #refs = 0;
    #link; // The one attempt or connection; all others are dead.
    #retry; // Timer.
    #attempts = 0;
    #tokenRefused = false;
    #transports;
    #at; // Which of them is tried, or in use.
    #winner = remembered();
    #failures = 0; // In a row, of the one tried.
    #upgrades = 0;

    constructor(url, options = {}) {
        const base = new URL(url ?? '/', globalThis.location?.href).href;
        this.#base = base.replace(/^ws/, 'http').replace(/\/?$/, '/');
        this.#options = options;
        const names = options.transports ?? TRANSPORTS.map(({ name }) => name);
        this.#transports = names.map((name) => TRANSPORTS.find((transport) => transport.name === name));
        this.#at = Math.max(0, names.indexOf(this.#winner));
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
        // The same listener may be given twice.
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

    publish(channel, data, { key, ...options } = {}) {
        const text = () => Array.from(data, (byte) => String.fromCharCode(byte)).join('');
        const payload = data instanceof Uint8Array ? { base64: btoa(text()) } : { data };
        return this.#request({ op: 'publish', channel, ...payload, ...options, ...(key && { idempotency_key: key }) });
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
            transport: this.#transports[this.#at],
            base: this.#base,
            seen: Date.now(),
            limit: OPEN_MS,
            replies,
            held: new Set(), // Channels that have begun, over HTTP.
            channels: () => this.#channels.values(),
            ref: (callback) => replies.set(++this.#refs, callback) && this.#refs,
            begun: () => this.#watch(link, SILENCE_MS),
            welcome: (reply) => this.#welcome(link, reply),
            receive: (text) => this.#receive(link, text),
            answer: (reply) => this.#requests.get(reply.ref)?.settle(reply),
            lost: (why) => this.#lost(link, why),
            // Unless it has been given up, or begun anew, since.
            subscribed: (channel, reply) => this.#channels.get(channel.name) === channel && channel.subscribed(reply),
        };
        this.#link = link;
        this.#watch(link, OPEN_MS);
        try {
            const { token } = this.#options;
            link.token = typeof token === 'function' ? await token() : token;
            if (link === this.#link) link.handle = link.transport.open(link);
        } catch (error) {
            this.#lost(link, { reason: error.message, isBusy: true });
        }
    }

    #welcome(link, reply) {
        if (link !== this.#link || link.opened) return;
        // The close that follows says whether to come back.
        if (reply.error) return call(this.#options, 'onError', new FantailError(reply.error.code, reply.error.message));
        const { session, node, version, ping_seconds: pings = PING_SECONDS } = reply;
        const transport = link.transport.name;
        Object.assign(this, { session, node, version, transport });
        link.opened = Date.now();
        link.limit = pings ? pings * 1000 + PING_MARGIN_MS : NEVER_MS;
        this.#tokenRefused = false;
        this.#failures = 0;
        this.#winner = transport;
        if (!this.#options.transports) remembered(transport);
        this.#watch(link, link.limit);
        this.#upgradeLater(link);
        this.#enter('connected', { session, node, version, transport });
        this.#flush();
    }

    #upgradeLater(link) {
        if (this.#at === 0) return;
        const delay = Math.min(UPGRADE_MAX_MS, UPGRADE_MS * 2 ** this.#upgrades++) * (0.5 + Math.random());
        link.upgrade = setTimeout(() => this.#probe(link, 0), delay);
    }

    // Whether a better transport works by now. If so, moves to it as after a loss.
    #probe(link, index) {
        let handle;
        const end = (works) => {
            clearTimeout(link.upgrade);
            handle?.close();
            link.endProbe = undefined;
            if (works) this.#lost(link, { reason: 'upgrade', index });
            else if (index + 1 < this.#at) this.#probe(link, index + 1);
            else this.#upgradeLater(link);
        };
        const works = () => end(true);
        link.endProbe = () => handle?.close();
        link.upgrade = setTimeout(end, OPEN_MS, false);
        try {
            handle = this.#transports[index].open({
                ...link,
                ref: () => 0,
                begun() {},
                opened: undefined,
                subscribed() {},
                welcome: works,
                receive: works,
                lost: () => end(false),
            });
        } catch {
            end(false);
        }
    }

    // Silence for `limit` ends the link.
    #watch(link, limit, delay = limit) {
        clearTimeout(link.timer);
        link.timer = setTimeout(() => {
            const quiet = Date.now() - link.seen;
            if (quiet >= limit) this.#lost(link, { reason: 'no sign of life', isSilent: true });
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
            if (frame.cursor) this.#seek(link, frame);
        }
    }

    // A cursor is the position of the request's one channel, or HASH:POSITION,... of all.
    #seek(link, { cursor, event }) {
        for (const part of cursor.split(',')) {
            const [position, hash] = part.split(':').reverse();
            const channel = link.asked.find((each) => !hash || each.hash === hash);
            if (channel) channel.position = position;
        }
        if (event !== 'open') return;
        link.welcome({});
        for (const channel of link.asked) {
            if (link.held.has(channel)) continue;
            link.held.add(channel);
            const { name, position, bare, asked } = channel;
            link.subscribed(channel, { channel: name, position, recovered: bare && !asked ? false : undefined });
        }
    }

    #frame(link, frame) {
        const { ref, event, error, id, data, base64 } = frame;
        const channel = this.#channels.get(frame.channel);
        if (ref !== undefined) {
            const expected = link.replies.get(ref);
            link.replies.delete(ref);
            if (expected) expected(frame);
            else link.answer(frame);
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
            channel.tell('onMessage', base64 === undefined ? data : fromBase64(base64), frame);
        }
    }

    #drop() {
        const link = this.#link;
        this.#link = undefined;
        clearTimeout(this.#retry);
        this.#retry = undefined;
        clearTimeout(link?.timer);
        clearTimeout(link?.draining);
        clearTimeout(link?.upgrade);
        link?.endProbe?.();
        link?.handle?.close();
    }

    #lost(link, { code, reason, retryMs = 0, error, isBusy, isSilent, index }) {
        if (link !== this.#link) return;
        this.#drop();
        if (error) call(this.#options, 'onError', new FantailError(error.code, error.message));
        // A token function may have a fresher one.
        const retoken = code === 3501 && typeof this.#options.token === 'function' && !this.#tokenRefused;
        if (code >= 3500 && code < 4000 && !retoken) return this.#stop({ code, reason });
        this.#tokenRefused ||= retoken;

        const lasted = link.opened && Date.now() - link.opened >= STABLE_MS;
        if (lasted) this.#attempts = 0;
        let most = lasted ? RETRY_FAST_MS : Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** this.#attempts);
        // A draining server has spread its clients already.
        if ((lasted && link.draining) || index !== undefined) most = 0;
        else if (this.#isToBlame(link, isBusy || retoken, isSilent)) {
            this.#failures = 0;
            this.#at = (this.#at + 1) % this.#transports.length;
            if (this.#at > 0) most = 0;
        }
        this.#at = index ?? this.#at;
        if (most > 0) this.#attempts++;
        retryMs += Math.round(Math.random() * most);
        this.#retry = setTimeout(() => this.#open(), retryMs);
        this.#enter('connecting', { code, reason, retryMs });

        // Whether a publish took effect is unknown now; what may be repeated is.
        for (const request of this.#requests.values()) {
            const { op, sent, settle } = request;
            if (!sent || link.handle?.posts) continue; // A POST has a fate of its own.
            if (code === 1009) settle(failure('message_too_large', 'larger than the server takes'));
            else if (op.op === 'publish' && op.idempotency_key === undefined) settle(LOST);
            else request.sent = false;
        }
    }

    // Whether the next transport may do better.
    #isToBlame(link, isServers, isSilent) {
        if (isServers || (link.opened && !isSilent)) return false;
        // Silent from the beginning on: held back on the way.
        if (link.opened) return link.seen <= link.opened;
        return ++this.#failures > (link.transport.name === this.#winner ? LOYALTY : 0);
    }

    #stop(why) {
        this.#drop();
        for (const name of WAKING) globalThis.removeEventListener?.(name, this.#wake);
        this.#enter('disconnected', why);
        for (const { settle } of this.#requests.values()) settle(failure('disconnected', why.reason));
    }

    // Timers may have slept, and a socket may have died unnoticed.
    #wake = ({ type }) => {
        if (globalThis.document?.hidden) return;
        const link = this.#link;
        if (this.#retry !== undefined) {
            if (type !== 'offline') this.#open();
        } else if (link?.opened && !link.handle.posts) {
            link.handle.send({ op: 'ping' });
            this.#watch(link, PROBE_MS);
        }
    };
}

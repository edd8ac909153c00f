// fantail.js: the browser's side of a fantail gateway. MIT licence. See README.md and fantail.d.ts.

const OPEN_MS = 6000; // An attempt without an answer has failed.
const PROBE_MS = 5000; // After waking up, a connection must show life.
const SILENCE_MS = 4000; // A stream that begins and then says nothing is held back by a proxy.
const LATE_MS = 1000; // A timer that comes later than this has slept, and everything else with it.
const PING_SECONDS = 25; // Of the server, where it does not say.
const PING_MARGIN_MS = 10000;
const RETRY_FAST_MS = 250; // The first retry after a working connection.
const RETRY_BASE_MS = 500; // Further ones: full jitter below this times 2, 4, 8, ...
const RETRY_MAX_MS = 20000;
const OBEY_MS = 300000; // The longest that a server can send us away for.
const STABLE_MS = 1000; // A connection that lived for so long starts the backoff afresh.
const REQUEST_MS = 10000; // An answer takes no longer over one connection.
const PATIENCE_MS = 300000; // Without a connection requests wait as long as the server knows a publish's key.
const REPEATS = 3; // A request that was under way when so many connections broke may have broken them.
const POLL_MS = 3000;
const LOYALTY = 3; // So many failures of a transport that has worked are the server's.
const UPGRADE_MS = 10000; // When better transports are tried again; doubles.
const UPGRADE_MAX_MS = 600000;
const NEVER_MS = 2 ** 31 - 1; // The longest time that setTimeout knows.
const URL_BYTES = 3500; // Servers and proxies take heads of 8 KiB and less, cookies included,
const URL_CHANNELS = 50; // and not any number of parameters.
const STREAMS = 4; // Requests that do not end: browsers open six connections to a host, and publishes need one.
const CALLBACKS = ['onMessage', 'onGap', 'onSubscribed', 'onError'];
const WAKING = ['online', 'offline', 'visibilitychange', 'pageshow'];

// What passes by itself: docs/protocols/native.md, "Errors". Newer ones say `retry`.
const AGAIN = ['rate_limited', 'too_many_waiting', 'broker_unavailable', 'broker_refused', 'too_many_connections', 'draining', 'internal'];
const isPassing = ({ code, retry }) => retry ?? AGAIN.includes(code);

export class FantailError extends Error {
    constructor(code, message, retry = false) {
        super(message || code);
        this.name = 'FantailError';
        this.code = code;
        this.retry = retry;
    }
}

const errorOf = (error) => new FantailError(error.code, error.message, isPassing(error));
const failure = (code, message, retry) => ({ error: { code, message, retry } });
const LOST = failure('connection_lost', 'The connection was lost before the answer: nobody knows whether the message went out.');
const UNREACHABLE = failure('unreachable', 'The gateway could not be reached for some minutes.');
const TIMEOUT = failure('timeout', 'The gateway did not answer in time.');
const TOO_LARGE = failure('message_too_large', 'The message is larger than the gateway takes.');
const FOREIGN = { reason: 'not the fantail protocol' };
const ENDED = { reason: 'the response ended' };
const whyOf = (error) => (error.reason ? error : { reason: error.message });

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
const backoff = (attempts, base = RETRY_BASE_MS) => Math.round(Math.random() * Math.min(RETRY_MAX_MS, base * 2 ** attempts));
// A number from the network, as a timer can be given it.
const bounded = (ms, most, other = 0) => (ms >= 0 ? Math.min(ms, most) : other);

function check(condition, message) {
    if (!condition) throw new TypeError(message);
}

function checkOptions(options, ...known) {
    check(options === Object(options), `options are an object, not ${options}`);
    for (const name of Object.keys(options)) check(known.includes(name), `unknown option '${name}'; known: ${known.join(', ')}`);
}

// URIs and JSON differ in what they make of half a character.
function checkChannel(name) {
    check(typeof name === 'string' && name !== '', 'a channel is named by a text of one character or more');
    encodeURIComponent(name);
}

function checkStart({ since, last }) {
    check(since === undefined || typeof since === 'string', '`since` is the id of a message, as a string');
    check(last === undefined || (Number.isInteger(last) && last >= 0), '`last` is a number of messages');
}

const report = (error) => (globalThis.reportError ?? console.error)(error);

// An error in the application's callback must not stop ours; one of a promise would even end a process of Node.
function call(target, callback, ...values) {
    try {
        target[callback]?.(...values)?.then?.(undefined, report);
    } catch (error) {
        report(error);
    }
}

// Calls `end` after `ms`, and gives what arrived while this computer slept a chance to be read first. Returns how to
// stop it.
function deadline(ms, end) {
    const due = Date.now() + ms;
    let timer = setTimeout(() => {
        if (Date.now() - due < LATE_MS) end();
        else timer = setTimeout(end, PROBE_MS);
    }, ms);
    return () => clearTimeout(timer);
}

// Ends what shows no sign of life for `limit` milliseconds.
class Watch {
    seen = Date.now();
    limit = OPEN_MS;

    constructor(end) {
        this.end = end;
        this.expect(OPEN_MS);
    }

    // Once it was seen within `limit`, the usual one holds.
    expect(limit, delay = limit) {
        this.stop?.();
        this.stop = deadline(Math.min(delay, limit), () => {
            const quiet = Date.now() - this.seen;
            if (quiet >= limit) this.end();
            else this.expect(this.limit, this.limit - quiet);
        });
    }

    touch() {
        this.seen = Date.now();
    }
}

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

// A transport is { name, needs, open(link) }. `open` starts connecting and gives { close, subscribe, unsubscribe, send }.
// It tells of its life by the link's welcome(reply), take(part, text), subscribed(channel, reply) and lost(why).
const websocket = {
    name: 'websocket',
    needs: 'WebSocket',
    open(link) {
        const socket = new WebSocket(`${link.base}v1/ws`.replace(/^http/, 'ws'), 'fantail.v1');
        let trouble = '';
        let timer;
        // One by one: a frame has a limit too.
        const send = (op) => socket.readyState === 1 && socket.send(JSON.stringify(op));
        const subscribe = (channel) => {
            const ref = link.ref((reply) => link.subscribed(channel, reply));
            send({ ref, op: 'subscribe', channel: channel.name, ...channel.from() });
        };
        socket.onopen = () => {
            send({ ref: link.ref(link.welcome), op: 'connect', ping: true, token: link.token });
            link.channels().forEach(subscribe);
        };
        socket.onmessage = ({ data }) => {
            link.watch.touch();
            for (const line of typeof data === 'string' ? data.split('\n') : [data]) link.take(link, line);
        };
        socket.onclose = ({ code, reason }) => link.lost({ code, reason: reason || trouble });
        // Node 22 has no close after it; npm's ws ends the process where nobody listens.
        socket.onerror = ({ message = '' }) => {
            trouble = message;
            timer ??= setTimeout(() => link.lost({ reason: trouble || 'the connection failed' }));
        };
        return {
            send,
            subscribe,
            // Whether it was there does not matter.
            unsubscribe: ({ name }) => send({ ref: link.ref(() => {}), op: 'unsubscribe', channel: name }),
            wake() {
                send({ op: 'ping' });
                link.watch.expect(PROBE_MS);
            },
            close() {
                clearTimeout(timer);
                socket.onopen = socket.onmessage = socket.onclose = null;
                socket.onerror = () => {};
                socket.close();
            },
        };
    },
};

const authorization = ({ token }) => (token === undefined ? {} : { Authorization: `Bearer ${token}` });

function subscribeUrl(link, name, channels, more) {
    const query = new URLSearchParams({ transport: name, ...more });
    for (const channel of channels) query.append('channel', channel.name);
    const known = channels.filter((channel) => (channel.asked = channel.position));
    const cursor = known.map(({ hash, position }) => (channels.length > 1 ? `${hash}:${position}` : position));
    if (known.length > 0) query.set('cursor', cursor);
    const last = Math.max(0, ...channels.map((channel) => (channel.asked ? 0 : channel.last ?? 0)));
    if (last > 0) query.set('last', last);
    return `${link.base}v1/subscribe?${query}`;
}

// As many to a request as its URL holds, each with a name and a place in the cursor.
function partition(channels, most) {
    const parts = [];
    let room = 0;
    for (const channel of channels) {
        const size = encodeURIComponent(channel.name).length + 60;
        if (size > room || parts.at(-1).length >= most) {
            parts.push([]);
            room = URL_BYTES;
        }
        room -= size;
        parts.at(-1).push(channel);
    }
    return parts;
}

async function refusal(response) {
    const { status, headers } = response;
    const { error } = Object(await response.json().catch(() => {}));
    const after = headers.get('Retry-After'); // Seconds, or a date.
    const isOfChannel = /^(channel|position)_/.test(error?.code);
    return {
        status,
        error,
        isOfChannel: isOfChannel && status < 429,
        isTooLong: status === 414 || status === 431 || (error ? error.code === 'channel_limit' : status === 400),
        // A proxy may refuse a transport; only the server's own word is final.
        code: error && !isOfChannel ? { 401: 3501, 403: 3502 }[status] : undefined,
        isBusy: error && (isPassing(error) || status >= 500),
        retryMs: bounded(isNaN(after) ? Date.parse(after) - Date.now() : 1000 * after, OBEY_MS),
        reason: error?.message ?? `HTTP status ${status}`,
    };
}

async function get(link, url, { signal, accept = 'application/json' } = {}) {
    const response = await fetch(url, { signal, headers: { Accept: accept, ...authorization(link) } });
    if (!response.ok) throw await refusal(response);
    if (!response.headers.get('Content-Type')?.startsWith(accept)) throw { ...FOREIGN, isHeldBack: link.opened };
    return response;
}

// Cuts a text that comes in pieces into lines.
function lineCutter(end) {
    let rest = '';
    return (text) => {
        const lines = text.split(end);
        lines[0] = rest + lines[0];
        rest = lines.pop();
        return lines;
    };
}

async function readLines({ watch }, response, cut, take) {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
        const { done, value } = await reader.read();
        if (done) throw ENDED;
        watch.touch();
        cut(decoder.decode(value, { stream: true })).forEach(take);
    }
}

// HTML, section 9.2.6: a line ends with CR, LF or both, and with nothing else.
function eventCutter() {
    const cut = lineCutter(/\r\n|\r|\n/);
    let isAfterReturn = false;
    return (text) => {
        const lines = cut(isAfterReturn && text[0] === '\n' ? text.slice(1) : text);
        if (text) isAfterReturn = text.endsWith('\r');
        return lines;
    };
}

function readEvents(link, part, response) {
    let event = {};
    return readLines(part, response, eventCutter(), (line) => {
        if (line !== '') {
            const colon = line.indexOf(':');
            const field = colon < 0 ? line : line.slice(0, colon);
            const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
            event[field] = field === 'data' && 'data' in event ? `${event.data}\n${value}` : value;
            return;
        }
        // An id alone says that all channels are there, and where they begin.
        const { id, event: type, data = id && '{"event":"open"}' } = event;
        event = {};
        if (data && (type ?? 'message') === 'message') link.take(part, data, id);
    });
}

// Receives by GET /v1/subscribe, publishes by POST. `read` makes one request for a part of the channels.
const overHttp = (name, read, streams = Infinity) => ({
    name,
    needs: 'fetch',
    open(link) {
        let current; // The controller of those requests that count.
        const parts = new Set();
        let timer;

        // Each part of the channels has requests of its own, one after the other.
        async function follow(asked, signal) {
            const isHeldBack = () => link.opened && part.begun && !(part.watch.seen > part.opened);
            const watch = new Watch(() => link.lost({ reason: 'no sign of life', isHeldBack: isHeldBack() }));
            const part = { asked, signal, watch };
            part.pause = (ms) => new Promise((resolve) => (part.timer = setTimeout(resolve, ms)));
            parts.add(part);
            try {
                while (!signal.aborted) await read(link, part);
            } catch (error) {
                throw { ...whyOf(error), asked };
            }
        }

        // That somebody answers who speaks of channels is all there is to know without one.
        async function greet(signal) {
            const why = await get(link, subscribeUrl(link, name, []), { signal }).then(() => FOREIGN, (why) => why);
            if (why.status !== 400 || !why.error) throw why;
            link.welcome({});
        }

        async function followAll(signal) {
            const channels = link.channels();
            if (channels.length === 0) return greet(signal);
            const pieces = partition(channels, link.share.most);
            if (pieces.length > streams) {
                link.share.most = URL_CHANNELS;
                const reason = `${channels.length} channels are more than ${name} can carry.`;
                throw { reason, ...failure('too_many_channels', reason) };
            }
            await Promise.all(pieces.map((piece) => follow(piece, signal)));
        }

        // Of several channels some are refused: which? Returns how many.
        async function sift({ asked, error }, signal) {
            if (asked.length === 1) {
                link.subscribed(asked[0], { error });
                return 1;
            }
            const half = asked.length >> 1;
            let count = 0;
            for (const some of [asked.slice(0, half), asked.slice(half)]) {
                try {
                    const response = await get(link, subscribeUrl(link, 'poll', some, { wait: 0 }), { signal });
                    await response.body?.cancel();
                } catch (why) {
                    if (!why.isOfChannel) throw why;
                    count += await sift({ ...why, asked: some }, signal);
                }
            }
            return count;
        }

        // Throws what cannot be mended; else the requests may be made again, as something about them has changed.
        async function mend(why, signal) {
            const count = why.asked?.length;
            if (why.isTooLong) link.share.most = count > 1 ? count >> 1 : URL_CHANNELS;
            if (why.isTooLong && count > 1) return;
            if (why.isOfChannel && count && (await sift(why, signal))) return;
            const isLone = why.isTooLong && !why.error && why.status !== 400;
            throw { ...why, ...(isLone && failure('request_too_large', 'Not even one channel fits into a request.')) };
        }

        function abort() {
            current?.abort();
            for (const { watch, timer } of parts) {
                watch.stop();
                clearTimeout(timer);
            }
            parts.clear();
        }

        // What ends one of the requests ends all. `why` they ended is looked into first.
        async function run(why) {
            abort();
            const own = (current = new AbortController());
            try {
                if (!why) return await followAll(own.signal);
                await mend(why, own.signal);
                if (own === current) again();
            } catch (error) {
                if (own !== current) return;
                if (why) link.lost(whyOf(error));
                else run(whyOf(error));
            }
        }

        async function publish({ channel, data, base64, ...options }) {
            const isBinary = base64 !== undefined;
            const type = isBinary ? 'application/octet-stream' : 'application/json';
            try {
                const response = await fetch(`${link.base}v1/publish?${new URLSearchParams({ channel, ...options })}`, {
                    method: 'POST',
                    headers: { 'Content-Type': type, ...authorization(link) },
                    body: isBinary ? fromBase64(base64) : JSON.stringify(data),
                });
                if (response.ok) {
                    const reply = await response.json();
                    return reply.ok === true ? reply : LOST;
                }
                const { status, error, retryMs, reason } = await refusal(response);
                if (error) return { error, retryMs };
                if (status === 413) return TOO_LARGE;
                if (status === 429 || status === 503) return { ...failure('unavailable', reason, true), retryMs };
            } catch ({ message }) {
                if (link.channels().length === 0) link.lost({ reason: message });
            }
            return LOST;
        }

        // A poll says what `history` does. It ends at 1 MiB; the rest comes with the next.
        async function history({ channel, since, last = 100 }) {
            const all = [];
            let position = since;
            try {
                for (let length = Infinity, rounds = 0; length > 500_000 && rounds < 16; rounds++) {
                    const from = position === undefined ? { last } : { since: position };
                    const query = new URLSearchParams({ transport: 'poll', wait: 0, channel, ...from });
                    const text = await (await get(link, `${link.base}v1/subscribe?${query}`)).text();
                    const { cursor, messages } = JSON.parse(text);
                    all.push(...messages);
                    position = cursor;
                    length = messages.length && text.length;
                }
            } catch (why) {
                return why.error ? why : { error: { ...LOST.error, message: why.reason ?? why.message } };
            }
            const messages = all.filter(({ event }) => !event);
            return { ok: true, channel, position, messages, ...(since && { recovered: messages.length === all.length }) };
        }

        async function send({ ref, op, ...options }) {
            if (ref !== undefined) link.answer({ ...(await (op === 'publish' ? publish : history)(options)), ref });
        }

        const again = () => {
            clearTimeout(timer);
            timer = setTimeout(() => run());
        };
        run();
        return {
            posts: true,
            send,
            subscribe: again,
            unsubscribe: again,
            // The network says that it is gone; what is here may be on this computer.
            wake(type) {
                const { signal } = current;
                if (type === 'offline') greet(signal).catch((error) => signal.aborted || link.lost(whyOf(error)));
            },
            close() {
                clearTimeout(timer);
                abort();
                current = undefined;
            },
        };
    },
});

const streaming = (name, accept, readAll) =>
    overHttp(
        name,
        async (link, part) => {
            const response = await get(link, subscribeUrl(link, name, part.asked), { ...part, accept });
            part.begun = true;
            part.watch.touch();
            part.watch.expect(SILENCE_MS);
            return readAll(link, part, response);
        },
        STREAMS,
    );

// An answer that is no JSON is passed by, where it says what comes after it.
function readAnswer(text, etag) {
    try {
        const { cursor, messages } = JSON.parse(text);
        if (typeof cursor === 'string' && Array.isArray(messages)) return { cursor, messages };
    } catch {}
    const [, cursor] = /"([^"]+)"/.exec(etag) ?? [];
    if (!cursor) throw { ...FOREIGN, isHeldBack: true };
    return { cursor, messages: [text] };
}

const polling = (name, wait, streams) =>
    overHttp(
        name,
        async (link, part) => {
            const began = Date.now();
            const wasOpened = part.opened;
            // The first answer comes at once.
            const response = await get(link, subscribeUrl(link, name, part.asked, { wait: wasOpened ? wait : 0 }), part);
            const { cursor, messages } = readAnswer(await response.text(), response.headers.get('ETag'));
            part.begun = true;
            part.watch.touch();
            for (const each of messages) link.take(part, each);
            link.take(part, { event: 'open', cursor });
            // Nodes may take turns in telling gaps.
            const isEager = wasOpened && messages.every((each) => each?.event) && Date.now() - began < STABLE_MS;
            if (wait === 0 || isEager) await part.pause(POLL_MS);
        },
        streams,
    );

const TRANSPORTS = [
    websocket,
    streaming('sse', 'text/event-stream', readEvents),
    streaming('stream', 'application/x-ndjson', (link, part, response) =>
        readLines(part, response, lineCutter('\n'), (line) => link.take(part, line)),
    ),
    polling('longpoll', PING_SECONDS, STREAMS),
    polling('poll', 0),
];

// Whether a message comes after a position: of another epoch everything does.
function isAfter(id, position) {
    if (typeof id !== 'string' || typeof position !== 'string') return true;
    const [epoch, offset] = id.split('-');
    const [lastEpoch, lastOffset] = position.split('-');
    return epoch !== lastEpoch || +offset > +lastOffset;
}

const payloadOf = ({ data, base64 }) => (base64 === undefined ? data : fromBase64(base64));

// One of those who listen to a channel. Who came later and wants what was before gets that first: meanwhile `missed`
// keeps what comes.
class Ear {
    constructor(target, from) {
        this.target = target;
        this.from = from;
        this.missed = from && [];
    }

    hear(frame, payload = payloadOf(frame)) {
        if (this.missed) this.missed.push(frame);
        else call(this.target, 'onMessage', payload, frame);
    }
}

// One channel: who listens here, and how far we have read.
class Channel {
    ears = new Set();
    live = false; // Once subscribed, what does not come is a loss.
    failures = 0;

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
        if (!isAfter(id, this.position)) return false;
        if (typeof id === 'string') this.position = id;
        return true;
    }

    subscribed(reply) {
        const { position, recovered } = reply;
        // A replay moves the position by its messages, so that one cut short is continued.
        if (this.asked === undefined || recovered === false || position === undefined) this.position = position;
        for (const ear of [...this.ears]) if (!ear.missed) call(ear.target, 'onSubscribed', reply);
        // Without history nobody knows what passed while we were away.
        this.bare = recovered === undefined && position === undefined;
        if (recovered === false || (this.live && this.bare)) this.gap(position);
        this.live = true;
        this.failures = 0;
        this.told = undefined;
    }

    gap(position) {
        this.tell('onGap', { event: 'gap', channel: this.name, position });
    }

    // Each error once, until it is over.
    complain(error) {
        if (this.told !== error.code) this.tell('onError', errorOf(error));
        this.told = error.code;
    }

    tell(callback, value) {
        for (const { target } of [...this.ears]) call(target, callback, value);
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
    #name = Math.random().toString(36).slice(2); // With a ref: the key of a publish that has none.
    #link; // The one attempt or connection; all others are dead.
    #retry; // Timer.
    #attempts = 0;
    #told; // The last error of a connection, until there is one.
    #tokenRefused = false;
    #transports;
    #share = { most: URL_CHANNELS }; // Of the channels, for one request.
    #at; // Which of the transports is tried, or in use.
    #winner = remembered();
    #failures = 0; // In a row, of the one tried.
    #upgrades = 0;

    constructor(url, options = {}) {
        checkOptions(options, 'transports', 'token', 'onState', 'onError');
        check(url ?? globalThis.location, 'outside of a page the URL of the gateway is needed');
        const { protocol, origin, host, pathname } = new URL(url ?? '/', globalThis.location?.href);
        check(/^(http|ws)s?:$/.test(protocol), `the URL begins with http://, https://, ws:// or wss://, not with ${protocol}`);
        this.#base = `${protocol.replace('ws', 'http')}//${host}${pathname.replace(/\/?$/, '/')}`;
        this.#options = options;
        const known = TRANSPORTS.map(({ name }) => name);
        const { transports: wanted = known } = options;
        check(Array.isArray(wanted) && wanted.length > 0, '`transports` is a list of one or more');
        for (const name of wanted) check(known.includes(name), `unknown transport '${name}'; known: ${known.join(', ')}`);
        this.#transports = wanted.map((name) => TRANSPORTS[known.indexOf(name)]).filter(({ needs }) => needs in globalThis);
        check(this.#transports.length > 0, `nothing here can do ${wanted.join(' or ')}`);
        this.#at = Math.max(0, this.#transports.findIndex(({ name }) => name === this.#winner));
    }

    connect() {
        if (this.state !== 'disconnected') return;
        for (const name of WAKING) globalThis.addEventListener?.(name, this.#wake);
        this.#attempts = 0;
        this.#told = undefined;
        for (const channel of this.#channels.values()) channel.isRefused = channel.told = undefined;
        this.#enter('connecting', {});
        this.#open();
    }

    disconnect() {
        if (this.state !== 'disconnected') this.#stop({ reason: 'disconnect() was called' });
    }

    subscribe(name, listener) {
        checkChannel(name);
        check(listener === Object(listener), 'a listener is a function, or an object with onMessage, onGap, ...');
        const target = typeof listener === 'function' ? { onMessage: listener } : listener;
        for (const name of CALLBACKS) check(['undefined', 'function'].includes(typeof target[name]), `${name} is a function`);
        const { since, last } = target;
        checkStart(target);
        let channel = this.#channels.get(name);
        const isLate = channel !== undefined && (since !== undefined || last > 0);
        const ear = new Ear(target, isLate ? { since, last } : undefined);
        if (!channel) this.#channels.set(name, (channel = new Channel(name, target)));
        channel.ears.add(ear);
        if (channel.link === this.#link && channel.link) this.#join(channel, ear);
        else if (channel.ears.size === 1 || channel.isRefused) {
            channel.isRefused = channel.told = undefined;
            this.#link?.handle?.subscribe(channel);
        }
        return {
            channel: name,
            get position() {
                return channel.position;
            },
            unsubscribe: () => {
                if (!channel.ears.delete(ear) || channel.ears.size > 0) return;
                this.#channels.delete(name);
                if (!channel.isRefused) this.#link?.handle?.unsubscribe(channel);
            },
        };
    }

    async publish(channel, data, options = {}) {
        checkChannel(channel);
        checkOptions(options, 'key', 'priority');
        const { key, priority } = options;
        check(key === undefined || (typeof key === 'string' && key !== ''), '`key` is a text');
        // As it is now: what is no JSON is refused here, and what changes later changes nothing.
        const json = JSON.stringify(data);
        check(json !== undefined, `${typeof data} is no JSON`);
        const payload = data instanceof Uint8Array ? { base64: toBase64(data) } : { data: JSON.parse(json) };
        const op = { op: 'publish', channel, ...payload, ...(priority && { priority }) };
        return this.#request({ ...op, idempotency_key: key ?? `${this.#name}-${this.#refs}` }, key !== undefined);
    }

    async history(channel, options = {}) {
        checkChannel(channel);
        checkOptions(options, 'since', 'last');
        checkStart(options);
        return this.#request({ op: 'history', channel, ...options }, true);
    }

    // `isSafe`: it may be repeated when nobody knows what came of it.
    #request(op, isSafe) {
        return new Promise((resolve, reject) => {
            if (this.state === 'disconnected') throw new FantailError('disconnected', 'Not connected. Call connect() first.');
            const ref = ++this.#refs;
            const request = { op: { ref, ...op }, isSafe, repeats: 0, losses: 0, patience: Date.now() + PATIENCE_MS };
            request.settle = (reply) => {
                request.stop();
                clearTimeout(request.retry);
                this.#requests.delete(ref);
                if (reply.error) reject(errorOf(reply.error));
                else resolve(reply);
            };
            this.#requests.set(ref, request);
            this.#keep(request);
            this.#flush();
        });
    }

    // To be sent with the next connection.
    #keep(request) {
        clearTimeout(request.retry);
        request.sent = request.retry = undefined;
        this.#expect(request, Math.max(0, request.patience - Date.now()), UNREACHABLE);
    }

    #expect(request, ms, otherwise) {
        request.stop?.();
        request.stop = deadline(ms, () => request.settle(request.refused ?? otherwise));
    }

    #flush() {
        const link = this.#link;
        if (!link?.opened) return;
        for (const request of this.#requests.values()) {
            if (request.sent || request.retry) continue;
            if (request.sent === undefined) this.#expect(request, REQUEST_MS, TIMEOUT);
            request.sent = true;
            link.handle.send(request.op);
        }
    }

    #answer(reply) {
        const request = this.#requests.get(reply.ref);
        if (!request) return;
        const { error, retryMs = 0 } = reply;
        if (!error || !(isPassing(error) || (error.code === 'connection_lost' && request.isSafe))) return request.settle(reply);
        request.refused = { error };
        clearTimeout(request.retry);
        request.retry = setTimeout(
            () => {
                request.retry = undefined;
                if (!this.#link?.opened) return this.#keep(request);
                request.sent = false;
                this.#flush();
            },
            retryMs + backoff(request.repeats++),
        );
    }

    #enter(state, detail) {
        this.state = state;
        call(this.#options, 'onState', state, detail);
    }

    #complain(error) {
        call(this.#options, 'onError', errorOf(error));
    }

    async #open() {
        clearTimeout(this.#retry);
        this.#retry = undefined;
        const replies = new Map();
        const link = {
            transport: this.#transports[this.#at],
            base: this.#base,
            share: this.#share,
            replies,
            timers: new Set(),
            held: new Set(), // Channels that have begun, over HTTP.
            channels: () => [...this.#channels.values()].filter(({ isRefused }) => !isRefused),
            ref: (callback) => replies.set(++this.#refs, callback) && this.#refs,
            welcome: (reply) => this.#welcome(link, reply),
            take: (part, text, cursor) => this.#take(link, part, text, cursor),
            answer: (reply) => this.#answer(reply),
            lost: (why) => this.#lost(link, why),
            subscribed: (channel, reply) => this.#subscribed(link, channel, reply),
        };
        link.watch = new Watch(() => {
            const { handle, opened, watch, refused } = link;
            this.#lost(link, refused ?? { reason: 'no sign of life', isBusy: !handle, isHeldBack: opened && watch.seen <= opened });
        });
        this.#link = link;
        try {
            const { token } = this.#options;
            link.token = (typeof token === 'function' ? await token() : token) ?? undefined;
            if (link.token !== undefined && typeof link.token !== 'string') throw new TypeError('a token is a text');
        } catch (error) {
            return this.#lost(link, { reason: error.message, isBusy: true });
        }
        try {
            if (link === this.#link) link.handle = link.transport.open(link);
        } catch (error) {
            this.#lost(link, { reason: error.message });
        }
    }

    #welcome(link, reply) {
        if (link !== this.#link || link.opened) return;
        if (reply.error) return this.#turnedAway(link, reply.error);
        const { session, node, version, ping_seconds: pings } = reply;
        const transport = link.transport.name;
        Object.assign(this, { session, node, version, transport });
        link.opened = Date.now();
        const limit = bounded(1000 * pings, NEVER_MS, 1000 * PING_SECONDS);
        link.watch.limit = limit ? Math.min(NEVER_MS, limit + PING_MARGIN_MS) : NEVER_MS;
        // Requests are watched one by one.
        if (link.handle.posts) link.watch.stop();
        else link.watch.expect(link.watch.limit);
        this.#tokenRefused = false;
        this.#told = undefined;
        this.#failures = 0;
        this.#winner = transport;
        if (!this.#options.transports) remembered(transport);
        this.#upgradeLater(link);
        this.#enter('connected', { session, node, version, transport });
        this.#flush();
    }

    // A close may follow, and says then whether to come back.
    #turnedAway(link, error) {
        this.#complain(error);
        const code = isPassing(error) ? undefined : /^token_/.test(error.code) ? 3501 : 3502;
        link.refused = { code, reason: error.message, isBusy: true };
        link.watch.expect(STABLE_MS);
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
        const fails = () => end(false);
        link.endProbe = () => handle?.close();
        link.upgrade = setTimeout(fails, OPEN_MS);
        const callbacks = { ref: () => 0, welcome: works, take: works, subscribed: fails, lost: fails };
        try {
            handle = this.#transports[index].open({ ...link, opened: undefined, watch: { touch() {} }, ...callbacks });
        } catch {
            fails();
        }
    }

    #take(link, part, text, cursor) {
        // A callback may have ended it. Blank lines are heartbeats.
        if (link !== this.#link || /^[ \t\r]*$/.test(text)) return;
        let frame;
        try {
            frame = typeof text === 'string' ? JSON.parse(text) : text;
            this.#frame(link, frame);
        } catch (error) {
            if (frame === undefined && !link.opened && !part.begun) return this.#lost(link, FOREIGN);
            this.#passBy(link, part, frame, error);
        }
        this.#seek(link, part, cursor || frame?.cursor, frame?.event);
    }

    #frame(link, frame) {
        const { ref, event, error, id, position, retry_ms: retryMs } = frame;
        const channel = this.#channels.get(frame.channel);
        if (ref !== undefined) {
            const expected = link.replies.get(ref);
            link.replies.delete(ref);
            if (expected) expected(frame);
            else link.answer(frame);
        } else if (event === 'ping') {
            link.handle.send({ op: 'pong' });
        } else if (event === 'drain') {
            clearTimeout(link.draining);
            link.draining = setTimeout(() => this.#lost(link, { code: 1001, reason: 'drain' }), bounded(retryMs, OBEY_MS));
        } else if (event === 'gap') {
            if (channel && typeof position === 'string') channel.position = position;
            channel?.tell('onGap', frame);
        } else if (error) {
            this.#complain(error);
        } else if (channel && ('data' in frame || 'base64' in frame)) {
            const payload = payloadOf(frame);
            if (channel.advance(id)) for (const ear of [...channel.ears]) ear.hear(frame, payload);
        }
    }

    // What cannot be read is a loss. To ask for it again would bring it again.
    #passBy(link, part, frame, { message }) {
        this.#complain({ code: 'bad_message', message: `A message could not be read: ${message}` });
        const { channel: name, id } = Object(frame);
        const named = this.#channels.get(name);
        named?.advance(id);
        for (const channel of named ? [named] : (part.asked ?? link.channels())) channel.gap(channel.position);
    }

    // A cursor is the position of the request's one channel, or HASH:POSITION,... of all.
    #seek(link, part, cursor, event) {
        if (typeof cursor !== 'string' || !part.asked) return;
        for (const each of cursor.split(',')) {
            const [position, hash] = each.split(':').reverse();
            const channel = part.asked.find((each) => !hash || each.hash === hash);
            if (channel) channel.position = position;
        }
        if (event !== 'open') return;
        link.welcome({});
        if (part.signal.aborted) return;
        part.opened ??= Date.now();
        part.watch.limit = link.watch.limit;
        part.watch.expect(part.watch.limit);
        for (const channel of part.asked) {
            if (link.held.has(channel)) continue;
            link.held.add(channel);
            const { name, position, bare, asked } = channel;
            link.subscribed(channel, { channel: name, position, recovered: bare && !asked ? false : undefined });
        }
    }

    #subscribed(link, channel, reply) {
        // Unless it has been given up, or begun anew, since.
        if (link !== this.#link || this.#channels.get(channel.name) !== channel) return;
        if (reply.error) return this.#refused(link, channel, reply.error);
        channel.link = link;
        channel.subscribed(reply);
        for (const ear of [...channel.ears]) if (ear.from) this.#join(channel, ear);
    }

    // Connected and deaf is what must not be: what passes is asked for again, the rest is told.
    #refused(link, channel, error) {
        channel.complain(error);
        if (error.code === 'position_invalid' && channel.position !== undefined) {
            channel.position = undefined;
            channel.gap();
        } else if (!isPassing(error)) {
            channel.isRefused = true;
            return;
        }
        const timer = setTimeout(
            () => {
                link.timers.delete(timer);
                if (this.#channels.get(channel.name) === channel) link.handle.subscribe(channel);
            },
            backoff(channel.failures++),
        );
        link.timers.add(timer);
    }

    // Who comes to a channel that is there already: told so, and brought up to where it is.
    async #join(channel, ear) {
        const { from } = ear;
        ear.from = undefined;
        let reply = { channel: channel.name, position: channel.position };
        try {
            if (from) reply = await this.#request({ op: 'history', channel: channel.name, ...from }, true);
            else await undefined;
        } catch (error) {
            if (error.code === 'disconnected') return (ear.from = from);
            if (error.code !== 'no_history') {
                call(ear.target, 'onError', error);
                reply.recovered = false;
            }
        }
        if (!channel.ears.has(ear)) return;
        const { messages = [], position, recovered } = reply;
        const { missed = [] } = ear;
        ear.missed = undefined;
        call(ear.target, 'onSubscribed', { channel: channel.name, position, recovered });
        if (recovered === false) call(ear.target, 'onGap', { event: 'gap', channel: channel.name, position });
        for (const frame of [...messages, ...missed.filter(({ id }) => !from || isAfter(id, position))]) {
            if (channel.ears.has(ear)) ear.hear(frame);
        }
    }

    #drop() {
        const link = this.#link;
        this.#link = undefined;
        clearTimeout(this.#retry);
        this.#retry = undefined;
        if (!link) return;
        link.watch.stop();
        for (const timer of [...link.timers, link.draining, link.upgrade]) clearTimeout(timer);
        link.endProbe?.();
        link.handle?.close();
    }

    #lost(link, { code, reason, retryMs = 0, error, isBusy, isHeldBack, index }) {
        if (link !== this.#link) return;
        this.#drop();
        if (error && this.#told !== error.code) this.#complain(error);
        this.#told = error?.code ?? this.#told;
        // A token function may have a fresher one.
        const retoken = code === 3501 && typeof this.#options.token === 'function' && !this.#tokenRefused;
        if (code >= 3500 && code < 4000 && !retoken) return this.#stop({ code, reason });
        this.#tokenRefused ||= retoken;

        const lasted = link.opened && Date.now() - link.opened >= STABLE_MS;
        if (lasted) this.#attempts = 0;
        let attempts = this.#attempts++;
        // A draining server has spread its clients already.
        let isNow = (lasted && link.draining) || index !== undefined;
        if (!isNow && this.#isToBlame(link, isBusy || retoken, isHeldBack)) {
            this.#failures = 0;
            this.#at = (this.#at + 1) % this.#transports.length;
            isNow = this.#at > 0;
        }
        this.#at = index ?? this.#at;
        if (isNow) this.#attempts--;
        else retryMs += lasted ? backoff(0, RETRY_FAST_MS) : backoff(attempts);
        this.#retry = setTimeout(() => this.#open(), retryMs);
        this.#enter('connecting', { code, reason, retryMs });
        this.#lose(link, code);
    }

    // Whether a publish took effect is unknown now; what may be repeated is.
    #lose(link, code) {
        for (const request of this.#requests.values()) {
            const { sent, retry, isSafe, settle } = request;
            const isOpen = sent && !retry;
            if (isOpen && link.handle?.posts) continue; // A POST has a fate of its own.
            if (isOpen && code === 1009) settle(TOO_LARGE);
            else if (isOpen && !(isSafe && ++request.losses <= REPEATS)) settle(LOST);
            else this.#keep(request);
        }
    }

    // Whether the next transport may do better.
    #isToBlame(link, isServers, isHeldBack) {
        if (isHeldBack) return true;
        if (isServers || link.opened) return false;
        return ++this.#failures > (link.transport.name === this.#winner ? LOYALTY : 0);
    }

    #stop(why) {
        this.#drop();
        for (const name of WAKING) globalThis.removeEventListener?.(name, this.#wake);
        this.#enter('disconnected', why);
        for (const { settle } of [...this.#requests.values()]) settle(failure('disconnected', why.reason || 'The connection has ended for good.'));
    }

    // Timers may have slept, and a socket may have died unnoticed.
    #wake = ({ type }) => {
        if (globalThis.document?.hidden) return;
        const link = this.#link;
        if (this.#retry !== undefined) {
            if (type !== 'offline') this.#open();
        } else if (link?.opened) {
            link.handle.wake(type);
        }
    };
}

// Sends what http-heads.mjs makes to a gateway, and holds its answers against what the judges say was asked.

import net from 'node:net';

import { Gateway } from './gateway.mjs';
import { apiKey, known, makeProbe } from './http-heads.mjs';
import { H11Judge, LlhttpJudge } from './http-judges.mjs';
import { NativeClient } from './native.mjs';
import { publish } from './subscribe.mjs';
import { until } from './wait.mjs';

const AT_ONCE = 48; // Connections.
const ANSWER_MS = 15_000; // The machine may be busy. A gateway that waits for what cannot come takes as long.
const ODD_TARGET_MS = 300; // A target that was changed may be a long poll.

const heard = ['open:a', 'open:b']; // What the subscriber listens to.

const config = `
broker = "memory";
origins = [ "*" ];
admin = { api_key = "${apiKey}"; };
limits = { connections = 5000; handshake_seconds = 60; };
namespaces = (
  { name = "default"; },
  { name = "known"; history_size = 1; history_ttl_seconds = 3600; client_publish = true; },
  { name = "open"; client_publish = true; }
);`;

// What the payload of a message is in JSON, as docs/protocols/native.md says.
function asData(latin1) {
    const bytes = Buffer.from(latin1, 'latin1');
    try {
        const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
        try {
            return JSON.stringify(JSON.parse(text));
        } catch {
            return JSON.stringify(text);
        }
    } catch {
        return `base64 ${bytes.toString('base64')}`;
    }
}

const queryOf = (target) => new URLSearchParams(target.replace(/^[^?]*\?/, ''));
const isUsual = ([, target]) => /^(http:\/\/x)?\/(v1\/subscribe\?channel=known:\d&last=1&wait=0|v1\/publish\?channel=open:[ab]|api\/v1\/publish|readyz)$/.test(target);

// Whether a good `answer` can be the one to `request`.
function isFor(port, [method, target], { status, text }) {
    if (method === 'HEAD' || (method === 'OPTIONS' && status === 204)) return true;
    if (port === 'admin') return method === 'POST' ? text.includes('"ok":true') : method === 'GET' && !text.includes('"ok":true');
    if (method === 'POST') return text.includes('"ok":true');
    const named = text.match(/"channel":"([^"]*)"/)?.[1];
    // Without its `last` a poll is answered without a message.
    return method === 'GET' && (named === queryOf(target).get('channel') || (named === undefined && !isUsual([method, target])));
}

// Channel and payload of the admin API's body; of what is none, nothing can have been published.
function fromJson(latin1) {
    try {
        const { channel, data } = JSON.parse(Buffer.from(latin1, 'latin1').toString());
        return [channel, JSON.stringify(data)];
    } catch {
        return [];
    }
}

// [channel, payload] of a publish that was answered with 200, where somebody listens.
function publishOf(port, [method, target, body]) {
    if (method !== 'POST') return [];
    const [channel, data] = port === 'public' ? [queryOf(target).get('channel'), asData(body)] : fromJson(body);
    return heard.includes(channel) ? [[channel, data]] : [];
}

// The final answers in what a connection has brought, however their ends are told: no body of ours has a status line.
function answersIn(text) {
    const parts = text.split(/HTTP\/1\.[01] (\d{3}) /);
    const answers = [];
    for (let n = 1; n < parts.length; n += 2) if (!parts[n].startsWith('1')) answers.push({ status: Number(parts[n]), text: parts[n + 1] });
    return { answers, garbage: parts[0] };
}

// Why `answers` are not to what `judgement` says was asked; undefined where they may be.
function disagreement(port, { requests, end }, { answers, isClosed, isHurried }) {
    for (const [n, answer] of answers.entries()) {
        const isGood = answer.status < 400;
        if (n < requests.length) {
            if (isGood && !isFor(port, requests[n], answer)) return `answer ${n}, ${answer.status}, is to another request`;
        } else if (end === 'unjudged') {
            return undefined;
        } else if (n > requests.length) {
            return `answer ${n}, ${answer.status}, comes behind the end`;
        } else if (isGood && !(end === 'more' && isClosed)) {
            // (Whoever is not interested in a body may answer before it is there, and close.)
            return `answer ${n}, ${answer.status}, is to nothing that was asked`;
        }
    }
    return isClosed || isHurried ? undefined : 'neither answered nor closed';
}

function sendPieces(socket, { text, cuts }, isAll) {
    const edges = [0, ...cuts, text.length];
    const next = (n) => {
        if (n + 1 >= edges.length) return isAll ? undefined : socket.end();
        socket.write(text.slice(edges[n], edges[n + 1]), 'latin1');
        setImmediate(() => next(n + 1));
    };
    next(0);
}

export class Differential {
    static async start(t) {
        const run = new Differential();
        run.gateway = await Gateway.start(t, { config, env: { FANTAIL_LOG_LEVEL: 'error' } });
        run.judges = { llhttp: new LlhttpJudge(), h11: new H11Judge() };
        t.after(() => Object.values(run.judges).forEach((judge) => judge.end()));
        run.ports = { public: run.gateway.port, admin: run.gateway.adminPort };
        for (const channel of known) await publish(run.gateway, channel, JSON.stringify(channel));
        run.subscriber = await NativeClient.open(run.gateway);
        t.after(() => run.subscriber.socket.terminate());
        for (const channel of heard) await run.subscriber.subscribe(channel);
        run.published = []; // What was answered with 200: 'CHANNEL PAYLOAD'.
        run.unanswered = []; // What was asked and may have been done: a reset connection takes the answer along.
        run.faults = [];
        run.counts = { plain: 0, requests: 0, refused: 0 };
        return run;
    }

    // All that one connection brings until its end.
    exchange(probe, { isMore, isHurried }) {
        return new Promise((resolve) => {
            let text = '';
            const socket = net.connect({ port: this.ports[probe.port], host: '127.0.0.1', noDelay: true });
            const finish = (isClosed) => {
                clearTimeout(timer);
                socket.destroy();
                resolve({ ...answersIn(text), isClosed, isHurried });
            };
            const timer = setTimeout(() => finish(false), isHurried ? ODD_TARGET_MS : ANSWER_MS);
            socket.setEncoding('latin1');
            socket.on('data', (more) => (text += more));
            socket.on('error', () => {});
            socket.on('end', () => finish(true));
            socket.on('close', () => finish(true));
            socket.on('connect', () => sendPieces(socket, probe, !isMore));
        });
    }

    async probe(probe) {
        const names = Object.keys(this.judges);
        const judgements = await Promise.all(names.map((name) => this.judges[name].judge(probe.text)));
        const exchange = await this.exchange(probe, {
            isMore: judgements.some(({ end }) => end === 'more'),
            isHurried: !judgements.every(({ requests }) => requests.every(isUsual)),
        });
        this.#count(probe, judgements, exchange);
        for (const [n, name] of names.entries()) {
            const what = disagreement(probe.port, judgements[n], exchange);
            if (what) this.#fault(probe, `${name}: ${what}`, judgements[n], exchange);
        }
        if (exchange.garbage) this.#fault(probe, 'what comes first is no answer', judgements[0], exchange);
        if (probe.isPlain && exchange.answers.some(({ status }) => status >= 400)) this.#fault(probe, 'nothing is wrong with it', judgements[0], exchange);
        // A GET with a body may be the last on its connection.
        if (probe.isPlain && exchange.answers.length !== judgements[0].requests.length && judgements[0].requests.every(([method, , body]) => method === 'POST' || body === ''))
            this.#fault(probe, 'not all is answered', judgements[0], exchange);
    }

    #count(probe, judgements, { answers }) {
        const { requests } = judgements.find(({ end }) => end !== 'unjudged') ?? judgements[0];
        this.counts.plain += probe.isPlain;
        this.counts.requests += answers.filter(({ status }) => status < 400).length;
        this.counts.refused += answers.filter(({ status }) => status >= 400).length;
        for (const [n, request] of requests.entries()) {
            const lines = () => publishOf(probe.port, request).map((parts) => parts.join(' '));
            if (answers[n]?.status === 200) this.published.push(...lines());
            else if (answers[n] === undefined && isUsual(request)) this.unanswered.push(...lines());
        }
    }

    #fault({ number, port, text }, what, judgement, { answers, isClosed }) {
        const heard = `${answers.map(({ status }) => status).join(', ') || 'nothing'}${isClosed ? '' : ', still open'}`;
        const asked = `${judgement.requests.map(([method, target, body]) => `${method} ${target} ${body.length}`).join(' | ')} (${judgement.end})`;
        this.faults.push(`number ${number}, ${port} port: ${what}\n  sent ${JSON.stringify(text)}\n  asked ${asked}\n  answered ${heard}`);
    }

    // `count` connections from `first` on.
    async run(seed, count, first = 0) {
        let next = first;
        const work = async () => {
            while (next < first + count) await this.probe(makeProbe(seed, next++));
        };
        await Promise.all(Array.from({ length: AT_ONCE }, work));
        await this.#comparePublished();
    }

    // Nothing was published but what was asked for, and that as it was.
    async #comparePublished() {
        const messages = () => this.subscriber.frames.filter((frame) => 'data' in frame || 'base64' in frame);
        await until(`${this.published.length} messages`, () => messages().length >= this.published.length).catch((error) => this.faults.push(error.message));
        const count = new Map();
        for (const line of this.published) count.set(line, (count.get(line) ?? 0) + 1);
        for (const { channel, data, base64 } of messages()) {
            const line = `${channel} ${base64 === undefined ? JSON.stringify(data) : `base64 ${base64}`}`;
            count.set(line, (count.get(line) ?? 0) - 1);
        }
        for (const line of this.unanswered) if (count.get(line) < 0) count.set(line, 0);
        for (const [line, balance] of count) if (balance !== 0) this.faults.push(`published ${balance > 0 ? 'and not heard' : 'without being asked'}: ${line}`);
    }
}

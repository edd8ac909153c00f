// What two strict parsers that others wrote make of the bytes of a connection: llhttp, which is node's, and h11.
// A judgement is { requests: [[method, target, body]...], end }; `end` is 'refused', 'more' (the bytes end within a
// request), 'closed' (the last request asked for it), 'done' or 'unjudged' (of what is behind the requests nothing is said).

import { spawn } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Duplex } from 'node:stream';

import { root } from './gateway.mjs';

// The bytes of one connection, and nobody who reads what is answered.
class Given extends Duplex {
    constructor(bytes) {
        super({ allowHalfOpen: true });
        this.judgement = { requests: [], end: undefined };
        this.isLast = false; // A request has come that asks for the end.
        this.push(bytes);
        this.push(null);
    }

    // Of what follows nothing is asked any more; requests before it are on their way to their ends.
    endWith(end) {
        this.judgement.end ??= end;
        setImmediate(() => this.destroy());
    }

    _read() {}

    _write(chunk, encoding, done) {
        done();
    }
}

// Where llhttp is narrower than RFC 9112: it knows a list of methods, where any token is one (section 3.1), and takes no
// tab behind a Content-Length (5.1).
const ends = { HPE_INVALID_EOF_STATE: 'more', HPE_INVALID_METHOD: 'unjudged' };
const tabBehindLength = /(content-length:[ \t]*\d+)[ \t]*\t[ \t]*\r\n/gi;

export class LlhttpJudge {
    constructor() {
        this.server = http.createServer({ insecureHTTPParser: false, requireHostHeader: false, maxHeaderSize: 65536 });
        for (const event of ['request', 'checkContinue', 'checkExpectation']) this.server.on(event, (request, response) => this.#onRequest(request, response));
        this.server.on('connect', (request, given) => given.endWith('unjudged'));
        this.server.on('clientError', (error, given) => given.endWith(ends[error.code] ?? 'refused'));
    }

    // Requests come as soon as their heads are read, also those behind one that is not answered yet.
    #onRequest(request, response) {
        const given = request.socket;
        const { host, upgrade, connection } = request.headers;
        // node does not look at what is behind such a request, and leaves the Host to others.
        if (upgrade !== undefined && /upgrade/i.test(connection)) given.endWith('unjudged');
        if (host === undefined && request.httpVersion === '1.1') given.endWith('refused');
        if (given.judgement.end !== undefined || given.isLast) return;
        const isLast = !response.shouldKeepAlive;
        given.isLast = isLast;
        const seen = [request.method, request.url, ''];
        request.setEncoding('latin1');
        request.on('data', (text) => (seen[2] += text));
        request.on('end', () => {
            given.judgement.requests.push(seen);
            if (isLast) given.judgement.end = 'closed';
            response.end();
        });
    }

    judge(text) {
        const given = new Given(Buffer.from(text.replace(tabBehindLength, '$1\r\n'), 'latin1'));
        return new Promise((resolve) => {
            given.on('close', () => {
                given.judgement.end ??= given.isLast ? 'more' : 'done';
                resolve(given.judgement);
            });
            this.server.emit('connection', given);
        });
    }

    end() {
        this.server.close();
    }
}

export class H11Judge {
    constructor() {
        this.waiting = []; // In the order of the questions.
        this.child = spawn('/usr/bin/python3', [path.join(root, 'tests/lib/h11_judge.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
        this.child.on('close', (code) => this.waiting.forEach(({ reject }) => reject(new Error(`h11_judge.py ended with ${code}`))));
        this.child.stdin.on('error', () => {}); // Its end is told by 'close'.
        createInterface({ input: this.child.stdout }).on('line', (line) => this.waiting.shift().resolve(JSON.parse(line)));
    }

    judge(text) {
        return new Promise((resolve, reject) => {
            this.waiting.push({ resolve, reject });
            this.child.stdin.write(`${JSON.stringify(text)}\n`);
        });
    }

    end() {
        this.child.stdin.end();
    }
}

// HTTP requests as nobody should send them, and as everybody does: out of a grammar whose every place may be odd, then
// with bytes changed. The same seed and number give the same bytes.

// A generator of numbers from 0 to 1 (mulberry32).
function dice(seed) {
    let state = seed >>> 0;
    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
}

// The channels whose newest message is their own name: an answer that holds it tells which request it is for.
export const known = Array.from({ length: 8 }, (_, n) => `known:${n}`);
export const apiKey = 'a-key-for-the-heads-0123456789';

const methods = ['PUT', 'DELETE', 'PATCH', 'TRACE', 'CONNECT', 'BREW', 'get', 'Get', 'GETT', 'GE', '', 'G ET', 'GET\t', '\tGET', 'G\0ET', 'GET:', '"GET"', 'G\x80T', 'M-SEARCH'];
const versions = ['HTTP/1.0', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.10', 'HTTP/01.1', 'HTTP/1.', 'HTTP/.1', 'HTTP/1', 'HTTP', 'http/1.1', 'HTTP/1,1', 'HTTP /1.1', 'HTTP/ 1.1', 'HTTP/1.1 ', 'HTTP/1.1\t', 'HTTP/1.1x', 'HTTP/1.1 HTTP/1.1', 'HTTP/9.9', 'RTSP/1.0', 'HTTPS/1.1', '', 'HTTP/1.1\0', 'HTTP/+1.1', 'HTTP/1.١'];
const gaps = ['  ', '\t', ' \t', '\v', '\f', '\xa0', '', '\0', '\r', '\n', '\r\n '];
const lineEnds = ['\n', '\r', '\r\r\n', '\n\r', '\n\n', '\r\n\r', '\v', '\0\r\n', ' \r\n', '\t\r\n', '\u0085'];
const hosts = ['', 'x, y', 'x y', 'x:99999', 'x:y', 'user@x', 'x/', 'x\\y', 'x\0', '[::1]', '[::1', 'x:80:80', 'x#', 'x?', '%78', 'x\x80', '127.0.0.1:80', ',', 'x,x'];
const fields = ['User-Agent: curl/7.88.1', 'Accept: */*', 'Accept-Encoding: gzip, deflate, br', 'Accept-Language: de', 'Cache-Control: no-cache', 'Cookie: a=b; c=d', 'X-Request-Id: 7', 'DNT: 1', 'Referer: http://x/', 'Content-Type: text/json', 'X-Forwarded-For: 192.0.2.1', 'Forwarded: for=192.0.2.1', 'Via: 1.1 proxy', 'If-None-Match: "x"', 'TE: trailers', 'Range: bytes=0-1', 'Empty:', 'Connection: keep-alive', 'Keep-Alive: timeout=5', 'Max-Forwards: 1', 'From: a@b', 'Date: Tue, 15 Nov 1994 08:12:31 GMT'];
// Names of which parsers with a table know the whole: their beginnings and what is more than they are.
const knownNames = ['Host', 'Connection', 'Content-Length', 'Content-Type', 'Transfer-Encoding', 'Upgrade', 'Expect', 'Origin', 'X-Forwarded-For', 'If-Modified-Since', 'Proxy-Authorization', 'Sec-WebSocket-Key', 'Accept-Encoding', 'X-Real-IP', 'Last-Event-ID', 'Authorization', 'HTTP2-Settings', 'Access-Control-Request-Method', 'Cookie', 'Content-Encoding'];
const badNames = ['', ' ', 'X Y', 'X\t', ' X', '\tX', 'X\0', 'X\x01', 'X\x7f', 'Xé', 'X(', 'X,', 'X;', 'X/', 'X[', 'X"', 'X@', 'X=', '\x0bX', 'X\r', 'X\n', 'Host ', 'Content-Length ', 'Transfer-Encoding ', 'Content-Length\t', 'Transfer-Encoding\0', '\x0bTransfer-Encoding', 'Content\x00-Length', '\u212Aey'];
const badValues = ['\0', 'a\0b', 'a\rb', 'a\nb', 'a\r\n b', 'a\r\n\tb', '\r\n x', '\x01', '\x08', '\x1f', '\x7f', 'a\x0bb', '\rTransfer-Encoding: chunked', '\nContent-Length: 5', '\r\rX: y', 'a\r', 'a\n', '\x80', '\xff\xfe', 'ü', '\u2028'];
const lengths = [(n) => `+${n}`, (n) => `-${n}`, (n) => `0x${n}`, (n) => `${n},${n}`, (n) => `${n}, ${n}`, (n) => `${n} ${n}`, (n) => `0${n}`, (n) => `${n}.0`, (n) => `${n}e0`, (n) => `${n};`, (n) => `"${n}"`, () => '', () => ' ', () => '18446744073709551616', (n) => String(2n ** 64n + BigInt(n)), (n) => String(2n ** 32n + BigInt(n)), () => '9'.repeat(300), (n) => `${n}\0`, (n) => `${n}\x0b`, (n) => `\x0b${n}`, (n) => `${n},`, (n) => `,${n}`, (n) => `${n + 1}`, (n) => `${Math.max(0, n - 1)}`, () => '0', (n) => `${n}a`, () => 'five', (n) => `${n}\t`, (n) => `\t ${n}  `, () => '٣', (n) => `${n}_0`];
const codings = ['chunked', 'chunked', 'Chunked', 'CHUNKED', 'chunked, chunked', 'gzip, chunked', 'chunked, gzip', 'identity', 'identity, chunked', 'chunked;q=1', 'xchunked', 'chunkedx', '\x0bchunked', 'chunked\x0b', '"chunked"', 'chunked,', ',chunked', 'chun ked', '', ' ', 'gzip', 'chunked\0', '\tchunked', 'chunked\t', 'deflate', 'c hunked', 'chunked\r\n ', '\r\n chunked', 'trailers', 'chunked, identity'];
const connections = ['keep-alive', 'Keep-Alive', 'close', 'Close', 'close, keep-alive', 'keep-alive, close', 'x', 'upgrade', 'Upgrade, HTTP2-Settings', 'content-length', 'transfer-encoding', 'host', '', ',', 'close\0', '"close"', 'closed', 'TE, close'];
const upgrades = ['h2c', 'websocket', 'TLS/1.2, HTTP/1.1', 'WebSocket', 'foo/2', ''];
const expects = ['100-continue', '100-Continue', '100-continue, x', 'x', '', '200-ok'];
const garbage = ['\r\n', '\r\n', '\r\n\r\n', '\n', '\r', ' ', '\t', '\0', '\xef\xbb\xbf', 'X: y\r\n', 'Host: y\r\n', 'GARBAGE\r\n', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n', 'HTTP/1.1 200 OK\r\n', '\x16\x03\x01\x02', ' \r\n', '\r\n ', 'GET ', '0\r\n\r\n', 'x', '\x7f', '\x80'];
const chunkOddities = [(size) => `0x${size}`, (size) => `+${size}`, (size) => `-${size}`, (size) => ` ${size}`, (size) => `${size} `, (size) => `${size};`, (size) => `${size};a=b`, (size) => `${size};a="\n"`, (size) => `0000${size}`, (size) => `${'0'.repeat(20)}${size}`, (size) => `10000000000000000${size}`, (size) => `${size}\0`, (size) => `${size};\0`, (size) => `${size};a\rb`, () => '', () => 'g', (size) => size.toUpperCase(), (size) => `${size}\t`, (size) => `${size},`, () => 'ffffffffffffffff', () => '7fffffff'];
const bytes = ['\r', '\n', '\r\n', '\0', ' ', '\t', ':', ',', ';', '/', '"', '\\', '%', '%00', '%0d', '?', '&', '#', '0', '9', 'a', 'A', '\x01', '\x0b', '\x0c', '\x1f', '\x7f', '\x80', '\xff', '\r\n\r\n', '\r\n '];

// One connection's bytes. `oddness` from 0 to 1 is how likely a place is not as it should be.
class Head {
    constructor(roll, port) {
        this.roll = roll;
        this.port = port;
        // A third is as it should be; the others are odd in one or two places.
        this.oddness = roll() < 0.33 ? 0 : 0.02 + 0.12 * roll();
        this.oddities = 0;
    }

    below(count) {
        return Math.floor(this.roll() * count);
    }

    one(list) {
        return list[this.below(list.length)];
    }

    chance(share) {
        return this.roll() < share;
    }

    // `usual`, or with the head's oddness one of the others.
    or(usual, others) {
        if (!this.chance(this.oddness)) return usual;
        this.oddities++;
        return this.one(others);
    }

    get lineEnd() {
        return this.chance(0.3) ? this.or('\r\n', lineEnds) : '\r\n';
    }

    target(method) {
        if (this.port === 'admin') return method === 'POST' ? '/api/v1/publish' : '/readyz';
        const path = method === 'POST' ? '/v1/publish?channel=open:' + this.one(['a', 'b']) : `/v1/subscribe?channel=${this.one(known)}&last=1&wait=0`;
        if (this.chance(0.05)) return `http://x${path}`;
        return this.or(path, ['*', '/', '', 'x', `${path}#f`, `${path} x`, `${path}\t`, `${path}\0`, `${path}%`, `${path}%0d%0a`, `${path}\x80`, `//x${path}`, `/../..${path}`, `https://x${path}`, `http://${path}`, `http:${path}`, `x:80`, `${path}&${'a'.repeat(9000)}`, `${path}\\`, `"${path}"`, `/v1/ws`, `?${path}`]);
    }

    // A body of its own, of which each byte shows; now and then it is a request, as smugglers send.
    body(tag) {
        const text = this.chance(0.5) ? `GET /v1/subscribe?channel=${this.one(known)}&last=1&wait=0 HTTP/1.1\r\nHost: x\r\n\r\n` : 'b'.repeat(this.below(40));
        if (this.port === 'admin') return JSON.stringify({ channel: 'open:a', data: `${tag} ${text}` });
        return `${tag} ${text}`;
    }

    field(name, value) {
        return `${name}${this.or(':', [' :', '\t:', '', '::', ':\0', ' ', '='])}${this.or(' ', ['', '  ', '\t', ' \t ', '\x0b', '\r\n ', '\xa0'])}${value}${this.or('', [' ', '\t', '\0', '\x0b', '\r'])}`;
    }

    host() {
        const host = this.field('Host', this.or('x', hosts));
        return this.or([host], [[], [host, 'Host: y'], [host, host], [host.toLowerCase()], ['Host'], [host, 'Host:'], ['X-Host: x']]);
    }

    ordinary() {
        const list = Array.from({ length: this.below(4) }, () => this.one(fields));
        if (this.chance(0.3)) {
            const name = this.one(knownNames);
            list.push(`${this.chance(0.5) ? name.slice(0, 1 + this.below(name.length - 1)) : `${name}-X`}: y`);
        }
        if (this.chance(2 * this.oddness)) list.push(`${this.one(badNames)}: y`), this.oddities++;
        if (this.chance(2 * this.oddness)) list.push(`X-V: ${this.one(badValues)}`), this.oddities++;
        if (this.chance(this.oddness / 4)) list.push(...Array.from({ length: 300 }, (_, n) => `X-${n}: y`)), this.oddities++;
        if (this.chance(this.oddness / 4)) list.push(`X-Long: ${'y'.repeat(9000)}`), this.oddities++;
        if (this.chance(this.oddness)) list.push('no colon'), this.oddities++;
        if (this.chance(this.oddness)) list.push(`Connection: ${this.one(connections)}`), this.oddities++;
        if (this.chance(this.oddness)) list.push(`Upgrade: ${this.one(upgrades)}`, 'Connection: Upgrade'), this.oddities++;
        if (this.chance(this.oddness)) list.push(`Expect: ${this.one(expects)}`), this.oddities++;
        return list;
    }

    chunked(body) {
        const pieces = body.length > 3 ? [body.slice(0, 3), body.slice(3)] : [body];
        const line = (piece) => {
            const size = piece.length.toString(16);
            return this.or(size, [this.one(chunkOddities)(size), ((piece.length + 1) % 16).toString(16)]) + this.lineEnd;
        };
        return `${pieces.map((piece) => line(piece) + piece + this.lineEnd).join('')}${this.or('0', ['00', '0;x', '', '-0', '0 '])}${this.lineEnd}${this.or('', ['X: y\r\n', 'Content-Length: 5\r\n', 'X\r\n', ' \r\n'])}${this.lineEnd}`;
    }

    // The fields that frame a body, and the body as it is then sent.
    framing(method, tag) {
        const hasBody = method === 'POST' ? this.or(true, [false]) : this.chance(0.05 + this.oddness);
        if (!hasBody) return [[], ''];
        const body = this.body(tag);
        if (!this.chance(0.1 + 2 * this.oddness)) return [[this.field('Content-Length', String(body.length))], body];
        const length = `Content-Length: ${this.one([String, ...lengths])(body.length)}`;
        const coding = this.field(this.or('Transfer-Encoding', ['Transfer_Encoding', 'TRANSFER-ENCODING', 'Transfer-Encodin', 'Transfer-Encoding-X']), this.one(codings));
        this.oddities++;
        const chunks = this.chunked(body);
        return this.one([
            [[length], body],
            [[length, length], body],
            [[length, `Content-Length: ${body.length}`], body],
            [[coding], chunks],
            [[coding], chunks],
            [['Transfer-Encoding: chunked'], chunks],
            [['Transfer-Encoding: chunked'], chunks],
            [['Transfer-Encoding: chunked', coding], chunks],
            [[length, coding], this.one([body, chunks])],
            [[coding, `Content-Length: ${body.length}`], this.one([body, chunks])],
            [[], body],
        ]);
    }

    request(tag) {
        const method = this.or(this.chance(0.4) ? 'POST' : this.chance(0.8) ? 'GET' : this.one(this.port === 'admin' ? ['HEAD'] : ['HEAD', 'OPTIONS']), methods);
        const [frame, body] = this.framing(method, tag);
        const list = [...this.host(), ...new Set(this.ordinary()), ...frame];
        if (this.port === 'admin') list.push(`Authorization: Bearer ${apiKey}`);
        if (this.chance(0.5)) list.reverse();
        const lines = list.map((line) => line + this.lineEnd).join('');
        const gap = () => this.or(' ', gaps);
        return `${this.or('', garbage)}${method}${gap()}${this.target(method)}${gap()}${this.or('HTTP/1.1', versions)}${this.lineEnd}${lines}${this.lineEnd}${body}`;
    }

    mutated(text) {
        const at = this.below(text.length);
        const some = 1 + this.below(8);
        this.oddities++;
        return this.one([
            () => text.slice(0, at) + text.slice(at + 1),
            () => text.slice(0, at) + this.one(bytes) + text.slice(at),
            () => text.slice(0, at) + this.one(bytes) + text.slice(at + 1),
            () => text.slice(0, at) + String.fromCharCode(this.below(256)) + text.slice(at + 1),
            () => text.slice(0, at) + text.slice(at, at + some).repeat(2) + text.slice(at + some),
            () => text.slice(0, at) + text.slice(at + some),
            () => text.slice(0, at),
        ])();
    }
}

// What one connection is sent: { port, text (latin1), cuts (where it is split), isPlain (nothing is odd), number }.
// Behind it all stands a request that asks for the end of the connection.
export function makeProbe(seed, number) {
    const roll = dice(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b));
    const head = new Head(roll, roll() < 0.15 ? 'admin' : 'public');
    const count = 1 + head.below(2);
    let text = Array.from({ length: count }, (_, which) => head.request(`p${number}.${which}`)).join('');
    if (head.oddness > 0 && head.chance(0.4)) for (let n = 1 + head.below(3); n > 0; n--) text = head.mutated(text);
    // Latin-1 is what goes out; what is beyond it goes out as UTF-8.
    text = text.replace(/[^\0-\xff]/g, (letter) => Buffer.from(letter).toString('latin1'));
    text += `GET ${head.port === 'admin' ? '/readyz' : `/v1/subscribe?channel=${known[0]}&last=1&wait=0`} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    const cuts = head.chance(0.5) ? [] : Array.from({ length: 1 + head.below(3) }, () => head.below(text.length)).sort((a, b) => a - b);
    return { number, port: head.port, text, cuts, isPlain: head.oddities === 0 };
}

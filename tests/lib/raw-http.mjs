// A TCP connection that says HTTP word for word: for what HTTP libraries would put right, and for what they hide.

import net from 'node:net';

import { until, within } from './wait.mjs';

export class RawHttp {
    // Resolves when connected.
    static async open(gateway) {
        const raw = new RawHttp();
        raw.text = ''; // All that has come and is not taken by response() or take().
        raw.isEnded = false; // The gateway has closed.
        raw.socket = net.connect({ port: gateway.port, host: '127.0.0.1' });
        raw.socket.setEncoding('latin1');
        raw.socket.on('data', (text) => (raw.text += text));
        raw.socket.on('error', () => {});
        raw.closed = new Promise((resolve) => {
            for (const event of ['end', 'close'])
                raw.socket.once(event, () => {
                    raw.isEnded = true;
                    resolve();
                });
        });
        await within('a connection', new Promise((resolve) => raw.socket.once('connect', resolve)));
        return raw;
    }

    send(text) {
        this.socket.write(text, 'latin1');
    }

    // A request without a body.
    request(line, headers = {}, version = '1.1') {
        const lines = Object.entries({ Host: 'example.test', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
        this.send(`${line} HTTP/${version}\r\n${lines.join('')}\r\n`);
    }

    // Waits for `pattern` in what has come and returns its match.
    async saw(pattern, timeoutMs) {
        return until(`${pattern} in ${JSON.stringify(this.text.slice(-400))}`, () => this.text.match(pattern), { timeoutMs });
    }

    // Status line and headers of the next response.
    async head(timeoutMs) {
        await this.saw(/\r\n\r\n/, timeoutMs);
        const end = this.text.indexOf('\r\n\r\n');
        const [status, ...lines] = this.text.slice(0, end).split('\r\n');
        this.text = this.text.slice(end + 4);
        const headers = {};
        for (const line of lines) {
            const [, name, value] = line.match(/^([^:]+):\s*(.*)$/);
            headers[name.toLowerCase()] = value;
        }
        return { status: Number(status.split(' ')[1]), headers };
    }

    // The next response with a Content-Length, or without a body.
    async response({ timeoutMs, hasBody = true } = {}) {
        const response = await this.head(timeoutMs);
        const length = hasBody ? Number(response.headers['content-length'] ?? 0) : 0;
        await until('the body', () => this.text.length >= length, { timeoutMs });
        response.body = Buffer.from(this.text.slice(0, length), 'latin1').toString();
        this.text = this.text.slice(length);
        if (/^[{[]/.test(response.body)) response.json = JSON.parse(response.body);
        return response;
    }

    // Until the gateway has closed; what has come.
    async rest(timeoutMs) {
        await within('the gateway to close', this.closed, timeoutMs);
        return this.text;
    }

    end() {
        this.socket.destroy();
    }
}

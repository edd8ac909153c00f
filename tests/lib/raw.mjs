// A TCP connection of which the test writes every byte, and WebSocket frames as bytes.

import { randomBytes } from 'node:crypto';
import net from 'node:net';

import { until, within } from './wait.mjs';

export class RawSocket {
    static async connect(port, { host = '127.0.0.1', localAddress } = {}) {
        const raw = new RawSocket();
        raw.received = Buffer.alloc(0);
        raw.isClosed = false;
        raw.socket = net.connect({ port, host, localAddress });
        raw.socket.setNoDelay(true);
        raw.socket.on('data', (data) => (raw.received = Buffer.concat([raw.received, data])));
        raw.socket.on('error', () => {});
        raw.closed = new Promise((resolve) => raw.socket.on('close', () => resolve((raw.isClosed = true))));
        await within('a TCP connection', new Promise((resolve, reject) => {
            raw.socket.once('connect', resolve);
            raw.socket.once('error', reject);
        }));
        return raw;
    }

    get text() {
        return this.received.toString('latin1');
    }

    write(data) {
        if (!this.isClosed) this.socket.write(data);
    }

    async saw(pattern, timeoutMs) {
        return until(`${pattern} on the socket, which has ${JSON.stringify(this.text.slice(0, 300))}`, () => this.text.match(pattern), { timeoutMs });
    }

    async close(timeoutMs) {
        return within('the other side to close the connection', this.closed, timeoutMs);
    }

    destroy() {
        this.socket.destroy();
    }

    // A handshake by hand; what comes after it is frames. `before` and `behind` are bytes sent around it.
    static async webSocket(gateway, { path = '/v1/ws', headers = [], before = '', behind = '', ...options } = {}) {
        const raw = await RawSocket.connect(gateway.port, options);
        const request = [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${gateway.port}`, 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13']
            .concat(`Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, headers, '', '')
            .join('\r\n');
        raw.write(Buffer.concat([Buffer.from(before), Buffer.from(request), Buffer.from(behind)]));
        const [head] = await raw.saw(/^HTTP\/1\.1 101 [^]*?\r\n\r\n/);
        raw.head = head;
        raw.received = raw.received.subarray(head.length);
        return raw;
    }

    // The unmasked frames received so far, as [{ opcode, compressed, payload }]; `compressed` is RSV1.
    frames() {
        const frames = [];
        let at = 0;
        while (this.received.length >= at + 2) {
            let length = this.received[at + 1] & 0x7f;
            let header = 2;
            if (length === 126) {
                length = this.received.readUInt16BE(at + 2);
                header = 4;
            } else if (length === 127) {
                length = Number(this.received.readBigUInt64BE(at + 2));
                header = 10;
            }
            if (this.received.length < at + header + length) break;
            frames.push({
                opcode: this.received[at] & 0x0f,
                compressed: (this.received[at] & 0x40) !== 0,
                payload: this.received.subarray(at + header, at + header + length),
            });
            at += header + length;
        }
        return frames;
    }

    // The code of the close frame that ends the connection; answers it.
    async closeCode(timeoutMs) {
        const { payload } = await until('a close frame', () => this.frames().find(({ opcode }) => opcode === 8), { timeoutMs });
        this.write(frame(payload.subarray(0, 2), { opcode: 8 }));
        return payload.readUInt16BE(0);
    }
}

// A client's frame, masked as RFC 6455 wants it.
export function frame(payload, { opcode = 1, fin = true, compressed = false, length = payload.length } = {}) {
    const data = Buffer.from(payload);
    const mask = randomBytes(4);
    const header = [(fin ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode];
    if (length < 126) header.push(0x80 | length);
    else if (length <= 0xffff) header.push(0x80 | 126, length >> 8, length & 0xff);
    else {
        const eight = Buffer.alloc(8);
        eight.writeBigUInt64BE(BigInt(length));
        header.push(0x80 | 127, ...eight);
    }
    return Buffer.concat([Buffer.from(header), mask, data.map((byte, i) => byte ^ mask[i % 4])]);
}

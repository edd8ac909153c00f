// A redis-server of the test's own, on a free port, with its data in a temporary folder.

import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import { freePort } from './ports.mjs';
import { Process, run } from './process.mjs';

function answersPing(port, password) {
    return new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1', () => {
            socket.write(`${password ? `AUTH ${password}\r\n` : ''}PING\r\n`);
        });
        let text = '';
        socket.setTimeout(500, () => socket.destroy());
        socket.on('data', (data) => {
            text += data;
            if (text.includes('PONG')) socket.destroy();
        });
        socket.on('error', () => {});
        socket.on('close', () => resolve(text.includes('PONG')));
    });
}

export class Redis {
    // `t` is a test context, or wholeFile() of lib/file.mjs. `args` are further redis-server
    // options, e.g. ['--appendonly', 'yes', '--appendfsync', 'always']; without them nothing is kept on disk.
    static async start(t, { port, args = [], password } = {}) {
        const redis = new Redis();
        redis.port = port ?? (await freePort());
        redis.password = password;
        redis.args = password ? [...args, '--requirepass', password] : args;
        redis.dir = await mkdtemp(path.join(os.tmpdir(), 'fantail-redis-'));
        t.after(() => redis.finish());
        await redis.run();
        return redis;
    }

    get url() {
        return `redis://${this.password ? `:${this.password}@` : ''}127.0.0.1:${this.port}/0`;
    }

    // Starts it again after stop() or kill(), on the same port and data.
    async run() {
        this.process = new Process('redis-server', 'redis-server', [
            ...['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.dir],
            ...['--save', '', '--appendonly', 'no', '--daemonize', 'no'],
            ...this.args,
        ]);
        await this.process.ready('answers PING', () => answersPing(this.port, this.password));
    }

    // What `redis-cli ARGS...` prints, as an operator would see it in a pipe.
    async cli(...args) {
        const auth = this.password ? ['-a', this.password, '--no-auth-warning'] : [];
        const output = await run('redis-cli', ['-p', String(this.port), ...auth, ...args.map(String)]);
        return output.replace(/\n$/, '');
    }

    // The number of subscribers it reached: gateway workers, not clients.
    async publish(channel, payload) {
        return Number(await this.cli('PUBLISH', channel, payload));
    }

    async stop() {
        await this.process.stop();
    }

    async kill() {
        await this.process.killAll();
    }

    // Up but deaf: the kernel still takes its connections and bytes.
    pause() {
        this.process.signal('SIGSTOP');
    }

    resume() {
        this.process.signal('SIGCONT');
    }

    async finish() {
        await this.kill();
        await rm(this.dir, { recursive: true, force: true });
    }
}

// The real gateway on free ports.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { freePort } from './ports.mjs';
import { Process } from './process.mjs';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

// FANTAIL_BINARY names another build, e.g. build/release/gateway/fantail.
export const binary = path.resolve(root, process.env.FANTAIL_BINARY ?? 'build/debug/gateway/fantail');

const SANITIZER_REPORT = /(ERROR: (Address|Leak)Sanitizer|runtime error:).*/;

export class Gateway {
    // `t` is a test context, or wholeFile() of lib/file.mjs. `redis` is a Redis of lib/redis.mjs or
    // a URL; without it the broker is the memory one. `config` is the text of a config file, instead of which or
    // with which `dev` opens everything. `env` are further FANTAIL_... settings. Without `awaitReady` it need not
    // become ready. `nofile` is its limit of file descriptors.
    static async start(t, { dev, config, redis, nofile, workers, node, env = {}, port, adminPort, awaitReady = true } = {}) {
        const gateway = new Gateway();
        gateway.nofile = nofile;
        gateway.port = port ?? (await freePort());
        gateway.adminPort = adminPort ?? (await freePort());
        gateway.dir = await mkdtemp(path.join(os.tmpdir(), 'fantail-gateway-'));
        gateway.configFile = path.join(gateway.dir, 'fantail.conf');
        gateway.args = [];
        if (dev ?? config === undefined) gateway.args.push('--dev');
        if (config !== undefined) {
            await gateway.writeConfig(config);
            gateway.args.push('--config', gateway.configFile);
        }
        gateway.env = {
            FANTAIL_LISTEN_ADDRESS: '127.0.0.1',
            FANTAIL_LISTEN_PORT: String(gateway.port),
            FANTAIL_ADMIN_ADDRESS: '127.0.0.1',
            FANTAIL_ADMIN_PORT: String(gateway.adminPort),
            ...(redis ? { FANTAIL_BROKER: 'redis', FANTAIL_REDIS_URL: redis.url ?? redis } : {}),
            ...(workers !== undefined ? { FANTAIL_WORKERS: String(workers) } : {}),
            ...(node !== undefined ? { FANTAIL_NODE: node } : {}),
            // Where the drain is not what is tested, nobody wants to wait for it.
            ...(config?.includes('drain_seconds') ? {} : { FANTAIL_DRAIN_SECONDS: '1' }),
            ...env,
        };
        t.after(() => gateway.finish());
        await gateway.run({ awaitReady });
        return gateway;
    }

    get url() {
        return `http://127.0.0.1:${this.port}`;
    }

    get wsUrl() {
        return `ws://127.0.0.1:${this.port}`;
    }

    get adminUrl() {
        return `http://127.0.0.1:${this.adminPort}`;
    }

    get pid() {
        return this.process.pid;
    }

    get output() {
        return this.process.output;
    }

    async writeConfig(text) {
        await writeFile(this.configFile, text);
    }

    // Starts it again after stop() or kill(), on the same ports.
    async run({ awaitReady = true } = {}) {
        const command = this.nofile ? ['prlimit', `--nofile=${this.nofile}`, binary, ...this.args] : [binary, ...this.args];
        this.process = new Process('fantail', command[0], command.slice(1), { env: this.env });
        if (awaitReady) await this.process.ready('answers /readyz with 200', () => this.isReady());
    }

    async isReady() {
        return (await this.readyStatus()) === 200;
    }

    // 200, 503, or undefined while nobody listens.
    async readyStatus() {
        try {
            const response = await fetch(`${this.adminUrl}/readyz`, { signal: AbortSignal.timeout(2000) });
            await response.arrayBuffer();
            return response.status;
        } catch {
            return undefined;
        }
    }

    // SIGHUP with a new config file.
    async reload(config) {
        await this.writeConfig(config);
        this.process.signal('SIGHUP');
    }

    // The drain, as a deploy does it. A clean end is part of what is tested.
    async stop(options) {
        const exit = await this.process.stop(options);
        this.assertSane();
        assert.equal(exit.code, 0, `fantail ended with ${JSON.stringify(exit)}\n${this.process.tail()}`);
    }

    // As by a power cut: master and workers at once.
    async kill() {
        await this.process.killAll();
        this.assertSane();
    }

    assertSane() {
        const report = this.process.output.match(SANITIZER_REPORT);
        if (report) assert.fail(`a sanitizer complained: ${report[0]}\n${this.process.output.slice(report.index, report.index + 4000)}`);
    }

    // The samples of /metrics: { 'name{label="x"}': number }.
    async metrics() {
        const text = await (await fetch(`${this.adminUrl}/metrics`)).text();
        const samples = {};
        for (const line of text.split('\n')) {
            const match = line.match(/^([a-zA-Z_:][^\s{]*(?:\{.*\})?) (\S+)$/);
            if (match) samples[match[1]] = Number(match[2]);
        }
        return samples;
    }

    // The sum of a metric's samples whose text holds all of `labels`, e.g. ['reason="idle"'].
    async metric(name, ...labels) {
        const samples = Object.entries(await this.metrics()).filter(
            ([key]) => (key === name || key.startsWith(`${name}{`)) && labels.every((label) => key.includes(label)),
        );
        if (samples.length === 0) throw new Error(`no metric ${name} ${labels.join(' ')}`);
        return samples.reduce((sum, [, value]) => sum + value, 0);
    }

    // CPU time that the first worker has spent, in milliseconds; the kernel counts in steps of ten.
    async workerCpuMs() {
        const children = await readFile(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
        const stat = await readFile(`/proc/${children.trim().split(' ')[0]}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return (Number(fields[11]) + Number(fields[12])) * 10;
    }

    async finish() {
        if (!this.process.exit) {
            // In a hurry: nobody is given time to leave.
            await this.process.stop({ signal: 'SIGINT', timeoutMs: 20_000 }).catch(() => {});
        }
        await this.process.killAll();
        await rm(this.dir, { recursive: true, force: true });
        this.assertSane();
    }
}

// Child processes that end with the test, whatever happens to it.

import { spawn } from 'node:child_process';

import { until, within } from './wait.mjs';

const OUTPUT_MAX = 4 * 1024 * 1024; // Characters kept of each process; the oldest go first.
const running = new Set();

function killGroup(pid, signal) {
    if (pid === undefined) return; // It could not be started.
    try {
        process.kill(-pid, signal);
    } catch (error) {
        if (error.code !== 'ESRCH') throw error;
    }
}

process.on('exit', () => {
    for (const child of running) killGroup(child.pid, 'SIGKILL');
});
// Without a handler these two would end us without 'exit', and leave the children behind.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));

export class Process {
    // Each child leads a process group of its own, so that a killed master cannot leave workers behind.
    constructor(name, command, args, { env = {}, cwd } = {}) {
        this.name = name;
        this.output = '';
        this.exit = undefined; // { code, signal } once it has ended.
        this.child = spawn(command, args, {
            cwd,
            env: { ...process.env, ...env },
            stdio: ['ignore', 'pipe', 'pipe'],
            detached: true,
        });
        this.pid = this.child.pid;
        if (this.pid) running.add(this);
        for (const stream of [this.child.stdout, this.child.stderr]) {
            stream.setEncoding('utf8');
            stream.on('data', (text) => {
                this.output = (this.output + text).slice(-OUTPUT_MAX);
            });
        }
        this.exited = new Promise((resolve) => {
            const end = (exit) => {
                this.exit ??= exit;
                running.delete(this);
                resolve(this.exit);
            };
            this.child.once('error', (error) => end({ code: null, signal: null, error }));
            this.child.once('close', (code, signal) => end({ code, signal }));
        });
    }

    // Waits until `condition` holds; a process that ends first is an error that shows what it said.
    async ready(what, condition, timeoutMs = 20_000) {
        await until(
            `${this.name}: ${what}`,
            async () => {
                if (this.exit) return true;
                return condition();
            },
            { timeoutMs },
        ).catch((error) => {
            throw new Error(`${error.message}\n${this.tail()}`);
        });
        if (this.exit) {
            const why = this.exit.error?.message ?? `code ${this.exit.code}, signal ${this.exit.signal}`;
            throw new Error(`${this.name} ended before it was ready (${why})\n${this.tail()}`);
        }
    }

    async saw(pattern, timeoutMs = 10_000) {
        return until(`${this.name} to write ${pattern}`, () => this.output.match(pattern), { timeoutMs });
    }

    tail(lines = 40) {
        return this.output.split('\n').slice(-lines).join('\n');
    }

    // To the process alone, as an operator would; `killAll` reaches its children too.
    signal(name) {
        if (!this.exit) process.kill(this.pid, name);
    }

    // Asks it to end; after the time, makes it. Returns how it ended.
    async stop({ signal = 'SIGTERM', timeoutMs = 15_000 } = {}) {
        if (!this.exit) {
            this.signal(signal);
            try {
                await within(`${this.name} to end after ${signal}`, this.exited, timeoutMs);
            } catch (error) {
                await this.killAll();
                throw new Error(`${error.message}\n${this.tail()}`);
            }
        }
        return this.exit;
    }

    async killAll() {
        killGroup(this.pid, 'SIGKILL');
        return this.exited;
    }
}

// Runs a command to its end; its output, or an error with it when the exit code is not 0.
export async function run(command, args, options = {}) {
    const { timeoutMs = 15_000, ...rest } = options;
    const child = new Process(command, command, args, rest);
    try {
        await within(`${command} ${args.join(' ')}`, child.exited, timeoutMs);
    } catch (error) {
        await child.killAll();
        throw error;
    }
    if (child.exit.error) throw child.exit.error;
    if (child.exit.code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${child.exit.code}\n${child.tail()}`);
    return child.output;
}

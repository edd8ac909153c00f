// Many clients at once.

import { NativeClient } from './native.mjs';

// `count` clients, each after `prepare(client, index)`, at most `atOnce` on their way at a time.
export async function openClients(gateway, count, { atOnce = 100, prepare = async () => {}, ...options } = {}) {
    const clients = new Array(count);
    let next = 0;
    const open = async () => {
        while (next < count) {
            const index = next++;
            clients[index] = await NativeClient.open(gateway, options);
            await prepare(clients[index], index);
        }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, count) }, open));
    return clients;
}

// The worker process that serves a client: session ids are NODE-WORKER'S START-NUMBER.
async function workerOf(client) {
    const { session } = await client.request({ op: 'connect' });
    return session.split('-').at(-2);
}

// One client on each worker. The kernel chooses the worker, so connect until all have been chosen.
export async function openClientPerWorker(gateway, workers) {
    const clients = new Map();
    const deadline = Date.now() + 20_000;
    while (clients.size < workers) {
        if (Date.now() > deadline) throw new Error(`reached ${clients.size} of ${workers} workers`);
        const client = await NativeClient.open(gateway);
        const worker = await workerOf(client);
        if (clients.has(worker)) await client.end();
        else clients.set(worker, client);
    }
    return [...clients.values()];
}

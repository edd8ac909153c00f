// The compose cluster that script/test-cluster has brought up, and ways to hurt it.

import { run } from '../lib/process.mjs';
import { until } from '../lib/wait.mjs';

const compose = process.env.FANTAIL_TEST_COMPOSE.split(' '); // "docker-compose" or "docker compose"
const project = process.env.COMPOSE_PROJECT_NAME;

export const nodes = ['node1', 'node2', 'node3'];
export const url = `http://127.0.0.1:${process.env.FANTAIL_PORT}`;
export const wsUrl = `ws://127.0.0.1:${process.env.FANTAIL_PORT}`;
const statsUrl = `http://127.0.0.1:${process.env.FANTAIL_STATS_PORT}`;

export async function dockerCompose(...args) {
    return run(compose[0], [...compose.slice(1), ...args], { timeoutMs: 60_000 });
}

export async function docker(...args) {
    return (await run('docker', args, { timeoutMs: 60_000 })).trim();
}

// As anybody would type it. The number of subscribers, that is of workers, that Redis handed it to.
export async function redisPublish(channel, payload) {
    const output = await dockerCompose('exec', '-T', 'redis', 'redis-cli', 'PUBLISH', channel, payload);
    return Number(output.match(/\d+/)[0]);
}

export async function containerOf(service) {
    return docker('ps', '-a', '-q', '--filter', `label=com.docker.compose.project=${project}`, '--filter', `label=com.docker.compose.service=${service}`);
}

const ending = new Set();

// Without asking compose, which takes a second to think: the tests measure from here.
export async function end(service, signal) {
    await docker('kill', '-s', signal, await containerOf(service));
    ending.add(service);
}

// Starts a node that end() was called for, as soon as it is down; otherwise does nothing.
export async function start(service) {
    if (!ending.delete(service)) return;
    const container = await containerOf(service);
    await docker('wait', container);
    await docker('start', container);
}

// Takes a service off a network of the compose file, or puts it back under its name.
export async function disconnect(service, network) {
    await docker('network', 'disconnect', `${project}_${network}`, await containerOf(service));
}

export async function reconnect(service, network) {
    await docker('network', 'connect', '--alias', service, `${project}_${network}`, await containerOf(service));
}

export async function addressOf(service, network) {
    return docker('inspect', '-f', `{{(index .NetworkSettings.Networks "${project}_${network}").IPAddress}}`, await containerOf(service));
}

// What HAProxy thinks of a node: { status: 'UP' or 'DOWN' and the like, code: of its last check, ... }.
export async function judgement(node) {
    const text = await (await fetch(`${statsUrl}/;csv`)).text();
    const rows = text.split('\n').map((line) => line.replace(/^# /, '').split(','));
    const row = rows.find((row) => row[0] === 'gateway' && row[1] === node);
    const cell = (name) => row[rows[0].indexOf(name)];
    return { status: cell('status'), check: cell('check_status'), code: Number(cell('check_code')), sessions: Number(cell('scur')) };
}

export async function judged(node, status, timeoutMs = 30_000) {
    return until(
        `HAProxy to find ${node} ${status}`,
        async () => {
            const found = await judgement(node);
            return found.status === status && found;
        },
        { timeoutMs, everyMs: 50 },
    );
}

export async function allUp(timeoutMs = 60_000) {
    for (const node of nodes) await judged(node, 'UP', timeoutMs);
}

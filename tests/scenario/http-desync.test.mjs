// A proxy shares a connection to the gateway among all its clients. Whatever one of them sends, nobody else gets an
// answer that is not to what he asked.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';

import { Gateway } from '../lib/gateway.mjs';
import { makeProbe } from '../lib/http-heads.mjs';
import { startHaproxy, startKeepingNginx } from '../lib/proxies.mjs';
import { publish, subscribePath } from '../lib/subscribe.mjs';

const REQUESTS = 10_000; // Of those who are to get their own answers, through each proxy.
const CLIENTS = 8;
const ATTACKERS = 3;
const ATTACK_MS = 50; // What is not answered by then is broken off, which is an attack as well.
const CLIENT_MS = 20_000;

const config = `
broker = "memory";
limits = { handshake_seconds = 2; message_bytes = 1000; };
namespaces = (
  { name = "default"; },
  { name = "own"; history_size = 1; history_ttl_seconds = 3600; client_publish = true; },
  { name = "open"; client_publish = true; }
);`;

const host = 'Host: x\r\n';
const get = `GET ${subscribePath('own:strange', { last: 1, wait: 0 })} HTTP/1.1\r\n${host}`;
const hidden = `${get}\r\n`;
const post = `POST /v1/publish?channel=open:a HTTP/1.1\r\n${host}`;
const chunked = (text) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
const counted = (text) => `Content-Length: ${text.length}\r\n`;
const chunks = 'Transfer-Encoding: chunked\r\n';

// Requests of which a gateway may misjudge the end, each by its kind.
const attacks = {
    'a GET with chunks': `${get}${chunks}\r\n${chunked('hello')}`,
    'a GET with a request in chunks': `${get}${chunks}\r\n${chunked(hidden)}`,
    'a HEAD with chunks': `${get.replace('GET', 'HEAD')}${chunks}\r\n${chunked(hidden)}`,
    'an OPTIONS with a body': `${get.replace('GET', 'OPTIONS')}${counted(hidden)}\r\n${hidden}`,
    'a GET with a request as its body': `${get}${counted(hidden)}\r\n${hidden}`,
    'a DELETE with a request as its body': `${get.replace('GET', 'DELETE')}${counted(hidden)}\r\n${hidden}`,
    'a beginning of a name before the length': `${get}X-F: y\r\n${counted(hidden)}Foo: bar\r\n\r\n${hidden}`,
    'the beginning of the length itself': `${get}Content: y\r\n${counted(hidden)}Foo: bar\r\n\r\n${hidden}`,
    'a POST with a beginning of a name': `${post}If: y\r\n${counted(hidden)}\r\n${hidden}`,
    'a POST with chunks': `${post}${chunks}\r\n${chunked(hidden)}`,
    'a POST that is forbidden': `POST /v1/publish?channel=closed HTTP/1.1\r\n${host}${counted(hidden)}\r\n${hidden}`,
    'a POST that is too large': `${post}${counted(hidden.repeat(50))}\r\n${hidden.repeat(50)}`,
    'a POST to nowhere': `POST /v1/nowhere HTTP/1.1\r\n${host}${counted(hidden)}\r\n${hidden}`,
    'a POST that is a form': `${post}Content-Type: multipart/form-data; boundary=x\r\n${counted(hidden)}\r\n${hidden}`,
    'a POST whose body does not come': `${post}Content-Length: 500\r\n\r\n`,
    'a POST that waits to be told to go on': `${post}Expect: 100-continue\r\n${counted(hidden)}\r\n${hidden}`,
    'a refused POST that waits to be told to go on': `POST /v1/nowhere HTTP/1.1\r\n${host}Expect: 100-continue\r\n${counted(hidden)}\r\n${hidden}`,
    'an expectation nobody knows': `${post}Expect: miracles\r\n${counted(hidden)}\r\n${hidden}`,
    'both lengths': `${post}${counted(hidden)}${chunks}\r\n${chunked(hidden)}`,
    'an upgrade to something else': `${get}Upgrade: h2c\r\nConnection: Upgrade\r\n${counted(hidden)}\r\n${hidden}`,
    'a handshake that is refused': `GET /v1/ws HTTP/1.1\r\n${host}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: x\r\n\r\n${hidden}`,
    'a handshake with a body': `GET /v1/ws HTTP/1.1\r\n${host}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${counted(hidden)}\r\n${hidden}`,
    'a target by its URL': `GET http://x/v1/nowhere HTTP/1.1\r\n${host}${counted(hidden)}\r\n${hidden}`,
    'a head that is too long': `${get}X: ${'y'.repeat(9000)}\r\n\r\n${hidden}`,
    'HTTP/1.0': `${get.replace('1.1', '1.0')}Connection: keep-alive\r\n${counted(hidden)}\r\n${hidden}`,
    'requests one behind the other': hidden.repeat(5),
};

// Sends it and leaves, at the first answer or soon after.
function attack(port, text) {
    return new Promise((resolve) => {
        const socket = net.connect({ port, host: '127.0.0.1' }, () => socket.write(text, 'latin1'));
        const timer = setTimeout(() => socket.destroy(), ATTACK_MS);
        socket.on('data', () => socket.destroy());
        socket.on('error', () => {});
        socket.on('close', () => {
            clearTimeout(timer);
            resolve();
        });
    });
}

// One request; what came: { status, body }. A client that is strict itself fails at what it did not ask for.
function ask(agent, port, channel) {
    return new Promise((resolve, reject) => {
        const request = http.get({ agent, port, host: '127.0.0.1', path: subscribePath(channel, { last: 1, wait: 0 }), timeout: CLIENT_MS }, (response) => {
            let body = '';
            response.setEncoding('utf8').on('data', (text) => (body += text));
            response.on('end', () => resolve({ status: response.statusCode, body }));
            response.on('error', reject);
        });
        request.on('timeout', () => request.destroy(new Error('no answer')));
        request.on('error', reject);
    });
}

async function underAttack(t, gateway, proxy) {
    const channels = Array.from({ length: CLIENTS }, (_, n) => `own:client-${n}`);
    for (const channel of [...channels, 'own:strange']) await publish(gateway, channel, JSON.stringify(`only for ${channel}`));
    const wrong = [];
    const seen = {};
    let left = REQUESTS;
    const client = async (channel) => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        while (left-- > 0) {
            const { status, body } = await ask(agent, proxy.port, channel).catch((error) => ({ status: error.code ?? error.message, body: '' }));
            seen[status] = (seen[status] ?? 0) + 1;
            if (status !== 200 || !body.includes(`"only for ${channel}"`)) wrong.push(`${channel} got ${status} ${body.slice(0, 200)}`);
        }
        agent.destroy();
    };
    let attacks = 0;
    const attacker = async (which) => {
        for (let n = which; left > 0; n += ATTACKERS, attacks++) await attack(proxy.port, nextAttack(n));
    };
    await Promise.all([...channels.map(client), ...Array.from({ length: ATTACKERS }, (_, n) => attacker(n))]);
    t.diagnostic(`${attacks} attacks, answers ${JSON.stringify(seen)}`);
    assert.equal(wrong.length, 0, `${wrong.length} of ${REQUESTS} answers are wrong:\n${wrong.slice(0, 5).join('\n')}`);
    assert.ok(attacks > 100, `there were attacks: ${attacks}`);
}

// Those above in turn, and between them what http-heads.mjs makes.
function nextAttack(n) {
    const list = Object.values(attacks);
    return n % 2 === 0 ? list[(n / 2) % list.length] : makeProbe(7, n).text;
}

for (const [name, start] of Object.entries({
    'HAProxy that reuses always': (t, gateway) =>
        // (With `maxconn 1` its queue stands still after some requests that were broken off, seen in 2.6.12.)
        startHaproxy(t, [gateway], { defaults: ['http-reuse always', 'option forwardfor', 'timeout http-request 2s', 'option abortonclose'], server: 'pool-max-conn 1' }),
    'nginx that keeps its connections': startKeepingNginx,
})) {
    test(`${name}: everybody gets his own answers`, async (t) => {
        const gateway = await Gateway.start(t, { config });
        await underAttack(t, gateway, await start(t, gateway));
    });
}

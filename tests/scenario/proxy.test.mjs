// Whose address a client has behind load balancers: told by X-Forwarded-For or a PROXY header, and believed only
// from those who are listed.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apiIsOn, callApi } from '../lib/api.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { frame, RawSocket } from '../lib/raw.mjs';
import { until } from '../lib/wait.mjs';

// Connections come from 127.0.0.1 unless they say otherwise; 127.0.0.2 is never listed.
const start = (t, env = {}) => Gateway.start(t, { env: { ...apiIsOn, ...env } });
const listed = { FANTAIL_TRUSTED_PROXIES: '127.0.0.1, 10.0.0.0/8' };
const behindProxy = { ...listed, FANTAIL_LISTEN_PROXY_PROTOCOL: 'true' };

// The address under which operators see the one client, without the port.
async function addressSeen(gateway) {
    const { body } = await callApi(gateway, 'clients');
    assert.equal(body.count, 1);
    return body.clients[0].address.replace(/:\d+$/, '');
}

async function seenWith(gateway, options) {
    const client = await NativeClient.open(gateway, options);
    const address = await addressSeen(gateway);
    await client.end();
    await until('it is gone', async () => (await callApi(gateway, 'clients')).body.count === 0);
    return address;
}

test('X-Forwarded-For of a listed proxy is believed, as far as proxies are listed', async (t) => {
    const gateway = await start(t, listed);
    const seen = (value) => seenWith(gateway, { headers: { 'x-forwarded-for': value } });
    assert.equal(await seenWith(gateway, {}), '127.0.0.1');
    assert.equal(await seen('192.0.2.1'), '192.0.2.1');
    assert.equal(await seen('2001:db8::1'), '[2001:db8::1]');
    assert.equal(await seen('192.0.2.1:4711'), '192.0.2.1');
    assert.equal(await seen('192.0.2.1, 10.1.2.3'), '192.0.2.1', 'through two proxies of ours');
    assert.equal(await seen('198.51.100.9, 192.0.2.1'), '192.0.2.1', 'what the client claims itself is not believed');
    assert.equal(await seen('not an address'), '127.0.0.1');
    assert.equal(await seen('198.51.100.9, nonsense'), '127.0.0.1');
});

test('X-Forwarded-For of anybody else is not believed', async (t) => {
    const none = await start(t);
    assert.equal(await seenWith(none, { headers: { 'x-forwarded-for': '192.0.2.1' } }), '127.0.0.1');
    const gateway = await start(t, listed);
    assert.equal(await seenWith(gateway, { headers: { 'x-forwarded-for': '192.0.2.1' }, localAddress: '127.0.0.2' }), '127.0.0.2');
});

const v2 = ({ command = 0x21, family = 0x11, addresses = Buffer.from([192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x67, 0x1f, 0x40]), tail = '' } = {}) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(addresses.length + tail.length);
    return Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n'), Buffer.from([command, family]), length, addresses, Buffer.from(tail)]);
};

const headers = {
    'version 1, IPv4': ['PROXY TCP4 192.0.2.7 127.0.0.1 4711 8000\r\n', '192.0.2.7'],
    'version 1, IPv6': ['PROXY TCP6 2001:db8::7 ::1 4711 8000\r\n', '[2001:db8::7]'],
    'version 1, unknown': ['PROXY UNKNOWN\r\n', '127.0.0.1'],
    'version 2, IPv4': [v2(), '192.0.2.7'],
    'version 2, IPv6': [v2({ family: 0x21, addresses: Buffer.concat([Buffer.from('20010db8000000000000000000000007', 'hex'), Buffer.alloc(16), Buffer.from([0, 1, 0, 2])]) }), '[2001:db8::7]'],
    'version 2, with more than it needs': [v2({ tail: '\x04\x00\x03abc' }), '192.0.2.7'],
    'version 2, a health check of the proxy itself': [v2({ command: 0x20, family: 0, addresses: Buffer.alloc(0) }), '127.0.0.1'],
};

test('a PROXY header of a listed proxy is believed', async (t) => {
    const gateway = await start(t, behindProxy);
    for (const [what, [header, address]] of Object.entries(headers)) {
        const raw = await RawSocket.webSocket(gateway, { before: header });
        assert.equal(await addressSeen(gateway), address, what);
        raw.write(frame('{"ref":1,"op":"ping"}'));
        await until('a reply', () => raw.frames().length === 1);
        raw.destroy();
        await until('it is gone', async () => (await callApi(gateway, 'clients')).body.count === 0);
    }
});

test('a PROXY header may come byte by byte', async (t) => {
    const gateway = await start(t, behindProxy);
    for (const header of [headers['version 1, IPv4'][0], v2()]) {
        const raw = await RawSocket.connect(gateway.port);
        for (const byte of Buffer.from(header)) {
            raw.write(Buffer.from([byte]));
            await new Promise((resolve) => setImmediate(resolve));
        }
        raw.write('GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n');
        await raw.saw(/404/);
        raw.destroy();
    }
});

test('a listed proxy without its header, or with a broken one, is turned away and counted', async (t) => {
    const gateway = await start(t, { ...behindProxy, FANTAIL_LIMITS_HANDSHAKE_SECONDS: '1' });
    const broken = ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'PROXY TCP4 nowhere 127.0.0.1 1 2\r\n', 'PROXY SCTP 1.2.3.4 1.2.3.4 1 2\r\n', `PROXY TCP4 ${'1'.repeat(200)}`, v2({ command: 0x2f }), v2({ addresses: Buffer.alloc(3) })];
    for (const bytes of broken) {
        const raw = await RawSocket.connect(gateway.port);
        raw.write(bytes);
        await raw.close();
        assert.equal(raw.text, '', 'no HTTP to who did not speak it');
    }
    assert.equal(await gateway.metric('fantail_refusals_total', 'reason="proxy_header"'), broken.length);
    const silent = await RawSocket.connect(gateway.port);
    silent.write('PROXY TCP4 192.0.2.7 ');
    await silent.close(4000);
    assert.equal(await gateway.metric('fantail_refusals_total', 'reason="handshake"'), 1);
});

test('a PROXY header of anybody else is no HTTP', async (t) => {
    const gateway = await start(t, behindProxy);
    const raw = await RawSocket.connect(gateway.port, { localAddress: '127.0.0.2' });
    raw.write('PROXY TCP4 192.0.2.7 127.0.0.1 4711 8000\r\nGET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n');
    await until('an end or a refusal', () => raw.isClosed || raw.text.length > 0);
    assert.doesNotMatch(raw.text, /^HTTP\/1\.1 (101|200)/);
    raw.destroy();
    const client = await NativeClient.open(gateway, { localAddress: '127.0.0.2' });
    assert.equal(await addressSeen(gateway), '127.0.0.2');
    await client.end();
});

test('limits.connections_per_ip counts the clients behind a proxy, not the proxy', async (t) => {
    const gateway = await start(t, { ...listed, FANTAIL_LIMITS_CONNECTIONS_PER_IP: '2' });
    const open = (address) => NativeClient.open(gateway, { headers: { 'x-forwarded-for': address } });
    const clients = [];
    for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.2', '192.0.2.3']) clients.push(await open(address));
    const error = await open('192.0.2.1').catch((error) => error);
    assert.equal(error.status, 503);
    assert.equal(JSON.parse(error.body).error.code, 'too_many_connections');
    assert.equal(await gateway.metric('fantail_refusals_total', 'reason="per_ip"'), 1);
    await clients.shift().end();
    clients.push(await until('there is room again', () => open('192.0.2.1')));
    for (const client of clients) await client.end();
});

test('limits.connections_per_ip counts by PROXY header as well', async (t) => {
    const gateway = await start(t, { ...behindProxy, FANTAIL_LIMITS_CONNECTIONS_PER_IP: '1' });
    const header = (last) => `PROXY TCP4 192.0.2.${last} 127.0.0.1 4711 8000\r\n`;
    const one = await RawSocket.webSocket(gateway, { before: header(1) });
    const two = await RawSocket.webSocket(gateway, { before: header(2) });
    const again = await RawSocket.connect(gateway.port);
    again.write(header(1));
    await again.saw(/^HTTP\/1\.1 503 /);
    one.destroy();
    await until('there is room again', async () => {
        const raw = await RawSocket.webSocket(gateway, { before: header(1) }).catch(() => undefined);
        raw?.destroy();
        return raw;
    });
    for (const raw of [two, again]) raw.destroy();
});

test('one connection of a proxy may carry requests of several clients', async (t) => {
    const gateway = await start(t, { ...listed, FANTAIL_LIMITS_CONNECTIONS_PER_IP: '1' });
    const raw = await RawSocket.connect(gateway.port);
    const request = (address, more = '') => `GET /${more ? 'v1/ws' : 'nothing'} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${address}\r\n${more}\r\n`;
    for (const [i, address] of ['192.0.2.1', '192.0.2.2', '192.0.2.3'].entries()) {
        raw.write(request(address));
        await until(`answer ${i + 1}`, () => raw.text.split('HTTP/1.1 404').length === i + 2);
    }
    // The first client's own connection is not counted out by what went before.
    const client = await NativeClient.open(gateway, { headers: { 'x-forwarded-for': '192.0.2.1' } });
    await client.end();
    await until('it is gone', async () => (await callApi(gateway, 'clients')).body.count === 0);
    raw.write(request('192.0.2.4', 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'));
    await raw.saw(/101 Switching/);
    assert.equal(await addressSeen(gateway), '192.0.2.4');
    raw.destroy();
});

test('half a PROXY header and then the end costs no time, and is a refusal', async (t) => {
    const gateway = await Gateway.start(t, { workers: 1, env: behindProxy });
    const refusals = () => gateway.metric('fantail_refusals_total', 'reason="proxy_header"');
    const raws = [];
    t.after(() => raws.forEach((raw) => raw.destroy()));
    const before = await gateway.workerCpuMs();
    for (const half of ['PROXY TCP4 192.0.2.1', '\r\n\r\n\0\r\nQUIT\n\x21', 'P']) {
        const raw = await RawSocket.connect(gateway.port);
        raws.push(raw);
        raw.socket.end(Buffer.from(half, 'latin1'));
        await raw.close(3000);
    }
    await until('they are counted', async () => (await refusals()) === 3);
    assert.ok((await gateway.workerCpuMs()) - before < 500);
});

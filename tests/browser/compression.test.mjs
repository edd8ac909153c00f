// permessage-deflate with Chromium: what it offers, what it is answered, and that both sides understand each other.

import assert from 'node:assert/strict';
import path from 'node:path';
import test, { before } from 'node:test';

import { Browser } from '../lib/browser.mjs';
import { wholeFile } from '../lib/file.mjs';
import { Gateway, root } from '../lib/gateway.mjs';
import { Chat } from './pages.mjs';

const config = (compression) => `
broker = "memory";
static_dir = "${path.join(root, 'clients/web')}";
websocket = { compression = "${compression}"; };
namespaces = ( { name = "chat"; client_publish = true; history_size = 500; history_ttl_seconds = 300; } );
`;

const file = wholeFile();
let browser;

before(async () => {
    browser = await Browser.start(file);
});

// A visitor of the chat, and the handshake of its WebSocket as Chromium saw it.
async function visit(t, compression) {
    const gateway = await Gateway.start(t, { config: config(compression), node: 'n1' });
    const page = await browser.page();
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    const response = new Promise((resolve) => session.once('Network.webSocketHandshakeResponseReceived', (event) => resolve(event.response)));
    const chat = await (await Chat.open(page, gateway, { room: 'deflate', name: 'Tui' })).connected();
    const { headers, requestHeaders } = await response;
    const find = (all) => Object.entries(all).find(([name]) => name.toLowerCase() === 'sec-websocket-extensions')?.[1];
    return { gateway, chat, offer: find(requestHeaders), agreed: find(headers) };
}

// From 10 bytes to 60 KB: with and without compression, within the window and beyond it.
const texts = [0, 20, 200, 1000, 5000, 50_000].map((length, i) => {
    const words = Array.from({ length: length / 10 }, (_, k) => `word${(k * 7919) % 1000}`);
    return ['message', i, ...words].join(' ');
});

// A socket of the page's own, by which it hears what is published to a channel and publishes as well.
async function talks({ gateway, chat }) {
    await chat.page.evaluate(async (url) => {
        const socket = new WebSocket(url, 'fantail.v1');
        window.heard = [];
        window.extensions = await new Promise((resolve) => {
            socket.onmessage = ({ data }) => {
                const { ref, data: message } = JSON.parse(data);
                if (ref === 1) resolve(socket.extensions);
                if (message) window.heard.push(message);
            };
            socket.onopen = () => socket.send(JSON.stringify({ ref: 1, op: 'subscribe', channel: 'chat:own' }));
        });
        window.publish = (data) => socket.send(JSON.stringify({ op: 'publish', channel: 'chat:own', data }));
    }, `${gateway.wsUrl}/v1/ws`);
    for (const text of texts) {
        const response = await fetch(`${gateway.url}/v1/publish?channel=chat:own`, { method: 'POST', body: JSON.stringify({ text }) });
        assert.equal(response.status, 200);
    }
    // What Chromium compresses is understood, also after its first message: it has forgotten that.
    await chat.page.waitForFunction((count) => window.heard.length === count, texts.length);
    for (const text of texts) await chat.page.evaluate((data) => window.publish(data), { text });
    await chat.page.waitForFunction((count) => window.heard.length === count, 2 * texts.length);
    const heard = await chat.page.evaluate(() => window.heard);
    assert.deepEqual(heard.map(({ text }) => text), [...texts, ...texts]);
    await chat.say('hello');
    await chat.sees('hello');
    assert.deepEqual(chat.page.complaints, []);
    return chat.page.evaluate(() => window.extensions);
}

test('Chromium offers it, agrees, and talks compressed in both directions', async (t) => {
    const visitor = await visit(t, 'on');
    assert.match(visitor.offer, /permessage-deflate/);
    assert.equal(visitor.agreed, 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
    const bytes = texts.join('').length;
    assert.equal(await talks(visitor), visitor.agreed);
    const metrics = await visitor.gateway.metrics();
    assert.equal(metrics.fantail_compressed_connections, 2);
    assert.ok(metrics.fantail_compression_input_bytes_total > bytes);
    assert.ok(metrics.fantail_compression_output_bytes_total < metrics.fantail_compression_input_bytes_total / 2);
    // Once over HTTP as it is, once from the page: compressed, or it would be twice as much.
    assert.ok(metrics.fantail_received_bytes_total < bytes * 1.7, `${metrics.fantail_received_bytes_total} of ${bytes}`);
    await visitor.chat.page.close();
});

test('switched off, Chromium goes without', async (t) => {
    const visitor = await visit(t, 'off');
    assert.match(visitor.offer, /permessage-deflate/);
    assert.equal(visitor.agreed, undefined);
    assert.equal(await talks(visitor), '');
    assert.equal((await visitor.gateway.metrics()).fantail_compressed_connections, 0);
    await visitor.chat.page.close();
});

import assert from 'node:assert/strict';
import path from 'node:path';
import test, { before } from 'node:test';

import { Browser, DESKTOP, PHONE, fitsItsWidth, screenshot } from '../lib/browser.mjs';
import { wholeFile } from '../lib/file.mjs';
import { Gateway, root } from '../lib/gateway.mjs';
import { startBufferingNginx, startCutter, startHaproxy } from '../lib/proxies.mjs';
import { until } from '../lib/wait.mjs';
import { Chat } from './pages.mjs';

const CONFIG = `
broker = "memory";
static_dir = "${path.join(root, 'clients/web')}";
origins = [ "*" ];
namespaces = ( { name = "chat"; client_publish = true; history_size = 500; history_ttl_seconds = 300; } );
`;

const file = wholeFile();
let gateway;
let browser;

before(async () => {
    gateway = await Gateway.start(file, { config: CONFIG, node: 'n1' });
    browser = await Browser.start(file);
});

async function join(where, options, viewport = DESKTOP) {
    const page = await browser.page(viewport);
    return (await Chat.open(page, where, options)).connected();
}

async function publish(room, text) {
    const response = await fetch(`${gateway.url}/v1/publish?channel=chat:${room}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ name: 'Ruru', text }),
    });
    assert.equal(response.status, 200);
}

// The page chats in both directions through `where`, by `transport`, and misses and doubles nothing of 30 messages.
async function assertChats(where, transport, room) {
    const chat = await join(where, { room, name: 'Weka' });
    await chat.page.locator('#status', { hasText: `by ${transport}` }).waitFor();
    assert.equal(await chat.page.locator('#transport option:checked').textContent(), `auto: ${transport}`);
    for (let number = 1; number <= 30; number++) await publish(room, `message ${number}`);
    await chat.sees('message 30');
    await chat.say('heard you');
    await chat.sees('heard you');
    const expected = [...Array.from({ length: 30 }, (_, index) => `message ${index + 1}`), 'heard you'];
    assert.deepEqual(await chat.texts(), expected);
    const late = await join(gateway, { room, name: 'Late' });
    await late.sees('heard you');
    assert.deepEqual(await late.texts(), expected, 'one who comes later reads the same');
    assert.equal(await chat.page.locator('.note.warn').count(), 0);
    assert.deepEqual(chat.page.complaints, []);
    return chat;
}

for (const transport of ['websocket', 'sse', 'stream', 'longpoll', 'poll']) {
    test(`a visitor may force ${transport}`, async () => {
        const chat = await join(gateway, { room: `by-${transport}`, name: 'Tui', transport }, PHONE);
        assert.equal(await chat.page.locator('#transport').inputValue(), transport);
        await chat.say('out');
        await chat.sees('out');
        await publish(`by-${transport}`, 'in');
        await chat.sees('in');
        await chat.page.locator('#status', { hasText: `by ${transport}` }).waitFor();
        assert.ok(await fitsItsWidth(chat.page));
        assert.deepEqual(chat.page.complaints, []);
        if (transport === 'sse') await screenshot(chat.page, 'chat-phone-by-sse');
        await chat.page.close();
    });
}

test('the choice in the page forces one', async () => {
    const chat = await join(gateway, { room: 'choice' });
    await chat.page.selectOption('#transport', 'longpoll');
    await chat.page.waitForURL(/transport=longpoll/);
    await chat.connected();
    await chat.page.locator('#status', { hasText: 'by longpoll' }).waitFor();
    assert.match(chat.page.url(), /room=choice/);
});

test('through HAProxy as it is: websocket', async (t) => {
    await assertChats(await startHaproxy(t, [gateway]), 'websocket', 'haproxy');
});

test('with upgrades refused: sse', async (t) => {
    const proxy = await startHaproxy(t, [gateway], { rules: ['http-request deny if { hdr(upgrade) -i websocket }'] });
    const chat = await assertChats(proxy, 'sse', 'no-upgrades');
    // The next visit of this browser begins with what worked.
    const requests = [];
    chat.page.on('websocket', (socket) => requests.push(socket.url()));
    await chat.page.reload();
    await chat.connected();
    assert.deepEqual(requests, []);
});

test('with upgrades and event streams refused: stream', async (t) => {
    const rules = ['http-request deny if { hdr(upgrade) -i websocket }', 'http-request deny if { hdr(accept) -m sub text/event-stream }'];
    await assertChats(await startHaproxy(t, [gateway], { rules }), 'stream', 'no-events');
});

test('with all but short requests refused: poll', async (t) => {
    const rules = [
        'http-request deny if { hdr(upgrade) -i websocket }',
        'http-request deny if { url_param(transport) sse }',
        'http-request deny if { url_param(transport) stream }',
        'http-request deny if { url_param(transport) longpoll }',
    ];
    await assertChats(await startHaproxy(t, [gateway], { rules }), 'poll', 'only-polls');
});

test('with a proxy that buffers responses: longpoll', async (t) => {
    await assertChats(await startBufferingNginx(t, gateway), 'longpoll', 'buffered');
});

test('with a proxy that cuts every connection at 3 s: websocket, without loss', async (t) => {
    const cutter = await startCutter(t, gateway, 3000);
    const chat = await join(cutter, { room: 'cut' });
    let sent = 0;
    await until(
        'two cuts, and messages all the while',
        async () => {
            await publish('cut', `message ${++sent}`);
            return cutter.cuts >= 4;
        },
        { timeoutMs: 20_000, everyMs: 100 },
    );
    await publish('cut', 'the end');
    await chat.sees('the end');
    assert.deepEqual(await chat.texts(), [...Array.from({ length: sent }, (_, index) => `message ${index + 1}`), 'the end']);
    await chat.page.locator('#status', { hasText: 'by websocket' }).waitFor();
});

for (const transport of ['sse', 'stream', 'longpoll', 'poll']) {
    test(`connections cut at random lose and double nothing by ${transport}`, async (t) => {
        const cutter = await startCutter(t, gateway);
        const room = `random-${transport}`;
        const chat = await join(cutter, { room, transport });
        const expected = [];
        for (let round = 1; round <= 8; round++) {
            for (let number = 1; number <= 5; number++) {
                expected.push(`message ${round}.${number}`);
                await publish(room, expected.at(-1));
            }
            cutter.cutAll();
        }
        await chat.sees(expected.at(-1));
        assert.deepEqual(await chat.texts(), expected);
        assert.equal(await chat.page.locator('.note.warn').count(), 0);
        await chat.page.close();
    });
}

test('where upgrades come to be let through, the page moves to websocket', async (t) => {
    const blocked = await startHaproxy(t, [gateway], { rules: ['http-request deny if { hdr(upgrade) -i websocket }'] });
    let towards = blocked;
    const cutter = await startCutter(t, { get port() { return towards.port; } });
    const chat = await join(cutter, { room: 'upgrade' });
    await chat.page.locator('#status', { hasText: 'by sse' }).waitFor();
    towards = gateway;
    await publish('upgrade', 'before');
    await chat.page.locator('#status', { hasText: 'by websocket' }).waitFor({ timeout: 40_000 });
    await publish('upgrade', 'after');
    await chat.sees('after');
    assert.deepEqual(await chat.texts(), ['before', 'after']);
});

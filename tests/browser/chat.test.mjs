import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import test, { before } from 'node:test';

import { Browser, DESKTOP, PHONE, fitsItsWidth, screenshot } from '../lib/browser.mjs';
import { wholeFile } from '../lib/file.mjs';
import { Gateway, root } from '../lib/gateway.mjs';
import { startHaproxy } from '../lib/proxies.mjs';
import { Redis } from '../lib/redis.mjs';
import { Chat } from './pages.mjs';

const file = wholeFile();
let redis;
let gateway;
let browser;

before(async () => {
    redis = await Redis.start(file);
    gateway = await Gateway.start(file, { dev: true, redis, node: 'n1' });
    browser = await Browser.start(file);
});

async function join(options, viewport = DESKTOP, where = gateway) {
    const page = await browser.page(viewport);
    return (await Chat.open(page, where, options)).connected();
}

test('two pages chat with each other, and see who wrote when', async () => {
    const kea = await join({ room: 'talk', name: 'Merry Kea' });
    const tui = await join({ room: 'talk', name: 'Quiet Tui' }, PHONE);
    await kea.say('Morning! Anyone else up?');
    await tui.sees('Morning! Anyone else up?');
    await tui.say('Just got in. Is this the lobby?');
    await tui.say('The one with the biscuits, I mean');
    await kea.sees('The one with the biscuits, I mean');
    await kea.say('The very one. They are by the window, and I would be quick about it: the weka has been eyeing them since seven.');
    await tui.sees('The very one.');
    await kea.sees('The very one.');

    const heard = tui.message('Morning!');
    assert.equal(await heard.locator('.by b').textContent(), 'Merry Kea');
    assert.match(await heard.locator('.by time').textContent(), /\d\d:\d\d/);
    assert.equal(await heard.locator('.you').count(), 0);
    assert.equal(await kea.message('Morning!').locator('.you').count(), 1);
    assert.deepEqual(await kea.texts(), await tui.texts());
    assert.equal((await kea.texts()).length, 4, 'the echo of an own message is not a second one');

    await screenshot(kea.page, 'chat');
    await screenshot(tui.page, 'chat-phone-dark');
    assert.ok(await fitsItsWidth(tui.page));
    assert.deepEqual([...kea.page.complaints, ...tui.page.complaints], []);
});

test('redis-cli PUBLISH shows up, whatever it says, as text', async () => {
    const chat = await join({ room: 'shell' });
    await chat.page.locator('.empty', { hasText: 'No messages to show' }).waitFor();
    await screenshot(chat.page, 'chat-empty');
    const markup = '<img src=x onerror="document.title=1"><b>bold</b>';
    await redis.publish('chat:shell', '{"text":"hi"}');
    await redis.publish('chat:shell', 'just words');
    await redis.publish('chat:shell', '[1, 2]');
    await redis.publish('chat:shell', 'null');
    await redis.publish('chat:shell', JSON.stringify({ name: markup, text: markup }));
    await redis.publish('chat:shell', JSON.stringify({ name: { a: 1 }, text: 7, at: 'never' }));
    await chat.sees('{"name":{"a":1},"text":7,"at":"never"}');
    assert.deepEqual((await chat.texts()).slice(0, 5), ['hi', 'just words', '[1,2]', 'null', markup]);
    assert.equal(await chat.message(markup).locator('.by b').textContent(), markup);
    assert.equal(await chat.page.locator('.message img, .message .body b').count(), 0);
    assert.deepEqual(chat.page.complaints, []);
});

test('rooms are apart; what is unread elsewhere is counted, also in the title', async () => {
    const chat = await join({ room: 'music', name: 'Counter' });
    await chat.page.locator('#rooms button', { hasText: 'lobby' }).click();
    await redis.publish('chat:music', '{"name":"Ruru","text":"anyone for jazz?"}');
    await redis.publish('chat:music', '{"name":"Ruru","text":"or waiata?"}');
    const music = chat.page.locator('#rooms button', { hasText: 'music' });
    await music.locator('.badge', { hasText: '2' }).waitFor();
    assert.deepEqual(await chat.texts(), []);

    await chat.page.evaluate(() => Object.defineProperty(document, 'hidden', { value: true, configurable: true }));
    await redis.publish('chat:music', '{"name":"Ruru","text":"both then"}');
    await chat.page.waitForFunction(() => document.title.startsWith('(1) '));
    await chat.page.evaluate(() => {
        delete document.hidden;
        document.dispatchEvent(new Event('visibilitychange'));
    });
    await chat.page.waitForFunction(() => document.title.startsWith('#lobby'));

    await music.click();
    assert.deepEqual(await chat.texts(), ['anyone for jazz?', 'or waiata?', 'both then']);
    assert.equal(await chat.page.locator('.badge').count(), 0);
    assert.match(chat.page.url(), /room=music/);

    await chat.page.fill('#room', 'Garden {Party}');
    await chat.page.press('#room', 'Enter');
    await chat.page.waitForURL(/room=garden-party-/);
    await chat.say('in the garden');
    await chat.sees('in the garden');
});

test('a gateway that is killed and started again: the page says so, and goes on', async (t) => {
    const config = `static_dir = "${path.join(root, 'clients/web')}"; namespaces = ( { name = "chat"; client_publish = true; } );`;
    const other = await Gateway.start(t, { config, redis, node: 'n9' });
    const chat = await join({ room: 'outage', name: 'Patient' }, PHONE, other);
    await chat.say('before');
    await chat.sees('before');
    await other.kill();
    await chat.reconnecting();
    await chat.say('written while away');
    await screenshot(chat.page, 'chat-reconnecting');
    await redis.publish('chat:outage', '{"text":"missed"}');
    await other.run();
    await chat.connected('n9');
    await chat.seesNote('Connected again');
    await chat.seesNote('Messages may be missing here');
    await redis.publish('chat:outage', '{"text":"after"}');
    await chat.sees('after');
    await chat.sees('written while away');
    await screenshot(chat.page, 'chat-back');
});

test('with history nothing of an outage is missing, and what was written meanwhile goes out by itself', async (t) => {
    const other = await Gateway.start(t, { dev: true, redis, node: 'n9' });
    const chat = await join({ room: 'whole', name: 'Patient' }, PHONE, other);
    await chat.say('before');
    await chat.sees('before');
    await other.kill();
    await chat.reconnecting();
    await chat.say('written while away');
    await chat.message('written while away').locator('.fate', { hasText: 'Waits for the connection' }).waitFor();
    await redis.cli('FCALL', 'fantail_publish', '1', 'chat:whole', '{"text":"missed"}');
    await other.run();
    await chat.connected('n9');
    await chat.sees('missed');
    await chat.sees('written while away');
    assert.equal(await chat.page.locator('.note.warn, .fate').count(), 0);
});

test('who goes offline reads that, and what was written meanwhile goes out once on return', async () => {
    const page = await browser.page();
    await page.clock.install();
    const chat = await (await Chat.open(page, gateway, { room: 'tunnel', name: 'Patient' })).connected();
    const witness = await join({ room: 'tunnel', name: 'Witness' });
    await page.context().setOffline(true);
    await page.locator('#status[data-state=connecting]', { hasText: 'Offline' }).waitFor();
    await chat.say('from the tunnel');
    // Longer than the client waits for an answer.
    await page.clock.fastForward(11_000);
    const fate = chat.message('from the tunnel').locator('.fate', { hasText: 'Waits for the connection' });
    await fate.waitFor();
    const { y, height } = await fate.boundingBox();
    assert.ok(y + height <= (await page.locator('#composer').boundingBox()).y, 'in sight');
    await page.context().setOffline(false);
    await chat.connected();
    await chat.sees('from the tunnel');
    await witness.sees('from the tunnel');
    assert.deepEqual(await witness.texts(), ['from the tunnel']);
});

test('a reload shows what was said before, and none of it as unread', async () => {
    const chat = await join({ room: 'kept', name: 'Keeper' });
    await chat.say('said before');
    await chat.sees('said before');
    for (const room of ['lobby', 'music', 'kept']) await redis.cli('FCALL', 'fantail_publish', '1', `chat:${room}`, '{"text":"old"}');
    for (const transport of [undefined, 'sse', 'longpoll']) {
        const later = await join({ room: 'kept', transport });
        await later.sees('said before');
        await later.sees('old');
        assert.equal(await later.page.locator('.empty').count(), 0);
        assert.equal(await later.message('old').locator('time').count(), 0, 'nobody knows when');
        assert.equal(await later.message('said before').locator('time').count(), 1);
        await later.page.locator('#rooms button', { hasText: 'lobby' }).click();
        await later.sees('old');
        assert.equal(await later.page.locator('.badge').count(), 0);
        await later.page.close();
    }
    // The first page was there to hear them come.
    await chat.page.locator('#rooms button', { hasText: 'music' }).locator('.badge', { hasText: '1' }).waitFor();
});

test('rooms are pages to go back to', async () => {
    const chat = await join({ room: 'first' });
    await chat.page.locator('#rooms button', { hasText: 'music' }).click();
    await chat.page.locator('#rooms button', { hasText: 'music' }).click();
    await chat.page.locator('#rooms button', { hasText: 'lobby' }).click();
    await chat.page.goBack();
    await chat.page.waitForURL(/room=music/);
    await chat.page.locator('#rooms [aria-current]', { hasText: 'music' }).waitFor();
    await chat.page.goBack();
    await chat.page.waitForURL(/room=first/);
    await chat.page.locator('#rooms [aria-current]', { hasText: 'first' }).waitFor();
    await chat.page.goForward();
    await chat.page.locator('#rooms [aria-current]', { hasText: 'music' }).waitFor();
});

test('names of rooms may be long, and odd, also in the line for a shell', async () => {
    const name = `${'k'.repeat(55)};'$x`;
    for (const viewport of [DESKTOP, PHONE, { ...PHONE, viewport: { width: 320, height: 640 } }]) {
        const chat = await join({ room: name }, viewport);
        const line = chat.page.locator('.empty code');
        await line.filter({ hasText: 'curl' }).waitFor();
        assert.match(await line.textContent(), /^curl -d '\{"text":"hi"\}' '[^']*channel=chat:k+%3B%27%24x'$/);
        assert.ok(await fitsItsWidth(chat.page));
        const [box, talk] = await Promise.all([chat.page.locator('.empty .shell').boundingBox(), chat.page.locator('.talk').boundingBox()]);
        assert.ok(box.x >= talk.x && box.x + box.width <= talk.x + talk.width, 'the line stays inside the room');
        assert.ok(await chat.page.evaluate(() => {
            const text = document.getElementById('text');
            return text.scrollWidth <= text.clientWidth && text.placeholder.length < 30;
        }));
        await chat.page.close();
    }
});

test('words from right to left are read so, and a letter is what people take for one', async () => {
    const chat = await join({ room: 'scripts' });
    await redis.publish('chat:scripts', JSON.stringify({ name: 'مريم', text: 'مرحبا abc 123 (ok)' }));
    await redis.publish('chat:scripts', JSON.stringify({ name: '👩‍🚀 Amy', text: 'hello' }));
    await chat.sees('hello');
    const direction = (locator) => locator.evaluate((node) => getComputedStyle(node).direction);
    assert.equal(await direction(chat.message('مرحبا').locator('.body')), 'rtl');
    assert.equal(await direction(chat.message('مرحبا').locator('.by b')), 'rtl');
    assert.equal(await direction(chat.message('hello').locator('.body')), 'ltr');
    const left = async (text) => (await chat.message(text).locator('.body').boundingBox()).x;
    assert.equal(await left('مرحبا'), await left('hello'), 'beside its author');
    assert.equal(await chat.message('hello').locator('.avatar').textContent(), '👩‍🚀A');
    await chat.page.fill('#text', 'مرحبا');
    assert.equal(await direction(chat.page.locator('#text')), 'rtl');
    await screenshot(chat.page, 'chat-scripts');
});

test('a node that drains sends its page to another one, and nothing is felt', async (t) => {
    const nodes = [
        await Gateway.start(t, { dev: true, redis, node: 'first' }),
        await Gateway.start(t, { dev: true, redis, node: 'second' }),
    ];
    const balancer = await startHaproxy(t, nodes);
    const chat = await join({ room: 'moving' }, DESKTOP, balancer);
    const here = await chat.page.locator('#status b').textContent();
    const [draining, there] = here === 'first' ? [nodes[0], 'second'] : [nodes[1], 'first'];
    const stopped = draining.stop({ timeoutMs: 20_000 });
    await chat.connected(there);
    await redis.publish('chat:moving', '{"text":"welcome over here"}');
    await chat.sees('welcome over here');
    await chat.page.close();
    await stopped;
});

test('a message that may not be published stays, marked, with the reason', async (t) => {
    const strict = await Gateway.start(t, { redis, config: `static_dir = "${path.join(root, 'clients/web')}";` });
    const chat = await join({ room: 'lobby' }, DESKTOP, strict);
    await chat.say('may I?');
    await chat.page.locator('.message .failed', { hasText: 'Clients may not publish' }).waitFor();
    await chat.page.locator('.failed button', { hasText: 'Send again' }).waitFor();
});

test('a page of another origin is refused, until that is listed', async (t) => {
    const server = http.createServer((request, response) => {
        response.setHeader('Content-Type', 'text/html');
        response.end('<!doctype html><title>elsewhere</title>');
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const origin = `http://127.0.0.1:${server.address().port}`;
    const page = await browser.page();
    await page.goto(origin);
    const outcome = (target) =>
        page.evaluate(
            (url) =>
                new Promise((resolve) => {
                    const socket = new WebSocket(url, 'fantail.v1');
                    socket.onopen = () => resolve('open');
                    socket.onclose = ({ code }) => resolve(`closed ${code}`);
                }),
            `${target.wsUrl}/v1/ws`,
        );
    const own = await Gateway.start(t, { config: 'broker = "memory";' });
    assert.equal(await outcome(own), 'closed 1006');
    const listing = await Gateway.start(t, { config: `broker = "memory"; origins = [ "${origin}" ];` });
    assert.equal(await outcome(listing), 'open');
});

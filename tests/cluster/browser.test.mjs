// Browsers on different nodes of the cluster, and what they notice when theirs dies.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';

import { NativeClient } from '../lib/native.mjs';
import { until } from '../lib/wait.mjs';
import * as cluster from './compose.mjs';

const CHANNEL = 'chat:lobby';
let browser;

// The chat room of the demo, as anybody would open it.
async function openPage(name = 'Somebody') {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${cluster.url}/chat.html?room=lobby&name=${name}`);
    await nodeOf(page);
    return page;
}

const close = (page) => page.context().close();

// The page shows where it is connected to, once it is.
const nodeOf = (page) => page.locator('#status[data-state=connected] b').textContent({ timeout: 10_000 });

async function say(page, text) {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
}

const lines = (page, text) => page.locator('#messages .body', { hasText: new RegExp(`^${text}$`) });
const hears = (page, text) => lines(page, text).waitFor({ timeout: 5_000 });

// The balancer chooses, so pages are opened until two of them have come out on different nodes.
async function openTwoPagesOnTwoNodes() {
    const first = await openPage('Left');
    const second = await until('a page on another node', async () => {
        const page = await openPage('Right');
        if ((await nodeOf(page)) !== (await nodeOf(first))) return page;
        await close(page);
    });
    // That a page is connected does not say that its subscription has reached Redis.
    await until('both pages to hear', async () => {
        await cluster.redisPublish(CHANNEL, '{"text":"ready?"}');
        return (await lines(first, 'ready\\?').count()) > 0 && (await lines(second, 'ready\\?').count()) > 0;
    });
    return [first, second];
}

before(async () => {
    await cluster.allUp();
    // Chromium's sandbox needs privileges that containers and root do not have; the pages are our own.
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
});

after(() => browser?.close());

test('pages on two nodes chat, hear redis-cli, and go on when a node is killed', async (t) => {
    const [left, right] = await openTwoPagesOnTwoNodes();
    t.after(() => Promise.all([left, right].map(close)));
    const lost = await nodeOf(left);
    t.diagnostic(`pages on ${lost} and ${await nodeOf(right)}`);
    t.after(() => cluster.start(lost));

    await t.test('what one page says, both hear', async () => {
        await say(left, 'hello from the left');
        await say(right, 'hello from the right');
        for (const page of [left, right]) {
            await hears(page, 'hello from the left');
            await hears(page, 'hello from the right');
        }
    });

    await t.test('redis-cli PUBLISH reaches both', async () => {
        await cluster.redisPublish(CHANNEL, '{"text":"hi"}');
        await Promise.all([left, right].map((page) => hears(page, 'hi')));
    });

    await t.test('killing a node moves its page to another within 3 seconds', async (t) => {
        const stayed = await nodeOf(right);
        const speaker = await until('a client on another node', async () => {
            const client = await NativeClient.open(cluster);
            if ((await client.request({ op: 'connect' })).node !== lost) return client;
            await client.end();
        });
        t.after(() => speaker.socket.terminate());

        const killedAt = Date.now();
        await cluster.end(lost, 'KILL');
        // Said again and again from elsewhere: the first that arrives shows that the page hears again.
        const speaking = setInterval(() => speaker.publish(CHANNEL, { text: 'do you hear me?' }).catch(() => {}), 100);
        t.after(() => clearInterval(speaking));
        await lines(left, 'do you hear me\\?').first().waitFor({ timeout: 15_000 });
        const took = Date.now() - killedAt;
        clearInterval(speaking);

        assert.notEqual(await nodeOf(left), lost);
        assert.equal(await nodeOf(right), stayed, 'the other page stays where it is');
        t.diagnostic(`on ${await nodeOf(left)}, hearing what is said after ${took} ms`);
        assert.ok(took < 3000, `took ${took} ms`);
    });

    await t.test('and the chat goes on', async () => {
        await say(left, 'still here');
        await say(right, 'me too');
        await cluster.redisPublish(CHANNEL, '{"text":"so is redis-cli"}');
        for (const page of [left, right]) {
            for (const text of ['still here', 'me too', 'so is redis-cli']) await hears(page, text);
        }
        for (const page of [left, right]) {
            for (const text of ['still here', 'me too']) assert.equal(await lines(page, text).count(), 1, 'shown once');
        }
    });
});

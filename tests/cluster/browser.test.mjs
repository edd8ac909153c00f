// Browsers on different nodes of the cluster, and what they notice when theirs dies.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';

import { until } from '../lib/wait.mjs';
import * as cluster from './compose.mjs';

const CHANNEL = 'chat:lobby';
let browser;

// A page as an application would write it: connects, subscribes, notes what it hears and where it is.
async function openPage() {
    const page = await browser.newPage();
    await page.goto(cluster.url);
    await page.evaluate(async (channel) => {
        const { Fantail } = await import('/fantail.js');
        window.heard = [];
        window.node = null;
        window.client = new Fantail(undefined, {
            onState(state, detail) {
                window.node = state === 'connected' ? detail.node : null;
            },
        });
        window.subscribed = 0;
        window.client.subscribe(channel, {
            onMessage: (data) => window.heard.push(data.text),
            onSubscribed: () => window.subscribed++,
        });
        window.client.connect();
    }, CHANNEL);
    await page.waitForFunction(() => window.node && window.subscribed > 0, undefined, { timeout: 10_000, polling: 20 });
    return page;
}

const nodeOf = (page) => page.evaluate(() => window.node);
const say = (page, text) => page.evaluate(([channel, text]) => window.client.publish(channel, { text }), [CHANNEL, text]);
const hears = (page, text) => page.waitForFunction((text) => window.heard.includes(text), text, { timeout: 5_000, polling: 20 });

// The balancer chooses, so pages are opened until two of them have come out on different nodes.
async function openTwoPagesOnTwoNodes() {
    const first = await openPage();
    const second = await until('a page on another node', async () => {
        const page = await openPage();
        if ((await nodeOf(page)) !== (await nodeOf(first))) return page;
        await page.close();
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
    t.after(() => Promise.all([left.close(), right.close()]));
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
        const before = await left.evaluate(() => window.subscribed);
        const killedAt = Date.now();
        await cluster.end(lost, 'KILL');
        await left.waitForFunction(([lost, before]) => window.node && window.node !== lost && window.subscribed > before, [lost, before], {
            timeout: 15_000,
            polling: 20,
        });
        const took = Date.now() - killedAt;
        t.diagnostic(`on ${await nodeOf(left)} and subscribed again after ${took} ms`);
        assert.ok(took < 3000, `took ${took} ms`);
        assert.equal(await nodeOf(right), stayed, 'the other page noticed nothing');
    });

    await t.test('and the chat goes on', async () => {
        await say(left, 'still here');
        await say(right, 'me too');
        await cluster.redisPublish(CHANNEL, '{"text":"so is redis-cli"}');
        for (const page of [left, right]) {
            for (const text of ['still here', 'me too', 'so is redis-cli']) await hears(page, text);
        }
        const heard = await right.evaluate(() => window.heard);
        assert.equal(new Set(heard).size, heard.length, 'nothing was heard twice');
    });
});

import assert from 'node:assert/strict';
import path from 'node:path';
import test, { before } from 'node:test';

import { Browser, DESKTOP, PHONE, fitsItsWidth, screenshot } from '../lib/browser.mjs';
import { wholeFile } from '../lib/file.mjs';
import { Gateway, root } from '../lib/gateway.mjs';
import { Process } from '../lib/process.mjs';
import { Redis } from '../lib/redis.mjs';

const file = wholeFile();
let redis;
let gateway;
let browser;

before(async () => {
    redis = await Redis.start(file);
    gateway = await Gateway.start(file, { dev: true, redis, node: 'n1' });
    browser = await Browser.start(file);
});

async function open(where, viewport) {
    const page = await browser.page(viewport);
    await page.goto(`${gateway.url}${where}`);
    await page.locator('#status[data-state=connected]').waitFor();
    await page.waitForFunction(() => document.querySelectorAll('[aria-busy=true]').length === 0);
    return page;
}

test('a match and a price from redis-cli reach the page', async () => {
    const page = await open('/live.html', DESKTOP);
    const phone = await open('/live.html', PHONE);
    const events = [
        { minute: 1, kind: 'whistle', text: 'Kick-off.', score: [0, 0] },
        { minute: 9, kind: 'chance', text: 'Wellington hit the post!' },
        { minute: 23, kind: 'goal', text: 'Goal! Auckland find the far corner, and Wellington can only watch.', score: [0, 1] },
        { minute: 31, kind: 'card', text: 'Yellow card for a late tackle by Auckland.' },
        { minute: 58, kind: 'substitution', text: 'Fresh legs for Wellington: a change on the left.' },
        { minute: 64, kind: 'goal', text: 'Goal! Wellington draw level from the corner.', score: [1, 1] },
    ];
    for (const event of events) await redis.publish('live:match', JSON.stringify(event));
    let price = 420;
    for (let index = 0; index < 120; index++) {
        price += Math.round(3 * Math.sin(index / 9) + ((index * 7919) % 7) - 3);
        await redis.publish('live:price', (price / 100).toFixed(2));
    }
    await redis.publish('live:price', '{"price":4.31}');
    for (const where of [page, phone]) {
        await where.locator('#price', { hasText: '4.31' }).waitFor();
        await where.locator('#relay li', { hasText: 'draw level' }).waitFor();
        assert.equal(await where.locator('#goals').textContent(), '1:1');
        assert.equal(await where.locator('#minute').textContent(), "64'");
        assert.equal(await where.locator('#relay li').count(), events.length);
        assert.ok(await fitsItsWidth(where));
        assert.deepEqual(where.complaints, []);
    }
    assert.match(await page.locator('#curve').getAttribute('d'), /^M[\d. L]+$/);
    await screenshot(page, 'live');
    await screenshot(phone, 'live-phone-dark', { fullPage: true });
});

test('words, and nonsense, do no harm', async () => {
    const page = await open('/live.html', DESKTOP);
    for (const nonsense of ['"up"', 'null', '{"price":"<b>"}', '1e300', '[]']) await redis.publish('live:price', nonsense);
    for (const nonsense of ['null', '{"kind":"constructor","score":"x","minute":-1,"text":"<i>odd</i>"}', '{"score":[1e9,-1]}']) {
        await redis.publish('live:match', nonsense);
    }
    await redis.publish('live:match', 'Rain has set in.');
    await page.locator('#relay li', { hasText: 'Rain has set in.' }).waitFor();
    await redis.publish('live:price', '3');
    await page.locator('#price', { hasText: '3.00' }).waitFor();
    assert.equal(await page.locator('#goals').textContent(), '–:–', 'nobody knows the score yet');
    assert.equal(await page.locator('#relay i').count(), 0);
    assert.deepEqual(page.complaints, []);
});

test('?simulate plays a match for everybody', async () => {
    const player = await open('/live.html?simulate=1', DESKTOP);
    const watcher = await open('/live.html', DESKTOP);
    await watcher.locator('#relay li').filter({ hasNotText: 'No events' }).first().waitFor();
    await watcher.waitForFunction(() => /^\d/.test(document.getElementById('price').textContent));
    await player.click('#simulate');
    await player.locator('#simulate[aria-pressed=false]', { hasText: 'Play a match' }).waitFor();
    await player.close();
    await watcher.close();
});

for (const by of ['the gateway', 'its Redis']) {
    test(`deploy/demo-feed plays a match from a shell by ${by}, and who comes later sees how it went`, async (t) => {
        const page = await open('/live.html', DESKTOP);
        const url = by === 'its Redis' ? redis.url : gateway.url;
        const feed = new Process('demo-feed', path.join(root, 'deploy/demo-feed'), ['-u', url, '-m', '3', '-s', '0.1']);
        t.after(() => feed.killAll());
        await page.locator('#relay li', { hasText: 'Kick-off.' }).first().waitFor();
        await page.locator('#minute', { hasText: 'full time' }).waitFor();
        assert.equal((await feed.exited).code, 0);
        const price = await page.locator('#price').textContent();
        await page.reload();
        await page.locator('#minute', { hasText: 'full time' }).waitFor();
        await page.locator('#relay li', { hasText: 'Full time:' }).first().waitFor();
        await page.locator('#price', { hasText: price }).waitFor();
        assert.match(await page.locator('#goals').textContent(), /^\d+:\d+$/);
        // What is replayed has not come this second.
        await page.locator('#rate', { hasText: /\d/ }).waitFor();
        assert.equal(await page.locator('#rate').textContent(), '0.0');
    });
}

test('deploy/demo-feed says why nobody takes what it plays', async () => {
    const played = (...args) => new Process('demo-feed', path.join(root, 'deploy/demo-feed'), args);
    const nobody = played('-u', 'http://127.0.0.1:1');
    assert.equal((await nobody.exited).code, 1);
    assert.match(nobody.output, /Failed to connect|Couldn't connect/);
    const nowhere = played('-u', `${gateway.url}/nothing`);
    assert.equal((await nowhere.exited).code, 1);
    assert.match(nowhere.output, /does not take it: .*not_found|does not take it: .*method_not_allowed/);
});

test('the front page hears redis-cli, and leads on', async () => {
    const page = await open('/', DESKTOP);
    const phone = await open('/', PHONE);
    await redis.publish('demo:hello', 'Hello from the shell');
    for (const where of [page, phone]) {
        await where.locator('#heard li', { hasText: 'Hello from the shell' }).waitFor();
        assert.ok(await fitsItsWidth(where));
    }
    await phone.click('#hello');
    await page.locator('#heard li', { hasText: 'Hello from a page' }).waitFor();
    await screenshot(page, 'index');
    await screenshot(phone, 'index-phone-dark', { fullPage: true });
    await page.click('nav a[href="/live.html"]');
    await page.waitForURL(/live\.html$/);
    assert.deepEqual([...page.complaints, ...phone.complaints], []);
});

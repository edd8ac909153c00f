// What holds for all demo pages: without scripts, before them, for those who do not see them, and from a shell.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import test, { before } from 'node:test';
import { promisify } from 'node:util';

import { Browser, DESKTOP, PHONE } from '../lib/browser.mjs';
import { wholeFile } from '../lib/file.mjs';
import { Gateway, root } from '../lib/gateway.mjs';
import { Redis } from '../lib/redis.mjs';

const PAGES = ['/', '/chat.html', '/live.html'];
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const file = wholeFile();
const shell = (line) => promisify(execFile)('bash', ['-c', line], { cwd: root });
let gateway;
let browser;

before(async () => {
    gateway = await Gateway.start(file, { dev: true });
    browser = await Browser.start(file);
});

async function open(url, options) {
    const page = await browser.page(options);
    await page.goto(url);
    await page.locator('#status[data-state=connected]').waitFor();
    await page.waitForFunction(() => document.querySelectorAll('[aria-busy=true]').length === 0);
    return page;
}

for (const where of PAGES) {
    test(`${where} has nothing that axe objects to, empty and in use, light and dark`, async () => {
        for (const options of [DESKTOP, { ...DESKTOP, colorScheme: 'dark' }, PHONE]) {
            const page = await open(`${gateway.url}${where}`, { ...options, bypassCSP: true, reducedMotion: 'reduce' });
            await page.addScriptTag({ path: axe });
            const violations = () => page.evaluate(async () => (await globalThis.axe.run()).violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]));
            assert.deepEqual(await violations(), []);
            for (const [button, result] of [['#hello', '#heard time'], ['#simulate', '#relay .minute']]) {
                if (!(await page.locator(button).count())) continue;
                await page.click(button);
                await page.locator(result).first().waitFor();
            }
            if (where === '/chat.html') {
                await page.fill('#text', 'hello');
                await page.press('#text', 'Enter');
                await page.locator('.message:not(.waiting)').first().waitFor();
            }
            assert.deepEqual(await violations(), []);
            await page.close();
        }
    });
}

for (const where of PAGES) {
    test(`${where} says without scripts that it needs them, and claims nothing else`, async () => {
        const page = await browser.page({ ...DESKTOP, javaScriptEnabled: false });
        await page.goto(`${gateway.url}${where}`);
        await page.locator('.noscript', { hasText: 'needs JavaScript' }).waitFor();
        assert.equal(await page.locator('#status').isVisible(), false);
    });
}

test('what is typed before the scripts have come is not lost', async () => {
    const page = await browser.page();
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route('**/fantail.js', async (route) => {
        await held;
        await route.continue();
    });
    await page.goto(`${gateway.url}/chat.html?room=early`, { waitUntil: 'commit' });
    await page.fill('#text', 'typed early');
    await page.fill('#name', 'Early Kea');
    await page.fill('#room', 'nowhere');
    await page.press('#room', 'Enter');
    assert.equal(await page.locator('#composer button').isDisabled(), true);
    release();
    await page.locator('#log[aria-busy=false]').waitFor();
    assert.match(page.url(), /chat\.html\?room=early$/);
    await page.click('#composer button');
    await page.locator('.message:not(.waiting)', { hasText: 'typed early' }).filter({ hasText: 'Early Kea' }).waitFor();
});

// The lines that a page offers, each run as it is; `heard` shows up by it.
async function assertLinesWork(where, pattern) {
    for (const [url, code, heard] of [
        ['/', '#line', '#heard bdi'],
        [`/chat.html?room=${encodeURIComponent("it's;$(x)")}`, '.empty code', '.message .body'],
        ['/live.html', '#line-match', '#relay li.goal'],
        ['/live.html', '#line-price', '#tip:not([hidden])'],
    ]) {
        const page = await open(`${where.url}${url}`);
        const line = page.locator(code).filter({ hasText: pattern });
        await line.waitFor();
        const { stdout } = await shell(await line.textContent());
        await page.locator(heard).first().waitFor({ state: 'attached' });
        assert.doesNotMatch(stdout, /error/i);
        if (!heard.startsWith('#heard')) {
            await page.reload();
            await page.locator(heard).first().waitFor({ state: 'attached' });
        }
        await page.close();
    }
}

test('the lines for a shell work as they are by HTTP, where no Redis is known', async (t) => {
    const own = await Gateway.start(t, { dev: true });
    await assertLinesWork(own, /^curl /);
    const page = await open(`${own.url}/live.html`);
    assert.equal(await page.locator('#line-feed').textContent(), `deploy/demo-feed -u ${own.url}`);
});

test('... and with the redis-cli that shell.json names, as script/server writes it', async (t) => {
    const redis = await Redis.start(t);
    const dir = await mkdtemp(path.join(os.tmpdir(), 'fantail-web-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const web = path.join(root, 'clients/web');
    for (const name of await readdir(web)) if (name !== 'shell.json') await symlink(path.join(web, name), path.join(dir, name));
    await writeFile(path.join(dir, 'shell.json'), `{"redis":"redis-cli -p ${redis.port}"}`);
    const own = await Gateway.start(t, { dev: true, redis, env: { FANTAIL_STATIC_DIR: dir } });
    await assertLinesWork(own, new RegExp(`^redis-cli -p ${redis.port} `));
});

// The example of the README, as it is printed there, in pages from everywhere it says.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import test, { before } from 'node:test';

import { Browser } from '../lib/browser.mjs';
import { wholeFile } from '../lib/file.mjs';
import { Gateway, root } from '../lib/gateway.mjs';

const file = wholeFile();
const readme = await readFile(path.join(root, 'README.md'), 'utf8');
const [, example] = readme.match(/```html\n(.*?)```/s);
let browser;
let dir;

before(async () => {
    browser = await Browser.start(file);
    dir = await mkdtemp(path.join(os.tmpdir(), 'fantail-readme-'));
    file.after(() => rm(dir, { recursive: true, force: true }));
    await symlink(path.join(root, 'clients/js/fantail.js'), path.join(dir, 'fantail.js'));
});

// A gateway whose static_dir has the example, with nothing changed in it but where the gateway is.
async function publishExample(t, change = (text) => text) {
    const gateway = await Gateway.start(t, { env: { FANTAIL_STATIC_DIR: dir } });
    const page = `<!doctype html><meta charset="utf-8" /><title>hello</title>\n${change(example, gateway)}`;
    await writeFile(path.join(dir, 'hello.html'), page);
    return { gateway, page };
}

const withAddress = (text, gateway) => text.replaceAll('http://localhost:8000', `http://localhost:${gateway.port}`);

async function assertSaysHi(url) {
    const page = await browser.page();
    const heard = page.waitForEvent('console', (message) => message.text() === 'me hi');
    await page.goto(url);
    await heard;
    assert.deepEqual(page.complaints, []);
    await page.close();
}

test('in a page that the gateway serves, whatever its host is called', async (t) => {
    const { gateway } = await publishExample(t, withAddress);
    await assertSaysHi(`http://localhost:${gateway.port}/hello.html`);
    await assertSaysHi(`${gateway.url}/hello.html`);
});

test('in a page that the gateway serves, without an address', async (t) => {
    assert.match(readme, /`'\/fantail.js'`, and `new Fantail\(\)`/);
    const { gateway } = await publishExample(t, (text) =>
        text.replace("'http://localhost:8000/fantail.js'", "'/fantail.js'").replace(/new Fantail\(.*\)/, 'new Fantail()'),
    );
    await assertSaysHi(`${gateway.url}/hello.html`);
});

test('in a page of another origin', async (t) => {
    const { page } = await publishExample(t, withAddress);
    const server = http.createServer((request, response) => response.setHeader('Content-Type', 'text/html').end(page));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    await assertSaysHi(`http://127.0.0.1:${server.address().port}/`);
});

test('in a file', async (t) => {
    await publishExample(t, withAddress);
    await assertSaysHi(`file://${path.join(dir, 'hello.html')}`);
});

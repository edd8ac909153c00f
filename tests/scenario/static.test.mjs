// The files of static_dir, and nothing beside them.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import { Gateway, root } from '../lib/gateway.mjs';
import { RawSocket } from '../lib/raw.mjs';

const top = await mkdtemp(path.join(os.tmpdir(), 'fantail-static-'));
after(() => rm(top, { recursive: true, force: true }));
const dir = path.join(top, 'www');
await mkdir(path.join(dir, 'sub'), { recursive: true });
await mkdir(path.join(dir, '.git'));
const files = {
    'index.html': '<h1>start</h1>',
    'sub/index.html': '<h1>below</h1>',
    'app.js': 'export {}',
    'module.mjs': 'export {}',
    'style.css': 'p {}',
    'data.json': '{}',
    'icon.svg': '<svg/>',
    'photo.png': 'png',
    'notes.txt': 'ü',
    'unknown.xyz': '?',
    'with space.txt': 'space',
    'empty.txt': '',
    '.env': 'PASSWORD=secret',
    '.git/config': 'secret',
};
for (const [name, text] of Object.entries(files)) await writeFile(path.join(dir, name), text);
await writeFile(path.join(dir, 'large.bin'), Buffer.alloc(3_000_000, 'fantail '));
await writeFile(path.join(top, 'secret.txt'), 'secret');
await symlink('/dev/zero', path.join(dir, 'zero'));

const gateway = await Gateway.start({ after }, { env: { FANTAIL_STATIC_DIR: dir } });
const get = (name, options) => fetch(`${gateway.url}/${name}`, options);

// What came for a request whose path no client library would send.
async function raw(target, method = 'GET') {
    const socket = await RawSocket.connect(gateway.port);
    socket.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    await socket.saw(/\r\n\r\n/);
    socket.destroy();
    return socket.text;
}

test('files come whole, with their types and careful headers', async () => {
    const types = {
        'index.html': 'text/html; charset=utf-8',
        'app.js': 'text/javascript; charset=utf-8',
        'module.mjs': 'text/javascript; charset=utf-8',
        'style.css': 'text/css; charset=utf-8',
        'data.json': 'application/json',
        'icon.svg': 'image/svg+xml',
        'photo.png': 'image/png',
        'notes.txt': 'text/plain; charset=utf-8',
        'unknown.xyz': 'application/octet-stream',
        'empty.txt': 'text/plain; charset=utf-8',
    };
    for (const [name, type] of Object.entries(types)) {
        const response = await get(name);
        assert.equal(response.status, 200, name);
        assert.equal(response.headers.get('content-type'), type, name);
        assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
        assert.match(response.headers.get('content-security-policy'), /frame-ancestors 'none'/);
        assert.equal(response.headers.get('access-control-allow-origin'), '*');
        assert.equal(await response.text(), files[name]);
    }
});

test('a folder is its index.html', async () => {
    assert.equal(await (await get('')).text(), files['index.html']);
    assert.equal(await (await get('sub/')).text(), files['sub/index.html']);
    assert.equal((await get('sub')).status, 404, 'a folder without its slash is none');
});

test('a large file arrives whole, also to several at once', async () => {
    const expected = await readFile(path.join(dir, 'large.bin'));
    const bodies = await Promise.all(Array.from({ length: 8 }, () => get('large.bin').then((response) => response.arrayBuffer())));
    for (const body of bodies) assert.ok(expected.equals(Buffer.from(body)));
});

test('a query and escapes in the path', async () => {
    assert.equal(await (await get('index.html?v=1')).text(), files['index.html']);
    assert.equal(await (await get('with%20space.txt')).text(), 'space');
});

test('HEAD has the headers and no body', async () => {
    const response = await get('data.json', { method: 'HEAD' });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'application/json');
    assert.equal(await response.text(), '');
    const text = await raw('/index.html', 'HEAD');
    assert.match(text, /content-length: 14\r\n/i);
    assert.ok(text.endsWith('\r\n\r\n'), JSON.stringify(text));
});

test('what is not there is answered with 404', async () => {
    for (const name of ['nothing', 'nothing.html', 'index.html/', 'sub/nothing', 'index', 'INDEX.HTML', 'zero', 'x'.repeat(900)]) {
        const response = await get(name);
        assert.equal(response.status, 404, name);
        assert.equal((await response.json()).error.code, 'not_found');
    }
    assert.doesNotMatch(await raw(`/${'x'.repeat(5000)}`), /^HTTP\/1\.1 200/);
});

test('other methods are answered with 405', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const response = await get('index.html', { method, ...(method === 'DELETE' ? {} : { body: 'x' }) });
        assert.equal(response.status, 405, method);
        assert.match(response.headers.get('allow'), /GET/);
    }
});

test('no path leads out of the directory, or to what is hidden in it', async () => {
    for (const target of [
        '/../secret.txt',
        '/sub/../../secret.txt',
        '/%2e%2e/secret.txt',
        '/%2e%2e%2fsecret.txt',
        '/..%2fsecret.txt',
        '/..%5csecret.txt',
        '/..\\secret.txt',
        '//secret.txt',
        '//etc/passwd',
        '/sub//../../secret.txt',
        '/./../secret.txt',
        '/sub/%2e%2e/%2e%2e/secret.txt',
        '/%252e%252e/secret.txt',
        `${top}/secret.txt`,
        `/${top}/secret.txt`,
        '/.env',
        '/%2eenv',
        '/.git/config',
        '/sub/../.env',
        '/sub/./../.env',
        '../secret.txt',
        'http://x/../secret.txt',
        '*',
    ]) {
        const text = await raw(target);
        assert.doesNotMatch(text, /secret|root:/, target);
        assert.doesNotMatch(text, /^HTTP\/1\.1 200/, target);
    }
});

test('without static_dir there is nothing', async (t) => {
    const bare = await Gateway.start(t, { dev: false, config: 'broker = "memory";' });
    for (const name of ['', 'index.html', 'fantail.js']) assert.equal((await fetch(`${bare.url}/${name}`)).status, 404);
});

test('--dev serves the demo pages and the client library', async (t) => {
    const dev = await Gateway.start(t);
    for (const name of ['index.html', 'chat.html', 'live.html', 'fantail.js']) {
        const response = await fetch(`${dev.url}/${name}`);
        assert.equal(response.status, 200, name);
        assert.equal(await response.text(), await readFile(path.join(root, 'clients/web', name), 'utf8'));
    }
});

// What stands between browsers and a gateway: real HAProxy and nginx, and one that cuts connections.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { until } from './wait.mjs';

function accepts(port) {
    return new Promise((resolve) => {
        const socket = net.connect(port, '127.0.0.1', () => socket.end(() => resolve(true)));
        socket.on('error', () => resolve(false));
    });
}

async function startServer(t, name, command, config) {
    const port = await freePort();
    const dir = await mkdtemp(path.join(os.tmpdir(), `fantail-${name}-`));
    const file = path.join(dir, `${name}.conf`);
    await writeFile(file, config(port, dir));
    const server = new Process(name, command[0], [...command.slice(1), file]);
    t.after(async () => {
        await server.killAll();
        await rm(dir, { recursive: true, force: true });
    });
    await server.ready('accepts connections', () => accepts(port));
    return { port, url: `http://127.0.0.1:${port}`, wsUrl: `ws://127.0.0.1:${port}`, process: server };
}

// `rules` are lines of the frontend, e.g. 'http-request deny if { hdr(upgrade) -i websocket }', `defaults` of the section
// of that name, `server` is said of each gateway, e.g. 'pool-max-conn 1'.
export function startHaproxy(t, gateways, { rules = [], defaults = [], server = '', tunnelTimeout = '1h' } = {}) {
    return startServer(t, 'haproxy', ['haproxy', '-db', '-f'], (port) =>
        [
            'defaults',
            '    mode http',
            '    timeout connect 1s',
            '    timeout client 75s',
            '    timeout server 75s',
            `    timeout tunnel ${tunnelTimeout}`,
            '    option redispatch 1',
            ...defaults.map((line) => `    ${line}`),
            'frontend public',
            `    bind 127.0.0.1:${port}`,
            ...rules.map((rule) => `    ${rule}`),
            '    default_backend gateway',
            'backend gateway',
            '    balance roundrobin',
            ...gateways.map((gateway, index) => `    server n${index} 127.0.0.1:${gateway.port} ${server}`),
            '',
        ].join('\n'),
    );
}

// `http` are lines beside the server, `location` those of its only one.
function startNginx(t, { http = '', location }) {
    const user = process.getuid() === 0 ? 'user root;' : '';
    return startServer(
        t,
        'nginx',
        ['nginx', '-e', 'stderr', '-c'],
        (port, dir) => `${user} daemon off; worker_processes 1; pid ${dir}/pid; events {}
http {
    access_log off;
    client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi;
    uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
    ${http}
    server {
        listen 127.0.0.1:${port};
        location / {
            proxy_set_header Host $http_host;
            ${location}
        }
    }
}
`,
    );
}

// An nginx as many are set up: it knows nothing of WebSockets, speaks HTTP/1.0 to the gateway, and holds back what is
// smaller than its buffers; unless it is not stubborn, also when the gateway asks it not to.
export function startBufferingNginx(t, gateway, { isStubborn = true } = {}) {
    return startNginx(t, {
        location: `proxy_pass http://127.0.0.1:${gateway.port};
            proxy_buffering on;
            ${isStubborn ? 'proxy_ignore_headers X-Accel-Buffering;' : ''}`,
    });
}

// One that keeps a connection to the gateway, for all its clients. Bodies go on as they come.
export function startKeepingNginx(t, gateway) {
    return startNginx(t, {
        http: `upstream gateway { server 127.0.0.1:${gateway.port}; keepalive 1; }`,
        location: `proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;`,
    });
}

// Cuts every connection `afterMs` after it began; 0: never, until cutAll().
export async function startCutter(t, gateway, afterMs = 0) {
    const pairs = new Set();
    const cutter = { cuts: 0 };
    const server = net.createServer((socket) => {
        const onward = net.connect(gateway.port, '127.0.0.1');
        const pair = { cut: () => (socket.destroy(), onward.destroy()) };
        pairs.add(pair);
        const timer = afterMs > 0 ? setTimeout(() => (cutter.cuts++, pair.cut()), afterMs) : undefined;
        for (const [from, to] of [
            [socket, onward],
            [onward, socket],
        ]) {
            from.pipe(to);
            from.on('error', () => {});
            from.on('close', () => {
                clearTimeout(timer);
                pairs.delete(pair);
                to.destroy();
            });
        }
    });
    const port = await freePort();
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    const cutAll = () => pairs.forEach(({ cut }) => cut());
    t.after(() => {
        server.close();
        cutAll();
    });
    await until('the cutter to listen', () => accepts(port));
    return Object.assign(cutter, { port, url: `http://127.0.0.1:${port}`, wsUrl: `ws://127.0.0.1:${port}`, cutAll });
}

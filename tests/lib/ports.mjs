// Free TCP ports of the loopback address.

import net from 'node:net';

// Below the range from which the kernel takes the local ports of outgoing connections (32768 and up), so that
// none of those can sit on a port while a server that a test stopped is about to come back to it.
const FIRST = 12000;
const LAST = 31999;
const given = new Set();

function canListen(port) {
    return new Promise((resolve) => {
        const server = net.createServer();
        server.once('error', () => resolve(false));
        server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
    });
}

// Test files run side by side, so the start is random; within one file no port is given twice.
export async function freePort() {
    for (let attempt = 0; attempt < 200; attempt++) {
        const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
        if (!given.has(port) && (await canListen(port))) {
            given.add(port);
            return port;
        }
    }
    throw new Error('no free port found');
}

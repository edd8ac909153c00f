// Socket.IO with its Redis adapter; tuned as its guides on performance and memory say: WebSocket only, bufferutil
// installed, no compression (the default), the first HTTP request let go.
//   node socketio.mjs PORT REDIS_PORT
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';

const [port, redisPort] = process.argv.slice(2).map(Number);
const publisher = new Redis(redisPort, '127.0.0.1');
const http = createServer();
const io = new Server(http, {
  transports: ['websocket'],
  serveClient: false,
  adapter: createAdapter(publisher, publisher.duplicate()),
});

io.engine.on('connection', (socket) => {
  socket.request = null;
});

io.on('connection', (socket) => {
  socket.on('join', (room, done) => {
    socket.join(room);
    done();
  });
});

http.listen({ host: '127.0.0.1', port, backlog: 4096 });

// The plainest broadcast on npm's ws: the loop of its README, with Redis in front.
//   node ws.mjs PORT REDIS_PORT
import { WebSocketServer } from 'ws';
import { Redis } from 'ioredis';

const [port, redisPort] = process.argv.slice(2).map(Number);
const redis = new Redis(redisPort, '127.0.0.1');
const rooms = new Map();

redis.on('message', (channel, message) => {
  for (const client of rooms.get(channel) ?? []) client.send(message);
});

const server = new WebSocketServer({ host: '127.0.0.1', port, backlog: 4096, perMessageDeflate: false });

server.on('connection', (client, request) => {
  const channel = new URL(request.url, 'http://localhost').searchParams.get('channel');
  if (!rooms.has(channel)) {
    rooms.set(channel, new Set());
    redis.subscribe(channel);
  }
  rooms.get(channel).add(client);
  client.on('close', () => rooms.get(channel).delete(client));
  client.on('error', () => {});
});

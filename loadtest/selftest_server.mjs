// A gateway in miniature for the self-test of the load tool: all transports, publishing by HTTP and by a client,
// and faults on demand, so that the test sees the tool find them.
//
//   node selftest_server.mjs PORT [FAULT]
//
// FAULT: lose (every 10th message, to everybody), double, swap (with its neighbour), gap (as lose, but told),
// trickle (frames byte by byte), join (several messages in one frame), fragment, deflate, kick (closes every 10th client),
// browsers (refuses requests that are shorter than a browser's).
import http from 'node:http';
import crypto from 'node:crypto';
import zlib from 'node:zlib';

const port = Number(process.argv[2]);
const fault = process.argv[3] ?? '';
const subscribers = new Set(); // {channels, take(channel, line)}
const log = []; // {channel, line}: what polls read from; a cursor is an index.
let polls = []; // {channels, cursor, answer}
let count = 0;
let held = null; // What `swap` and `join` keep back.

function everybody(channel, line) {
  for (const subscriber of subscribers) if (subscriber.channels.has(channel)) subscriber.take(line);
}

function deliver(channel, data) {
  const line = JSON.stringify({ channel, data });
  log.push({ channel, line });
  for (const poll of polls.splice(0)) answerPoll(poll) || polls.push(poll);
  const nth = ++count;
  if (fault === 'lose' && nth % 10 === 0) return;
  if (fault === 'gap' && nth % 10 === 0) return everybody(channel, JSON.stringify({ event: 'gap', channel }));
  if (fault === 'swap' && nth % 10 === 0) return (held = { channel, line });
  if (fault === 'join' && nth % 2 === 1) return (held = { channel, line });
  if (fault === 'join' && held) everybody(channel, `${held.line}\n{"event":"ping"}\n${line}`);
  else everybody(channel, line);
  if (fault === 'swap' && held) everybody(held.channel, held.line);
  if (fault === 'double' && nth % 10 === 0) everybody(channel, line);
  held = null;
}

function answerPoll(poll) {
  const news = log.slice(poll.cursor).filter((entry) => poll.channels.has(entry.channel));
  if (news.length === 0 && poll.waits) return false;
  poll.answer(`{"cursor":"${log.length}","messages":[${news.map((entry) => entry.line).join(',')}]}`);
  return true;
}

function frame(text, first = 0x81) {
  const payload = Buffer.from(text);
  const head =
    payload.length < 126 ? Buffer.from([first, payload.length]) : Buffer.from([first, 126, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([head, payload]);
}

function inflated(bytes) {
  return zlib.inflateRawSync(Buffer.concat([bytes, Buffer.from([0, 0, 255, 255])]), { finishFlush: zlib.constants.Z_SYNC_FLUSH });
}

function deflated(text) {
  const raw = zlib.deflateRawSync(text, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
  return frame(raw.subarray(0, raw.length - 4), 0xc1);
}

function writeFrame(socket, text) {
  if (fault === 'fragment') {
    socket.write(Buffer.concat([frame(text.slice(0, 30), 0x01), frame('', 0x89), frame(text.slice(30), 0x80)]));
  } else if (fault === 'trickle') {
    // Each byte is a segment of its own, as far as the kernel keeps them apart.
    for (const byte of frame(text)) socket.write(Buffer.from([byte]));
  } else {
    socket.write(fault === 'deflate' ? deflated(text) : frame(text));
  }
}

function onCommand(socket, subscriber, command) {
  if (command.op === 'subscribe') {
    subscriber.channels.add(command.channel);
    subscribers.add(subscriber);
    if (command.channel.endsWith('forbidden:0'))
      return writeFrame(socket, JSON.stringify({ ref: command.ref, error: { code: 'channel_forbidden', message: 'no' } }));
    writeFrame(socket, JSON.stringify({ ref: command.ref, ok: true, channel: command.channel }));
    if (fault === 'kick' && subscribers.size % 10 === 0) setTimeout(() => socket.end(frame(Buffer.from([0x0b, 0xb9]), 0x88)), 500);
  } else if (command.op === 'publish') {
    deliver(command.channel, command.data);
    writeFrame(socket, JSON.stringify({ ref: command.ref, ok: true }));
  }
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (request.method === 'POST') {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const { channel, data } = JSON.parse(Buffer.concat(parts));
      if (request.headers.authorization !== 'Bearer secret') return response.writeHead(401).end('{}');
      deliver(channel, data);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}');
    });
    return;
  }
  if (fault === 'browsers' && !isBrowsers(request)) return response.writeHead(400).end('{}');
  const channels = new Set(url.searchParams.getAll('channel'));
  const transport = url.searchParams.get('transport');
  if (transport === 'longpoll') {
    const poll = {
      channels,
      cursor: Number(url.searchParams.get('cursor') ?? log.length),
      waits: url.searchParams.get('wait') !== '0',
      answer: (body) => response.writeHead(200, { 'content-type': 'application/json' }).end(body),
    };
    if (!answerPoll(poll)) polls.push(poll);
    return;
  }
  const isSse = transport === 'sse';
  response.writeHead(200, { 'content-type': isSse ? 'text/event-stream' : 'application/x-ndjson' });
  response.flushHeaders();
  const subscriber = { channels, take: (line) => response.write(isSse ? `data: ${line}\n\n` : `${line}\n`) };
  subscribers.add(subscriber);
  request.socket.on('close', () => subscribers.delete(subscriber));
});

// Refuses all heads but a browser's, by what a browser never leaves out.
function isBrowsers({ rawHeaders, headers }) {
  const names = ['user-agent', 'accept-encoding', 'accept-language', 'cookie', 'origin'];
  return rawHeaders.join(': ').length > 600 && names.every((name) => headers[name]) && headers.origin === `http://${headers.host}`;
}

server.on('upgrade', (request, socket) => {
  socket.on('error', () => {});
  if (fault === 'browsers' && !isBrowsers(request)) return socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
  const accept = crypto
    .createHash('sha1')
    .update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
    .digest('base64');
  const extensions = fault === 'deflate' ? 'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n' : '';
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${extensions}Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  socket.setNoDelay(true);
  const subscriber = { channels: new Set(), take: (line) => writeFrame(socket, line) };
  let pending = Buffer.alloc(0);
  socket.on('data', (data) => {
    pending = Buffer.concat([pending, data]);
    while (pending.length >= 6) {
      const isLong = (pending[1] & 127) === 126;
      if (isLong && pending.length < 8) return;
      const length = isLong ? pending.readUInt16BE(2) : pending[1] & 127;
      const start = isLong ? 8 : 6; // The mask is all zeros.
      if (pending.length < start + length) return;
      const opcode = pending[0] & 15;
      const isCompressed = (pending[0] & 0x40) !== 0;
      const bytes = pending.subarray(start, start + length);
      const payload = (isCompressed ? inflated(bytes) : bytes).toString();
      pending = pending.subarray(start + length);
      if (opcode === 1) onCommand(socket, subscriber, JSON.parse(payload));
    }
  });
  socket.on('close', () => subscribers.delete(subscriber));
});

server.listen(port, '127.0.0.1', () => console.log('ready'));

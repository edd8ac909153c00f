// What is run, and which of its numbers are shown. `better` says which end of the scale is good.

const microseconds = (value) => `${value.toFixed(2)} µs`;
const rate = (value) => Math.round(value).toLocaleString('en-US');
const bytes = (value) => `${Math.round(value).toLocaleString('en-US')} B`;
const percent = (value) => `${(value * 100).toFixed(1)} %`;
const latency = (value) => (value >= 1000 ? `${(value / 1000).toFixed(2)} ms` : `${Math.round(value)} µs`);

const cpuPerDelivery = { title: 'CPU per delivery', better: 'less', read: (r) => r.server.cpu_per_delivery_us, show: microseconds };
const p99 = { title: 'p99', better: 'less', read: (r) => r.latency_us.all.p99, show: latency, isSecondary: true };
const cpuPerConnect = { title: 'CPU per connect', better: 'less', read: (r) => r.server.cpu_per_connect_us, show: microseconds };
const connectsPerSecond = {
  title: 'connects per second',
  better: 'more',
  read: (r) => r.connected / r.connect.seconds,
  show: rate,
  isSecondary: true,
};
const perSecond = {
  title: 'delivered per second',
  better: 'more',
  read: (r) => r.measured.delivered / r.measured.seconds,
  show: rate,
};

export const scenarios = {
  fanout: {
    title: 'Fan-out: 1 channel, 1,000 subscribers, 20 messages a second',
    args: ['fanout', '-n', '1000', '-r', '20'],
    metrics: [cpuPerDelivery, p99],
  },
  inflight8: {
    title: 'Closed loop: 1,000 subscribers, 8 messages in flight',
    args: ['fanout', '-n', '1000', '--window', '8'],
    httpPublishers: 8,
    metrics: [perSecond, { ...cpuPerDelivery, isSecondary: true }],
  },
  inflight3: {
    title: 'Closed loop: 10,000 subscribers, 3 messages in flight',
    args: ['fanout', '-n', '10000', '--window', '3'],
    httpPublishers: 3,
    metrics: [perSecond, { ...cpuPerDelivery, isSecondary: true }],
  },
  busy: {
    title: 'Several busy channels: 4 channels of 500 subscribers each, 64 messages in flight',
    args: ['busy', '-n', '2000', '-c', '4', '--window', '64'],
    httpPublishers: 64,
    metrics: [perSecond, cpuPerDelivery],
  },
  rooms: {
    title: 'Rooms: 10,000 connections in 1,000 rooms of 10, 1,000 messages a second to random rooms',
    args: ['rooms', '-n', '10000', '-c', '1000', '-r', '1000'],
    httpPublishers: 8,
    metrics: [cpuPerDelivery, p99],
  },
  idle: {
    title: 'Idle: 18,000 subscribed connections',
    args: ['idle', '-n', '18000', '--settle', '2', '--drain', '20'],
    rounds: 2,
    seconds: 27, // One round of the heartbeats, which most servers send every 25 s.
    metrics: [
      { title: 'RSS per connection', better: 'less', read: (r) => r.server.rss_per_connection, show: bytes },
      {
        title: 'CPU of a core',
        better: 'less',
        read: (r) => r.measured.server_cpu_seconds / r.measured.seconds,
        show: percent,
        isSecondary: true,
      },
    ],
  },
  connect: {
    title: 'Connect storm: 10,000 connects with one subscription each, 256 under way',
    args: ['connect', '-n', '10000', '--connecting', '256'],
    seconds: 0,
    metrics: [cpuPerConnect, connectsPerSecond],
  },
  connectbrowser: {
    title: 'The same with the request heads of a browser, of some 800 bytes',
    args: ['connect', '-n', '10000', '--connecting', '256', '--browser-headers'],
    seconds: 0,
    metrics: [cpuPerConnect, connectsPerSecond],
  },
  sse: {
    title: 'Server-sent events: 1 channel, 1,000 subscribers, 20 messages a second',
    args: ['fanout', '-n', '1000', '-r', '20', '--transports', 'sse'],
    only: ['fantail', 'floor'],
    metrics: [cpuPerDelivery, p99],
  },
  deflate: {
    title: 'Compression: 1 KB of JSON, 1,000 subscribers that offer permessage-deflate, 20 messages a second',
    args: ['fanout', '-n', '1000', '-r', '20', '--payload', '1024'],
    only: ['fantail', 'fantaildeflate'],
    reference: 'fantail',
    // Not more than 1.1 of it without compression, and at most 200 bytes more for a connection.
    metrics: [
      cpuPerDelivery,
      { title: 'RSS per connection', better: 'less', read: (r) => r.server.rss_per_connection, show: bytes, isSecondary: true },
      p99,
    ],
  },
  slow: {
    title: '64 readers that do not read among 1,000, 60 messages a second of 8 KiB: the others',
    // Measured once the kernel's buffers for the 64, 4 MiB each and more, are full.
    args: ['slow', '-n', '1000', '--slow', '64', '-r', '60', '--payload', '8192', '--warmup', '10'],
    only: ['fantail', 'nchan', 'ws'],
    metrics: [{ ...p99, isSecondary: false }, { ...cpuPerDelivery, isSecondary: true }],
  },
  noslow: {
    title: 'The same without them',
    args: ['fanout', '-n', '1000', '-r', '60', '--payload', '8192', '--warmup', '2'],
    only: ['fantail', 'nchan', 'ws'],
    metrics: [{ ...p99, isSecondary: false }, { ...cpuPerDelivery, isSecondary: true }],
  },
  crowd: {
    title: '100,000 idle connections over 6 workers, then one message to all',
    args: ['idle', '-n', '100000', '--settle', '2', '--drain', '30', '--connecting', '256'],
    only: ['fantailworkers'],
    seconds: 2,
    rounds: 1,
    metrics: [
      { title: 'RSS per connection', better: 'less', read: (r) => r.server.rss_per_connection, show: bytes },
      { title: 'delivered', better: 'more', read: (r) => r.delivery.delivered, show: rate, isSecondary: true },
    ],
  },
};

// What fantail is to reach. `read` gets median(scenario, server, which of the metrics).
const ratio = (scenario, reference, metric = 0) => (median) => median(scenario, 'fantail', metric) / median(scenario, reference, metric);
const times = (value) => value.toFixed(2);
export const bars = [
  { what: '1,000 subscribers, 20 messages a second: CPU per delivery, of the floor', read: ratio('fanout', 'floor'), atMost: 1.1, show: times },
  { what: '8 in flight: delivered per second, of the joining floor', read: ratio('inflight8', 'joinfloor'), atLeast: 0.9, show: times },
  { what: '8 in flight: delivered per second, of Nchan', read: ratio('inflight8', 'nchan'), atLeast: 5, show: times },
  { what: '10,000 subscribers, 3 in flight: delivered per second, of the joining floor', read: ratio('inflight3', 'joinfloor'), atLeast: 0.9, show: times },
  { what: 'Rooms: CPU per delivery, of the floor', read: ratio('rooms', 'floor'), atMost: 1.2, show: times },
  { what: 'Rooms: p99', read: (median) => median('rooms', 'fantail', 1), atMost: 2000, show: latency },
  { what: '18,000 idle: RSS per connection', read: (median) => median('idle', 'fantail', 0), atMost: 1800, show: bytes },
  { what: '18,000 idle, pings every 25 s: CPU of a core', read: (median) => median('idle', 'fantail', 1), atMost: 0.02, show: percent },
  { what: '10,000 connects, 256 under way: CPU per connect, of the floor', read: ratio('connect', 'floor'), atMost: 1.4, show: times },
  { what: 'SSE: CPU per delivery, of WebSocket', read: (median) => median('sse', 'fantail', 0) / median('fanout', 'fantail', 0), atMost: 1.15, show: times },
  { what: '64 slow readers: p99 of the others, of that without them', read: (median) => median('slow', 'fantail', 0) / median('noslow', 'fantail', 0), atMost: 1.3, show: times },
  { what: '100,000 idle over 6 workers: RSS per connection', read: (median) => median('crowd', 'fantailworkers', 0), atMost: 1800, show: bytes },
  { what: '100,000 idle over 6 workers: who got the message', read: (median) => median('crowd', 'fantailworkers', 1), atLeast: 100000, show: rate },
  { what: 'Compression: CPU per delivery, of that without', read: (median) => median('deflate', 'fantaildeflate', 0) / median('deflate', 'fantail', 0), atMost: 1.1, show: times },
  { what: 'Compression: RSS per connection, more than without', read: (median) => median('deflate', 'fantaildeflate', 1) - median('deflate', 'fantail', 1), atMost: 200, show: bytes },
];

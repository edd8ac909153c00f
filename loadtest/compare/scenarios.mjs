// What is run, and which of its numbers are shown. `better` says which end of the scale is good.

const microseconds = (value) => `${value.toFixed(2)} µs`;
const rate = (value) => Math.round(value).toLocaleString('en-US');
const bytes = (value) => `${Math.round(value).toLocaleString('en-US')} B`;
const percent = (value) => `${(value * 100).toFixed(1)} %`;
const latency = (value) => (value >= 1000 ? `${(value / 1000).toFixed(2)} ms` : `${Math.round(value)} µs`);

const cpuPerDelivery = { title: 'CPU per delivery', better: 'less', read: (r) => r.server.cpu_per_delivery_us, show: microseconds };
const p99 = { title: 'p99', better: 'less', read: (r) => r.latency_us.all.p99, show: latency, isSecondary: true };
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
  rooms: {
    title: 'Rooms: 10,000 connections in 1,000 rooms of 10, 1,000 messages a second to random rooms',
    args: ['rooms', '-n', '10000', '-c', '1000', '-r', '1000'],
    httpPublishers: 8,
    metrics: [cpuPerDelivery, p99],
  },
  idle: {
    title: 'Idle: 18,000 subscribed connections',
    args: ['idle', '-n', '18000', '--settle', '2', '--drain', '20'],
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
    metrics: [
      { title: 'CPU per connect', better: 'less', read: (r) => r.server.cpu_per_connect_us, show: microseconds },
      {
        title: 'connects per second',
        better: 'more',
        read: (r) => r.connected / r.connect.seconds,
        show: rate,
        isSecondary: true,
      },
    ],
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
    title: '64 readers that do not read among 1,000, 20 messages a second of 4 KiB: the others',
    args: ['slow', '-n', '1000', '--slow', '64', '-r', '20', '--payload', '4096'],
    only: ['fantail', 'floor', 'nchan', 'ws', 'socketio', 'centrifugo'],
    metrics: [{ ...p99, isSecondary: false }, { ...cpuPerDelivery, isSecondary: true }],
  },
  noslow: {
    title: 'The same without them',
    args: ['fanout', '-n', '1000', '-r', '20', '--payload', '4096'],
    only: ['fantail', 'floor', 'nchan', 'ws', 'socketio', 'centrifugo'],
    metrics: [{ ...p99, isSecondary: false }, { ...cpuPerDelivery, isSecondary: true }],
  },
};

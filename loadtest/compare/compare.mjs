// Starts a server, lets fantail-load measure it, ends it; for every scenario and peer, in rounds. Called by ./run.
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { makePeers } from './peers.mjs';
import { bars, scenarios } from './scenarios.mjs';
import { writeResults } from './report.mjs';

const here = import.meta.dirname;
const loadTool = path.join(here, '../../build/release/loadtest/fantail-load');
const RUN_SECONDS_MAX = 60;

const { values: options } = parseArgs({
  options: {
    peers: { type: 'string' },
    scenarios: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    duration: { type: 'string', default: '5' },
    'server-cpu': { type: 'string', default: '0' },
    'other-cpus': { type: 'string', default: '1' },
    beside: { type: 'string' },
    centrifugo: { type: 'string' },
    out: { type: 'string', default: here },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) {
  console.log(`usage: loadtest/compare/run [options]

  --peers LIST        of ${Object.keys(makePeers(options)).join(',')} (all that are installed)
  --scenarios LIST    of ${Object.keys(scenarios).join(',')} (all)
  --rounds N          (3) medians are taken over these
  --duration SECONDS  (5) measured in each run
  --server-cpu N      (0) the server alone runs there
  --other-cpus LIST   (1) the load tool and Redis run there
  --beside FILE       another build of fantail, e.g. of the revision before
  --centrifugo FILE   a Centrifugo binary, version 6
  --keep              add to the runs of RESULTS.json instead of starting anew
  --out DIR           (here) where RESULTS.md, RESULTS.json and charts/ go`);
  process.exit(0);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const started = new Set();

function start(cpus, command, args, env = {}) {
  const child = spawn('taskset', ['-c', cpus, command, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  child.text = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) child[stream].on('data', (data) => (child.text[stream] += data));
  child.ended = new Promise((resolve) => child.on('close', resolve));
  started.add(child);
  child.ended.then(() => started.delete(child));
  return child;
}

async function stop(child) {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await child.ended;
  clearTimeout(timer);
}

// Below what the kernel gives outgoing connections, of which thousands of the run before linger: a server, or its admin
// port, which is the next one, could not listen there.
async function freePort() {
  for (;;) {
    const port = 12000 + 2 * Math.floor(Math.random() * 9000);
    const isFree = await new Promise((resolve) => {
      const server = net.createServer().once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

async function waitForPort(port, child) {
  for (const deadline = Date.now() + 10000; Date.now() < deadline; await sleep(50)) {
    if (child.exitCode !== null) break;
    const isOpen = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true) || socket.destroy());
      socket.on('error', () => resolve(false));
    });
    if (isOpen) return;
  }
  throw new Error(`the server did not come up: ${child.text.stderr}`);
}

// The JSON that fantail-load prints, or null.
async function measure(peer, scenario, server, port, redisPort) {
  const seconds = scenario.seconds ?? Number(options.duration);
  const args = [
    ...scenario.args,
    ...peer.load,
    ...['--url', `ws://127.0.0.1:${port}`, '--redis', `redis://127.0.0.1:${redisPort}`],
    ...['--server-pid', server.pid, '--quiet', '--json', '-'],
    ...(seconds > 0 ? ['--duration', seconds] : []),
    ...(peer.publishesByHttp && scenario.httpPublishers ? ['--publishers', scenario.httpPublishers] : []),
  ];
  const load = start(options['other-cpus'], loadTool, args);
  const timer = setTimeout(() => load.kill('SIGINT'), RUN_SECONDS_MAX * 1000);
  await load.ended;
  clearTimeout(timer);
  try {
    return JSON.parse(load.text.stdout);
  } catch {
    throw new Error(load.text.stderr.trim().split('\n').at(-1) || 'no result');
  }
}

async function runOnce(peer, scenario, redisPort) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'compare-'));
  const port = await freePort();
  const { command, args, env } = peer.start({ port, redisPort, dir });
  const server = start(options['server-cpu'], command, args, env);
  try {
    await waitForPort(port, server);
    await sleep(300);
    return await measure(peer, scenario, server, port, redisPort);
  } finally {
    await stop(server);
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

// Only what the report needs: a run's samples would make RESULTS.json large.
function keepNumbers(result, scenario) {
  return {
    metrics: scenario.metrics.map((metric) => metric.read(result)),
    connected: result.connected,
    wanted: result.options.subscribers,
    faults: result.delivery.lost + result.delivery.doubled + result.delivery.out_of_order,
    told: result.delivery.told,
    isLimited: result.warnings.some((warning) => warning.includes('bottleneck')),
    isLate: result.warnings.some((warning) => warning.includes('after their time')),
  };
}

function pick(all, list) {
  if (list === undefined) return Object.keys(all);
  const names = list.split(',');
  for (const name of names) if (!(name in all)) throw new Error(`unknown: ${name}; there are ${Object.keys(all)}`);
  return names;
}

async function main() {
  const peers = makePeers(options);
  const names = pick(peers, options.peers).filter((name) => {
    peers[name].versionText = peers[name].version();
    if (!peers[name].versionText) console.log(`${peers[name].title}: not installed, left out`);
    return peers[name].versionText;
  });
  const chosen = pick(scenarios, options.scenarios);
  const runs = []; // {scenario, peer, round, ...}
  const load = os.loadavg()[0];
  if (load > 0.3) console.log(`warning: the machine is busy (load ${load.toFixed(2)}); the numbers will be noisy`);
  const redisPort = await freePort();
  const redis = start(options['other-cpus'], 'redis-server', ['--port', redisPort, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']);
  await waitForPort(redisPort, redis);
  process.on('SIGINT', () => {
    for (const child of started) child.kill('SIGTERM');
    process.exit(1);
  });
  const began = Date.now();
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const scenarioName of chosen) {
      const scenario = scenarios[scenarioName];
      if (round > (scenario.rounds ?? Infinity)) continue;
      const taking = names.filter((name) => (scenario.only?.includes(name) ?? true) && (peers[name].onlyIn?.includes(scenarioName) ?? true));
      // Each round begins with another one, so that nobody always has the same neighbour before it.
      for (let i = 0; i < taking.length; i++) {
        const name = taking[(i + round - 1) % taking.length];
        try {
          const result = keepNumbers(await runOnce(peers[name], scenario, redisPort), scenario);
          runs.push({ scenario: scenarioName, peer: name, round, ...result });
          const shown = scenario.metrics.map((metric, k) => `${metric.title} ${metric.show(result.metrics[k])}`).join(', ');
          console.log(`round ${round}  ${scenarioName.padEnd(10)} ${peers[name].title.padEnd(14)} ${shown}${result.faults ? `  FAULTS ${result.faults}` : ''}${result.isLimited ? '  (load tool is the limit)' : ''}`);
        } catch (error) {
          runs.push({ scenario: scenarioName, peer: name, round, error: error.message });
          console.log(`round ${round}  ${scenarioName.padEnd(10)} ${peers[name].title.padEnd(14)} FAILED: ${error.message}`);
        }
        await sleep(500);
      }
    }
  }
  await stop(redis);
  const file = path.join(options.out, 'RESULTS.json');
  const kept = options.keep && fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')).runs : [];
  const machine = {
    date: new Date(began).toISOString().slice(0, 16).replace('T', ' '),
    cpu: os.cpus()[0].model,
    cpus: os.cpus().length,
    kernel: os.release(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    loadBefore: load,
    minutes: Math.round((Date.now() - began) / 60000),
    versions: Object.fromEntries(names.map((name) => [peers[name].title, peers[name].versionText])),
  };
  const replaced = new Set(runs.map((run) => `${run.scenario} ${run.peer}`));
  const all = [...kept.filter((run) => !replaced.has(`${run.scenario} ${run.peer}`)), ...runs];
  writeResults({ out: options.out, machine, runs: all, peers, scenarios, bars, seconds: Number(options.duration) });
  console.log(`wrote ${path.join(options.out, 'RESULTS.md')}`);
}

await main();

// The servers: how each is started, and what the load tool must know to talk to it. One process each.
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';

const here = import.meta.dirname;
const build = path.join(here, '../../build/release');

function output(command, args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  } catch {
    return '';
  }
}

function packageVersion(name) {
  return JSON.parse(fs.readFileSync(path.join(here, 'node_modules', name, 'package.json'), 'utf8')).version;
}

// A configuration out of servers/, with the words in capitals replaced.
function fill(file, target, words) {
  let text = fs.readFileSync(path.join(here, 'servers', file), 'utf8');
  for (const [word, value] of Object.entries(words)) text = text.replaceAll(word, value);
  fs.writeFileSync(target, text);
  return target;
}

const nchanModules = '/usr/lib/nginx/modules';

// start(): {command, args, load}; `dir` is empty and goes away afterwards.
export function makePeers(options) {
  const floor = (join) => ({
    title: join ? 'joining floor' : 'floor',
    version: () => 'this tree',
    load: ['--peer', 'floor'],
    start: ({ port, redisPort }) => ({
      command: path.join(build, 'loadtest/fantail-floor'),
      args: ['--port', port, '--redis-port', redisPort, ...(join ? ['--join'] : [])],
    }),
  });
  const gateway = (title, binary) => ({
    title,
    version: () => binary && output(binary, ['--version']).split('\n')[0].replace(/^fantail /, ''),
    load: ['--peer', 'fantail'],
    start: ({ port, redisPort, dir }) => ({
      command: binary,
      args: ['--config', fill('fantail.cfg', `${dir}/fantail.cfg`, { PORT: port, ADMIN: port + 1, REDIS: redisPort })],
    }),
  });
  const fantail = gateway('fantail', path.join(build, 'gateway/fantail'));
  return {
    floor: floor(false),
    joinfloor: floor(true),
    fantail,
    fantailbeside: gateway('fantail, other build', options.beside),
    fantaildeflate: {
      title: 'fantail, compressed',
      onlyIn: ['deflate'],
      version: () => 'this tree',
      load: ['--peer', 'fantail', '--deflate'],
      start: (at) => ({ ...fantail.start(at), env: { FANTAIL_WEBSOCKET_COMPRESSION: 'on' } }),
    },
    fantailworkers: {
      title: 'fantail, 6 workers',
      onlyIn: ['crowd'],
      version: () => 'this tree',
      load: ['--peer', 'fantail'],
      start: (at) => ({ ...fantail.start(at), env: { FANTAIL_WORKERS: '6' } }),
    },
    nchan: {
      title: 'Nchan',
      version: () =>
        fs.existsSync(`${nchanModules}/ngx_nchan_module.so`) &&
        `${output('dpkg-query', ['-W', '-f', '${Version}', 'libnginx-mod-nchan'])} on nginx ${output('dpkg-query', ['-W', '-f', '${Version}', 'nginx'])}`,
      load: ['--peer', 'nchan'],
      publishesByHttp: true,
      start: ({ port, dir }) => ({
        command: 'nginx',
        args: ['-p', dir, '-c', fill('nchan.conf', `${dir}/nginx.conf`, { PORT: port, MODULES: nchanModules, DIR: dir })],
      }),
    },
    ws: {
      title: 'ws',
      version: () => `${packageVersion('ws')} on node ${process.version}`,
      load: ['--peer', 'ws'],
      start: ({ port, redisPort }) => ({ command: 'node', args: [path.join(here, 'servers/ws.mjs'), port, redisPort] }),
    },
    socketio: {
      title: 'Socket.IO',
      version: () =>
        `${packageVersion('socket.io')}, Redis adapter ${packageVersion('@socket.io/redis-adapter')}, on node ${process.version}`,
      load: ['--peer', 'socketio'],
      start: ({ port, redisPort }) => ({ command: 'node', args: [path.join(here, 'servers/socketio.mjs'), port, redisPort] }),
    },
    centrifugo: {
      title: 'Centrifugo',
      version: () => options.centrifugo && output(options.centrifugo, ['version']).split('\n')[0],
      load: ['--peer', 'centrifugo', '--api-key', 'compare'],
      publishesByHttp: true,
      start: ({ port, dir }) => ({
        command: options.centrifugo,
        args: ['-c', fill('centrifugo.json', `${dir}/centrifugo.json`, { '"PORT"': port })],
        env: { GOMAXPROCS: '1' },
      }),
    },
  };
}

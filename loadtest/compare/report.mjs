// RESULTS.md, RESULTS.json and a bar chart per scenario.
import fs from 'node:fs';
import path from 'node:path';

export function median(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length === 0) return NaN;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

// Horizontal bars; the colours hold on light and dark pages.
function chart(title, metric, rows) {
  const height = 58 + rows.length * 30;
  const top = Math.max(...rows.map((row) => row.value));
  const bars = rows.map((row, i) => {
    const y = 52 + i * 30;
    const width = Math.max(2, (row.value / top) * 430);
    const fill = row.name.startsWith('fantail') ? '#d9480f' : row.name.includes('floor') ? '#868e96' : '#4c8fb5';
    return `<text x="120" y="${y + 14}" text-anchor="end">${escape(row.title)}</text><rect x="130" y="${y}" width="${width.toFixed(1)}" height="20" rx="3" fill="${fill}"/><text x="${(138 + width).toFixed(1)}" y="${y + 14}">${escape(metric.show(row.value))}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 ${height}" role="img" aria-label="${escape(title)}">
<style>text{font:14px system-ui,sans-serif;fill:#24292f}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}.t{font-weight:600}</style>
<text class="t" x="8" y="20">${escape(title)}</text><text x="8" y="40">${escape(metric.title)}, ${metric.better} is better</text>
${bars.join('\n')}
</svg>
`;
}

function summarize(name, scenario, runs, peers) {
  const rows = [];
  for (const peer of Object.keys(peers)) {
    const own = runs.filter((run) => run.scenario === name && run.peer === peer);
    const good = own.filter((run) => !run.error);
    if (own.length === 0) continue;
    rows.push({
      name: peer,
      title: peers[peer].title,
      rounds: good.length,
      values: scenario.metrics.map((_, k) => median(good.map((run) => run.metrics[k]))),
      spread: good.map((run) => run.metrics[0]),
      notes: [
        good.some((run) => run.isLimited) && 'the load tool was at its limit',
        good.some((run) => run.isLate) && 'publishing was late',
        good.some((run) => run.faults > 0) && `${Math.max(...good.map((run) => run.faults))} messages lost, doubled or out of order`,
        good.some((run) => run.connected < run.wanted) && `only ${Math.min(...good.map((run) => run.connected))} connected`,
        own.length > good.length && `failed: ${own.find((run) => run.error).error}`,
      ].filter(Boolean),
    });
  }
  return rows;
}

function table(scenario, rows) {
  const floorName = scenario.reference ?? (scenario.metrics[0].better === 'more' ? 'joinfloor' : 'floor');
  const floor = rows.find((row) => row.name === floorName);
  const headers = ['server', ...scenario.metrics.map((metric) => metric.title)];
  if (floor) headers.push(`of the ${floor.title}`);
  headers.push('rounds (first column)', 'notes');
  const lines = [`| ${headers.join(' | ')} |`, `|---|${'---:|'.repeat(headers.length - 3)}---|---|`];
  for (const row of rows) {
    const cells = [row.name === 'fantail' ? `**${row.title}**` : row.title];
    scenario.metrics.forEach((metric, k) => cells.push(Number.isFinite(row.values[k]) ? metric.show(row.values[k]) : '-'));
    if (floor) cells.push(Number.isFinite(row.values[0]) ? (row.values[0] / floor.values[0]).toFixed(2) : '-');
    cells.push(row.spread.map((value) => scenario.metrics[0].show(value)).join(', '), row.notes.join('; '));
    lines.push(`| ${cells.join(' | ')} |`);
  }
  return lines.join('\n');
}

function head(machine, seconds) {
  const versions = Object.entries(machine.versions).map(([title, version]) => `- ${title}: ${version}`);
  return `# fantail beside other servers

Written by \`loadtest/compare/run\` on ${machine.date} UTC, in ${machine.minutes} minutes. Numbers are medians of interleaved rounds
(every server once per round, each time freshly started), ${seconds} seconds measured in each, 128-byte messages where nothing else
is said.

Machine: ${machine.cpus} CPUs (${machine.cpu}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}, load ${machine.loadBefore.toFixed(2)} before the start.
The server runs alone on one CPU; Redis, the publisher and all clients share the other.

${versions.join('\n')}

## How to read it

- CPU is the time of all processes of the server, user and system. On loopback it includes the receiver's half of TCP, which runs
  inside the sender's \`send()\`: ratios carry over to other machines, microseconds do not.
- *floor* is \`fantail-floor\`: a ready frame, one \`send()\` per delivery, nothing else. *joining floor* sends all that came in one turn of
  its loop at once, and ends one round of its subscribers before it begins the next; who joins during a round, as fantail does, sends less.
- Nchan and Centrifugo get their messages by HTTP and keep them in memory, the others by Redis PUBLISH. Nchan therefore does not
  pay for a broker; it does pay for the HTTP requests. Its clients name their channel in the URL, so a connect there takes a read and a
  write less than with a \`subscribe\` command.
- In the closed loop everything but the server shares one CPU. Where it says that the load tool was at its limit, the server could
  do more than is shown.
- All servers run as their own guides advise, with one process, without access logs and, but where it says so, without
  compression: \`loadtest/compare/servers/\`.
`;
}

// What was to be reached, and what was.
function barTable(bars, all) {
  const lines = [];
  for (const bar of bars) {
    const value = bar.read((scenario, peer, metric) => all[scenario]?.find((row) => row.name === peer)?.values[metric] ?? NaN);
    if (!Number.isFinite(value)) continue;
    const [word, limit] = bar.atMost !== undefined ? ['at most', bar.atMost] : ['at least', bar.atLeast];
    const isMet = bar.atMost !== undefined ? value <= limit : value >= limit;
    lines.push(`| ${bar.what} | ${word} ${bar.show(limit)} | ${bar.show(value)} | ${isMet ? 'yes' : '**no**'} |`);
  }
  return ['## What fantail set out to reach\n', '| | bar | measured | reached |', '|---|---:|---:|---|', ...lines, ''].join('\n');
}

export function writeResults({ out, machine, runs, peers, scenarios, bars, seconds }) {
  const charts = path.join(out, 'charts');
  const all = Object.fromEntries(Object.keys(scenarios).map((name) => [name, summarize(name, scenarios[name], runs, peers)]));
  const parts = [head(machine, seconds), barTable(bars, all)];
  fs.mkdirSync(charts, { recursive: true });
  for (const [name, scenario] of Object.entries(scenarios)) {
    const rows = all[name];
    if (rows.length === 0) continue;
    const [metric] = scenario.metrics;
    const drawn = rows.filter((row) => Number.isFinite(row.values[0])).map((row) => ({ ...row, value: row.values[0] }));
    parts.push(`## ${scenario.title}\n`);
    if (drawn.length > 0) {
      fs.writeFileSync(path.join(charts, `${name}.svg`), chart(scenario.title, metric, drawn));
      parts.push(`![${metric.title}](charts/${name}.svg)\n`);
    }
    parts.push(`${table(scenario, rows)}\n`);
  }
  fs.writeFileSync(path.join(out, 'RESULTS.md'), parts.join('\n'));
  fs.writeFileSync(path.join(out, 'RESULTS.json'), `${JSON.stringify({ machine, runs }, null, 1)}\n`);
}

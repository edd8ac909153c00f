// The live feed: a match relay on live:match and a price on live:price.
//
// A match event is { minute, kind, text, score: [home, away] }, of which `text` is enough; a plain string is one too.
// A price is a number, or { price, at }.

import { byId, createClient, createPast, element, enableCopyButtons, fillShellLines, plainText } from '/common.js';
import { createSimulation } from '/simulate.js';

const EVENTS_MAX = 100;
const POINTS_MAX = 180;
const WIDTH = 560;
const HEIGHT = 220;
const RIGHT = 62; // Room for the numbers of the scale.
const MARKS = { goal: '⚽', card: '!', whistle: '◷', substitution: '⇄', chance: '↗' };

const client = createClient();

// The match.

const relay = byId('relay');
const score = []; // Nobody knows it before an event has told.

function showScore(fresh) {
    const [home, , away] = byId('goals').children;
    for (const [index, digits] of [home, away].entries()) {
        if (!Number.isInteger(fresh[index]) || fresh[index] < 0 || fresh[index] > 99 || fresh[index] === score[index]) continue;
        score[index] = fresh[index];
        digits.textContent = String(fresh[index]);
        digits.classList.remove('new');
        // Reading a measure makes the browser start the animation anew.
        void digits.offsetWidth;
        digits.classList.add('new');
    }
}

function addEvent(className, minute, mark, words) {
    relay.querySelector('.none')?.remove();
    relay.prepend(
        element(
            'li',
            { class: className },
            element('span', { class: 'minute' }, minute),
            element('span', { class: 'mark', 'aria-hidden': 'true' }, mark),
            element('p', { dir: 'auto' }, words),
        ),
    );
    while (relay.children.length > EVENTS_MAX) relay.lastElementChild.remove();
}

function onEvent(data) {
    const event = data !== null && typeof data === 'object' ? data : {};
    const minute = Number.isInteger(event.minute) && event.minute >= 0 && event.minute < 200 ? `${event.minute}'` : '';
    const kind = Object.hasOwn(MARKS, event.kind) ? event.kind : 'plain';
    const classes = { goal: 'goal', card: 'card-shown' };
    addEvent(classes[kind] ?? '', minute, MARKS[kind] ?? '·', typeof event.text === 'string' ? event.text : plainText(data));
    if (Array.isArray(event.score)) showScore(event.score);
    const clock = byId('minute');
    if (minute) clock.textContent = minute;
    clock.hidden = clock.textContent === '' && event.final !== true;
    clock.classList.toggle('on', minute !== '' && event.final !== true);
    if (event.final === true) clock.textContent = 'full time';
}

client.subscribe('live:match', {
    last: 30,
    onSubscribed: () => byId('relaying').setAttribute('aria-busy', 'false'),
    onMessage: onEvent,
    onGap: () => addEvent('gap', '', '…', 'Some events may be missing here.'),
    onError: ({ message }) => addEvent('gap', '', '!', message),
});

// The price.

const points = []; // { at, price }, the oldest first.
let first; // What the change is measured against.
let drawing = false;
let arrivals = [];

const money = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

const past = createPast(client);

function onPrice(data, { id }) {
    const price = typeof data === 'number' ? data : data?.price;
    if (!Number.isFinite(price) || Math.abs(price) > 1e9) return;
    const at = Date.now();
    first ??= price;
    points.push({ at, price });
    if (points.length > POINTS_MAX) points.shift();
    if (!past.has(id)) arrivals.push(at);
    // However many come, the page draws once per frame.
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
        drawing = false;
        drawPrice();
    });
}

// About four round steps between the two.
function scale(low, high) {
    const rough = (high - low) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const from = Math.floor(low / step) * step;
    const to = Math.ceil(high / step) * step;
    const lines = [];
    for (let index = 0; from + index * step <= to + step / 2; index++) lines.push(from + index * step);
    return { from, to, lines };
}

const svg = (name, attributes) => {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
};

function drawPrice() {
    const prices = points.map(({ price }) => price);
    const [low, high] = [Math.min(...prices), Math.max(...prices)];
    const margin = Math.max((high - low) * 0.1, Math.abs(high) * 0.002, 0.005);
    const { from, to, lines } = scale(low - margin, high + margin);
    const y = (price) => HEIGHT - 12 - ((price - from) / (to - from)) * (HEIGHT - 24);
    const step = (WIDTH - RIGHT) / (POINTS_MAX - 1);
    const x = (index) => WIDTH - RIGHT - (points.length - 1 - index) * step;

    const grid = lines.flatMap((price) => {
        const label = svg('text', { x: WIDTH - RIGHT + 10, y: y(price) + 4 });
        label.textContent = money.format(price);
        return [svg('line', { x1: 0, x2: WIDTH - RIGHT, y1: y(price), y2: y(price) }), label];
    });
    byId('grid').replaceChildren(...grid);

    const path = points.map(({ price }, index) => `${x(index).toFixed(1)} ${y(price).toFixed(1)}`).join('L');
    byId('curve').setAttribute('d', `M${path}`);
    byId('area').setAttribute('d', `M${path}V${HEIGHT - 12}H${x(0).toFixed(1)}Z`);
    const last = points.at(-1).price;
    byId('tip').setAttribute('cx', x(points.length - 1));
    byId('tip').setAttribute('cy', y(last));
    byId('tip').removeAttribute('hidden');

    byId('price').textContent = money.format(last);
    const change = last - first;
    const percent = first ? (change / Math.abs(first)) * 100 : 0;
    const sign = change < 0 ? '−' : '+';
    byId('change').textContent = `${sign}${money.format(Math.abs(change))} (${sign}${Math.abs(percent).toFixed(1)} %)`;
    byId('change').className = `change ${change < 0 ? 'down' : 'up'}`;
    byId('lowest').textContent = money.format(low);
    byId('highest').textContent = money.format(high);
}

setInterval(() => {
    arrivals = arrivals.filter((at) => at > Date.now() - 3000);
    byId('rate').textContent = (arrivals.length / 3).toFixed(1);
}, 500);

client.subscribe('live:price', {
    last: POINTS_MAX,
    onSubscribed: (reply) => {
        past.begin(reply);
        byId('chart').setAttribute('aria-busy', 'false');
    },
    onMessage: onPrice,
});
client.connect();

// The match that this page makes up.

const button = byId('simulate');
const simulation = createSimulation({
    publish: (channel, data) => client.publish(channel, data),
    onChange: (running, words = '') => {
        button.textContent = running ? 'Stop the match' : 'Play a match';
        button.setAttribute('aria-pressed', String(running));
        byId('simulate-note').textContent = words;
    },
});
button.addEventListener('click', () => simulation.toggle());
if (new URLSearchParams(location.search).has('simulate')) simulation.toggle();
byId('line-feed').textContent = `deploy/demo-feed -u ${location.origin}`;
fillShellLines(document);
enableCopyButtons(document);

// The chat room. A room NAME is the channel chat:NAME; a message is { name, text, at, nonce }. Anything else that is
// published there, e.g. with redis-cli, is shown as well as it can be.
//
// /chat.html?room=music&name=Kea opens a room under a name.

import { byId, createClient, createPast, element, enableCopyButtons, fillShellLines, momentOf, plainText, timeElement } from '/common.js';

const TEXT_MAX = 2000;
const KEPT_MAX = 500; // Messages per room in this page.
const FIRST_ROOMS = ['lobby', 'music', 'football'];
const BIRDS = ['Kea', 'Tui', 'Weka', 'Kaka', 'Kiwi', 'Takahe', 'Kakapo', 'Fantail', 'Ruru', 'Toutouwai'];
const MOODS = ['Brave', 'Calm', 'Curious', 'Early', 'Gentle', 'Merry', 'Quick', 'Quiet', 'Sunny', 'Witty'];

const log = byId('log');
const list = byId('messages');
const text = byId('text');
const nameField = byId('name');

const query = new URLSearchParams(location.search);
const rooms = new Map(); // By name: { name, entries, unread, ready, past }
const outgoing = new Set(); // Entries whose message has not arrived yet.
let current;
let unseen = 0; // While the page is out of sight.

// Storage is not to be had in every browser mode; the chat works without.
const kept = {
    get(name) {
        try {
            return localStorage.getItem(name);
        } catch {
            return null;
        }
    },
    set(name, value) {
        try {
            localStorage.setItem(name, value);
        } catch {
            // Then the next visit starts afresh.
        }
    },
};

// A room's name as a channel may have it: what is not allowed there becomes a dash.
const roomName = (text = '') => [...text.trim().replace(/[\s{}\p{Cc}]+/gu, '-')].slice(0, 60).join('');

const pick = (values) => values[Math.floor(Math.random() * values.length)];

// What a visitor typed before this script ran stays.
nameField.value ||= query.get('name')?.slice(0, 40) || kept.get('fantail.name') || `${pick(MOODS)} ${pick(BIRDS)}`;
nameField.addEventListener('change', () => {
    nameField.value = nameField.value.trim() || `${pick(MOODS)} ${pick(BIRDS)}`;
    kept.set('fantail.name', nameField.value);
});

let wasConnected = false;
const client = createClient((state, { node }) => {
    for (const room of rooms.values()) room.ready = false;
    drawReadiness();
    if (state === 'connected') {
        if (wasConnected) note(current, `Connected again, to ${node}.`);
        wasConnected = true;
        for (const entry of outgoing) if (entry.isHeld) send(entry);
    }
    outgoing.forEach(showFate);
});
addEventListener('online', () => client.state === 'connected' && outgoing.forEach((entry) => entry.isHeld && send(entry)));

// A line between the messages of a room.
function note(room, words, warn = false) {
    add(room, { kind: 'note', words, warn });
}

function add(room, entry) {
    room.entries.push(entry);
    if (room.entries.length > KEPT_MAX) room.entries.shift();
    if (room !== current) return;
    list.querySelector('.empty')?.remove();
    const following = isAtEnd();
    list.append(draw(entry, room.entries.at(-2)));
    while (list.children.length > KEPT_MAX) list.firstElementChild.remove();
    if (following || entry.mine) scrollToEnd();
    else byId('latest').hidden = false;
}

const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;

function scrollToEnd() {
    log.scrollTop = log.scrollHeight;
    byId('latest').hidden = true;
}

// What people take for one letter may be several characters.
const letters = globalThis.Intl.Segmenter && new Intl.Segmenter();
const firstLetter = (word) => (letters ? letters.segment(word)[Symbol.iterator]().next().value.segment : [...word][0]);

function initials(name) {
    const words = name.split(/[\s-]+/).filter(Boolean);
    return words.slice(0, 2).map(firstLetter).join('').toUpperCase();
}

function hue(name) {
    let hash = 7;
    for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 3600;
    return hash % 360;
}

function draw(entry, before) {
    if (entry.kind === 'note') return element('li', { class: `note${entry.warn ? ' warn' : ''}` }, entry.words);
    const avatar = element('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(entry.name) || '?');
    avatar.style.setProperty('--hue', hue(entry.name));
    const by = element('p', { class: 'by' }, element('b', { dir: 'auto' }, entry.name));
    if (entry.mine) by.append(element('span', { class: 'you' }, 'you'));
    if (entry.at) by.append(timeElement(entry.at));
    const item = element('li', { class: 'message' }, avatar, by, element('p', { class: 'body', dir: 'auto' }, entry.text));
    const together = before?.kind === 'message' && before.name === entry.name && entry.at - before.at < 300_000;
    if (together) item.classList.add('more');
    entry.item = item;
    showFate(entry);
    return item;
}

// Whether one's own message is on its way, there, or lost.
function showFate(entry) {
    if (!entry.item) return;
    const isWaiting = entry.fate === 'waiting';
    entry.item.classList.toggle('waiting', isWaiting);
    entry.item.querySelector('.fate')?.remove();
    const following = isAtEnd();
    if (isWaiting && (entry.isHeld || client.state !== 'connected')) {
        entry.item.append(element('p', { class: 'fate' }, 'Waits for the connection.'));
    } else if (entry.fate === 'failed') {
        const again = element('button', { class: 'button quiet small', type: 'button' }, 'Send again');
        again.addEventListener('click', () => send(entry));
        entry.item.append(element('p', { class: 'fate failed' }, `Not sent: ${entry.why} `, again));
    }
    if (following) scrollToEnd();
}

function setFate(entry, fate, why) {
    Object.assign(entry, { fate, why, isHeld: false });
    if (fate === 'waiting') outgoing.add(entry);
    else outgoing.delete(entry);
    showFate(entry);
}

function received(room, data, { id }) {
    const fields = data !== null && typeof data === 'object' && !(data instanceof Uint8Array) ? data : {};
    // Our own messages are shown as soon as they are written; this is their echo.
    const own = fields.nonce && room.entries.find((entry) => entry.nonce === fields.nonce);
    if (own) return setFate(own, 'sent');
    const isPast = room.past.has(id);
    add(room, {
        kind: 'message',
        name: typeof fields.name === 'string' && fields.name.trim() ? fields.name.slice(0, 60) : 'anonymous',
        text: typeof fields.text === 'string' ? fields.text.slice(0, 4 * TEXT_MAX) : plainText(data),
        // When a replayed message without its time was written, nobody knows.
        at: isPast && fields.at === undefined ? undefined : momentOf(fields.at),
        nonce: typeof fields.nonce === 'string' ? fields.nonce : undefined,
    });
    if (isPast) return;
    if (document.hidden) unseen++;
    if (room !== current) room.unread++;
    drawRooms();
    drawTitle();
}

function send(entry) {
    setFate(entry, 'waiting');
    const { name, text, at, nonce } = entry;
    client.publish(`chat:${entry.room.name}`, { name, text, at, nonce }, { key: nonce }).then(
        () => setFate(entry, 'sent'),
        (error) => failed(entry, error),
    );
}

// What failed for want of a connection goes out with the next one: the nonce makes it the same message.
function failed(entry, { code, message }) {
    const isAway = client.state === 'connecting' || !navigator.onLine;
    if (!isAway || !['connection_lost', 'timeout', 'broker_unavailable'].includes(code)) return setFate(entry, 'failed', message);
    entry.isHeld = true;
    showFate(entry);
}

// Whether the messages shown are all there are, for those who cannot see the status.
function drawReadiness() {
    log.setAttribute('aria-busy', String(!current.ready || client.state !== 'connected'));
}

function openRoom(name) {
    if (rooms.has(name)) return;
    const room = { name, entries: [], unread: 0, ready: false, past: createPast(client) };
    rooms.set(name, room);
    client.subscribe(`chat:${name}`, {
        last: 50,
        onMessage: (data, message) => received(room, data, message),
        onSubscribed: (reply) => {
            room.past.begin(reply);
            room.ready = true;
            drawReadiness();
            drawEmpty();
        },
        onGap: () => note(room, 'Messages may be missing here.', true),
        onError: ({ message }) => note(room, message, true),
    });
}

// An empty room says so as soon as that is known.
function drawEmpty() {
    if (!current.ready || current.entries.length > 0 || list.querySelector('.empty')) return;
    list.append(byId('empty').content.cloneNode(true));
    list.querySelector('.empty code').dataset.channel = `chat:${current.name}`;
    fillShellLines(list);
    enableCopyButtons(list);
}

// `remember` puts the room into the browser's history, in place of the page's address or after it.
function enterRoom(name, remember = 'pushState') {
    openRoom(name);
    if (current?.name === name) remember = 'replaceState';
    current = rooms.get(name);
    current.unread = 0;
    byId('room-title').textContent = `Room ${name}`;
    text.placeholder = [...name].length > 20 ? 'Message this room' : `Message #${name}`;
    list.replaceChildren(...current.entries.map((entry, index) => draw(entry, current.entries[index - 1])));
    drawEmpty();
    scrollToEnd();
    drawReadiness();
    drawRooms();
    drawTitle();
    const url = new URL(location.href);
    url.searchParams.set('room', name);
    history[remember](null, '', url);
}

const roomOfAddress = () => roomName(new URLSearchParams(location.search).get('room') ?? '') || FIRST_ROOMS[0];

addEventListener('popstate', () => enterRoom(roomOfAddress(), 'replaceState'));

function drawRooms() {
    const items = [...rooms.values()].map((room) => {
        const button = element('button', { type: 'button' }, element('span', { class: 'label', dir: 'auto' }, room.name));
        if (room === current) button.setAttribute('aria-current', 'true');
        if (room.unread > 0) {
            button.append(element('span', { class: 'badge' }, String(room.unread), element('span', { class: 'sr-only' }, ' unread')));
        }
        button.addEventListener('click', () => {
            enterRoom(room.name);
            text.focus();
        });
        return element('li', {}, button);
    });
    // The button in use must not lose the keyboard's focus.
    const focused = [...byId('rooms').children].findIndex((item) => item.contains(document.activeElement));
    byId('rooms').replaceChildren(...items);
    items[focused]?.firstElementChild.focus();
    byId('rooms').querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function drawTitle() {
    document.title = `${unseen > 0 ? `(${unseen}) ` : ''}#${current.name} on fantail`;
}

document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    unseen = 0;
    drawTitle();
});

byId('add-room').addEventListener('submit', (event) => {
    event.preventDefault();
    const name = roomName(byId('room').value.toLowerCase());
    if (name === '') return;
    byId('room').value = '';
    enterRoom(name);
    text.focus();
});

function fitText() {
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight + 2}px`;
    const left = TEXT_MAX - text.value.length;
    byId('count').hidden = left > 200;
    byId('count').textContent = `${left} left`;
}

text.addEventListener('input', fitText);
text.addEventListener('keydown', (event) => {
    // While an input method composes, Enter belongs to it.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId('composer').requestSubmit();
});

byId('composer').addEventListener('submit', (event) => {
    event.preventDefault();
    const words = text.value.trim();
    if (words === '') return;
    // getRandomValues, unlike randomUUID, is there on pages without https too.
    const nonce = [...crypto.getRandomValues(new Uint32Array(3))].map((number) => number.toString(36)).join('');
    const entry = { kind: 'message', mine: true, room: current, name: nameField.value.trim() || 'anonymous', text: words, at: Date.now(), nonce };
    add(current, entry);
    send(entry);
    text.value = '';
    fitText();
});

log.addEventListener('scroll', () => {
    if (isAtEnd()) byId('latest').hidden = true;
});
byId('latest').addEventListener('click', scrollToEnd);

for (const name of FIRST_ROOMS) openRoom(name);
enterRoom(roomOfAddress(), 'replaceState');
fitText();
client.connect();
for (const button of document.querySelectorAll('button:disabled')) button.disabled = false;

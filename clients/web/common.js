// What the pages share: small DOM helpers, the status line, what is past, and lines for a shell.
//
// Whatever comes from a message reaches the page as text only (textContent), never as markup.

import { Fantail } from '/fantail.js';

// element('li', { class: 'note' }, 'text', child, ...)
export function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
}

export const byId = (id) => document.getElementById(id);

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export function timeElement(at) {
    const date = new Date(at);
    return element('time', { datetime: date.toISOString(), title: full.format(date) }, clock.format(date));
}

// A moment that a message claims, where that is believable; else now.
export function momentOf(claimed) {
    const now = Date.now();
    const day = 24 * 3600 * 1000;
    return Number.isFinite(claimed) && claimed > now - 365 * day && claimed < now + day ? claimed : now;
}

// The whole payload as one line for humans, whatever it is.
export function plainText(data) {
    if (data instanceof Uint8Array) return `${data.length} bytes`;
    return typeof data === 'string' ? data : JSON.stringify(data);
}

const TRANSPORTS = ['websocket', 'sse', 'stream', 'longpoll', 'poll'];

// The choice in #transport: the client's own, or one that the visitor forces by it or by ?transport=sse.
function forcedTransport(select) {
    const wanted = new URLSearchParams(location.search).get('transport');
    const forced = TRANSPORTS.find((name) => name === wanted);
    select.append(element('option', { value: '' }, 'auto'), ...TRANSPORTS.map((name) => element('option', {}, name)));
    select.value = forced ?? '';
    select.addEventListener('change', () => {
        const url = new URL(location.href);
        url.searchParams.delete('transport');
        if (select.value) url.searchParams.set('transport', select.value);
        location.assign(url);
    });
    return forced;
}

// Words for a state. What is in `i` is left out where there is no room for it, and not read out.
function stateWords(state, { node, transport, reason, code, retryAt }) {
    const aside = (text) => element('i', { 'aria-hidden': 'true' }, text);
    if (state === 'connected') return [element('b', {}, node || 'online'), element('i', {}, ` by ${transport}`)];
    if (state === 'disconnected') return [`Disconnected${reason ? `: ${reason}` : ''}`];
    if (!navigator.onLine) return ['Offline'];
    if (!reason && !code) return ['Connecting…'];
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    return seconds > 1 ? ['Reconnecting…', aside(` in ${seconds} s`)] : ['Reconnecting…'];
}

// A client whose state shows in the element #status. `onState` hears of it too.
export function createClient(onState = () => {}) {
    const forced = forcedTransport(byId('transport'));
    const status = byId('status');
    const words = status.querySelector('span:last-child');
    let shown;
    let timer;
    const draw = () => {
        const [state, detail] = shown;
        status.dataset.state = state;
        words.replaceChildren(...stateWords(state, detail));
        status.title = words.textContent;
        clearTimeout(timer);
        if (detail.retryAt > Date.now()) timer = setTimeout(draw, 1000);
    };
    const show = (state, detail) => {
        shown = [state, { ...detail, retryAt: Date.now() + (detail.retryMs ?? 0) }];
        if (state === 'connected' && !forced) byId('transport').options[0].textContent = `auto: ${detail.transport}`;
        draw();
        onState(state, detail);
    };
    for (const name of ['online', 'offline']) addEventListener(name, () => shown && draw());
    return new Fantail(undefined, {
        transports: forced && [forced],
        onState: show,
        onError: ({ message }) => console.warn(message),
    });
}

// Tells what a channel's history replays when a page begins from what is new: `begin` takes the reply to the
// subscription, `has` the id of a message.
export function createPast(client) {
    const REPLAY_MS = 1000;
    let begun;
    let newest;
    return {
        begin({ position = '' }) {
            if (begun !== undefined) return;
            begun = performance.now();
            newest = position;
        },
        has(id) {
            if (id === undefined) return false;
            // By WebSocket the reply says where the channel is, and then comes the replay. By HTTP a replay comes
            // before the reply or right after it.
            if (begun === undefined) return true;
            if (client.transport !== 'websocket' && performance.now() - begun < REPLAY_MS) return true;
            const [epoch, offset] = id.split('-');
            const [newestEpoch, newestOffset] = newest.split('-');
            return epoch === newestEpoch && Number(offset) <= Number(newestOffset);
        },
    };
}

// How Redis is reached from a shell, where script/server or the compose file have written it there.
const shell = fetch('/shell.json')
    .then((response) => response.json())
    .catch(() => ({}));

const quoted = (word) => (/^[\w:.,/=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

// A line that publishes: to Redis where we know how, else to this gateway. `isKept`: the channel has history.
function shellLine(redis, channel, payload, isKept) {
    const inUrl = encodeURIComponent(channel).replaceAll('%3A', ':');
    const url = `${location.origin}/v1/publish?channel=${inUrl}`;
    if (!redis) return `curl -d ${quoted(payload)} '${url.replaceAll("'", '%27')}'`;
    return [redis, isKept ? 'FCALL fantail_publish 1' : 'PUBLISH', quoted(channel), quoted(payload)].join(' ');
}

// Elements with data-channel, data-payload and perhaps data-kept become such lines.
export async function fillShellLines(root) {
    const lines = root.querySelectorAll('[data-channel]');
    const { redis } = await shell;
    for (const line of lines) {
        const { channel, payload, kept } = line.dataset;
        line.textContent = shellLine(redis, channel, payload, kept !== undefined);
    }
}

// Buttons with data-copy="ID" copy that element's text.
export function enableCopyButtons(root) {
    for (const button of root.querySelectorAll('[data-copy]')) {
        // Only pages from https and from this computer may write to the clipboard.
        if (!navigator.clipboard) button.hidden = true;
        button.addEventListener('click', async () => {
            const name = button.textContent;
            try {
                await navigator.clipboard.writeText(byId(button.dataset.copy).textContent);
                button.textContent = 'Copied';
            } catch {
                button.textContent = 'Not allowed';
            }
            setTimeout(() => (button.textContent = name), 1500);
        });
    }
}

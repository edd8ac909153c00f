// What the pages share: small DOM helpers, the status line and copy buttons.
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

// A client whose state shows in the element #status. `onState` hears of it too.
export function createClient(onState = () => {}) {
    const forced = forcedTransport(byId('transport'));
    const status = byId('status');
    const words = status.querySelector('span:last-child');
    const show = (state, detail) => {
        status.dataset.state = state;
        if (state === 'connected') {
            words.replaceChildren(element('b', {}, detail.node || 'online'), element('i', {}, ` by ${detail.transport}`));
            if (!forced) byId('transport').options[0].textContent = `auto: ${detail.transport}`;
        } else if (state === 'disconnected') {
            words.replaceChildren(`Disconnected${detail.reason ? `: ${detail.reason}` : ''}`);
        } else {
            words.replaceChildren(detail.reason || detail.code ? 'Reconnecting…' : 'Connecting…');
        }
        status.title = words.textContent;
        onState(state, detail);
    };
    return new Fantail(undefined, {
        transports: forced && [forced],
        onState: show,
        onError: ({ message }) => console.warn(message),
    });
}

// Buttons with data-copy="ID" copy that element's text.
export function enableCopyButtons() {
    for (const button of document.querySelectorAll('[data-copy]')) {
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

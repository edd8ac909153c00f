// The front page: listens to one channel and shows what comes, in words and as sparks in the drawing.

import { byId, createClient, element, enableCopyButtons, fillShellLines, plainText, timeElement } from '/common.js';

const LINES_MAX = 4;
const heard = byId('heard');
const fan = byId('fan');
const client = createClient();

function sparks() {
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    const root = fan.querySelector('.root');
    for (const leaf of fan.querySelectorAll('.leaf')) {
        const spark = root.cloneNode();
        spark.setAttribute('class', 'spark');
        spark.setAttribute('r', '6');
        fan.append(spark);
        const [x, y] = ['cx', 'cy'].map((name) => leaf.getAttribute(name) - root.getAttribute(name));
        const steps = [
            { transform: 'translate(0, 0)', opacity: 1 },
            { transform: `translate(${x}px, ${y}px)`, opacity: 1 },
        ];
        spark.animate(steps, { duration: 550, easing: 'ease-out' }).onfinish = () => spark.remove();
    }
}

function show(content) {
    heard.querySelector('.none')?.remove();
    heard.append(element('li', {}, timeElement(Date.now()), ' ', element('bdi', {}, content)));
    while (heard.children.length > LINES_MAX) heard.firstElementChild.remove();
}

client.subscribe('demo:hello', {
    onSubscribed: () => byId('hearing').setAttribute('aria-busy', 'false'),
    onMessage: (data) => {
        show(plainText(data));
        sparks();
    },
});
client.connect();

byId('hello').addEventListener('click', () => {
    client.publish('demo:hello', 'Hello from a page').catch(({ message }) => show(`Not sent: ${message}`));
});
fillShellLines(document);
enableCopyButtons(document);

// What others send: texts of any kind, and what should never come.

import assert from 'node:assert/strict';
import test from 'node:test';

import { FakeWebSocket } from './fakes.mjs';
import { TRANSPORTS, event, line, only, useWorld } from './world.mjs';

const world = useWorld();

// What some take for the end of a line, or for blank.
const ODD = ['\u2028', '\u2029', '\u0085', '\v', '\f', '\u00a0', '\ufeff', '\u3000', '\\r\\n', '\0', '\u{1f389}', '\ud83d'];
const TEXTS = [...ODD, ...ODD.map((odd) => `a${odd}b`), ODD.join(''), 'x: y', ':', '', '$&', "$'", 'data: 1\n\n'];
const ids = (count) => Array.from({ length: count }, (_, index) => `7-${index + 1}`);
const frames = (texts) => texts.map((data, index) => ({ cursor: `7-${index + 1}`, text: JSON.stringify({ cursor: `7-${index + 1}`, channel: 'a', id: `7-${index + 1}`, data }) }));

for (const name of TRANSPORTS) {
    test(`${name}: no text is cut, whatever it has in it`, async () => {
        const { seen, states, held } = await world.start(only(name), { a: {} });
        await world.answer(name, 'a', frames(TEXTS));
        assert.deepEqual(seen.slice(1), TEXTS);
        assert.equal(held[0].position, ids(TEXTS.length).at(-1));
        assert.equal(states.length, 2, 'nothing ended the connection');
    });
}

async function eventsOf(...chunks) {
    const { seen, client } = await world.start(only('sse'), { a: {} });
    world.http.last.begin('text/event-stream');
    for (const chunk of chunks) world.http.last[typeof chunk === 'string' ? 'push' : 'pushBytes'](chunk);
    await world.clock.tick();
    await world.clock.tick();
    client.disconnect();
    return seen;
}

test('sse: lines end as the standard says, and fields are what it says', async () => {
    const said = (data) => `{"channel":"a","data":${data}}`;
    for (const end of ['\n', '\r', '\r\n']) {
        const lines = ['\ufeff: comment', 'retry: 99999999999', 'id: 7-0', '', `data:${said(1)}`, 'id:7-1', '', 'nonsense', 'event: other', `data: ${said(2)}`, '', 'event: message', 'data: {"channel":"a",', `data:  "data":3}`, '', `data: ${said(4)}`, ''];
        assert.deepEqual(await eventsOf(lines.map((line) => line + end).join('')), ['begun a', 1, 3, 4], JSON.stringify(end));
    }
    assert.deepEqual(await eventsOf('id: 7-0\r', '\n\r', '\n', `data: ${said(1)}\r\n`, '\r\n'), ['begun a', 1], 'cut within CR LF');
    assert.deepEqual(await eventsOf('id: 7-0\n\n', `data: ${said(1)}\n`), ['begun a'], 'an event without its end is none');
});

// Numbers that are the same in each run.
function dice(seed) {
    return (sides) => {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        return Math.floor((seed / 2 ** 32) * sides);
    };
}

function cut(text, roll) {
    const bytes = new TextEncoder().encode(text);
    const pieces = [];
    for (let at = 0; at < bytes.length; ) pieces.push(bytes.slice(at, (at += 1 + roll(roll(4) ? 6 : 400))));
    return pieces;
}

test('streams that are cut anywhere bring the same messages', async () => {
    for (let seed = 1; seed <= 40; seed++) {
        const roll = dice(seed);
        const texts = Array.from({ length: 12 }, () => TEXTS[roll(TEXTS.length)]);
        const events = frames(texts).map(({ cursor, text }) => [`id: ${cursor}`, `data: ${text}`, '', ''].join(['\n', '\r', '\r\n'][roll(3)]));
        const sse = await world.start(only('sse'), { a: {} });
        world.http.last.begin('text/event-stream');
        for (const piece of cut(event('7-0') + events.join(''), roll)) world.http.last.pushBytes(piece);
        const stream = await world.start(only('stream'), { a: {} });
        world.http.last.begin('application/x-ndjson');
        const lines = frames(texts).map(({ text }) => text + ['\n', '\r\n', '\n\n'][roll(3)]);
        for (const piece of cut(line({ cursor: '7-0', event: 'open' }) + lines.join(''), roll)) world.http.last.pushBytes(piece);
        for (let turn = 0; turn < 40 && stream.seen.length <= texts.length; turn++) await world.clock.tick();
        assert.deepEqual([sse.seen.slice(1), stream.seen.slice(1)], [texts, texts], `seed ${seed}`);
    }
});

const MALFORMED = [
    '{"channel":"a","id":"7-1","data":nonsense}', '<html>', 'null', '5', '"text"', '[]', 'true', '{}',
    '{"channel":"a","id":"7-1","base64":"***"}', '{"channel":"a","id":"7-1","base64":5}', '{"channel":"a","id":7,"data":"odd"}', '{"channel":"a","id":null,"data":"odd"}',
    '{"channel":5,"data":1}', '{"channel":"__proto__","data":1}', '{"event":5}', '{"event":{}}', '{"event":"gap","channel":"a","position":5}', '{"error":"text"}', '{"error":5}', '{"ref":{},"ok":true}', '{"cursor":5}',
];

for (const name of TRANSPORTS) {
    test(`${name}: what cannot be read is passed by, and what follows is heard`, async () => {
        for (const text of MALFORMED) {
            const { seen, states, client, held } = await world.start(only(name), { a: {} });
            const good = frames(['before', 'poison', 'after']);
            const isText = !text.endsWith('nonsense}') && text !== '<html>';
            // In a poll one that is no JSON spoils its neighbours.
            const isAlone = name.endsWith('poll') && !isText;
            await world.answer(name, 'a', isAlone ? [{ text, cursor: '7-2' }] : [good[0], { text, cursor: '7-2' }, good[2]]);
            if (isAlone) {
                await world.clock.tick(3000);
                world.http.last.reply(`{"cursor":"7-3","messages":[${good[2].text}]}`);
                await world.clock.tick();
            }
            assert.equal(seen.at(-1), 'after', text);
            assert.equal(held[0].position, '7-3', text);
            assert.deepEqual(states.map(({ state }) => state), ['connecting', 'connected'], text);
            client.disconnect();
        }
    });

    test(`${name}: what cannot be read is told as an error and as a gap, and not asked for again`, async () => {
        const { seen, codes, client } = await world.start(only(name), { a: {} });
        await world.answer(name, 'a', [{ cursor: '7-1', text: '{"cursor":"7-1","channel":"a","id":"7-1","base64":"***"}' }]);
        assert.deepEqual(codes(), ['bad_message']);
        assert.match(seen[1], /^gap/);
        if (name === 'websocket') {
            FakeWebSocket.last.drop(1006);
            await world.clock.tick(1000);
            FakeWebSocket.last.welcome();
            assert.equal(FakeWebSocket.last.op('subscribe').since, '7-1');
        } else {
            if (!name.endsWith('poll')) world.http.last.end();
            await world.clock.tick(4000);
            assert.equal(world.http.last.query.get('cursor'), '7-1');
        }
        client.disconnect();
    });
}

test('a poll that cannot be read and does not say what comes after leads to the next transport', async () => {
    await world.start(only('longpoll', 'poll'), { a: {} });
    world.http.last.reply({ cursor: '7-0', messages: [] });
    await world.clock.tick();
    world.http.last.reply('{"cursor":"7-1","messages":[oops]}');
    await world.clock.tick();
    assert.equal(world.http.last.query.get('transport'), 'poll');
});

test('callbacks that throw, or fail later, stop neither the others nor the client', async (t) => {
    t.mock.method(console, 'error', () => {});
    const fail = () => assert.fail('on purpose');
    const later = async () => fail();
    for (const callback of [fail, later]) {
        const bad = { onMessage: callback, onGap: callback, onSubscribed: callback, onError: callback };
        const { hear, seen, client } = await world.start({ ...only('websocket'), onState: callback, onError: callback }, { a: bad });
        hear('a');
        await world.answer('websocket', 'a');
        FakeWebSocket.last.say({ channel: 'a', data: 1 }, { event: 'gap', channel: 'a' }, { error: { code: 'bad_json', message: '' } }, { channel: 'a', data: 2 });
        await world.clock.tick();
        assert.deepEqual(seen, ['begun a', 1, 'gap undefined', 2]);
        assert.equal(client.state, 'connected');
    }
    assert.ok(console.error.mock.callCount() >= 8);
});

test('a listener may be an object with private parts', async () => {
    const { client } = await world.start(only('websocket'));
    await world.answer('websocket');
    class Listener {
        #heard = [];
        onMessage(data) {
            this.#heard.push(data);
        }
        get heard() {
            return this.#heard;
        }
    }
    const listener = new Listener();
    const twice = [client.subscribe('a', listener), client.subscribe('a', listener)];
    FakeWebSocket.last.say({ channel: 'a', data: 1 });
    twice[0].unsubscribe();
    FakeWebSocket.last.say({ channel: 'a', data: 2 });
    assert.deepEqual(listener.heard, [1, 1, 2]);
});

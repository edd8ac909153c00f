// What is published arrives as it was written: the bytes of JSON, text as a string, anything else as base64.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { apiIsOn, callApi } from '../lib/api.mjs';
import { Gateway } from '../lib/gateway.mjs';
import { NativeClient } from '../lib/native.mjs';
import { Redis } from '../lib/redis.mjs';
import { until } from '../lib/wait.mjs';

const redis = await Redis.start({ after });
const gateway = await Gateway.start({ after }, { redis, workers: 2, env: apiIsOn });
const client = await NativeClient.open(gateway);
after(() => client.socket.terminate());

// The text of every frame: JSON.parse would hide what the wire looked like.
let wire = [];
client.socket.on('message', (data) => wire.push(...data.toString().split('\n')));
let channels = 0;

// Subscribes to a channel of its own, publishes by `publish(channel)`, and returns the one frame that came.
async function frameOf(publish) {
    const channel = `payload:${++channels}`;
    await client.subscribe(channel);
    wire = [];
    await publish(channel);
    const start = `{"channel":"${channel}",`;
    const text = await until('the message', () => wire.find((frame) => frame.startsWith(start)));
    assert.ok(!text.includes('\n'), 'a message must not break lines');
    assert.ok(text.endsWith('}'));
    return text.slice(start.length, -1);
}

const ways = {
    PUBLISH: (payload) => (channel) => redis.publish(channel, payload),
    POST: (payload) => async (channel) => {
        const response = await fetch(`${gateway.url}/v1/publish?channel=${channel}`, { method: 'POST', body: payload });
        assert.equal(response.status, 200);
    },
    'POST as JSON': (payload) => async (channel) => {
        const headers = { 'content-type': 'application/json' };
        const response = await fetch(`${gateway.url}/v1/publish?channel=${channel}`, { method: 'POST', body: payload, headers });
        assert.equal(response.status, 200);
    },
    'client op': (payload) => async (channel) => {
        client.send(`{"op":"publish","channel":"${channel}","data":${payload}}`);
    },
    'admin API': (payload) => async (channel) => {
        const { status } = await callApi(gateway, 'publish', `{"channel":"${channel}","data":${payload}}`);
        assert.equal(status, 200);
    },
};

for (const [name, way] of Object.entries(ways)) {
    test(`JSON by ${name} arrives byte for byte: numbers, escapes, order and repeats of members`, async () => {
        for (const payload of [
            '{"price":1.10,"big":123456789012345678901234567890,"z":1,"a":2}',
            '[0.1e-7,-0,1.0,1E5]',
            '{"same":1,"same":2}',
            '"\\u00fc\\ud83d\\ude00\\/ \\u0000"',
            '"ü 😀"',
            // What the grammar has and many readers do not: half a character, numbers beyond a double.
            '"half an emoji \\ud83d"',
            '{"\\udc00":[1e999,-1E+999],"\\u0000":"\\u0000"}',
            '12.50',
            'true',
            'null',
            '{}',
        ]) {
            assert.equal(await frameOf(way(payload)), `"data":${payload}`);
        }
    });

    test(`pretty-printed JSON by ${name} arrives in one line`, async () => {
        const payload = '{\n  "a": [\r\n    1,\n    2\n  ]\n}';
        const frame = await frameOf(way(payload));
        assert.equal(frame, `"data":${payload.replace(/[\r\n]/g, ' ')}`);
        assert.deepEqual(JSON.parse(`{${frame}}`).data, { a: [1, 2] });
    });
}

test('text that is no JSON arrives as a JSON string', async () => {
    for (const payload of ['hello', 'two\nlines', '{"broken":', 'say "hi" \\ bye', 'ü 😀', '01', 'nul', "{'a':1}", '[1,]', '1 2', '\ttabs\u0001']) {
        for (const way of [ways.PUBLISH, ways.POST]) {
            assert.deepEqual(JSON.parse(`{${await frameOf(way(payload))}}`), { data: payload });
        }
    }
});

test('an empty payload arrives as an empty string', async () => {
    for (const way of [ways.PUBLISH, ways.POST]) assert.equal(await frameOf(way('')), '"data":""');
});

test('bytes that are no text arrive as base64', async () => {
    const bytes = Buffer.from([0xff, 0x00, 0x80, 0x7f, 0x0a]);
    const expected = `"base64":"${bytes.toString('base64')}"`;
    assert.equal(await frameOf(ways.POST(bytes)), expected);
    assert.equal(await frameOf(async (channel) => client.send({ op: 'publish', channel, base64: bytes.toString('base64') })), expected);
    assert.equal(await frameOf((channel) => callApi(gateway, 'publish', { channel, base64: bytes.toString('base64') })), expected);
    assert.equal(
        await frameOf((channel) => redis.cli('EVAL', "return redis.call('PUBLISH', ARGV[1], '\\255\\000\\128\\127\\010')", '0', channel)),
        expected,
    );
});

test('text sent as base64 is text again', async () => {
    assert.equal(await frameOf(async (channel) => client.send({ op: 'publish', channel, base64: 'aGk=' })), '"data":"hi"');
    assert.equal(await frameOf(async (channel) => client.send({ op: 'publish', channel, base64: '' })), '"data":""');
});

test('a payload as large as limits.message_bytes arrives whole, in text and in base64', async () => {
    const text = 'x'.repeat(65536);
    assert.equal(await frameOf(ways.POST(text)), `"data":"${text}"`);
    assert.equal(await frameOf(ways['client op'](JSON.stringify(text.slice(2)))), `"data":"${text.slice(2)}"`);
    const bytes = Buffer.alloc(65536, 0xfe);
    assert.equal(
        await frameOf(async (channel) => client.send({ op: 'publish', channel, base64: bytes.toString('base64') })),
        `"base64":"${bytes.toString('base64')}"`,
    );
});

test('what Redis publishes beyond limits.message_bytes is told as a gap, and counted', async () => {
    const channel = 'payload:large';
    await client.subscribe(channel);
    await redis.publish(channel, 'y'.repeat(65_537));
    await redis.publish(channel, '"next"');
    await client.message(channel, (data) => data === 'next');
    const told = client.frames.filter((frame) => frame.channel === channel && !frame.ok);
    assert.deepEqual(told, [{ event: 'gap', channel }, { channel, data: 'next' }]);
    assert.equal(await gateway.metric('fantail_drops_total', 'reason="too_large"'), 1);
});

test('a payload nested as deep as the parser goes is JSON, a deeper one is text', async () => {
    const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth);
    assert.equal(await frameOf(ways.PUBLISH(nested(1000))), `"data":${nested(1000)}`);
    assert.deepEqual(JSON.parse(`{${await frameOf(ways.PUBLISH(nested(10_000)))}}`), { data: nested(10_000) });
});

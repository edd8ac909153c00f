// Tens of thousands of requests, most of them odd in a place or two, judged by two strict parsers that others wrote (llhttp
// and h11): what either refuses is refused, and what is answered is what both have read.
//
// script/http-differential has more of them, other seeds, and a single one of a seed.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Differential } from '../lib/http-differential.mjs';

const count = Number(process.env.FANTAIL_HEADS ?? 30_000);
const seed = Number(process.env.FANTAIL_SEED ?? 1);
const first = Number(process.env.FANTAIL_FIRST ?? 0);

test(`${count} connections of seed ${seed}: nobody else would have read something else`, async (t) => {
    const started = Date.now();
    const differential = await Differential.start(t);
    await differential.run(seed, count, first);
    const { plain, requests, refused } = differential.counts;
    t.diagnostic(`${plain} as they should be; ${requests} requests served, ${refused} refused, ${Date.now() - started} ms`);
    const { faults } = differential;
    assert.equal(faults.length, 0, `${faults.length} faults, of which:\n${faults.slice(0, Number(process.env.FANTAIL_FAULTS ?? 8)).join('\n')}`);
    if (count >= 1000) assert.ok(plain > count / 5 && refused > count / 5 && requests > count / 2, 'the requests are of all kinds');
});

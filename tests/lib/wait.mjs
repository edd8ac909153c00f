// Waiting for conditions. Tests never sleep for a time and hope: they say what must become true and by when.

import { setTimeout as pause } from 'node:timers/promises';

// Asks `condition` (may be async) until it gives something truthy, and returns that. An error it throws counts
// as "not yet" and is told when the deadline passes.
export async function until(what, condition, { timeoutMs = 10_000, everyMs = 20 } = {}) {
    const deadline = Date.now() + timeoutMs;
    let lastError;
    for (;;) {
        try {
            const result = await condition();
            if (result) return result;
            lastError = undefined;
        } catch (error) {
            lastError = error;
        }
        if (Date.now() >= deadline) {
            throw new Error(`waited ${timeoutMs} ms for: ${what}${lastError ? ` (${lastError.message})` : ''}`);
        }
        await pause(everyMs);
    }
}

// `promise`, or an error that says what was waited for.
export async function within(what, promise, timeoutMs = 10_000) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms for: ${what}`)), timeoutMs);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

// Debian's Chromium, headless, driven by playwright-core.

import { mkdir } from 'node:fs/promises';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { root } from './gateway.mjs';

export const DESKTOP = { viewport: { width: 1200, height: 800 }, colorScheme: 'light' };
export const PHONE = {
    viewport: { width: 390, height: 780 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
    colorScheme: 'dark',
};

const SCREENSHOTS = path.join(root, 'build/screenshots');

export class Browser {
    // `t` is a test context, or wholeFile() of lib/file.mjs.
    static async start(t, { args = [] } = {}) {
        const browser = new Browser();
        browser.chromium = await chromium.launch({
            executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
            args: [
                ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
                ...['--disable-background-networking', '--disable-component-update', '--disable-sync', ...args],
            ],
        });
        t.after(() => browser.chromium.close());
        return browser;
    }

    // A page of a visitor of its own: nothing is shared with the others. What its scripts complain of is in
    // `page.complaints`; refused connections are not among it, tests cause those on purpose.
    async page(options = DESKTOP) {
        const context = await this.chromium.newContext({ locale: 'en-GB', ...options });
        const page = await context.newPage();
        page.setDefaultTimeout(15_000);
        page.complaints = [];
        page.on('pageerror', (error) => page.complaints.push(error.message));
        page.on('console', (message) => {
            const text = message.text();
            if (message.type() === 'error' && !/WebSocket connection|Failed to load resource|net::ERR_/.test(text)) page.complaints.push(text);
        });
        return page;
    }
}

// Kept in build/screenshots for a human to look at.
export async function screenshot(page, name, options = {}) {
    await mkdir(SCREENSHOTS, { recursive: true });
    await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`), ...options });
}

// True when nothing sticks out to the right. The width is the screen's: a phone's window grows with what is in it.
export function fitsItsWidth(page) {
    return page.evaluate((width) => document.documentElement.scrollWidth <= width, page.viewportSize().width);
}

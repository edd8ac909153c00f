// The demo pages as a visitor handles them.

export class Chat {
    static async open(page, gateway, { room, name, transport } = {}) {
        const query = new URLSearchParams(Object.entries({ room, name, transport }).filter(([, value]) => value));
        await page.goto(`${gateway.url}/chat.html?${query}`);
        const chat = new Chat();
        chat.page = page;
        return chat;
    }

    // Connected, and the room's subscription has taken hold.
    async connected(node) {
        await this.page.locator('#status[data-state=connected]', { hasText: node }).waitFor();
        await this.page.locator('#log[aria-busy=false]').waitFor();
        return this;
    }

    async reconnecting() {
        await this.page.locator('#status[data-state=connecting]', { hasText: 'Reconnecting' }).waitFor();
    }

    async say(text) {
        await this.page.fill('#text', text);
        await this.page.press('#text', 'Enter');
    }

    message(text) {
        return this.page.locator('.message', { has: this.page.locator('.body', { hasText: text }) });
    }

    // Until it is there, and no longer under way.
    async sees(text) {
        await this.page.locator('.message:not(.waiting)', { has: this.page.locator('.body', { hasText: text }) }).first().waitFor();
    }

    async seesNote(text) {
        await this.page.locator('.note', { hasText: text }).first().waitFor();
    }

    texts() {
        return this.page.locator('.message .body').allTextContents();
    }
}

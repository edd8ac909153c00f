// What a whole test file shares.

import { after } from 'node:test';

// Call it at the top of a file. Gives what Redis.start() and the others take for a test context, so that they may be
// started in a before() hook and end with the file. (node:test's own `after`, called in a hook, belongs to the hook.)
export function wholeFile() {
    const endings = [];
    after(async () => {
        // All are ended, whatever one of them complains of: a process left behind would keep the file from ending.
        const results = [];
        for (const end of endings.reverse()) results.push(...(await Promise.allSettled([end()])));
        const failed = results.find(({ status }) => status === 'rejected');
        if (failed) throw failed.reason;
    });
    return { after: (end) => endings.push(end) };
}

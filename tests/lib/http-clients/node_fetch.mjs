// node's fetch.
const [url, channel] = process.argv.slice(2);
console.log('version undici', process.versions.undici ?? `of node ${process.version}`);
const published = await fetch(`${url}/v1/publish?channel=${channel}`, { method: 'POST', body: '{"n":1}' });
console.log('published', await published.text());
console.log('polled', await (await fetch(`${url}/v1/subscribe?channel=${channel}&last=1&wait=0`)).text());
const stream = await fetch(`${url}/v1/subscribe?channel=${channel}&last=1`, { headers: { Accept: 'application/x-ndjson' } });
let text = '';
for await (const piece of stream.body) {
    text += Buffer.from(piece).toString();
    const line = text.match(/.*"data".*(?=\n)/);
    if (line) {
        console.log('streamed', line[0]);
        process.exit();
    }
}

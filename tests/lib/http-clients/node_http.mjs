// node's http with an agent that keeps its connection.
import http from 'node:http';

const [url, channel] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function ask(path, { method = 'GET', headers = {}, body, until = /$^/ } = {}) {
    return new Promise((resolve, reject) => {
        const request = http.request(url + path, { agent, method, headers }, (response) => {
            let text = '';
            response.setEncoding('utf8').on('data', (piece) => {
                text += piece;
                const line = text.match(until);
                if (line) resolve(line[0]);
            });
            response.on('end', () => resolve(text));
        });
        request.on('error', reject);
        // A body by one end() has a Content-Length.
        request.end(body);
    });
}

console.log('version node', process.version);
console.log('published', await ask(`/v1/publish?channel=${channel}`, { method: 'POST', body: '{"n":1}' }));
console.log('polled', await ask(`/v1/subscribe?channel=${channel}&last=1&wait=0`));
console.log('streamed', await ask(`/v1/subscribe?channel=${channel}&last=1`, { headers: { Accept: 'application/x-ndjson' }, until: /.*"data".*(?=\n)/ }));
process.exit();

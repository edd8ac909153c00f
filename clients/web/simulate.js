// A match and a price made up by this page, and published to everyone as any client may where the namespace has
// client_publish. deploy/demo-feed does the same from a shell.

const PRICE_MS = 250;
const MATCH_MS = 1000; // A minute of the match.
const FULL_TIME = 90;
const TEAMS = ['Wellington', 'Auckland'];

const pick = (values) => values[Math.floor(Math.random() * values.length)];

// What happens in one minute: [chance of it, event].
const HAPPENINGS = [
    [0.03, (team, other) => ({ kind: 'goal', text: `Goal! ${team} find the far corner, and ${other} can only watch.` })],
    [0.06, (team) => ({ kind: 'card', text: `Yellow card for a late tackle by ${team}.` })],
    [0.05, (team) => ({ kind: 'substitution', text: `Fresh legs for ${team}: a change on the left.` })],
    [0.14, (team, other) => ({ kind: 'chance', text: pick([`${team} hit the post!`, `Corner for ${team}, cleared by ${other}.`, `A long shot by ${team}, just over the bar.`, `${other}'s keeper denies ${team} with one hand.`]) })],
];

// publish(channel, data) gives a promise; onChange(running, words) says how it stands.
export function createSimulation({ publish, onChange }) {
    let timers = [];
    let minute;
    let score;
    let price = 4.2;

    function stop(words) {
        for (const timer of timers) clearInterval(timer);
        timers = [];
        onChange(false, words);
    }

    function send(channel, data) {
        publish(channel, data).catch((error) => {
            // A pause in the connection passes; a server that refuses will go on refusing.
            if (!['connection_lost', 'timeout', 'broker_unavailable'].includes(error.code) && timers.length > 0) stop(`Stopped: ${error.message}`);
        });
    }

    function playMinute() {
        minute++;
        if (minute === 1) return send('live:match', { minute, kind: 'whistle', text: 'Kick-off.', score });
        if (minute === 45) return send('live:match', { minute, kind: 'whistle', text: 'Half-time.', score });
        if (minute >= FULL_TIME) {
            send('live:match', { minute, kind: 'whistle', text: `Full time: ${score.join(' to ')}.`, score, final: true });
            return stop('The match is over.');
        }
        const side = Math.random() < 0.5 ? 0 : 1;
        for (const [chance, happen] of HAPPENINGS) {
            if (Math.random() >= chance) continue;
            const { kind, text } = happen(TEAMS[side], TEAMS[1 - side]);
            if (kind === 'goal') score[side]++;
            return send('live:match', { minute, kind, text, score });
        }
    }

    function movePrice() {
        price = Math.min(9.9, Math.max(1.2, price + (Math.random() - 0.5) * 0.08 + (4.2 - price) * 0.004));
        send('live:price', Math.round(price * 100) / 100);
    }

    return {
        toggle() {
            if (timers.length > 0) return stop('');
            minute = 0;
            score = [0, 0];
            timers = [setInterval(playMinute, MATCH_MS), setInterval(movePrice, PRICE_MS)];
            onChange(true, 'Everyone on this page sees it.');
        },
    };
}

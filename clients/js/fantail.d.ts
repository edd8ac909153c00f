/** disconnected: nothing happens until connect(). connecting: an attempt is under way or will be made. */
export type State = 'disconnected' | 'connecting' | 'connected';

export interface StateDetail {
    /** With `connected`: how bytes travel, and by websocket who answered. */
    session?: string;
    node?: string;
    version?: string;
    transport?: Transport;
    /** Otherwise why: the WebSocket close code where there is one, and a text for humans. */
    code?: number;
    reason?: string;
    /** With `connecting` after a loss: when the next attempt is made. */
    retryMs?: number;
}

export type Transport = 'websocket' | 'sse' | 'stream' | 'longpoll' | 'poll';

export interface Options {
    /** Those that may be used, the best first. Without it all of them, and the one that worked last is tried first
     * on the next visit. */
    transports?: Transport[];
    /** Sent with every attempt; a function is asked each time, and after a refusal once more. Gateways have no tokens
     * yet: they refuse by `token_unsupported` what brings one by websocket. */
    token?: string | (() => string | undefined | Promise<string | undefined>);
    /** Called on every change, and on every failed attempt while connecting. */
    onState?(state: State, detail: StateDetail): void;
    /** Errors that belong to no channel and to no promise, each once until there is a connection. */
    onError?(error: FantailError): void;
}

export interface Message {
    channel: string;
    /** In channels with history: `EPOCH-OFFSET`. */
    id?: string;
    /** The payload as JSON; a payload that is not JSON is a string. */
    data?: unknown;
    /** Instead of `data`: a binary payload. onMessage gets it decoded. */
    base64?: string;
}

export interface ChannelEvent {
    event: string;
    channel: string;
    /** Of a gap in a channel with history: where it continues. */
    position?: string;
    [name: string]: unknown;
}

export interface Subscribed {
    channel: string;
    /** The channel's newest id; only in channels with history. */
    position?: string;
    /** After a reconnect, or with `since`: whether everything since then will come. Other transports than websocket
     * tell by onGap when it will not. */
    recovered?: boolean;
}

export interface Listener<T = any> {
    /** Only what comes after this id, which another page or visit has seen. */
    since?: string;
    /** So many of the channel's newest messages first. Over HTTP, channels that begin together get the largest. Where
     * the channel is held already, this listener alone gets them. */
    last?: number;
    /** A payload: a JSON value, or Uint8Array when it was binary. */
    onMessage?(data: T, message: Message): void;
    /** Messages were lost here, or may have been: load anew what must be complete. */
    onGap?(event: ChannelEvent): void;
    onSubscribed?(reply: Subscribed): void;
    /** The subscription was refused, told once. With `error.retry` it is tried again until it holds; else it stands until
     * somebody subscribes anew. */
    onError?(error: FantailError): void;
}

export interface Subscription {
    readonly channel: string;
    /** The id of the last message seen: keep it to continue with `since` after a page load. */
    readonly position: string | undefined;
    unsubscribe(): void;
}

export interface PublishOptions {
    /** Idempotency key: in channels with history publishing it again within five minutes has no effect, so that a
     * publish whose connection broke is repeated by itself. */
    key?: string;
    /** `high` is not held back where the server gathers messages into batches. */
    priority?: 'high' | 'low';
}

/** `code` is the server's (`channel_forbidden`, ...) or one of ours. Of requests: `disconnected`, `unreachable`,
 * `connection_lost` and `timeout` (whether a publish took effect is unknown), `message_too_large`, `unavailable` (a proxy
 * said so). Of connections: `bad_message`, `too_many_channels`, `request_too_large`. `message` is a sentence. */
export class FantailError extends Error {
    constructor(code: string, message?: string, retry?: boolean);
    readonly code: string;
    /** Whether it passes by itself. */
    readonly retry: boolean;
}

export interface History {
    channel: string;
    position?: string;
    /** With `since`: whether these are all messages after it. */
    recovered?: boolean;
    messages: Message[];
}

export class Fantail {
    /** `url` is the gateway's, e.g. `https://push.example.com`; without it the page's own origin. */
    constructor(url?: string | URL, options?: Options);

    readonly state: State;
    /** Of the last connection. */
    readonly session: string | undefined;
    readonly node: string | undefined;
    readonly version: string | undefined;
    readonly transport: Transport | undefined;

    /** Connects, and comes back after every loss until disconnect() or until the server says not to. */
    connect(): void;
    /** Subscriptions stay, and take effect again with connect(). */
    disconnect(): void;

    /** Takes effect with the connection, and again with each later one. A function is `onMessage`. Throws a TypeError
     * where the name or the listener is none. */
    subscribe<T = any>(channel: string, listener: Listener<T> | ((data: T, message: Message) => void)): Subscription;

    /** `data` is a JSON value, or Uint8Array. While connecting it waits for the connection, 5 minutes at most; the
     * answer, and what passes by itself, takes 10 s at most. */
    publish(channel: string, data: unknown, options?: PublishOptions): Promise<{ id?: string }>;
    history(channel: string, options?: { last?: number; since?: string }): Promise<History>;
}

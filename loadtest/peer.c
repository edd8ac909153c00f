#include "loadtest/peer.h"

#include <string.h>

#include "common/deflate.h"
#include "loadtest/ws.h"

static bool contains(struct bytes text, const char *needle) {
    return text.len > 0 && memmem(text.data, text.len, needle, strlen(needle)) != NULL;
}

void peer_channel(struct buf *out, const struct options *options, uint32_t channel) {
    buf_append_text(out, options->prefix);
    buf_append_u64(out, channel);
}

static void say(struct buf *out, const struct dialogue *dialogue, const struct buf *text) {
    struct buf compressed;
    if (dialogue->deflater == NULL) {
        ws_append_frame(out, WS_TEXT, buf_bytes(text));
        return;
    }
    buf_init(&compressed, 0);
    deflater_run(dialogue->deflater, buf_bytes(text), &compressed);
    ws_append_frame(out, WS_TEXT | WS_COMPRESSED, buf_bytes(&compressed));
    buf_finish(&compressed);
}

static void http_request(struct buf *out, const char *path_and_fields, const struct endpoint *to,
                         struct bytes body) {
    buf_append_text(out, "POST ");
    buf_append_text(out, path_and_fields);
    buf_printf(out, "Host: %s:%u\r\nContent-Length: %zu\r\n\r\n", to->host, to->port, body.len);
    buf_append_bytes(out, body);
}

/* fantail, and the floor server, which speaks the same. */

static void fantail_path(struct buf *out, const struct dialogue *dialogue) {
    buf_append_text(out, dialogue->options->server.path[0] ? dialogue->options->server.path : "/v1/ws");
}

static void fantail_greet(struct buf *out, const struct dialogue *dialogue) {
    struct buf text;
    buf_init(&text, 0);
    for (uint32_t i = 0; i < dialogue->options->channels_per_subscriber; i++) {
        const char *position = dialogue->positions == NULL ? "" : dialogue->positions + i * POSITION_BYTES;
        buf_clear(&text);
        buf_printf(&text, "{\"ref\":%u,\"op\":\"subscribe\",\"channel\":\"", i + 1);
        peer_channel(&text, dialogue->options, options_channel(dialogue->options, dialogue->subscriber, i));
        buf_append_text(&text, "\"");
        if (position[0] != '\0')
            buf_printf(&text, ",\"since\":\"%s\"", position);
        buf_append_text(&text, "}");
        say(out, dialogue, &text);
    }
    buf_finish(&text);
}

static enum verdict fantail_hear(struct buf *out, const struct dialogue *dialogue, struct bytes text) {
    (void)dialogue;
    if (contains(text, "\"event\":\"gap\""))
        return VERDICT_GAP;
    if (contains(text, "\"event\":\"drain\""))
        return VERDICT_DRAIN;
    if (contains(text, "\"event\":\"ping\"")) {
        ws_append_frame(out, WS_TEXT, BYTES_LITERAL("{\"op\":\"pong\"}"));
        return VERDICT_NONE;
    }
    if (!contains(text, "\"ref\":"))
        return VERDICT_NONE;
    if (contains(text, "\"error\":"))
        return VERDICT_REFUSED;
    if (contains(text, "\"recovered\":true"))
        return VERDICT_RECOVERED;
    return contains(text, "\"recovered\":false") ? VERDICT_NOT_RECOVERED : VERDICT_SUBSCRIBED;
}

static void fantail_publish(struct buf *out, const struct options *options, struct bytes channel,
                            struct bytes payload) {
    struct buf fields, body;
    buf_init(&fields, 0);
    buf_init(&body, 0);
    buf_append_text(&fields, "/api/v1/publish HTTP/1.1\r\nContent-Type: application/json\r\n");
    if (options->api_key[0] != '\0')
        buf_printf(&fields, "Authorization: Bearer %s\r\nX-API-Key: %s\r\n", options->api_key,
                   options->api_key);
    buf_append_char(&fields, '\0');
    buf_append_text(&body, "{\"channel\":");
    buf_append_json_string(&body, channel);
    buf_append_text(&body, ",\"data\":");
    buf_append_bytes(&body, payload);
    buf_append_text(&body, "}");
    http_request(out, fields.data, &options->admin, buf_bytes(&body));
    buf_finish(&fields);
    buf_finish(&body);
}

/* Nchan: a path per channel, as the examples of its README. */

static void nchan_path(struct buf *out, const struct dialogue *dialogue) {
    buf_append_text(out, "/sub/");
    peer_channel(out, dialogue->options, options_channel(dialogue->options, dialogue->subscriber, 0));
}

static void silent_greet(struct buf *out, const struct dialogue *dialogue) {
    (void)out;
    (void)dialogue;
}

static enum verdict silent_hear(struct buf *out, const struct dialogue *dialogue, struct bytes text) {
    (void)out;
    (void)dialogue;
    (void)text;
    return VERDICT_NONE;
}

static void nchan_publish(struct buf *out, const struct options *options, struct bytes channel,
                          struct bytes payload) {
    struct buf fields;
    buf_init(&fields, 0);
    buf_append_text(&fields, "/pub/");
    buf_append_bytes(&fields, channel);
    buf_append_text(&fields, " HTTP/1.1\r\nContent-Type: application/json\r\n");
    buf_append_char(&fields, '\0');
    http_request(out, fields.data, &options->admin, payload);
    buf_finish(&fields);
}

/* Plain ws: compare/servers/ws.mjs takes the channel from the query. */

static void ws_path(struct buf *out, const struct dialogue *dialogue) {
    buf_append_text(out, "/v1/ws?channel=");
    peer_channel(out, dialogue->options, options_channel(dialogue->options, dialogue->subscriber, 0));
}

/* Socket.IO v4 on Engine.IO v4; compare/servers/socketio.mjs joins a room at the event "join". */

static void socketio_path(struct buf *out, const struct dialogue *dialogue) {
    (void)dialogue;
    buf_append_text(out, "/socket.io/?EIO=4&transport=websocket");
}

static enum verdict socketio_hear(struct buf *out, const struct dialogue *dialogue, struct bytes text) {
    struct buf answer;
    buf_init(&answer, 0);
    enum verdict verdict = VERDICT_NONE;
    if (bytes_start_with(text, BYTES_LITERAL("0{"))) { /* Engine.IO is open: connect the default namespace. */
        buf_append_text(&answer, "40");
    } else if (bytes_start_with(text, BYTES_LITERAL("40"))) {
        buf_append_text(&answer, "420[\"join\",\"");
        peer_channel(&answer, dialogue->options, options_channel(dialogue->options, dialogue->subscriber, 0));
        buf_append_text(&answer, "\"]");
    } else if (bytes_start_with(text, BYTES_LITERAL("430"))) {
        verdict = VERDICT_SUBSCRIBED;
    } else if (bytes_start_with(text, BYTES_LITERAL("44"))) {
        verdict = VERDICT_REFUSED;
    } else if (bytes_equal_text(text, "2")) {
        buf_append_text(&answer, "3");
    }
    if (answer.len > 0)
        say(out, dialogue, &answer);
    buf_finish(&answer);
    return verdict;
}

/* What @socket.io/redis-emitter sends: MessagePack of [uid, packet, options] on "socket.io#/#ROOM#". */

static void socketio_redis_channel(struct buf *out, struct bytes channel) {
    buf_append_text(out, "socket.io#/#");
    buf_append_bytes(out, channel);
    buf_append_text(out, "#");
}

static void pack_string(struct buf *out, struct bytes text) {
    if (text.len < 32)
        buf_append_char(out, (char)(0xa0 | text.len));
    else
        buf_append(out, (unsigned char[]){0xda, (unsigned char)(text.len >> 8), (unsigned char)text.len}, 3);
    buf_append_bytes(out, text);
}

static void pack_text(struct buf *out, const char *text) {
    pack_string(out, bytes_of(text));
}

static void pack_byte(struct buf *out, unsigned char byte) {
    buf_append_char(out, (char)byte);
}

static void socketio_redis_payload(struct buf *out, struct bytes channel, struct bytes payload) {
    enum { ARRAY = 0x90, MAP = 0x80, EVENT = 2 };
    pack_byte(out, ARRAY | 3);
    pack_text(out, "emitter");
    pack_byte(out, MAP | 3);
    pack_text(out, "type");
    pack_byte(out, EVENT);
    pack_text(out, "data");
    pack_byte(out, ARRAY | 2);
    pack_text(out, "m");
    pack_string(out, payload);
    pack_text(out, "nsp");
    pack_text(out, "/");
    pack_byte(out, MAP | 3);
    pack_text(out, "rooms");
    pack_byte(out, ARRAY | 1);
    pack_string(out, channel);
    pack_text(out, "flags");
    pack_byte(out, MAP | 0);
    pack_text(out, "except");
    pack_byte(out, ARRAY | 0);
}

/* Centrifugo's JSON protocol. */

static void centrifugo_path(struct buf *out, const struct dialogue *dialogue) {
    (void)dialogue;
    buf_append_text(out, "/connection/websocket");
}

static void centrifugo_greet(struct buf *out, const struct dialogue *dialogue) {
    struct buf text;
    buf_init(&text, 0);
    buf_append_text(&text, "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"");
    peer_channel(&text, dialogue->options, options_channel(dialogue->options, dialogue->subscriber, 0));
    buf_append_text(&text, "\"}}");
    say(out, dialogue, &text);
    buf_finish(&text);
}

static enum verdict centrifugo_hear(struct buf *out, const struct dialogue *dialogue, struct bytes text) {
    (void)dialogue;
    if (bytes_equal_text(text, "{}")) {
        ws_append_frame(out, WS_TEXT, BYTES_LITERAL("{}"));
        return VERDICT_NONE;
    }
    if (contains(text, "\"error\":"))
        return VERDICT_REFUSED;
    return contains(text, "\"id\":2") ? VERDICT_SUBSCRIBED : VERDICT_NONE;
}

static void centrifugo_publish(struct buf *out, const struct options *options, struct bytes channel,
                               struct bytes payload) {
    struct buf fields, body;
    buf_init(&fields, 0);
    buf_init(&body, 0);
    buf_printf(&fields, "/api/publish HTTP/1.1\r\nContent-Type: application/json\r\nX-API-Key: %s\r\n",
               options->api_key);
    buf_append_char(&fields, '\0');
    buf_append_text(&body, "{\"channel\":");
    buf_append_json_string(&body, channel);
    buf_append_text(&body, ",\"data\":");
    buf_append_bytes(&body, payload);
    buf_append_text(&body, "}");
    http_request(out, fields.data, &options->admin, buf_bytes(&body));
    buf_finish(&fields);
    buf_finish(&body);
}

static const struct peer peers[] = {
    {.name = "fantail",
     .summary = "fantail's native protocol (the default)",
     .subprotocol = "fantail.v1",
     .via = VIA_REDIS,
     .has_transports = true,
     .path = fantail_path,
     .greet = fantail_greet,
     .hear = fantail_hear,
     .http_publish = fantail_publish},
    {.name = "floor",
     .summary = "fantail-floor, the cheapest server there can be",
     .subprotocol = "fantail.v1",
     .via = VIA_REDIS,
     .has_transports = true,
     .path = fantail_path,
     .greet = fantail_greet,
     .hear = fantail_hear},
    {.name = "nchan",
     .summary = "Nchan at /sub/CHANNEL, published by POST /pub/CHANNEL",
     .subprotocol = "",
     .via = VIA_HTTP,
     .is_live_at_once = true,
     .path = nchan_path,
     .greet = silent_greet,
     .hear = silent_hear,
     .http_publish = nchan_publish},
    {.name = "ws",
     .summary = "loadtest/compare's server on npm's ws",
     .subprotocol = "",
     .via = VIA_REDIS,
     .is_live_at_once = true,
     .path = ws_path,
     .greet = silent_greet,
     .hear = silent_hear},
    {.name = "socketio",
     .summary = "loadtest/compare's Socket.IO server with the Redis adapter",
     .subprotocol = "",
     .via = VIA_REDIS,
     .path = socketio_path,
     .greet = silent_greet,
     .hear = socketio_hear,
     .redis_channel = socketio_redis_channel,
     .redis_payload = socketio_redis_payload},
    {.name = "centrifugo",
     .summary = "Centrifugo's JSON protocol, published by POST /api/publish",
     .subprotocol = "",
     .via = VIA_HTTP,
     .path = centrifugo_path,
     .greet = centrifugo_greet,
     .hear = centrifugo_hear,
     .http_publish = centrifugo_publish},
};

const struct peer *peer_at(uint32_t index) {
    return index < sizeof peers / sizeof peers[0] ? &peers[index] : NULL;
}

const struct peer *peer_by_name(const char *name) {
    for (uint32_t i = 0; peer_at(i) != NULL; i++) {
        if (strcmp(peers[i].name, name) == 0)
            return &peers[i];
    }
    return NULL;
}

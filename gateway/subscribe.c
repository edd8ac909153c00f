#include "gateway/subscribe.h"

#include <stdlib.h>

#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/core/channel.h"
#include "gateway/core/cursor.h"
#include "gateway/core/rates.h"
#include "gateway/core/session.h"
#include "gateway/protocol/native.h"
#include "gateway/transport/poll.h"
#include "gateway/transport/stream.h"

enum {
    WAIT_DEFAULT_SECONDS = 25,
    WAIT_MAX_SECONDS = 120, /* Beyond what any proxy lets stand. */
    VALUE_BYTES_MAX = 8192, /* Of a cursor of very many channels. */
};

enum receiving { RECEIVE_WEBSOCKET, RECEIVE_SSE, RECEIVE_STREAM, RECEIVE_LONGPOLL, RECEIVE_POLL };

/* One channel of the URL and where it begins; in `wanted.list`, each followed by its name. */
struct wanted_channel {
    struct start start;
    uint8_t name_len;
};

/* What a URL asks for. */
struct wanted {
    unsigned count;
    bool wants_replay;
    size_t len;
    char list[];
};

/* --- Reading the URL ------------------------------------------------------------------------- */

/* Where the client left off: what the query says, or the header that a browser's EventSource sends. */
static void read_cursor(const struct request *request, struct buf *cursor) {
    if (!request_query(request, "cursor", 0, cursor))
        request_field(request, FIELD_LAST_EVENT_ID, cursor);
}

static enum error read_start(const struct request *request, struct start *start) {
    struct buf value;
    enum error error = ERR_OK;
    uint64_t last;
    buf_init(&value, VALUE_BYTES_MAX);
    if (request_query(request, "since", 0, &value)) {
        start->kind = START_SINCE;
        if (!position_parse(buf_bytes(&value), &start->since))
            error = ERR_POSITION_INVALID;
    } else if (request_query(request, "last", 0, &value)) {
        start->kind = START_LAST;
        if (!text_parse_u64(buf_bytes(&value), &last) || last > UINT32_MAX)
            error = ERR_BAD_REQUEST;
        else
            start->last = (uint32_t)last;
    }
    buf_finish(&value);
    return error;
}

static void append_wanted(struct buf *list, struct bytes name, const struct start *start) {
    struct wanted_channel channel = {.start = *start, .name_len = (uint8_t)name.len};
    buf_append(list, &channel, sizeof channel);
    buf_append_bytes(list, name);
}

static enum error read_channels(const struct request *request, const struct public_site *site,
                                struct buf *list, unsigned *count, bool *wants_replay) {
    struct start start = {0};
    struct buf cursor, name;
    bool is_cursor_used = false;
    enum error error = read_start(request, &start);
    buf_init(&cursor, VALUE_BYTES_MAX);
    buf_init(&name, 0);
    read_cursor(request, &cursor);
    bool is_only = !request_query(request, "channel", 1, &name);
    for (*count = 0; error == ERR_OK; (*count)++) {
        struct start own = start;
        buf_clear(&name);
        if (!request_query(request, "channel", *count, &name)) {
            error = *count == 0 ? ERR_CHANNEL_INVALID : ERR_OK;
            break;
        }
        if (!channel_name_is_valid(buf_bytes(&name)))
            error = ERR_CHANNEL_INVALID;
        else if (*count == site->config->limits.channels_per_session)
            error = ERR_CHANNEL_LIMIT;
        if (cursor_find(buf_bytes(&cursor), buf_bytes(&name), is_only, &own.since)) {
            own.kind = START_SINCE;
            is_cursor_used = true;
        }
        *wants_replay = *wants_replay || own.kind != START_LIVE;
        append_wanted(list, buf_bytes(&name), &own);
    }
    /* A cursor that says nothing of any of the channels is none of theirs, or none at all. */
    if (error == ERR_OK && cursor.len > 0 && !is_cursor_used)
        error = ERR_POSITION_INVALID;
    buf_finish(&cursor);
    buf_finish(&name);
    return error;
}

/* The URL's wishes in one piece of memory; NULL, with `*error`, when they are not understood. */
static struct wanted *read_wanted(const struct request *request, const struct public_site *site,
                                  enum error *error) {
    struct buf list;
    unsigned count;
    bool wants_replay = false;
    struct wanted *wanted = NULL;
    buf_init(&list, 0);
    *error = read_channels(request, site, &list, &count, &wants_replay);
    if (*error == ERR_OK) {
        wanted = xmalloc(sizeof *wanted + list.len);
        wanted->count = count;
        wanted->wants_replay = wants_replay;
        wanted->len = list.len;
        memcpy(wanted->list, list.data, list.len);
    }
    buf_finish(&list);
    return wanted;
}

static bool has_channel(const struct session *session, struct bytes name) {
    const struct channel *channel = hub_find_channel(session->hub, name);
    return channel != NULL && session_find_subscription(session, channel) != NULL;
}

static void subscribe_all(struct session *session, const struct wanted *wanted) {
    if (session->keeps_positions)
        session_hold(session);
    for (size_t at = 0; at < wanted->len && session_is_open(session);) {
        struct wanted_channel channel;
        memcpy(&channel, wanted->list + at, sizeof channel);
        at += sizeof channel;
        struct command command = {
            .kind = COMMAND_SUBSCRIBE,
            .channel = bytes_make(wanted->list + at, channel.name_len),
            .start = channel.start,
        };
        if (!has_channel(session, command.channel)) /* Or the URL names it twice. */
            session_execute(session, &command);
        at += channel.name_len;
    }
    if (session->keeps_positions)
        session_release(session);
}

/* --- Which form ------------------------------------------------------------------------------ */

static enum error read_wait(const struct request *request, uint64_t *seconds) {
    struct buf value;
    enum error error = ERR_OK;
    *seconds = WAIT_DEFAULT_SECONDS;
    buf_init(&value, VALUE_BYTES_MAX);
    if (request_query(request, "wait", 0, &value) && !text_parse_u64(buf_bytes(&value), seconds))
        error = ERR_BAD_REQUEST;
    if (*seconds > WAIT_MAX_SECONDS)
        *seconds = WAIT_MAX_SECONDS;
    buf_finish(&value);
    return error;
}

static bool contains(struct bytes text, const char *word) {
    return text.len > 0 && memmem(text.data, text.len, word, strlen(word)) != NULL;
}

static enum error choose(const struct request *request, uint64_t wait_seconds, enum receiving *receiving) {
    static const char *const names[] = {
        [RECEIVE_WEBSOCKET] = "ws",      [RECEIVE_SSE] = "sse",   [RECEIVE_STREAM] = "stream",
        [RECEIVE_LONGPOLL] = "longpoll", [RECEIVE_POLL] = "poll",
    };
    struct buf value;
    enum error error = ERR_OK;
    buf_init(&value, VALUE_BYTES_MAX);
    *receiving = wait_seconds > 0 ? RECEIVE_LONGPOLL : RECEIVE_POLL;
    if (request_query(request, "transport", 0, &value)) {
        size_t i = 0;
        while (i < sizeof names / sizeof *names && !bytes_equal_text(buf_bytes(&value), names[i]))
            i++;
        *receiving = (enum receiving)i;
        if (i == sizeof names / sizeof *names)
            error = ERR_TRANSPORT_UNKNOWN;
        else if (i == RECEIVE_WEBSOCKET)
            error = ERR_UPGRADE_REQUIRED;
    } else if (request_field(request, FIELD_ACCEPT, &value)) {
        if (contains(buf_bytes(&value), "text/event-stream"))
            *receiving = RECEIVE_SSE;
        else if (contains(buf_bytes(&value), "application/x-ndjson"))
            *receiving = RECEIVE_STREAM;
    }
    buf_finish(&value);
    return error;
}

static const char *content_type(enum receiving receiving) {
    return receiving == RECEIVE_SSE      ? "text/event-stream"
           : receiving == RECEIVE_STREAM ? "application/x-ndjson"
                                         : "application/json";
}

/* --- Answers --------------------------------------------------------------------------------- */

static uint64_t client_of(const struct request *request, const struct public_site *site) {
    return rates_client(site->hub->rates, connection_address(request->connection));
}

static struct session *open_session(struct public_site *site, const struct transport *transport,
                                    void *carrier, uint64_t client) {
    struct session_options options = {
        .transport = transport,
        .carrier = carrier,
        .keeps_positions = true,
        .client = client,
    };
    return session_create(site->hub, &options);
}

static void begin_stream(struct exchange *exchange, struct public_site *site, const struct wanted *wanted,
                         enum receiving receiving, const char *cors) {
    bool is_list = wanted->count > 1;
    const struct transport *transport =
        receiving == RECEIVE_SSE ? sse_transport(is_list)
                                 : stream_transport(is_list, exchange_request(exchange)->head->is_http_1_1);
    uint64_t client = client_of(exchange_request(exchange), site);
    struct connection *connection = stream_begin(exchange, transport, cors);
    if (connection == NULL)
        return;
    struct session *session = open_session(site, transport, connection, client);
    stream_attach(connection, session);
    subscribe_all(session, wanted);
}

static void begin_poll(struct exchange *exchange, struct public_site *site, const struct wanted *wanted,
                       uint64_t wait_seconds, const char *cors) {
    struct poll *poll = poll_create(exchange, site->loop, wait_seconds * 1000, cors);
    uint64_t client = client_of(exchange_request(exchange), site);
    struct session *session = open_session(site, poll_transport(wait_seconds > 0), poll, client);
    poll_attach(poll, session);
    subscribe_all(session, wanted);
}

void subscribe_handle(struct exchange *exchange, struct public_site *site, const char *cors) {
    const struct request *request = exchange_request(exchange);
    enum receiving receiving = RECEIVE_LONGPOLL;
    uint64_t wait_seconds = 0;
    struct wanted *wanted = NULL;
    enum error error = read_wait(request, &wait_seconds);
    if (error == ERR_OK)
        error = choose(request, wait_seconds, &receiving);
    if (error == ERR_OK)
        wanted = read_wanted(request, site, &error);
    if (error == ERR_OK && wanted->wants_replay && !hub_may_replay(site->hub, client_of(request, site)))
        error = ERR_RATE_LIMITED;
    if (receiving == RECEIVE_POLL)
        wait_seconds = 0;
    if (error != ERR_OK)
        exchange_reply_error(exchange, error, cors);
    else if (request->method == METHOD_HEAD)
        exchange_reply(exchange, 200, content_type(receiving), cors, BYTES_LITERAL(""));
    else if (receiving == RECEIVE_SSE || receiving == RECEIVE_STREAM)
        begin_stream(exchange, site, wanted, receiving, cors);
    else
        begin_poll(exchange, site, wanted, wait_seconds, cors);
    free(wanted);
}

enum error subscribe_may_upgrade(const struct request *request, const struct public_site *site) {
    enum error error;
    connection_set_data(request->connection, read_wanted(request, site, &error));
    return error;
}

void subscribe_on_websocket(struct connection *connection, struct session *session) {
    const struct wanted *wanted = connection_data(connection);
    if (wanted != NULL)
        subscribe_all(session, wanted);
    connection_set_data(connection, NULL);
}

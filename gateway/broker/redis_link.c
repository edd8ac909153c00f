#include "gateway/broker/redis_link.h"

#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/broker/redis_names.h"
#include "gateway/broker/redis_socket.h"

/* Replies to come that are not pushes, in order. */
enum expected { EXPECT_AUTH = 1 << 0, EXPECT_SETNAME = 1 << 1 };

struct redis_link {
    struct redis_link_options options;
    struct redis_socket *socket;
    struct redis_push push;
    struct redis_names names;
    unsigned expected;
};

/* --- What Redis says ------------------------------------------------------------------------------------ */

static void on_message(void *context, struct bytes channel, struct bytes payload) {
    struct redis_link *link = context;
    link->options.on_message(link->options.context, channel, payload);
}

static void on_subscribed(void *context, struct bytes channel) {
    struct redis_link *link = context;
    redis_names_on_answer(&link->names, true);
    link->options.on_subscribed(link->options.context, channel);
}

static void on_unsubscribed(void *context) {
    struct redis_link *link = context;
    redis_names_on_answer(&link->names, false);
}

static void on_status(void *context, struct bytes text) {
    struct redis_link *link = context;
    (void)text;
    link->expected &= link->expected & EXPECT_AUTH ? ~(unsigned)EXPECT_AUTH : ~(unsigned)EXPECT_SETNAME;
}

static void on_login_error(struct redis_link *link, const char *why) {
    bool is_name_refused = link->expected == EXPECT_SETNAME;
    on_status(link, BYTES_LITERAL(""));
    if (!is_name_refused) /* A name helps people only. */
        redis_socket_lose(link->socket, why);
}

static void on_names_error(struct redis_link *link, const char *why) {
    struct buf refused;
    buf_init(&refused, 0);
    switch (redis_names_on_error(&link->names, redis_socket_out(link->socket), &refused)) {
    case NAMES_ASKED_AGAIN:
        redis_socket_flush(link->socket);
        break;
    case NAMES_REFUSED:
        link->options.on_refused(link->options.context, buf_bytes(&refused), why);
        break;
    case NAMES_IGNORED:
        break;
    case NAMES_NONE:
        redis_socket_lose(link->socket, why);
        break;
    }
    buf_finish(&refused);
}

static void on_error(void *context, struct bytes text) {
    struct redis_link *link = context;
    char why[256];
    snprintf(why, sizeof why, "%.*s", BYTES_FMT(text));
    if (link->expected != 0)
        on_login_error(link, why);
    else
        on_names_error(link, why);
}

static const struct redis_push_events push_events = {
    .on_message = on_message,
    .on_subscribed = on_subscribed,
    .on_unsubscribed = on_unsubscribed,
    .on_status = on_status,
    .on_error = on_error,
};

static const char *on_bytes(void *context, struct bytes piece) {
    struct redis_link *link = context;
    redisReader *reader = redis_socket_reader(link->socket);
    return redis_push_feed(reader, piece) ? NULL : reader->errstr;
}

static void on_lost(void *context, const char *why) {
    struct redis_link *link = context;
    link->options.on_lost(link->options.context, why);
}

/* --- Commands ------------------------------------------------------------------------------- */

void redis_link_subscribe(struct redis_link *link, struct bytes prefix, struct bytes channel) {
    redis_names_add(&link->names, true, prefix, channel, redis_socket_out(link->socket));
}

void redis_link_unsubscribe(struct redis_link *link, struct bytes prefix, struct bytes channel) {
    redis_names_add(&link->names, false, prefix, channel, redis_socket_out(link->socket));
}

void redis_link_flush(struct redis_link *link) {
    redis_names_end(&link->names, redis_socket_out(link->socket));
    redis_socket_flush(link->socket);
}

void redis_link_hold(struct redis_link *link, bool is_held) {
    redis_socket_hold(link->socket, is_held);
}

/* --- Life ----------------------------------------------------------------------------------- */

static void log_in(struct redis_link *link) {
    const struct redis_url *url = link->options.url;
    if (url->password != NULL) {
        struct bytes words[3] = {BYTES_LITERAL("AUTH")};
        size_t count = 1;
        if (url->user != NULL)
            words[count++] = bytes_of(url->user);
        words[count++] = bytes_of(url->password);
        redis_socket_append_command(link->socket, words, count);
        link->expected |= EXPECT_AUTH;
    }
    const struct bytes set_name[] = {BYTES_LITERAL("CLIENT"), BYTES_LITERAL("SETNAME"),
                                     bytes_of(link->options.name)};
    redis_socket_append_command(link->socket, set_name, 3);
    link->expected |= EXPECT_SETNAME;
}

struct redis_link *redis_link_create(const struct redis_link_options *options) {
    struct redis_link *link = xcalloc(1, sizeof *link);
    struct redis_socket_options socket = {
        .loop = options->loop,
        .url = options->url,
        .ip = options->ip,
        .context = link,
        .on_bytes = on_bytes,
        .on_lost = on_lost,
    };
    link->options = *options;
    link->socket = redis_socket_create(&socket);
    if (link->socket == NULL) {
        free(link);
        return NULL;
    }
    redis_names_init(&link->names);
    redis_push_init(&link->push, redis_socket_reader(link->socket), &push_events, link);
    log_in(link);
    return link;
}

void redis_link_destroy(struct redis_link *link) {
    if (link == NULL)
        return;
    redis_socket_destroy(link->socket);
    redis_push_finish(&link->push);
    redis_names_finish(&link->names);
    free(link);
}

#include "gateway/broker/redis_link.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/xalloc.h"

enum {
    READ_BYTES = 64 * 1024,
    /* Pieces read per turn of the loop: what they bring is joined into few writes, and then clients get their
     * turn. */
    READS_PER_TURN_MAX = 8,
    /* Names per SUBSCRIBE: Redis serves others between commands. */
    NAMES_PER_COMMAND_MAX = 500,
};

/* Replies to come that are not pushes, in order. */
enum expected { EXPECT_AUTH = 1 << 0, EXPECT_SETNAME = 1 << 1 };

struct redis_link {
    struct redis_link_options options;
    redisContext *redis;
    uv_poll_t *poll;
    struct redis_push push;
    unsigned expected;
    bool is_connected;
    bool is_lost;
    bool is_held;
    struct buf out;   /* Bytes that wait for the socket. */
    struct buf names; /* Arguments of the command being collected. */
    uint32_t name_count;
    bool names_are_new; /* The command is SUBSCRIBE. */
};

static void lose(struct redis_link *link, const char *why) {
    if (link->is_lost)
        return;
    link->is_lost = true;
    uv_poll_stop(link->poll);
    link->options.on_lost(link->options.context, why);
}

/* --- What Redis says ------------------------------------------------------------------------------------ */

static void on_message(void *context, struct bytes channel, struct bytes payload) {
    struct redis_link *link = context;
    link->options.on_message(link->options.context, channel, payload);
}

static void on_subscribed(void *context, struct bytes channel) {
    struct redis_link *link = context;
    link->options.on_subscribed(link->options.context, channel);
}

static void on_status(void *context, struct bytes text) {
    struct redis_link *link = context;
    (void)text;
    link->expected &= link->expected & EXPECT_AUTH ? ~(unsigned)EXPECT_AUTH : ~(unsigned)EXPECT_SETNAME;
}

static void on_error(void *context, struct bytes text) {
    struct redis_link *link = context;
    bool is_name_refused = link->expected == EXPECT_SETNAME;
    link->expected &= link->expected & EXPECT_AUTH ? ~(unsigned)EXPECT_AUTH : ~(unsigned)EXPECT_SETNAME;
    if (is_name_refused)
        return; /* A name helps people only. */
    char why[256];
    snprintf(why, sizeof why, "%.*s", BYTES_FMT(text));
    lose(link, why);
}

static const struct redis_push_events push_events = {
    .on_message = on_message,
    .on_subscribed = on_subscribed,
    .on_status = on_status,
    .on_error = on_error,
};

/* --- The socket ----------------------------------------------------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events);

static void watch(struct redis_link *link) {
    int events = link->is_held ? 0 : UV_READABLE;
    if (!link->is_connected || link->out.len > 0)
        events |= UV_WRITABLE;
    uv_poll_start(link->poll, events, on_ready);
}

static void write_out(struct redis_link *link) {
    if (!link->is_connected || link->is_lost || link->out.len == 0)
        return;
    ssize_t sent = send(link->redis->fd, link->out.data, link->out.len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        lose(link, strerror(errno));
        return;
    }
    if (sent > 0)
        buf_consume(&link->out, (size_t)sent);
    if (link->out.len == 0)
        buf_finish(&link->out);
    watch(link);
}

static void read_in(struct redis_link *link) {
    static char piece[READ_BYTES];
    for (int i = 0; i < READS_PER_TURN_MAX && !link->is_lost; i++) {
        ssize_t got = recv(link->redis->fd, piece, sizeof piece, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0)
            lose(link, got < 0 ? strerror(errno) : "Redis closed the connection");
        else if (!redis_push_feed(link->redis->reader, bytes_make(piece, (size_t)got)))
            lose(link, link->redis->reader->errstr);
        else if (got < READ_BYTES)
            return;
    }
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct redis_link *link = poll->data;
    if (!link->is_connected) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(link->redis->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (status < 0 || error != 0) {
            lose(link, error ? strerror(error) : uv_strerror(status));
            return;
        }
        link->is_connected = true;
        watch(link);
    }
    if (events & UV_WRITABLE)
        write_out(link);
    if ((events & UV_READABLE) || status < 0)
        read_in(link);
}

/* --- Commands ------------------------------------------------------------------------------- */

static void append_argument(struct buf *out, struct bytes first, struct bytes second) {
    buf_printf(out, "$%zu\r\n", first.len + second.len);
    buf_append_bytes(out, first);
    buf_append_bytes(out, second);
    buf_append_text(out, "\r\n");
}

static void append_command(struct buf *out, const char *const *words, size_t count) {
    buf_printf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        append_argument(out, bytes_of(words[i]), BYTES_LITERAL(""));
}

/* Ends the command being collected. */
static void end_names(struct redis_link *link) {
    if (link->name_count == 0)
        return;
    buf_printf(&link->out, "*%u\r\n", link->name_count + 1);
    append_argument(&link->out, bytes_of(link->names_are_new ? "SUBSCRIBE" : "UNSUBSCRIBE"),
                    BYTES_LITERAL(""));
    buf_append_bytes(&link->out, buf_bytes(&link->names));
    buf_finish(&link->names);
    link->name_count = 0;
}

static void add_name(struct redis_link *link, bool is_new, struct bytes prefix, struct bytes channel) {
    if (link->name_count == NAMES_PER_COMMAND_MAX || link->names_are_new != is_new)
        end_names(link);
    link->names_are_new = is_new;
    link->name_count++;
    append_argument(&link->names, prefix, channel);
}

void redis_link_subscribe(struct redis_link *link, struct bytes prefix, struct bytes channel) {
    add_name(link, true, prefix, channel);
}

void redis_link_unsubscribe(struct redis_link *link, struct bytes prefix, struct bytes channel) {
    add_name(link, false, prefix, channel);
}

void redis_link_flush(struct redis_link *link) {
    if (link->name_count == 0)
        return;
    end_names(link);
    write_out(link);
}

void redis_link_hold(struct redis_link *link, bool is_held) {
    link->is_held = is_held;
    if (!link->is_lost)
        watch(link);
}

/* --- Life ----------------------------------------------------------------------------------- */

static void log_in(struct redis_link *link) {
    const struct redis_url *url = link->options.url;
    if (url->password != NULL) {
        const char *const with_user[] = {"AUTH", url->user, url->password};
        const char *const without[] = {"AUTH", url->password};
        if (url->user != NULL)
            append_command(&link->out, with_user, 3);
        else
            append_command(&link->out, without, 2);
        link->expected |= EXPECT_AUTH;
    }
    const char *const set_name[] = {"CLIENT", "SETNAME", link->options.name};
    append_command(&link->out, set_name, 3);
    link->expected |= EXPECT_SETNAME;
}

struct redis_link *redis_link_create(const struct redis_link_options *options) {
    redisContext *redis = options->ip ? redisConnectNonBlock(options->ip, options->url->port)
                                      : redisConnectUnixNonBlock(options->url->path);
    if (redis == NULL || redis->err) {
        if (redis != NULL) {
            log_debug("redis", "connect refused error=\"%s\"", redis->errstr);
            redisFree(redis);
        }
        return NULL;
    }
    struct redis_link *link = xcalloc(1, sizeof *link);
    link->options = *options;
    link->redis = redis;
    buf_init(&link->out, 0);
    buf_init(&link->names, 0);
    redis_push_init(&link->push, redis->reader, &push_events, link);
    link->poll = xmalloc(sizeof *link->poll);
    uv_poll_init(&options->loop->uv, link->poll, redis->fd);
    link->poll->data = link;
    log_in(link);
    watch(link);
    return link;
}

static void on_poll_closed(uv_handle_t *handle) {
    free(handle);
}

void redis_link_destroy(struct redis_link *link) {
    if (link == NULL)
        return;
    uv_poll_stop(link->poll);
    uv_close((uv_handle_t *)link->poll, on_poll_closed);
    redisFree(link->redis);
    redis_push_finish(&link->push);
    buf_finish(&link->out);
    buf_finish(&link->names);
    free(link);
}

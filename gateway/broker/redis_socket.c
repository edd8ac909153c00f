#include "gateway/broker/redis_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/xalloc.h"

enum {
    READ_BYTES = 64 * 1024,
    /* Pieces read per turn of the loop: what they bring is joined into few writes, and then clients get their
     * turn. */
    READS_PER_TURN_MAX = 8,
    /* Of the protocol, not of a payload: an error's text, a length. hiredis looks for its end from the start again with each
     * piece. */
    LINE_BYTES_MAX = 64 * 1024,
};

struct redis_socket {
    struct redis_socket_options options;
    redisContext *redis; /* hiredis opened the connection, and brings the reader. */
    uv_poll_t *poll;
    int watched;
    bool is_connected;
    bool is_lost;
    bool is_held;
    struct buf out;  /* Bytes that wait for the socket, */
    size_t sent_len; /* and how many of them it has taken. */
};

void redis_socket_stop(struct redis_socket *socket) {
    socket->is_lost = true;
    uv_poll_stop(socket->poll);
}

void redis_socket_lose(struct redis_socket *socket, const char *why) {
    if (socket->is_lost)
        return;
    redis_socket_stop(socket);
    socket->options.on_lost(socket->options.context, why);
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void watch(struct redis_socket *socket) {
    int events = socket->is_held ? 0 : UV_READABLE;
    if (!socket->is_connected || socket->out.len > 0)
        events |= UV_WRITABLE;
    if (events == socket->watched)
        return;
    socket->watched = events;
    uv_poll_start(socket->poll, events, on_ready);
}

/* What was sent goes when it is half of what is there, so that a long rest is not moved for each piece. */
static void forget_sent(struct redis_socket *socket) {
    if (socket->sent_len == socket->out.len)
        buf_finish(&socket->out);
    else if (socket->sent_len > socket->out.len / 2)
        buf_consume(&socket->out, socket->sent_len);
    else
        return;
    socket->sent_len = 0;
}

void redis_socket_flush(struct redis_socket *socket) {
    if (!socket->is_connected || socket->is_lost || socket->out.len == 0)
        return;
    ssize_t sent = send(socket->redis->fd, socket->out.data + socket->sent_len,
                        socket->out.len - socket->sent_len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        redis_socket_lose(socket, strerror(errno));
        return;
    }
    if (sent > 0) {
        socket->sent_len += (size_t)sent;
        forget_sent(socket);
    }
    watch(socket);
}

static bool is_in_endless_line(const redisReader *reader) {
    return reader->len - reader->pos > LINE_BYTES_MAX &&
           memchr(reader->buf + reader->pos, '\n', LINE_BYTES_MAX) == NULL;
}

static void read_in(struct redis_socket *socket) {
    static char piece[READ_BYTES];
    for (int i = 0; i < READS_PER_TURN_MAX && !socket->is_lost; i++) {
        ssize_t got = recv(socket->redis->fd, piece, sizeof piece, 0);
        const char *why = NULL;
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0)
            why = got < 0 ? strerror(errno) : "Redis closed the connection";
        else
            why = socket->options.on_bytes(socket->options.context, bytes_make(piece, (size_t)got));
        if (why == NULL && is_in_endless_line(socket->redis->reader))
            why = "Redis sends a line without end";
        if (why != NULL)
            redis_socket_lose(socket, why);
        else if (got < READ_BYTES)
            return;
    }
}

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct redis_socket *socket = poll->data;
    if (!socket->is_connected) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(socket->redis->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (status < 0 || error != 0) {
            redis_socket_lose(socket, error ? strerror(error) : uv_strerror(status));
            return;
        }
        socket->is_connected = true;
        watch(socket);
    }
    if (events & UV_WRITABLE)
        redis_socket_flush(socket);
    if ((events & UV_READABLE) || status < 0)
        read_in(socket);
}

redisReader *redis_socket_reader(struct redis_socket *socket) {
    return socket->redis->reader;
}

struct buf *redis_socket_out(struct redis_socket *socket) {
    return &socket->out;
}

void redis_socket_append_command(struct redis_socket *socket, const struct bytes *words, size_t count) {
    buf_printf(&socket->out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&socket->out, "$%zu\r\n", words[i].len);
        buf_append_bytes(&socket->out, words[i]);
        buf_append_text(&socket->out, "\r\n");
    }
}

void redis_socket_hold(struct redis_socket *socket, bool is_held) {
    socket->is_held = is_held;
    if (!socket->is_lost)
        watch(socket);
}

bool redis_socket_is_lost(const struct redis_socket *socket) {
    return socket->is_lost;
}

struct redis_socket *redis_socket_create(const struct redis_socket_options *options) {
    redisContext *redis = options->ip ? redisConnectNonBlock(options->ip, options->url->port)
                                      : redisConnectUnixNonBlock(options->url->path);
    if (redis == NULL || redis->err) {
        if (redis != NULL) {
            log_debug("redis", "connect refused error=\"%s\"", redis->errstr);
            redisFree(redis);
        }
        return NULL;
    }
    struct redis_socket *socket = xcalloc(1, sizeof *socket);
    socket->options = *options;
    socket->redis = redis;
    buf_init(&socket->out, 0);
    socket->poll = xmalloc(sizeof *socket->poll);
    uv_poll_init(&options->loop->uv, socket->poll, redis->fd);
    socket->poll->data = socket;
    watch(socket);
    return socket;
}

static void on_poll_closed(uv_handle_t *handle) {
    free(handle);
}

/* The handle goes before the descriptor: closed later, it would take the descriptor's next owner, a client perhaps, off
 * the loop. */
void redis_socket_destroy(struct redis_socket *socket) {
    uv_close((uv_handle_t *)socket->poll, on_poll_closed);
    redisFree(socket->redis);
    buf_finish(&socket->out);
    free(socket);
}

#include "gateway/transport/acceptor.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/core/limits.h"
#include "gateway/transport/http/response.h"
#include "gateway/transport/proxy_header.h"

enum {
    /* Accepts per turn: a storm of connects must not keep messages waiting. */
    ACCEPTS_PER_TURN_MAX = 16,
    BACKLOG = 4096,
    /* How long we wait for refused connections to read the reason, so that closing does not reset them under the
     * answer. */
    LINGER_MS = 1000,
    /* How long to wait for a file descriptor to become free. */
    PAUSE_MS = 200,
    /* Connections whose PROXY header is awaited. */
    ARRIVING_MAX = 4096,
};

struct acceptor {
    struct acceptor_options options;
    int fd;
    uv_poll_t *poll;
    struct token_bucket accepts;
    struct list arrivals; /* Sockets that are not, or not yet, connections. */
    uint32_t arriving;
    uint32_t lingering;
    uint64_t logged_ms;
    struct wheel_timer pause; /* Armed while nothing is accepted for want of file descriptors. */
};

enum arrival_state {
    ARRIVAL_AWAITS_HEADER, /* The PROXY header has not come yet. */
    ARRIVAL_LINGERS,       /* Was refused; we wait for the client to close. */
};

struct arrival {
    struct list link;
    struct acceptor *acceptor;
    uv_poll_t poll;
    struct wheel_timer timer;
    enum arrival_state state;
    int fd;
    struct peer from;
};

/* --- Arrivals -------------------------------------------------------------------------------- */

static void on_arrival_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* Forgets the arrival; its socket is now somebody else's, or closed with `close_fd`. */
static void arrival_end(struct arrival *arrival, bool close_fd) {
    struct acceptor *acceptor = arrival->acceptor;
    list_unlink(&arrival->link);
    wheel_cancel(&arrival->timer);
    if (arrival->state == ARRIVAL_AWAITS_HEADER)
        acceptor->arriving--;
    else
        acceptor->lingering--;
    uv_poll_stop(&arrival->poll);
    if (close_fd)
        close(arrival->fd);
    uv_close((uv_handle_t *)&arrival->poll, on_arrival_closed);
}

static void on_arrival_late(struct wheel_timer *timer, uint64_t now_ms) {
    struct arrival *arrival = list_entry(timer, struct arrival, timer);
    (void)now_ms;
    if (arrival->state == ARRIVAL_AWAITS_HEADER)
        arrival->acceptor->options.metrics->refusals[REFUSED_HANDSHAKE]++;
    arrival_end(arrival, true);
}

static void on_arrival_readable(uv_poll_t *poll, int status, int events);

static struct arrival *arrival_create(struct acceptor *acceptor, int fd, const struct peer *from,
                                      enum arrival_state state, uint64_t patience_ms) {
    struct arrival *arrival = xcalloc(1, sizeof *arrival);
    arrival->acceptor = acceptor;
    arrival->fd = fd;
    arrival->from = *from;
    arrival->state = state;
    wheel_timer_init(&arrival->timer, on_arrival_late);
    list_push_back(&acceptor->arrivals, &arrival->link);
    uv_poll_init(&acceptor->options.loop->uv, &arrival->poll, fd);
    arrival->poll.data = arrival;
    uv_poll_start(&arrival->poll, UV_READABLE | UV_DISCONNECT, on_arrival_readable);
    wheel_arm(&acceptor->options.loop->wheel, &arrival->timer,
              loop_now_ms(acceptor->options.loop) + patience_ms);
    if (state == ARRIVAL_AWAITS_HEADER)
        acceptor->arriving++;
    else
        acceptor->lingering++;
    return arrival;
}

/* --- Letting in, or not ---------------------------------------------------------------------- */

static bool send_refusal(int fd) {
    struct response response = {.headers = "", .connection = "close"};
    struct buf text;
    buf_init(&text, 0);
    response_append_error(&text, &response, ERR_TOO_MANY_CONNECTIONS, NULL);
    bool is_sent = send(fd, text.data, text.len, MSG_NOSIGNAL) > 0;
    buf_finish(&text);
    return is_sent;
}

static void refuse(struct acceptor *acceptor, int fd, const struct peer *from, enum refusal refusal) {
    static const char *const reasons[REFUSAL_COUNT] = {
        [REFUSED_FULL] = "limits.connections",
        [REFUSED_PER_IP] = "limits.connections_per_ip",
        [REFUSED_RATE] = "limits.accepts_per_second",
        [REFUSED_PROXY] = "PROXY header",
    };
    uint64_t now_ms = loop_now_ms(acceptor->options.loop);
    acceptor->options.metrics->refusals[refusal]++;
    if (now_ms - acceptor->logged_ms > 1000) {
        struct buf text;
        acceptor->logged_ms = now_ms;
        buf_init(&text, 0);
        peer_print(from, &text);
        log_warn("acceptor", "connection refused reason=\"%s\" from=%.*s", reasons[refusal],
                 BYTES_FMT(buf_bytes(&text)));
        buf_finish(&text);
    }
    bool is_sent = refusal != REFUSED_PROXY && send_refusal(fd);
    if (is_sent && acceptor->lingering < acceptor->options.lingering_max) {
        shutdown(fd, SHUT_WR);
        arrival_create(acceptor, fd, from, ARRIVAL_LINGERS, LINGER_MS);
    } else {
        close(fd);
    }
}

static void let_in(struct acceptor *acceptor, int fd, const struct peer *from) {
    const struct acceptor_options *options = &acceptor->options;
    const struct config *config = options->config;
    bool is_counted = false;
    if (options->is_public && config->limits.connections_per_ip > 0 &&
        !peer_is_in(from, config->trusted_proxies, config->trusted_proxy_count)) {
        if (!peer_book_add(options->book, from, config->limits.connections_per_ip)) {
            refuse(acceptor, fd, from, REFUSED_PER_IP);
            return;
        }
        is_counted = true;
    }
    options->metrics->accepts++;
    options->on_accept(options->context, fd, from, is_counted);
}

/* `is_over`: nothing more will come. */
static void read_header(struct arrival *arrival, bool is_over) {
    uint8_t data[PROXY_HEADER_V2_MAX];
    struct proxy_header header;
    struct peer from = arrival->from;
    struct acceptor *acceptor = arrival->acceptor;
    int fd = arrival->fd;
    /* Peeking leaves what follows the header to libwebsockets. */
    ssize_t got = recv(fd, data, sizeof data, MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    enum error error =
        got <= 0 ? ERR_BAD_REQUEST : proxy_header_parse(bytes_make(data, (size_t)got), &header);
    if (error == ERR_MORE && !is_over) {
        /* What is peeked stays readable: look again when more has come, without spinning until then. */
        int more = (int)got + 1;
        setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more);
        return;
    }
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    arrival_end(arrival, false);
    if (error != ERR_OK || recv(fd, data, header.len, 0) != (ssize_t)header.len) {
        refuse(acceptor, fd, &from, REFUSED_PROXY);
        return;
    }
    if (header.has_source) {
        memcpy(from.ip, header.source, sizeof from.ip);
        from.port = header.source_port;
    }
    let_in(acceptor, fd, &from);
}

static void on_arrival_readable(uv_poll_t *poll, int status, int events) {
    struct arrival *arrival = poll->data;
    char ignored[1024];
    if (status < 0)
        arrival_end(arrival, true);
    else if (arrival->state == ARRIVAL_AWAITS_HEADER)
        read_header(arrival, (events & UV_DISCONNECT) != 0);
    else if (recv(arrival->fd, ignored, sizeof ignored, 0) == 0 ||
             (errno != EAGAIN && errno != EINTR && errno != 0))
        arrival_end(arrival, true);
}

static void meet(struct acceptor *acceptor, int fd, const struct peer *from) {
    const struct acceptor_options *options = &acceptor->options;
    const struct limits_config *limits = &options->config->limits;
    if (options->metrics->connections + acceptor->arriving >= options->connections_max ||
        acceptor->arriving >= ARRIVING_MAX) {
        refuse(acceptor, fd, from, REFUSED_FULL);
    } else if (!options->is_public) {
        let_in(acceptor, fd, from);
    } else if (!token_bucket_take(&acceptor->accepts, limits->accepts_per_second,
                                  loop_now_ms(options->loop))) {
        refuse(acceptor, fd, from, REFUSED_RATE);
    } else if (options->config->listen.proxy_protocol &&
               peer_is_in(from, options->config->trusted_proxies, options->config->trusted_proxy_count)) {
        arrival_create(acceptor, fd, from, ARRIVAL_AWAITS_HEADER, limits->handshake_seconds * 1000ull);
    } else {
        let_in(acceptor, fd, from);
    }
}

static void on_connections(uv_poll_t *poll, int status, int events);

static void on_pause_over(struct wheel_timer *timer, uint64_t now_ms) {
    struct acceptor *acceptor = list_entry(timer, struct acceptor, pause);
    (void)now_ms;
    uv_poll_start(acceptor->poll, UV_READABLE, on_connections);
}

/* The connection that could not be accepted stays in the queue, and would be told of again and again. */
static void pause_accepting(struct acceptor *acceptor) {
    uint64_t now_ms = loop_now_ms(acceptor->options.loop);
    if (now_ms - acceptor->logged_ms > 1000) {
        acceptor->logged_ms = now_ms;
        log_error("acceptor",
                  "out of file descriptors: raise the limit (ulimit -n) or lower limits.connections");
    }
    uv_poll_stop(acceptor->poll);
    wheel_arm(&acceptor->options.loop->wheel, &acceptor->pause, now_ms + PAUSE_MS);
}

static void on_connections(uv_poll_t *poll, int status, int events) {
    struct acceptor *acceptor = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN_MAX && acceptor->fd >= 0; i++) {
        struct sockaddr_storage peer;
        struct peer from;
        socklen_t len = sizeof peer;
        int fd = accept4(acceptor->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                pause_accepting(acceptor);
            return;
        }
        peer_of_socket(&peer, &from);
        meet(acceptor, fd, &from);
    }
}

/* --- Listening ------------------------------------------------------------------------------- */

/* Finds out who is gone without a word, by the kernel's timers: whatever a connection carries, what it has sent must
 * have been taken within a ping's interval and timeout, and where nothing is sent, the kernel asks in the same
 * intervals. Accepted sockets inherit all that is set here. */
static void set_liveness(int fd, const struct config *config) {
    int on = 1, idle = (int)config->ping.interval_seconds, count = 3;
    int between = ((int)config->ping.timeout_seconds + count - 1) / count;
    unsigned patience_ms = (config->ping.interval_seconds + config->ping.timeout_seconds) * 1000;
    if (idle == 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
}

static int listen_on(const char *address, uint16_t port, bool is_shared, const char **error) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *found;
    char service[8];
    int on = 1;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int failure = getaddrinfo(address, service, &hints, &found);
    if (failure != 0) {
        *error = gai_strerror(failure);
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        goto fail;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (is_shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    /* Accepted sockets inherit it. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        goto fail;
    freeaddrinfo(found);
    return fd;
fail:
    *error = strerror(errno);
    freeaddrinfo(found);
    if (fd >= 0)
        close(fd);
    return -1;
}

static int try_listen(const char *address, uint16_t port, bool is_shared) {
    const char *error = "";
    int fd = listen_on(address, port, is_shared, &error);
    if (fd < 0)
        log_error("acceptor", "cannot listen address=%s port=%u error=\"%s\"", address, (unsigned)port,
                  error);
    return fd;
}

bool acceptor_may_listen(const char *address, uint16_t port) {
    int fd = try_listen(address, port, false);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

struct acceptor *acceptor_create(const struct acceptor_options *options) {
    int fd = try_listen(options->address, options->port, options->is_public);
    if (fd < 0)
        return NULL;
    struct acceptor *acceptor = xcalloc(1, sizeof *acceptor);
    acceptor->options = *options;
    acceptor->fd = fd;
    set_liveness(fd, options->config);
    list_init(&acceptor->arrivals);
    wheel_timer_init(&acceptor->pause, on_pause_over);
    acceptor->poll = xmalloc(sizeof *acceptor->poll);
    uv_poll_init(&options->loop->uv, acceptor->poll, fd);
    acceptor->poll->data = acceptor;
    uv_poll_start(acceptor->poll, UV_READABLE, on_connections);
    return acceptor;
}

void acceptor_set_config(struct acceptor *acceptor, const struct config *config, uint32_t connections_max) {
    acceptor->options.config = config;
    acceptor->options.connections_max = connections_max;
    if (acceptor->fd >= 0)
        set_liveness(acceptor->fd, config);
}

static void on_poll_closed(uv_handle_t *handle) {
    free(handle);
}

void acceptor_stop(struct acceptor *acceptor) {
    if (acceptor->fd < 0)
        return;
    wheel_cancel(&acceptor->pause);
    uv_poll_stop(acceptor->poll);
    uv_close((uv_handle_t *)acceptor->poll, on_poll_closed);
    close(acceptor->fd);
    acceptor->fd = -1;
}

void acceptor_destroy(struct acceptor *acceptor) {
    if (acceptor == NULL)
        return;
    acceptor_stop(acceptor);
    while (!list_is_empty(&acceptor->arrivals))
        arrival_end(list_entry(acceptor->arrivals.next, struct arrival, link), true);
    free(acceptor);
}

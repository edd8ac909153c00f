#include "loadtest/subscriber.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "loadtest/ws.h"

enum { RETRY_MS_MIN = 50, RETRY_MS_MAX = 5000, RETRIES_MAX = 20 };

struct dialogue subscriber_dialogue(const struct swarm *swarm, const struct subscriber *subscriber) {
    return (struct dialogue){
        .options = swarm->options, .subscriber = subscriber->index, .positions = subscriber->positions};
}

void subscriber_enqueue(struct swarm *swarm, struct subscriber *subscriber) {
    subscriber->state = SUBSCRIBER_WAITING;
    subscriber->next = NULL;
    *swarm->queue_end = subscriber;
    swarm->queue_end = &subscriber->next;
}

static bool is_under_way(const struct subscriber *subscriber) {
    return subscriber->state >= SUBSCRIBER_CONNECTING && subscriber->state <= SUBSCRIBER_GREETING;
}

static uint32_t events_wanted(const struct subscriber *subscriber) {
    if (subscriber->is_slow && subscriber->state == SUBSCRIBER_LIVE)
        return EPOLLRDHUP;
    /* Edge triggered: a level would be asked for again after each read, a tenth of our whole cost. An edge of
     * writability comes only after a short write, so it may stay asked for. */
    return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
}

static void watch(struct swarm *swarm, struct subscriber *subscriber, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = subscriber};
    epoll_ctl(swarm->epoll_fd, operation, subscriber->fd, &event);
}

/* A reset instead of a farewell: thousands of sockets in TIME_WAIT would use up the ports of the next run. */
static void close_hard(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

void subscriber_close(struct swarm *swarm, struct subscriber *subscriber) {
    if (is_under_way(subscriber))
        swarm->counts->under_way--;
    if (subscriber->state == SUBSCRIBER_LIVE) {
        swarm->counts->live--;
        swarm->counts->open_slow -= subscriber->is_slow;
    }
    if (subscriber->fd >= 0)
        close_hard(subscriber->fd);
    subscriber->fd = -1;
    subscriber->state = SUBSCRIBER_ENDED;
    buf_finish(&subscriber->in);
    buf_finish(&subscriber->out);
    buf_finish(&subscriber->fragments);
}

void subscriber_tell_gap(struct swarm *swarm, struct subscriber *subscriber) {
    uint32_t count = swarm->options->channels_per_subscriber * swarm->options->publishers;
    for (uint32_t i = 0; i < count; i++)
        sequence_tell_gap(&subscriber->sequences[i]);
}

/* Full jitter, as a good client does it. */
static void retry_later(struct swarm *swarm, struct subscriber *subscriber) {
    uint32_t top = RETRY_MS_MIN << (subscriber->failed < 7 ? subscriber->failed : 7);
    if (top > RETRY_MS_MAX)
        top = RETRY_MS_MAX;
    uint64_t wait_ms = RETRY_MS_MIN + (uint64_t)rand() % top;
    subscriber->retry_ns = swarm->now_ns + wait_ms * 1000000;
    swarm->sleepers++;
}

void subscriber_fail(struct swarm *swarm, struct subscriber *subscriber, enum failure failure) {
    bool is_back = subscriber->was_live || subscriber->is_cut;
    swarm->counts->failures[failure]++;
    subscriber_close(swarm, subscriber);
    subscriber->failed++;
    /* A first connect that fails is a result. Who was in once behaves like a client, and comes back; but a
     * slow reader that was thrown out stays out. */
    if (is_back && !subscriber->is_slow && subscriber->failed <= RETRIES_MAX)
        retry_later(swarm, subscriber);
}

void subscriber_begin(struct swarm *swarm, struct subscriber *subscriber) {
    const struct options *options = swarm->options;
    uint32_t source = options->source_addresses > 1 ? 1 + subscriber->index % options->source_addresses : 0;
    subscriber->began_ns = clock_monotonic_ns();
    subscriber->confirmed = 0;
    subscriber->retry_ns = 0;
    subscriber->body = (struct http_body){.kind = HTTP_BODY_NONE};
    subscriber->fd = endpoint_connect(&options->server, source);
    if (subscriber->fd < 0) {
        snprintf(swarm->counts->last_error, sizeof swarm->counts->last_error, "connect: %s", strerror(errno));
        subscriber_fail(swarm, subscriber, FAILURE_CONNECT);
        return;
    }
    if (subscriber->is_slow) {
        /* Else the kernel would read megabytes on its behalf. */
        int bytes = 4096;
        setsockopt(subscriber->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
    subscriber->state = SUBSCRIBER_CONNECTING;
    swarm->counts->under_way++;
    watch(swarm, subscriber, EPOLL_CTL_ADD, events_wanted(subscriber));
}

static void append_subscribe_path(struct buf *out, const struct swarm *swarm,
                                  const struct subscriber *subscriber, bool is_first_poll) {
    const struct options *options = swarm->options;
    buf_printf(out, "/v1/subscribe?transport=%s", transport_name((enum transport)subscriber->transport));
    for (uint32_t i = 0; i < options->channels_per_subscriber; i++) {
        buf_append_text(out, "&channel=");
        peer_channel(out, options, options_channel(options, subscriber->index, i));
    }
    if (subscriber->cursor.len > 0) {
        buf_append_text(out, "&cursor=");
        buf_append_bytes(out, buf_bytes(&subscriber->cursor));
    }
    /* The first poll returns at once, with the cursor from which nothing is missed. */
    if (subscriber->transport == TRANSPORT_LONGPOLL)
        buf_append_text(out, is_first_poll ? "&wait=0" : "&wait=25");
}

static const char *accept_type(enum transport transport) {
    switch (transport) {
    case TRANSPORT_SSE:
        return "text/event-stream";
    case TRANSPORT_STREAM:
        return "application/x-ndjson";
    default:
        return "application/json";
    }
}

/* What Chromium says in the middle of each request, with the cookies that a site of today sets: a session's, two of
 * those who count visitors, a preference. */
static void append_browser_fields(struct buf *out, const struct options *options) {
    buf_printf(out, "Origin: http://%s:%u\r\n", options->server.host, options->server.port);
    buf_append_text(out, "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                         "Chrome/156.0.0.0 Safari/537.36\r\n"
                         "Accept-Encoding: gzip, deflate, br, zstd\r\n"
                         "Accept-Language: en-US,en;q=0.9\r\n"
                         "Cookie: session=eyJ1c2VyIjo0MjQyNDIsInJvbGUiOiJtZW1iZXIifQ.aR4mVw."
                         "hU0sT3yNc2kq8vXoZb1LwD5eJ7g; _ga=GA1.1.1234567890.1763680000; "
                         "_ga_ABCDEF1234=GS2.1.s1763680000$o12$g1$t1763680420$j60$l0$h0; theme=dark\r\n");
}

static void append_extensions(struct buf *out, const struct options *options) {
    /* Chromium's, and what we ask of every server: each message inflates by itself. */
    if (options->browser_headers)
        buf_append_text(out, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; "
                             "server_no_context_takeover\r\n");
    else if (options->deflate)
        buf_append_text(out, "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; "
                             "server_no_context_takeover\r\n");
}

static void append_handshake(struct buf *out, const struct options *options) {
    buf_append_text(out, "Connection: Upgrade\r\n");
    if (options->browser_headers) {
        buf_append_text(out, "Pragma: no-cache\r\nCache-Control: no-cache\r\n");
        append_browser_fields(out, options);
    }
    buf_append_text(out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: " WS_KEY "\r\n");
    append_extensions(out, options);
    if (options->peer->subprotocol[0] != '\0')
        buf_printf(out, "Sec-WebSocket-Protocol: %s\r\n", options->peer->subprotocol);
}

static void append_accept(struct buf *out, const struct options *options, enum transport transport) {
    buf_printf(out, "Accept: %s\r\n", accept_type(transport));
    if (!options->browser_headers)
        return;
    buf_append_text(out, "Connection: keep-alive\r\n"
                         "sec-ch-ua: \"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\"\r\n"
                         "sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n"
                         "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n");
    buf_printf(out, "Referer: http://%s:%u/\r\n", options->server.host, options->server.port);
    append_browser_fields(out, options);
}

void subscriber_request(struct swarm *swarm, struct subscriber *subscriber) {
    const struct options *options = swarm->options;
    struct dialogue dialogue = subscriber_dialogue(swarm, subscriber);
    struct buf request;
    buf_init(&request, 0);
    buf_append_text(&request, "GET ");
    if (subscriber->transport == TRANSPORT_WS) {
        options->peer->path(&request, &dialogue);
    } else {
        append_subscribe_path(&request, swarm, subscriber,
                              subscriber->state != SUBSCRIBER_LIVE && subscriber->cursor.len == 0);
    }
    buf_printf(&request, " HTTP/1.1\r\nHost: %s:%u\r\n", options->server.host, options->server.port);
    if (subscriber->transport == TRANSPORT_WS)
        append_handshake(&request, options);
    else
        append_accept(&request, options, (enum transport)subscriber->transport);
    buf_append_text(&request, "\r\n");
    subscriber_send(subscriber, buf_bytes(&request));
    buf_finish(&request);
}

void subscriber_send(struct subscriber *subscriber, struct bytes bytes) {
    if (subscriber->out.len == 0) {
        ssize_t sent = send(subscriber->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent == (ssize_t)bytes.len)
            return;
        if (sent < 0 && errno != EAGAIN)
            return; /* The end of the connection is seen when it is read. */
        bytes = bytes_skip(bytes, sent < 0 ? 0 : (size_t)sent);
    }
    buf_append_bytes(&subscriber->out, bytes);
}

static void on_connected(struct swarm *swarm, struct subscriber *subscriber) {
    subscriber->state = SUBSCRIBER_HEAD;
    subscriber_request(swarm, subscriber);
    /* A poll that continues from a cursor is answered when there is news: it misses nothing from now on. */
    if (subscriber->transport == TRANSPORT_LONGPOLL && subscriber->cursor.len > 0)
        subscriber_go_live(swarm, subscriber);
}

void subscriber_on_connect(struct swarm *swarm, struct subscriber *subscriber, bool is_error) {
    int error = 0;
    socklen_t len = sizeof error;
    if (!is_error) {
        on_connected(swarm, subscriber);
        return;
    }
    getsockopt(subscriber->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    snprintf(swarm->counts->last_error, sizeof swarm->counts->last_error, "connect: %s", strerror(error));
    subscriber_fail(swarm, subscriber, FAILURE_CONNECT);
}

void subscriber_on_writable(struct subscriber *subscriber) {
    ssize_t sent = send(subscriber->fd, subscriber->out.data, subscriber->out.len, MSG_NOSIGNAL);
    if (sent > 0)
        buf_consume(&subscriber->out, (size_t)sent);
    if (subscriber->out.len == 0)
        buf_finish(&subscriber->out);
}

void subscriber_go_live(struct swarm *swarm, struct subscriber *subscriber) {
    struct client_counts *counts = swarm->counts;
    uint64_t now_ns = clock_monotonic_ns();
    subscriber->state = SUBSCRIBER_LIVE;
    subscriber->failed = 0;
    counts->under_way--;
    counts->live++;
    counts->connects++;
    histogram_add(&counts->connect, now_ns - subscriber->began_ns);
    counts->reconnects += subscriber->was_live;
    if (subscriber->is_cut) {
        histogram_add(&counts->away, now_ns - subscriber->cut_ns);
        counts->cut--;
        subscriber->is_cut = false;
    }
    subscriber->was_live = true;
    if (subscriber->is_slow) {
        counts->open_slow++;
        watch(swarm, subscriber, EPOLL_CTL_MOD, events_wanted(subscriber));
    }
}

void subscriber_confirm(struct swarm *swarm, struct subscriber *subscriber, enum verdict verdict) {
    swarm->counts->recovered += verdict == VERDICT_RECOVERED;
    swarm->counts->not_recovered += verdict == VERDICT_NOT_RECOVERED;
    if (verdict != VERDICT_RECOVERED && subscriber->was_live)
        subscriber_tell_gap(swarm, subscriber);
    if (++subscriber->confirmed == swarm->options->channels_per_subscriber &&
        subscriber->state == SUBSCRIBER_GREETING)
        subscriber_go_live(swarm, subscriber);
}

void subscriber_cut(struct swarm *swarm, struct subscriber *subscriber) {
    subscriber_close(swarm, subscriber);
    subscriber->is_cut = true;
    subscriber->cut_ns = clock_monotonic_ns();
    swarm->counts->cut++;
    subscriber_enqueue(swarm, subscriber);
}

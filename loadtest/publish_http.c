/* A few kept-alive connections, each with one request under way; what comes faster waits in a queue. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/xalloc.h"
#include "loadtest/http.h"
#include "loadtest/peer.h"
#include "loadtest/publish_link.h"

enum { CONNECTIONS = 8 };

struct http_link;

struct request {
    struct request *next;
    struct buf text;
};

/* The pointer that epoll gives back, so it begins like a link. */
struct http_connection {
    struct publish_link link;
    struct http_link *owner;
    int fd;
    struct request *request; /* Under way; NULL: idle. */
    struct buf out;
    struct buf in;
    struct http_body body;
    uint32_t status; /* 0: its head has not come yet. */
    bool closes;
};

struct http_link {
    struct publish_link link;
    struct http_connection connections[CONNECTIONS];
    struct request *queue;
    struct request **queue_end;
    size_t queued_bytes;
};

static const struct publish_kind http_connection_kind;

static bool connect_one(struct http_connection *connection) {
    connection->fd = publish_connect(&connection->link.options->admin, connection->link.counts);
    if (connection->fd < 0)
        return false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(connection->link.epoll_fd, EPOLL_CTL_ADD, connection->fd, &event);
    return true;
}

static struct publish_link *http_open(const struct options *options, int epoll_fd,
                                      struct publisher_counts *counts) {
    struct http_link *http = xcalloc(1, sizeof *http);
    http->link = (struct publish_link){&publish_http, options, counts, epoll_fd};
    http->queue_end = &http->queue;
    for (int i = 0; i < CONNECTIONS; i++) {
        struct http_connection *connection = &http->connections[i];
        connection->link = (struct publish_link){&http_connection_kind, options, counts, epoll_fd};
        connection->owner = http;
        buf_init(&connection->out, 0);
        buf_init(&connection->in, 1 << 20);
        if (!connect_one(connection)) {
            free(http);
            return NULL;
        }
    }
    return &http->link;
}

static void http_publish_one(struct publish_link *link, struct bytes channel, struct bytes payload) {
    struct http_link *http = (struct http_link *)link;
    if (http->queued_bytes > PUBLISH_QUEUE_BYTES_MAX) {
        link->counts->failed++;
        return;
    }
    struct request *request = xcalloc(1, sizeof *request);
    buf_init(&request->text, 0);
    link->options->peer->http_publish(&request->text, link->options, channel, payload);
    http->queued_bytes += request->text.len;
    *http->queue_end = request;
    http->queue_end = &request->next;
}

static void want(struct http_connection *connection, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    epoll_ctl(connection->link.epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

static void send_more(struct http_connection *connection) {
    ssize_t sent = write(connection->fd, connection->out.data, connection->out.len);
    if (sent > 0)
        buf_consume(&connection->out, (size_t)sent);
    if (connection->out.len > 0)
        want(connection, EPOLLIN | EPOLLOUT); /* A broken connection shows when it is read. */
}

static void http_flush(struct publish_link *link) {
    struct http_link *http = (struct http_link *)link;
    for (int i = 0; i < CONNECTIONS && http->queue != NULL && !link->counts->is_broken; i++) {
        struct http_connection *connection = &http->connections[i];
        if (connection->request != NULL || connection->fd < 0)
            continue;
        struct request *request = http->queue;
        http->queue = request->next;
        if (http->queue == NULL)
            http->queue_end = &http->queue;
        http->queued_bytes -= request->text.len;
        connection->request = request;
        connection->status = 0;
        buf_clear(&connection->in);
        buf_clear(&connection->out);
        buf_append_bytes(&connection->out, buf_bytes(&request->text));
        send_more(connection);
    }
}

static void finish_request(struct http_connection *connection) {
    struct publisher_counts *counts = connection->link.counts;
    buf_finish(&connection->request->text);
    free(connection->request);
    connection->request = NULL;
    counts->answered++;
    if (connection->status / 100 != 2 && counts->failed++ == 0)
        publish_fail(&connection->link, "publishing over HTTP was answered with status %u",
                     connection->status);
    if (connection->closes) {
        close(connection->fd);
        connect_one(connection);
    }
    http_flush(&connection->owner->link);
}

static void take(struct http_connection *connection) {
    if (connection->status == 0) {
        struct http_head head;
        enum http_result result = http_parse_head(buf_bytes(&connection->in), &head);
        if (result == HTTP_MORE)
            return;
        if (result == HTTP_BROKEN) {
            publish_fail(&connection->link, "what answers there does not speak HTTP");
            return;
        }
        connection->status = head.status;
        connection->closes = head.closes;
        http_body_begin(&connection->body, &head);
        buf_consume(&connection->in, head.len);
    }
    size_t used = 0;
    if (connection->in.len > 0 && !connection->body.is_done)
        http_body_decode(&connection->body, connection->in.data, connection->in.len, &used);
    buf_clear(&connection->in);
    if (connection->body.is_done)
        finish_request(connection);
}

static void http_on_ready(struct publish_link *link, uint32_t events) {
    struct http_connection *connection = (struct http_connection *)link;
    if (events & EPOLLOUT) {
        want(connection, EPOLLIN);
        send_more(connection);
    }
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    char *room = buf_reserve(&connection->in, 16384);
    ssize_t got = room == NULL ? -1 : read(connection->fd, room, 16384);
    if (got > 0) {
        connection->in.len += (size_t)got;
        if (connection->request != NULL)
            take(connection);
        else
            buf_clear(&connection->in);
        return;
    }
    if (got < 0 && errno == EAGAIN)
        return;
    close(connection->fd);
    connection->fd = -1;
    if (connection->request != NULL) {
        connection->status = 0;
        connection->closes = false;
        link->counts->failed++;
        buf_finish(&connection->request->text);
        free(connection->request);
        connection->request = NULL;
    }
    connect_one(connection); /* An idle connection may be closed by the server at any time. */
}

static void http_close(struct publish_link *link) {
    struct http_link *http = (struct http_link *)link;
    for (int i = 0; i < CONNECTIONS; i++) {
        if (http->connections[i].fd >= 0)
            close(http->connections[i].fd);
        buf_finish(&http->connections[i].in);
        buf_finish(&http->connections[i].out);
        if (http->connections[i].request != NULL)
            buf_finish(&http->connections[i].request->text);
        free(http->connections[i].request);
    }
    while (http->queue != NULL) {
        struct request *request = http->queue;
        http->queue = request->next;
        buf_finish(&request->text);
        free(request);
    }
    free(http);
}

static const struct publish_kind http_connection_kind = {.on_ready = http_on_ready};

const struct publish_kind publish_http = {
    .open = http_open,
    .publish = http_publish_one,
    .flush = http_flush,
    .on_ready = http_on_ready,
    .close = http_close,
};

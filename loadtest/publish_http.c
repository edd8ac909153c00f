/* One kept-alive connection per publisher with one request under way, so that its messages keep their order;
 * what comes faster waits in a queue. More publishers make it faster. */
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

struct request {
    struct request *next;
    struct buf text;
};

struct http_link {
    struct publish_link link;
    int fd;               /* -1: lost, and not to be had again. */
    struct request *sent; /* Under way; NULL: idle. */
    struct buf out;
    struct buf in;
    struct http_body body;
    uint32_t status; /* 0: the head of the response has not come yet. */
    bool closes;
    struct request *queue;
    struct request **queue_end;
    size_t queued_bytes;
};

static bool reach(struct http_link *http) {
    http->fd = publish_connect(&http->link.options->admin, http->link.counts);
    if (http->fd < 0)
        return false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = http};
    epoll_ctl(http->link.epoll_fd, EPOLL_CTL_ADD, http->fd, &event);
    return true;
}

static struct publish_link *http_open(const struct options *options, int epoll_fd,
                                      struct publisher_counts *counts) {
    struct http_link *http = xcalloc(1, sizeof *http);
    http->link = (struct publish_link){&publish_http, options, counts, epoll_fd};
    http->queue_end = &http->queue;
    buf_init(&http->out, 0);
    buf_init(&http->in, 1 << 20);
    if (reach(http))
        return &http->link;
    free(http);
    return NULL;
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

static void want(struct http_link *http, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = http};
    epoll_ctl(http->link.epoll_fd, EPOLL_CTL_MOD, http->fd, &event);
}

static void send_more(struct http_link *http) {
    ssize_t sent = write(http->fd, http->out.data, http->out.len);
    if (sent > 0)
        buf_consume(&http->out, (size_t)sent);
    if (http->out.len > 0)
        want(http, EPOLLIN | EPOLLOUT); /* A broken connection shows when it is read. */
}

static void http_flush(struct publish_link *link) {
    struct http_link *http = (struct http_link *)link;
    struct request *request = http->queue;
    if (request == NULL || http->sent != NULL || http->fd < 0 || link->counts->is_broken)
        return;
    http->queue = request->next;
    if (http->queue == NULL)
        http->queue_end = &http->queue;
    http->queued_bytes -= request->text.len;
    http->sent = request;
    http->status = 0;
    buf_clear(&http->in);
    buf_clear(&http->out);
    buf_append_bytes(&http->out, buf_bytes(&request->text));
    send_more(http);
}

static void free_request(struct request *request) {
    if (request != NULL)
        buf_finish(&request->text);
    free(request);
}

static void reach_again(struct http_link *http) {
    close(http->fd);
    if (!reach(http))
        http->link.counts->is_broken = true;
}

static void finish_request(struct http_link *http) {
    struct publisher_counts *counts = http->link.counts;
    free_request(http->sent);
    http->sent = NULL;
    counts->answered++;
    if (http->status / 100 != 2 && counts->failed++ == 0)
        publish_fail(&http->link, "publishing over HTTP was answered with status %u", http->status);
    if (http->closes)
        reach_again(http);
    http_flush(&http->link);
}

static void take_response(struct http_link *http) {
    if (http->status == 0) {
        struct http_head head;
        enum http_result result = http_parse_head(buf_bytes(&http->in), &head);
        if (result == HTTP_MORE)
            return;
        if (result == HTTP_BROKEN) {
            publish_fail(&http->link, "what answers there does not speak HTTP");
            return;
        }
        http->status = head.status;
        http->closes = head.closes;
        http_body_begin(&http->body, &head);
        buf_consume(&http->in, head.len);
    }
    size_t used = 0;
    if (http->in.len > 0 && !http->body.is_done)
        http_body_decode(&http->body, http->in.data, http->in.len, &used);
    buf_clear(&http->in);
    if (http->body.is_done)
        finish_request(http);
}

/* A connection that was idle may be closed by the server at any time. */
static void on_closed(struct http_link *http) {
    if (http->sent != NULL && http->status != 0 && http->body.kind == HTTP_BODY_UNTIL_CLOSE) {
        http->closes = true;
        finish_request(http);
        return;
    }
    if (http->sent != NULL)
        http->link.counts->failed++;
    free_request(http->sent);
    http->sent = NULL;
    reach_again(http);
    http_flush(&http->link);
}

static void http_on_ready(struct publish_link *link, uint32_t events) {
    struct http_link *http = (struct http_link *)link;
    if (events & EPOLLOUT) {
        want(http, EPOLLIN);
        send_more(http);
    }
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    char *room = buf_reserve(&http->in, 16384);
    ssize_t got = room == NULL ? 0 : read(http->fd, room, 16384);
    if (got > 0) {
        http->in.len += (size_t)got;
        if (http->sent != NULL)
            take_response(http);
        else
            buf_clear(&http->in);
    } else if (got == 0 || errno != EAGAIN) {
        on_closed(http);
    }
}

static void http_close(struct publish_link *link) {
    struct http_link *http = (struct http_link *)link;
    if (http->fd >= 0)
        close(http->fd);
    buf_finish(&http->in);
    buf_finish(&http->out);
    free_request(http->sent);
    while (http->queue != NULL) {
        struct request *request = http->queue;
        http->queue = request->next;
        free_request(request);
    }
    free(http);
}

const struct publish_kind publish_http = {
    .open = http_open,
    .publish = http_publish_one,
    .flush = http_flush,
    .on_ready = http_on_ready,
    .close = http_close,
};

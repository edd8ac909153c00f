/* A client that publishes in fantail's native protocol. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/xalloc.h"
#include "loadtest/http.h"
#include "loadtest/peer.h"
#include "loadtest/publish_link.h"
#include "loadtest/ws.h"

enum { HANDSHAKE_MS = 3000 };

struct ws_link {
    struct publish_link link;
    int fd;
    struct buf in;
    struct buf out;
    struct buf scratch;
    uint32_t ref;
    bool wants_write;
};

/* Blocks: nothing else happens before the publisher is ready. */
static bool shake_hands(struct ws_link *ws) {
    const struct options *options = ws->link.options;
    struct dialogue dialogue = {.options = options};
    struct buf request;
    buf_init(&request, 0);
    buf_append_text(&request, "GET ");
    options->peer->path(&request, &dialogue);
    buf_printf(&request,
               " HTTP/1.1\r\nHost: %s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY
               "\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
               options->server.host, options->server.port, options->peer->subprotocol);
    bool is_sent = write(ws->fd, request.data, request.len) == (ssize_t)request.len;
    buf_finish(&request);
    struct http_head head;
    enum http_result result = HTTP_MORE;
    while (is_sent && result == HTTP_MORE) {
        struct pollfd ready = {.fd = ws->fd, .events = POLLIN};
        char *room = buf_reserve(&ws->in, 4096);
        if (room == NULL || poll(&ready, 1, HANDSHAKE_MS) != 1)
            break;
        ssize_t got = read(ws->fd, room, 4096);
        if (got <= 0)
            break;
        ws->in.len += (size_t)got;
        result = http_parse_head(buf_bytes(&ws->in), &head);
    }
    if (result != HTTP_DONE || head.status != 101) {
        publish_fail(&ws->link, "no WebSocket to publish by: %s",
                     result == HTTP_DONE ? "refused" : "the handshake did not come to its end");
        return false;
    }
    buf_consume(&ws->in, head.len);
    return true;
}

static struct publish_link *ws_open(const struct options *options, int epoll_fd,
                                    struct publisher_counts *counts) {
    int fd = publish_connect(&options->server, counts);
    if (fd < 0)
        return NULL;
    struct ws_link *ws = xcalloc(1, sizeof *ws);
    ws->link = (struct publish_link){&publish_ws, options, counts, epoll_fd};
    ws->fd = fd;
    buf_init(&ws->in, 1 << 20);
    buf_init(&ws->out, PUBLISH_QUEUE_BYTES_MAX);
    buf_init(&ws->scratch, 0);
    if (!shake_hands(ws)) {
        publish_ws.close(&ws->link);
        return NULL;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = ws};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    return &ws->link;
}

static void ws_publish_one(struct publish_link *link, struct bytes channel, struct bytes payload) {
    struct ws_link *ws = (struct ws_link *)link;
    size_t before = ws->out.len;
    buf_clear(&ws->scratch);
    buf_printf(&ws->scratch, "{\"ref\":%u,\"op\":\"publish\",\"channel\":", ++ws->ref);
    buf_append_json_string(&ws->scratch, channel);
    buf_append_text(&ws->scratch, ",\"data\":");
    buf_append_bytes(&ws->scratch, payload);
    buf_append_text(&ws->scratch, "}");
    ws_append_frame(&ws->out, WS_TEXT, buf_bytes(&ws->scratch));
    if (ws->out.overflow) {
        ws->out.len = before;
        ws->out.overflow = false;
        link->counts->failed++;
    }
}

static void ws_flush(struct publish_link *link) {
    struct ws_link *ws = (struct ws_link *)link;
    if (ws->out.len == 0 || link->counts->is_broken)
        return;
    ssize_t sent = write(ws->fd, ws->out.data, ws->out.len);
    if (sent > 0)
        buf_consume(&ws->out, (size_t)sent);
    else if (errno != EAGAIN)
        publish_fail(link, "publishing client: %s", strerror(errno));
    bool wants = ws->out.len > 0;
    if (wants != ws->wants_write) {
        ws->wants_write = wants;
        struct epoll_event event = {.events = EPOLLIN | (wants ? EPOLLOUT : 0), .data.ptr = ws};
        epoll_ctl(link->epoll_fd, EPOLL_CTL_MOD, ws->fd, &event);
    }
}

static void take_reply(struct ws_link *ws, struct bytes line) {
    struct publisher_counts *counts = ws->link.counts;
    if (memmem(line.data, line.len, "\"ref\":", 6) == NULL)
        return;
    counts->answered++;
    if (memmem(line.data, line.len, "\"error\":", 8) != NULL && counts->failed++ == 0)
        publish_fail(&ws->link, "publishing client: %.*s", line.len < 120 ? (int)line.len : 120, line.data);
}

static void take_frame(struct ws_link *ws, const struct ws_frame *frame) {
    struct bytes rest = frame->payload;
    if (frame->opcode == WS_PING)
        ws_append_frame(&ws->out, WS_PONG, rest);
    if (frame->opcode == WS_CLOSE)
        publish_fail(&ws->link, "the server closed the publishing client with code %u", ws_close_code(rest));
    while (frame->opcode == WS_TEXT && rest.len > 0) {
        const char *newline = memchr(rest.data, '\n', rest.len);
        size_t len = newline == NULL ? rest.len : (size_t)(newline - rest.data);
        take_reply(ws, bytes_make(rest.data, len));
        rest = bytes_skip(rest, newline == NULL ? rest.len : len + 1);
    }
}

static void ws_on_ready(struct publish_link *link, uint32_t events) {
    struct ws_link *ws = (struct ws_link *)link;
    if (events & EPOLLOUT)
        ws_flush(link);
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    char *room = buf_reserve(&ws->in, 65536);
    ssize_t got = room == NULL ? -1 : read(ws->fd, room, 65536);
    if (got < 0 && room != NULL && errno == EAGAIN)
        return;
    if (got <= 0) {
        publish_fail(link, "the server closed the publishing client");
        epoll_ctl(link->epoll_fd, EPOLL_CTL_DEL, ws->fd, NULL);
        return;
    }
    ws->in.len += (size_t)got;
    size_t total = 0;
    struct ws_frame frame;
    size_t used;
    while (ws_parse(bytes_skip(buf_bytes(&ws->in), total), &frame, &used) == WS_FRAME) {
        take_frame(ws, &frame);
        total += used;
    }
    buf_consume(&ws->in, total);
    ws_flush(link);
}

static void ws_close(struct publish_link *link) {
    struct ws_link *ws = (struct ws_link *)link;
    close(ws->fd);
    buf_finish(&ws->in);
    buf_finish(&ws->out);
    buf_finish(&ws->scratch);
    free(ws);
}

const struct publish_kind publish_ws = {
    .open = ws_open,
    .publish = ws_publish_one,
    .flush = ws_flush,
    .on_ready = ws_on_ready,
    .close = ws_close,
};

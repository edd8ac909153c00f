#include "gateway/transport/poll.h"

#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/core/cursor.h"
#include "gateway/forms.h"
#include "gateway/transport/connection.h"

enum {
    /* How long a poll waits to know where it begins: until Redis has confirmed its channels. */
    READY_MS = 5000,
    HEADER_BYTES_MAX = 8192,
};

struct poll {
    struct exchange *exchange;
    struct session *session;
    struct loop *loop;
    struct wheel_timer timer;
    uint64_t wait_ms;
    char *headers;
    struct buf known; /* If-None-Match. */
    bool is_closing;  /* By our side: the answer is out, the session is told at the end of the turn. */
};

static void poll_free(struct poll *poll) {
    wheel_cancel(&poll->timer);
    buf_finish(&poll->known);
    free(poll->headers);
    free(poll);
}

static void end(struct poll *poll, enum close_reason reason) {
    session_on_closed(poll->session, reason);
    poll_free(poll);
}

static void on_gone(void *arg) {
    end(arg, CLOSE_PEER);
}

/* If-None-Match is a list, and a proxy that compresses on the way marks tags as weak: W/"...". */
static bool is_known(const struct poll *poll, struct bytes tag) {
    return poll->known.len > 0 && memmem(poll->known.data, poll->known.len, tag.data, tag.len) != NULL;
}

/* {"cursor":"...","messages":[...]}, or 304 when nothing has come since the cursor that the client knows. */
static void answer(struct poll *poll) {
    struct buf messages, cursor, tag, headers;
    buf_init(&messages, 0);
    buf_init(&cursor, 0);
    buf_init(&tag, 0);
    buf_init(&headers, 0);
    session_collect(poll->session, &messages);
    if (messages.len > 0)
        messages.len--; /* The comma after the last one. */
    cursor_print(poll->session, &cursor);
    buf_printf(&tag, "\"%.*s\"", BYTES_FMT(buf_bytes(&cursor)));
    buf_printf(&headers, "%sCache-Control: no-cache\r\nETag: %.*s\r\n%c", poll->headers,
               BYTES_FMT(buf_bytes(&tag)), '\0');
    if (messages.len == 0 && is_known(poll, buf_bytes(&tag))) {
        exchange_reply(poll->exchange, 304, "", headers.data, BYTES_LITERAL(""));
    } else {
        struct buf body;
        buf_init(&body, 0);
        buf_append_text(&body, "{\"cursor\":\"");
        buf_append_bytes(&body, buf_bytes(&cursor));
        buf_append_text(&body, "\",\"messages\":[");
        buf_append_bytes(&body, buf_bytes(&messages));
        buf_append_text(&body, "]}\n");
        exchange_reply(poll->exchange, 200, "application/json", headers.data, buf_bytes(&body));
        buf_finish(&body);
    }
    poll->exchange = NULL;
    buf_finish(&headers);
    buf_finish(&tag);
    buf_finish(&cursor);
    buf_finish(&messages);
}

static void refuse(struct poll *poll, enum error error) {
    exchange_reply_error(poll->exchange, error, poll->headers);
    poll->exchange = NULL;
}

static void on_timer(struct wheel_timer *timer, uint64_t now_ms) {
    struct poll *poll = list_entry(timer, struct poll, timer);
    (void)now_ms;
    if (!poll->is_closing) {
        if (poll->session->waiting_count > 0)
            refuse(poll, ERR_BROKER_UNAVAILABLE);
        else
            answer(poll);
    }
    end(poll, CLOSE_NORMAL);
}

static void arm(struct poll *poll, uint64_t delay_ms) {
    wheel_arm(&poll->loop->wheel, &poll->timer, loop_now_ms(poll->loop) + delay_ms);
}

static void poll_collect(void *carrier) {
    struct poll *poll = carrier;
    if (poll->session->waiting_count > 0)
        return;
    if (poll->session->outbox != NULL || poll->session->gap_owed || poll->wait_ms == 0) {
        answer(poll);
        end(poll, CLOSE_NORMAL);
    }
}

static enum write_result poll_write(void *carrier, struct bytes bytes) {
    (void)carrier;
    (void)bytes;
    return WRITE_CONGESTED; /* Polls are collected. */
}

static void poll_close(void *carrier, enum close_reason reason) {
    struct poll *poll = carrier;
    if (reason == CLOSE_UNAVAILABLE)
        refuse(poll, ERR_BROKER_REFUSED);
    else if (poll->session->waiting_count > 0)
        refuse(poll, ERR_BROKER_UNAVAILABLE);
    else
        answer(poll);
    poll->is_closing = true;
    arm(poll, 0);
}

static void poll_describe_peer(void *carrier, struct buf *out) {
    const struct poll *poll = carrier;
    if (poll->exchange != NULL)
        peer_print(&exchange_request(poll->exchange)->connection->from, out);
}

const struct transport *poll_transport(bool may_wait) {
    static const struct transport longpoll = {
        .name = "longpoll",
        .kind = TRANSPORT_LONGPOLL,
        .form = &native_poll_form,
        .write = poll_write,
        .close = poll_close,
        .collect = poll_collect,
        .describe_peer = poll_describe_peer,
    };
    static const struct transport poll = {
        .name = "poll",
        .kind = TRANSPORT_POLL,
        .form = &native_poll_form,
        .write = poll_write,
        .close = poll_close,
        .collect = poll_collect,
        .describe_peer = poll_describe_peer,
    };
    return may_wait ? &longpoll : &poll;
}

struct poll *poll_create(struct exchange *exchange, struct loop *loop, uint64_t wait_ms,
                         const char *headers) {
    struct poll *poll = xcalloc(1, sizeof *poll);
    poll->exchange = exchange;
    poll->loop = loop;
    poll->wait_ms = wait_ms;
    poll->headers = xstrdup(headers);
    buf_init(&poll->known, HEADER_BYTES_MAX);
    request_field(exchange_request(exchange), FIELD_IF_NONE_MATCH, &poll->known);
    wheel_timer_init(&poll->timer, on_timer);
    exchange_set_on_gone(exchange, on_gone, poll);
    return poll;
}

void poll_attach(struct poll *poll, struct session *session) {
    poll->session = session;
    arm(poll, poll->wait_ms > 0 ? poll->wait_ms : READY_MS);
}

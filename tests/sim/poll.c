/* Polls: what gateway/transport/poll.c does, on our sockets. */
#include "common/clock.h"
#include "gateway/core/cursor.h"
#include "gateway/forms.h"
#include "tests/sim/socket.h"

enum { READY_MS = 5000 };

static void arm(struct socket *poll, uint64_t delay_ms) {
    struct node *node = poll->options.node;
    wheel_arm(&node->wheel, &poll->timer, node->timeline->now_ms + delay_ms);
}

static void answer(struct socket *poll) {
    struct buf messages, cursor, body;
    buf_init(&messages, 0);
    buf_init(&cursor, 0);
    buf_init(&body, 0);
    session_collect(poll->session, &messages);
    if (messages.len > 0)
        messages.len--; /* The comma after the last one. */
    cursor_print(poll->session, &cursor);
    if (messages.len > 0 || !bytes_equal(buf_bytes(&cursor), buf_bytes(&poll->known))) {
        buf_append_text(&body, "{\"cursor\":\"");
        buf_append_bytes(&body, buf_bytes(&cursor));
        buf_append_text(&body, "\",\"messages\":[");
        if (messages.len > 0)
            buf_append_bytes(&body, buf_bytes(&messages));
        buf_append_text(&body, "]}\n");
    }
    socket_answer(poll, buf_bytes(&body));
    buf_finish(&messages);
    buf_finish(&cursor);
    buf_finish(&body);
}

/* 503: the client comes back with the cursor that it has. */
static void refuse(struct socket *poll) {
    socket_answer(poll, BYTES_LITERAL(""));
}

static void on_timer(struct wheel_timer *timer, uint64_t now_ms) {
    struct socket *poll = list_entry(timer, struct socket, timer);
    (void)now_ms;
    if (!poll->is_closing) {
        if (poll->session->waiting_count > 0)
            refuse(poll);
        else
            answer(poll);
    }
    socket_end(poll, CLOSE_NORMAL);
}

static void poll_collect(void *carrier) {
    struct socket *poll = carrier;
    if (poll->session->waiting_count > 0)
        return;
    if (poll->session->outbox != NULL || poll->session->gap_owed || poll->options.wait_ms == 0) {
        answer(poll);
        socket_end(poll, CLOSE_NORMAL);
    }
}

static enum write_result poll_write(void *carrier, struct bytes bytes) {
    (void)carrier;
    (void)bytes;
    return WRITE_CONGESTED;
}

static void poll_close(void *carrier, enum close_reason reason) {
    struct socket *poll = carrier;
    if (reason == CLOSE_UNAVAILABLE || poll->session->waiting_count > 0)
        refuse(poll);
    else
        answer(poll);
    poll->is_closing = true;
    arm(poll, 0);
}

static void describe_peer(void *carrier, struct buf *out) {
    (void)carrier;
    buf_append_text(out, "sim");
}

const struct transport sim_longpoll = {
    .name = "longpoll",
    .kind = TRANSPORT_LONGPOLL,
    .form = &native_poll_form,
    .write = poll_write,
    .close = poll_close,
    .collect = poll_collect,
    .describe_peer = describe_peer,
};

const struct transport sim_poll = {
    .name = "poll",
    .kind = TRANSPORT_POLL,
    .form = &native_poll_form,
    .write = poll_write,
    .close = poll_close,
    .collect = poll_collect,
    .describe_peer = describe_peer,
};

void poll_begin(struct socket *poll) {
    wheel_timer_init(&poll->timer, on_timer);
    arm(poll, poll->options.wait_ms > 0 ? poll->options.wait_ms : READY_MS);
}

void poll_forget(struct socket *poll) {
    if (poll->options.carriage >= CARRY_LONGPOLL)
        wheel_cancel(&poll->timer);
}

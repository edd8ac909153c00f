#include <assert.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/core/cursor.h"
#include "gateway/core/session_internal.h"

enum {
    /* Bytes gathered into one write when a congested socket becomes writable. */
    FLUSH_BYTES_MAX = 64 * 1024,
    /* What a scratch buffer may keep between uses. */
    SCRATCH_BYTES_KEPT = 1024 * 1024,
    /* Of messages in one reply to a poller; the rest is for its next request. */
    COLLECT_BYTES_MAX = 1024 * 1024,
};

struct buf *session_scratch(void) {
    static struct buf scratch = {.max = SIZE_MAX};
    if (scratch.capacity > SCRATCH_BYTES_KEPT)
        buf_finish(&scratch);
    return &scratch;
}

void session_stage(struct session *session) {
    if (list_is_empty(&session->staged))
        list_push_back(&session->hub->staged, &session->staged);
}

void session_after_write(struct session *session, enum write_result result) {
    if (result == WRITE_CONGESTED)
        session->is_congested = true;
    else if (result == WRITE_FAILED)
        session_close(session, CLOSE_LOST);
}

void session_write(struct session *session, struct bytes bytes, uint32_t count) {
    assert(session_is_open(session) && !session->is_congested);
    session_metrics(session)->deliveries += count;
    session_metrics(session)->writes++;
    session_after_write(session, session->transport->write(session->carrier, bytes));
}

/* Whether what is framed with the session's place has to wait until that is known. */
static bool is_waiting(const struct session *session) {
    return session->waiting_count > 0 && session->keeps_positions;
}

static bool outbox_has_room(struct session *session, const struct wire *wire) {
    const struct limits_config *limits = &session_config(session)->limits;
    const struct outbox *outbox = session->outbox;
    uint64_t new_bytes = wire->queued > 0 ? 0 : wire->len;
    /* The node's limit is for what is held: a client that reads has an outbox to the end of the turn only,
     * and is not to pay for those who do not. */
    if ((session->is_congested || is_waiting(session)) &&
        *session_held_bytes(session) + new_bytes > limits->outbox_total_bytes)
        return false;
    return outbox == NULL || (outbox->bytes - outbox->replay_bytes + wire->len <= limits->outbox_bytes &&
                              outbox->count - outbox->replays < limits->outbox_messages);
}

/* Who reads and only has much to take at once gets it before the end of the turn. */
static bool make_room(struct session *session, const struct wire *wire) {
    if (!session->is_congested && !outbox_has_room(session, wire))
        session_flush(session);
    return outbox_has_room(session, wire);
}

static void push(struct session *session, const struct outbox_entry *entry) {
    if (session->outbox == NULL)
        session->outbox = outbox_create();
    outbox_push(session->outbox, entry, session_held_bytes(session));
    if (!session->is_congested || session->is_collected)
        session_stage(session);
}

static void send_event(struct session *session, const struct event *event,
                       struct subscription *subscription) {
    const struct form *form = session->transport->form;
    struct buf text, framed;
    if (!session_is_open(session))
        return;
    buf_init(&text, 0);
    buf_init(&framed, 0);
    session_protocol(session)->encode_event(event, &text);
    if (!form->is_framed_per_session) {
        struct buf cursor;
        buf_init(&cursor, 0);
        if (event->kind == EVENT_GAP && event->has_position)
            position_append(&event->position, &cursor);
        form->frame(buf_bytes(&text), buf_bytes(&cursor), &framed);
        buf_finish(&cursor);
    }
    struct wire *wire =
        wire_create(form->is_framed_per_session ? buf_bytes(&text) : buf_bytes(&framed), BYTES_LITERAL(""));
    struct outbox_entry entry = {
        .wire = wire,
        .subscription = subscription,
        .position = event->position,
    };
    if (!make_room(session, wire))
        session_close(session, CLOSE_SLOW_CONSUMER);
    else if (session_is_open(session))
        push(session, &entry);
    wire_unref(wire);
    buf_finish(&text);
    buf_finish(&framed);
}

void session_reply(struct session *session, const struct event *event) {
    send_event(session, event, NULL);
}

void session_send_gap(struct subscription *subscription, const struct position *position) {
    struct event event = {.kind = EVENT_GAP, .channel = channel_name(subscription->channel)};
    bool is_told = position != NULL &&
                   (subscription->session->keeps_positions || channel_has_history(subscription->channel));
    if (is_told) {
        event.has_position = true;
        event.position = *position;
    }
    send_event(subscription->session, &event, subscription);
}

static bool may_drop(const struct subscription *subscription) {
    return subscription->channel->options->slow_consumer != SLOW_DISCONNECT;
}

static void owe_gap(struct subscription *subscription) {
    subscription->gap_owed = true;
    subscription->session->gap_owed = true;
    if (subscription->session->is_collected)
        session_stage(subscription->session);
}

static void push_message(struct subscription *subscription, struct message *message, bool is_replay) {
    struct outbox_entry entry = {
        .wire = message_wire(message, subscription->session->transport->form),
        .subscription = subscription,
        .position = message->id,
        .is_message = true,
        .is_replay = is_replay,
    };
    push(subscription->session, &entry);
}

void session_replay_message(struct subscription *subscription, struct message *message) {
    push_message(subscription, message, true);
}

void session_queue_message(struct subscription *subscription, struct message *message) {
    struct session *session = subscription->session;
    struct metrics *metrics = session_metrics(session);
    struct wire *wire = message_wire(message, session->transport->form);
    enum slow_consumer policy = subscription->channel->options->slow_consumer;
    if (!session_is_open(session))
        return;
    if (policy == SLOW_CONFLATE && session->is_congested && session->outbox != NULL)
        metrics->drops[DROP_CONFLATED] +=
            outbox_drop_all(session->outbox, subscription, true, session_held_bytes(session));
    while (!make_room(session, wire)) {
        if (policy == SLOW_DISCONNECT) {
            metrics->drops[DROP_DISCONNECTED] += 1 + (session->outbox ? session->outbox->messages : 0);
            session_close(session, CLOSE_SLOW_CONSUMER);
            return;
        }
        struct subscription *loser =
            session->outbox ? outbox_drop_oldest(session->outbox, may_drop, session_held_bytes(session))
                            : NULL;
        metrics->drops[DROP_OLDEST]++;
        owe_gap(loser ? loser : subscription);
        if (loser == NULL)
            return; /* There is nothing else to drop, so it is this one. */
    }
    if (session_is_open(session))
        push_message(subscription, message, false);
}

static void advance(struct subscription *subscription, const struct position *position) {
    if (subscription->session->keeps_positions && position->epoch != 0)
        subscription->position[0] = *position;
}

/* Frames a text that goes with the session's own place in its channels. */
static void append_framed(struct session *session, struct bytes text, struct buf *out) {
    struct buf cursor;
    buf_init(&cursor, 0);
    cursor_print(session, &cursor);
    session->transport->form->frame(text, buf_bytes(&cursor), out);
    buf_finish(&cursor);
}

static void append_gap(struct session *session, struct subscription *subscription, struct buf *out) {
    struct event event = {.kind = EVENT_GAP, .channel = channel_name(subscription->channel)};
    struct buf text;
    buf_init(&text, 0);
    session_protocol(session)->encode_event(&event, &text);
    if (session->transport->form->is_framed_per_session)
        append_framed(session, buf_bytes(&text), out);
    else
        session->transport->form->frame(buf_bytes(&text), BYTES_LITERAL(""), out);
    buf_finish(&text);
    subscription->gap_owed = false;
    session_metrics(session)->gaps++;
}

static void append_entry(struct session *session, const struct outbox_entry *entry, struct buf *out) {
    if (entry->subscription != NULL) {
        if (entry->is_message && entry->subscription->gap_owed)
            append_gap(session, entry->subscription, out);
        advance(entry->subscription, &entry->position);
    }
    if (session->transport->form->is_framed_per_session)
        append_framed(session, wire_bytes(entry->wire), out);
    else
        buf_append_bytes(out, wire_bytes(entry->wire));
}

static void append_owed_gaps(struct session *session, struct buf *out) {
    session->gap_owed = false;
    for (struct subscription *each = session->subscriptions; each != NULL; each = each->next)
        if (each->gap_owed)
            append_gap(session, each, out);
}

__attribute__((unused)) static bool owes_gap(const struct session *session) {
    const struct subscription *each = session->subscriptions;
    while (each != NULL && !each->gap_owed)
        each = each->next;
    return each != NULL;
}

/* Takes entries from the outbox into one piece of bytes, each gap before the first message after it. */
static uint32_t gather(struct session *session, struct buf *out, size_t bytes_max) {
    struct outbox_entry entry;
    uint32_t messages = 0;
    while (session->outbox != NULL && session->outbox->count > 0 &&
           (out->len == 0 || out->len + outbox_peek(session->outbox)->wire->len <= bytes_max)) {
        outbox_pop(session->outbox, &entry, session_held_bytes(session));
        messages += entry.is_message;
        append_entry(session, &entry, out);
        wire_unref(entry.wire);
    }
    if (session->outbox != NULL && session->outbox->count > 0)
        return messages;
    outbox_destroy(session->outbox, session_held_bytes(session));
    session->outbox = NULL;
    /* A gap may be all that is due: where the node holds too much for others, nothing was queued. */
    if (session->gap_owed)
        append_owed_gaps(session, out);
    assert(!owes_gap(session));
    return messages;
}

uint32_t session_collect(struct session *session, struct buf *out) {
    uint32_t messages = gather(session, out, COLLECT_BYTES_MAX);
    session_metrics(session)->deliveries += messages;
    return messages;
}

void session_flush(struct session *session) {
    list_unlink(&session->staged);
    if (session->is_collected) {
        if (session_is_open(session))
            session->transport->collect(session->carrier);
        return;
    }
    if (is_waiting(session))
        return;
    while (session_is_open(session) && !session->is_congested &&
           (session->outbox != NULL || session->gap_owed)) {
        struct buf *scratch = session_scratch();
        buf_clear(scratch);
        uint32_t messages = gather(session, scratch, FLUSH_BYTES_MAX);
        if (messages > 0)
            session_write(session, buf_bytes(scratch), messages);
        else if (scratch->len > 0)
            session_after_write(session, session->transport->write(session->carrier, buf_bytes(scratch)));
    }
}

void session_on_writable(struct session *session) {
    if (!session_is_open(session))
        return;
    session->is_congested = false;
    session->is_ping_pending = false; /* The peer's TCP took something. */
    if (session->is_open_due) {
        session->is_open_due = false;
        session_release(session);
    }
    session_flush(session);
}

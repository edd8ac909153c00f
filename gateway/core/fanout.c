/* The hot path: one message in, one write per subscriber out.
 *
 * A pass carries the channels that have news. A subscriber of one of them gets that channel's batch, the same
 * bytes for all; one who is due several batches gets them gathered into one write. Nothing here allocates,
 * looks up or logs per delivery.
 *
 * A pass yields to the loop every so many writes. While it carries one channel only and nothing else waits, what
 * has come for that channel meanwhile joins the batch where the pass stands and goes once round the subscribers
 * from there. So nobody waits for a pass to end, and each write carries all that has come since the last one to the
 * same subscriber: the more there is to send, the more of it is joined. */
#include "gateway/core/hub.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "gateway/core/history.h"
#include "gateway/core/session.h"

enum {
    /* Messages and bytes of one batch. Joining 64 small frames leaves 2 % of the cost of a send to each; more
     * only makes the copy larger that a congested socket has to hold. */
    BATCH_MESSAGES_MAX = 256,
    BATCH_BYTES_MAX = 64 * 1024,
    /* Messages that a channel without history keeps for pollers between their requests. */
    LOCAL_HISTORY_SIZE = 64,
};

static struct message *take_pending(struct channel *channel) {
    struct message *message = channel->pending_first;
    channel->pending_first = message->next_in_batch;
    channel->pending_count--;
    channel->pending_bytes -= (uint32_t)message->payload_len;
    message->next_in_batch = NULL;
    return message;
}

/* What leaves pending is what clients that come back can be given. */
static void remember(struct channel *channel, struct message *message) {
    uint32_t size = channel_has_history(channel) ? channel->options->history_size : LOCAL_HISTORY_SIZE;
    if (channel->history == NULL)
        return;
    if (message->has_id || !channel_has_history(channel))
        history_append(channel->history, message, size);
    else if (message->kind == ENTRY_GAP && message->id.epoch != 0)
        history_reset(channel->history, &message->id); /* A hole that this node has found. */
}

/* Of one change of epochs a subscriber is told once: a node may find out by itself, and from the stream's mark,
 * which then stands within the epoch. */
static void serve_mark(struct subscription *subscription, const struct message *mark) {
    bool is_sequel = mark->has_id && !mark->has_previous;
    if (mark->kind == ENTRY_BOUNDARY) {
        subscription->is_gap_told = false;
    } else if (!subscription->is_waiting && !(is_sequel && subscription->is_gap_told)) {
        session_send_gap(subscription, mark->id.epoch ? &mark->id : NULL);
        subscription->is_gap_told = channel_has_history(subscription->channel);
    }
}

/* Marks stand between messages: what came before one has been delivered when it is served. */
static void serve_marks(struct channel *channel) {
    while (channel->pending_first != NULL && channel->pending_first->kind != ENTRY_MESSAGE) {
        struct message *mark = take_pending(channel);
        remember(channel, mark);
        if (mark->kind == ENTRY_GAP)
            channel->hub->options.metrics->gaps++;
        for (uint32_t i = 0; i < channel->subscriber_count; i++)
            serve_mark(channel->subscribers[i], mark);
        message_unref(mark);
    }
}

static bool batch_has_room(const struct batch *batch, size_t bytes) {
    return batch->count == 0 ||
           (batch->count < BATCH_MESSAGES_MAX && batch->bytes + bytes <= BATCH_BYTES_MAX);
}

static void batch_forget_joined(struct batch *batch) {
    for (int i = 0; i < FORM_COUNT; i++) {
        wire_unref(batch->joined[i]);
        batch->joined[i] = NULL;
    }
}

/* Moves what is pending into the channel's batch as far as there is room, up to the next mark. */
static void batch_fill(struct channel *channel) {
    struct batch *batch = channel->batch;
    uint64_t round_end = batch->served + channel->subscriber_count;
    while (channel->pending_first != NULL && channel->pending_first->kind == ENTRY_MESSAGE &&
           batch_has_room(batch, channel->pending_first->payload_len)) {
        struct message *message = take_pending(channel);
        remember(channel, message);
        message->round_end = round_end;
        if (batch->first == NULL)
            batch->first = message;
        else
            batch->last->next_in_batch = message;
        batch->last = message;
        batch->bytes += message->payload_len;
        batch->count++;
        batch_forget_joined(batch);
    }
}

/* Takes out the messages that have been round all subscribers; all, once the pass is done. */
static void batch_retire(struct channel *channel, bool all) {
    struct batch *batch = channel->batch;
    uint64_t now_ns = clock_monotonic_ns();
    while (batch->first != NULL && (all || batch->first->round_end == batch->served)) {
        struct message *message = batch->first;
        batch->first = message->next_in_batch;
        batch->bytes -= message->payload_len;
        batch->count--;
        metrics_observe(&channel->hub->options.metrics->delivery, (now_ns - message->arrived_ns) / 1000);
        message_unref(message);
    }
    batch_forget_joined(batch);
}

static struct wire *batch_wire(struct batch *batch, const struct form *form) {
    if (batch->count == 1)
        return message_wire(batch->first, form);
    struct wire **joined = &batch->joined[form->index];
    if (*joined == NULL) {
        struct buf all;
        buf_init(&all, 0);
        for (struct message *message = batch->first; message != NULL; message = message->next_in_batch)
            buf_append_bytes(&all, wire_bytes(message_wire(message, form)));
        *joined = wire_create(buf_bytes(&all), BYTES_LITERAL(""));
        buf_finish(&all);
    }
    return *joined;
}

static void queue_batch(struct subscription *subscription, struct batch *batch) {
    for (struct message *message = batch->first; message != NULL; message = message->next_in_batch)
        session_queue_message(subscription, message);
}

/* Whether the same bytes as for the others can go straight to the socket. */
static bool may_share(const struct session *session) {
    return session_may_write(session) && !session->transport->form->is_framed_per_session;
}

static void deliver(struct subscription *subscription, struct batch *batch) {
    struct session *session = subscription->session;
    if (may_share(session))
        session_write(session, wire_bytes(batch_wire(batch, session->transport->form)), batch->count);
    else
        queue_batch(subscription, batch);
}

/* Everything the pass has for one session, in one write as far as that makes sense. */
static void deliver_gathered(struct session *session) {
    struct buf *scratch = session_scratch();
    uint32_t count = 0;
    buf_clear(scratch);
    for (struct subscription *each = session->subscriptions; each != NULL; each = each->next) {
        struct batch *batch = each->channel->batch;
        if (batch == NULL || each->is_waiting)
            continue;
        if (scratch->len > BATCH_BYTES_MAX) {
            session_write(session, buf_bytes(scratch), count);
            buf_clear(scratch);
            count = 0;
        }
        if (may_share(session)) {
            buf_append_bytes(scratch, wire_bytes(batch_wire(batch, session->transport->form)));
            count += batch->count;
        } else {
            queue_batch(each, batch);
        }
    }
    if (count > 0)
        session_write(session, buf_bytes(scratch), count);
}

/* Counts, for each session, the channels of the pass it is in. */
static void mark_sessions(struct hub *hub) {
    list_each (node, &hub->pass) {
        struct channel *channel = list_entry(node, struct channel, dirty);
        for (uint32_t i = 0; i < channel->subscriber_count; i++) {
            struct session *session = channel->subscribers[i]->session;
            if (session->pass_number != hub->pass_number) {
                session->pass_number = hub->pass_number;
                session->pass_channels = 0;
            }
            session->pass_channels++;
        }
    }
}

static void start_pass(struct hub *hub) {
    list_splice_back(&hub->pass, &hub->dirty);
    list_each_safe (node, &hub->pass) {
        struct channel *channel = list_entry(node, struct channel, dirty);
        if (channel->subscriber_count > 0)
            wheel_cancel(&channel->timer); /* What waited for a batch goes now. */
        serve_marks(channel);
        if (channel->pending_first != NULL) {
            channel->batch = xcalloc(1, sizeof *channel->batch);
            batch_fill(channel);
        } else {
            list_unlink(&channel->dirty);
        }
    }
    hub->pass_number++;
    hub->pass_at = hub->pass.next;
    hub->pass_cursor = 0;
    hub->pass_is_gathering = !list_is_empty(&hub->pass) && hub->pass.next->next != &hub->pass;
    if (hub->pass_is_gathering)
        mark_sessions(hub);
}

/* In a gathering pass a batch stays for the sessions that other channels lead to, so batches end with the pass. */
static void finish_pass(struct hub *hub) {
    while (!list_is_empty(&hub->pass)) {
        struct channel *channel = list_entry(hub->pass.next, struct channel, dirty);
        assert(channel->batch != NULL);
        batch_retire(channel, true);
        free(channel->batch);
        channel->batch = NULL;
        list_unlink(&channel->dirty);
        if (channel->pending_first != NULL)
            list_push_back(&hub->dirty, &channel->dirty);
    }
}

static void serve_subscriber(struct hub *hub, struct subscription *subscription, struct batch *batch) {
    struct session *session = subscription->session;
    if (!session_is_open(session) || subscription->is_waiting)
        return;
    if (!hub->pass_is_gathering || session->pass_channels == 1) {
        deliver(subscription, batch);
    } else if (session->pass_channels > 1) {
        session->pass_channels = 0; /* Served, for the channels that follow. */
        deliver_gathered(session);
    }
}

/* Serves one channel until each of its messages has been round. */
static bool continue_round(struct hub *hub, uint32_t *writes) {
    struct channel *channel = list_entry(hub->pass_at, struct channel, dirty);
    struct batch *batch = channel->batch;
    while (batch->count > 0 && channel->subscriber_count > 0) {
        if (*writes == 0)
            return false;
        (*writes)--;
        serve_subscriber(hub, channel->subscribers[hub->pass_cursor], batch);
        if (++hub->pass_cursor == channel->subscriber_count)
            hub->pass_cursor = 0;
        if (++batch->served == batch->first->round_end)
            batch_retire(channel, false);
    }
    finish_pass(hub);
    return true;
}

/* Serves up to `*writes` subscribers; returns whether the pass is done. */
static bool continue_pass(struct hub *hub, uint32_t *writes) {
    if (!hub->pass_is_gathering)
        return continue_round(hub, writes);
    while (hub->pass_at != &hub->pass) {
        struct channel *channel = list_entry(hub->pass_at, struct channel, dirty);
        while (hub->pass_cursor < channel->subscriber_count) {
            if (*writes == 0)
                return false;
            (*writes)--;
            serve_subscriber(hub, channel->subscribers[hub->pass_cursor++], channel->batch);
        }
        hub->pass_at = hub->pass_at->next;
        hub->pass_cursor = 0;
    }
    finish_pass(hub);
    return true;
}

void hub_finish_pass(struct hub *hub) {
    uint32_t writes = UINT32_MAX;
    if (!list_is_empty(&hub->pass))
        continue_pass(hub, &writes);
}

/* Whether what comes for the channel of the pass may join it. Other channels must not wait for more than one round,
 * nor sessions that have ended. */
static bool may_join(const struct hub *hub) {
    return !hub->pass_is_gathering && list_is_empty(&hub->dirty) && list_is_empty(&hub->closing);
}

static void join_pending(struct hub *hub) {
    struct channel *channel = list_entry(hub->pass_at, struct channel, dirty);
    if (channel->pending_first == NULL || !may_join(hub))
        return;
    batch_fill(channel);
    if (channel->pending_first == NULL)
        wheel_cancel(&channel->timer);
}

/* With more to send than a turn allows Redis is not read, unless there is room where it would go. */
static bool has_backlog(const struct hub *hub) {
    const struct channel *channel = list_entry(hub->pass_at, struct channel, dirty);
    return !may_join(hub) || channel->pending_first != NULL || !batch_has_room(channel->batch, 1);
}

static void hold_broker(struct hub *hub, bool is_held) {
    if (hub->is_holding == is_held)
        return;
    hub->is_holding = is_held;
    hub->broker->ops->hold(hub->broker, is_held);
}

void channel_flush(struct channel *channel) {
    struct hub *hub = channel->hub;
    hub_finish_pass(hub);
    while (channel->pending_first != NULL) {
        if (list_is_empty(&channel->dirty))
            list_push_back(&hub->dirty, &channel->dirty);
        start_pass(hub);
        hub_finish_pass(hub);
    }
}

bool hub_end_turn(struct hub *hub) {
    uint32_t writes = hub->options.pass_writes_max;
    hub->broker->ops->flush(hub->broker);
    while (!list_is_empty(&hub->staged))
        session_flush(session_of_staged(hub->staged.next));
    /* Pass after pass, until all is sent that has arrived: what one pass leaves would grow without end while
     * every turn brings more than it takes. */
    for (;;) {
        if (list_is_empty(&hub->pass) && !list_is_empty(&hub->dirty))
            start_pass(hub);
        if (list_is_empty(&hub->pass))
            break;
        join_pending(hub);
        if (!continue_pass(hub, &writes)) {
            hold_broker(hub, has_backlog(hub));
            return true;
        }
    }
    hold_broker(hub, false);
    while (!list_is_empty(&hub->closing))
        session_reap(session_of_staged(hub->closing.next));
    return !list_is_empty(&hub->dirty) || !list_is_empty(&hub->staged);
}

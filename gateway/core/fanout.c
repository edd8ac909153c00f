/* The hot path: one message in, one write per subscriber out.
 *
 * A pass carries the channels that have news, each with its batch, and goes round their subscribers, channel after
 * channel, yielding to the loop every so many writes. What comes for a channel meanwhile joins its batch and goes
 * once round its subscribers from where the pass stands. So nobody waits for a pass to end, and each write carries
 * all that has come since the last one to the same subscriber: the more there is to send, the more of it is joined.
 *
 * A subscriber gets its channel's batch, the same bytes for all. One who is due several gets them gathered into one
 * write; so each subscription counts what it has taken, and is passed over when the pass comes to it by the next
 * channel. Nothing here allocates, looks up or logs per delivery. */
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
    int64_t round_end = batch->served + channel->subscriber_count;
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
        channel->batched++;
        batch_forget_joined(batch);
    }
}

/* Whether everybody has the batch's first messages but the last `left`, who is to have them. */
__attribute__((unused)) static bool everybody_has(const struct channel *channel, uint32_t left) {
    for (uint32_t i = 0; i < channel->subscriber_count; i++) {
        const struct subscription *each = channel->subscribers[i];
        if (!each->is_waiting && session_is_open(each->session) && channel->batched - each->taken > left)
            return false;
    }
    return true;
}

/* Takes out the messages that have been round all subscribers; `all` when nobody is left to serve. */
static void batch_retire(struct channel *channel, bool all) {
    struct batch *batch = channel->batch;
    uint64_t now_ns = clock_monotonic_ns();
    while (batch->first != NULL && (all || batch->first->round_end <= batch->served)) {
        struct message *message = batch->first;
        batch->first = message->next_in_batch;
        batch->bytes -= message->payload_len;
        batch->count--;
        metrics_observe(&channel->hub->options.metrics->delivery, (now_ns - message->arrived_ns) / 1000);
        message_unref(message);
    }
    assert(everybody_has(channel, batch->count));
    batch_forget_joined(batch);
}

static struct wire *batch_wire(struct batch *batch, const struct form *form) {
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

/* The first of the last `count` messages. */
static struct message *batch_rest(const struct batch *batch, uint32_t count) {
    struct message *message = batch->first;
    for (uint32_t taken = batch->count - count; taken > 0; taken--)
        message = message->next_in_batch;
    return message;
}

/* The last `count` messages in one piece. */
static struct bytes batch_bytes(struct batch *batch, const struct form *form, uint32_t count) {
    if (count == 1)
        return wire_bytes(message_wire(batch->last, form));
    size_t taken = 0;
    struct message *rest = batch_rest(batch, count);
    for (struct message *message = batch->first; message != rest; message = message->next_in_batch)
        taken += message_wire(message, form)->len;
    return bytes_skip(wire_bytes(batch_wire(batch, form)), taken);
}

/* --- Deliveries ----------------------------------------------------------------------------------------- */

/* Takes what the subscription is due of its channel's batch; returns how many of the last messages these are. */
static uint32_t take_due(struct subscription *subscription, const struct channel *channel) {
    uint64_t count = channel->batched - subscription->taken;
    assert(count <= channel->batch->count);
    subscription->taken = channel->batched;
    return (uint32_t)count;
}

static void queue_rest(struct subscription *subscription, struct batch *batch, uint32_t count) {
    struct message *message = batch_rest(batch, count);
    for (; message != NULL; message = message->next_in_batch)
        session_queue_message(subscription, message);
}

/* Whether the same bytes as for the others can go straight to the socket. */
static bool may_share(const struct session *session) {
    return session_may_write(session) && !session->transport->form->is_framed_per_session;
}

static void deliver(struct subscription *subscription, struct channel *channel) {
    struct session *session = subscription->session;
    uint32_t count = take_due(subscription, channel);
    if (may_share(session))
        session_write(session, batch_bytes(channel->batch, session->transport->form, count), count);
    else
        queue_rest(subscription, channel->batch, count);
}

static bool is_due(const struct subscription *subscription, const struct channel *channel) {
    return channel->batch != NULL && subscription->taken != channel->batched && !subscription->is_waiting;
}

/* Everything the pass has for one session, in one write as far as that makes sense. */
static void deliver_gathered(struct session *session) {
    struct buf *scratch = session_scratch();
    uint32_t messages = 0;
    buf_clear(scratch);
    for (struct subscription *each = session->subscriptions; each != NULL; each = each->next) {
        struct channel *channel = each->channel;
        if (!is_due(each, channel))
            continue;
        uint32_t count = take_due(each, channel);
        if (scratch->len > BATCH_BYTES_MAX) {
            session_write(session, buf_bytes(scratch), messages);
            buf_clear(scratch);
            messages = 0;
        }
        if (may_share(session)) {
            buf_append_bytes(scratch, batch_bytes(channel->batch, session->transport->form, count));
            messages += count;
        } else {
            queue_rest(each, channel->batch, count);
        }
    }
    if (messages > 0)
        session_write(session, buf_bytes(scratch), messages);
}

static void serve_subscriber(struct subscription *subscription, struct channel *channel, bool is_gathering) {
    struct session *session = subscription->session;
    if (!is_due(subscription, channel) || !session_is_open(session))
        return;
    if (is_gathering && session->pass_channels > 1)
        deliver_gathered(session);
    else
        deliver(subscription, channel);
}

/* --- The pass ------------------------------------------------------------------------------------------- */

static struct channel *channel_of_pass(struct list *node) {
    return list_entry(node, struct channel, in_pass);
}

static bool is_gathering(const struct hub *hub) {
    return !list_is_empty(&hub->pass) && hub->pass.next->next != &hub->pass;
}

/* Counts, for each session, the channels of the pass it is in: only who is in several has anything to gather. */
static void mark_sessions(struct channel *channel) {
    uint32_t pass_number = channel->hub->pass_number;
    if (channel->pass_number == pass_number)
        return;
    channel->pass_number = pass_number;
    for (uint32_t i = 0; i < channel->subscriber_count; i++) {
        struct session *session = channel->subscribers[i]->session;
        if (session->pass_number != pass_number) {
            session->pass_number = pass_number;
            session->pass_channels = 0;
        }
        session->pass_channels++;
    }
}

static void begin_cycle(struct hub *hub) {
    hub->pass_at = hub->pass.next;
    hub->pass_cursor = 0;
    hub->pass_number++;
    if (is_gathering(hub))
        list_each (node, &hub->pass)
            mark_sessions(channel_of_pass(node));
}

static void enter_pass(struct channel *channel) {
    struct hub *hub = channel->hub;
    bool is_first = list_is_empty(&hub->pass);
    channel->batch = xcalloc(1, sizeof *channel->batch);
    list_push_back(&hub->pass, &channel->in_pass);
    if (is_first) {
        hub->pass_at = &hub->pass; /* A cycle begins. */
    } else if (hub->pass_at != &hub->pass) {
        mark_sessions(channel_of_pass(hub->pass.next)); /* If it was alone. */
        mark_sessions(channel);
    }
}

static void leave_pass(struct channel *channel) {
    struct hub *hub = channel->hub;
    batch_retire(channel, true);
    free(channel->batch);
    channel->batch = NULL;
    if (hub->pass_at == &channel->in_pass) {
        hub->pass_at = channel->in_pass.next;
        hub->pass_cursor = 0;
    }
    list_unlink(&channel->in_pass);
}

/* Takes what waits for the channel into the pass, as far as there is room. */
static void join_pass(struct channel *channel) {
    if (channel->batch == NULL) {
        serve_marks(channel);
        if (channel->pending_first != NULL)
            enter_pass(channel);
    }
    if (channel->batch != NULL)
        batch_fill(channel);
    if (channel->subscriber_count > 0)
        wheel_cancel(&channel->timer); /* What waited for a batch goes now. */
    if (channel->pending_first == NULL)
        list_unlink(&channel->dirty);
}

/* Serves the channel's subscribers from the cursor on; returns whether it got to their end, or to that of the
 * batch. */
static bool serve_channel(struct hub *hub, struct channel *channel, uint32_t *writes) {
    struct batch *batch = channel->batch;
    const bool gathers = is_gathering(hub);
    assert(batch != NULL);
    while (batch->count > 0 && hub->pass_cursor < channel->subscriber_count) {
        if (*writes == 0)
            return false;
        (*writes)--;
        serve_subscriber(channel->subscribers[hub->pass_cursor++], channel, gathers);
        if (++batch->served >= batch->first->round_end)
            batch_retire(channel, false);
    }
    return true;
}

/* Serves up to `*writes` subscribers, round and round, until each message of the pass has been everywhere. */
static void continue_pass(struct hub *hub, uint32_t *writes) {
    while (!list_is_empty(&hub->pass)) {
        if (hub->pass_at == &hub->pass)
            begin_cycle(hub);
        struct channel *channel = channel_of_pass(hub->pass_at);
        if (!serve_channel(hub, channel, writes))
            return;
        if (channel->batch->count == 0 || channel->subscriber_count == 0) {
            leave_pass(channel);
        } else {
            hub->pass_at = hub->pass_at->next;
            hub->pass_cursor = 0;
        }
    }
}

void subscription_catch_up(struct subscription *subscription) {
    serve_subscriber(subscription, subscription->channel, false);
}

void channel_finish_batch(struct channel *channel) {
    if (channel->batch == NULL)
        return;
    for (uint32_t i = 0; i < channel->subscriber_count; i++)
        serve_subscriber(channel->subscribers[i], channel, false);
    leave_pass(channel);
}

void channel_flush(struct channel *channel) {
    channel_finish_batch(channel);
    while (channel->pending_first != NULL) {
        join_pass(channel);
        channel_finish_batch(channel);
    }
}

/* --- Who comes and goes during a pass ------------------------------------------------------------------- */

/* A round that changes takes one subscriber more at most, who then is due nothing; it is never one too short. */

void channel_list_subscriber(struct channel *channel, struct subscription *subscription) {
    subscription->index = channel->subscriber_count;
    channel->subscribers[channel->subscriber_count++] = subscription;
    if (channel->batch != NULL)
        channel->batch->served--;
}

static void move_subscriber(struct channel *channel, uint32_t from, uint32_t to) {
    channel->subscribers[to] = channel->subscribers[from];
    channel->subscribers[to]->index = to;
}

void channel_unlist_subscriber(struct channel *channel, struct subscription *subscription) {
    struct hub *hub = channel->hub;
    uint32_t hole = subscription->index;
    /* Behind the cursor comes who has been served, before it who has not. */
    if (channel->batch != NULL && hub->pass_at == &channel->in_pass && hole < hub->pass_cursor) {
        channel->batch->served--;
        move_subscriber(channel, --hub->pass_cursor, hole);
        hole = hub->pass_cursor;
    }
    uint32_t last = --channel->subscriber_count;
    if (hole != last)
        move_subscriber(channel, last, hole);
}

/* --- The turn ------------------------------------------------------------------------------------------- */

static void hold_broker(struct hub *hub, bool is_held) {
    if (hub->is_holding == is_held)
        return;
    hub->is_holding = is_held;
    hub_enter_broker(hub);
    hub->broker->ops->hold(hub->broker, is_held);
    hub_leave_broker(hub);
}

bool hub_end_turn(struct hub *hub) {
    uint32_t writes = hub->options.pass_writes_max;
    hub->broker->ops->flush(hub->broker);
    while (!list_is_empty(&hub->staged))
        session_flush(session_of_staged(hub->staged.next));
    /* Until all is sent that has arrived: what is left would grow without end while every turn brings more than it
     * takes. */
    do {
        list_each_safe (node, &hub->dirty)
            join_pass(list_entry(node, struct channel, dirty));
        continue_pass(hub, &writes);
    } while (list_is_empty(&hub->pass) && !list_is_empty(&hub->dirty));
    /* With more to send than the batches hold Redis is not read. */
    hold_broker(hub, !list_is_empty(&hub->dirty));
    while (!list_is_empty(&hub->closing))
        session_reap(session_of_staged(hub->closing.next));
    return !list_is_empty(&hub->pass) || !list_is_empty(&hub->dirty) || !list_is_empty(&hub->staged);
}

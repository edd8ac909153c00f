#include "gateway/core/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/core/channel.h"
#include "gateway/core/history.h"

enum {
    /* A client that sends nothing but what we do not understand is talking another language. */
    STRIKES_MAX = 16,
    /* Bytes gathered into one write when a congested socket becomes writable. */
    FLUSH_BYTES_MAX = 64 * 1024,
    /* What a scratch buffer may keep between uses. */
    SCRATCH_BYTES_KEPT = 1024 * 1024,
    /* Of messages in one reply to a poller; the rest is for its next request. */
    COLLECT_BYTES_MAX = 1024 * 1024,
    /* What a message in a list has around its payload, about. */
    HISTORY_OVERHEAD_BYTES = 400,
};

struct buf *session_scratch(void) {
    static struct buf scratch = {.max = SIZE_MAX};
    if (scratch.capacity > SCRATCH_BYTES_KEPT)
        buf_finish(&scratch);
    return &scratch;
}

static struct metrics *metrics_of(const struct session *session) {
    return session->hub->options.metrics;
}

static const struct config *config_of(const struct session *session) {
    return session->hub->options.config;
}

void session_print_id(const struct session *session, struct buf *out) {
    const struct hub_options *options = &session->hub->options;
    buf_append_bytes(out, options->node);
    buf_printf(out, "-%08" PRIx32 "-%" PRIu64, options->generation, session->id);
}

struct subscription *session_find_subscription(const struct session *session, const struct channel *channel) {
    struct subscription *each = session->subscriptions;
    while (each != NULL && each->channel != channel)
        each = each->next;
    return each;
}

/* --- Sending --------------------------------------------------------------------------------- */

void session_stage(struct session *session) {
    if (list_is_empty(&session->staged))
        list_push_back(&session->hub->staged, &session->staged);
}

static void on_write_result(struct session *session, enum write_result result) {
    if (result == WRITE_CONGESTED)
        session->is_congested = true;
    else if (result == WRITE_FAILED)
        session_close(session, CLOSE_LOST);
}

void session_write(struct session *session, struct bytes bytes, uint32_t count) {
    metrics_of(session)->deliveries += count;
    metrics_of(session)->writes++;
    on_write_result(session, session->transport->write(session->carrier, bytes));
}

static uint64_t *held_bytes(struct session *session) {
    return &metrics_of(session)->outbox_bytes;
}

static bool outbox_has_room(struct session *session, const struct wire *wire) {
    const struct limits_config *limits = &config_of(session)->limits;
    const struct outbox *outbox = session->outbox;
    uint64_t new_bytes = wire->queued > 0 ? 0 : wire->len;
    if (*held_bytes(session) + new_bytes > limits->outbox_total_bytes)
        return false;
    return outbox == NULL ||
           (outbox->bytes + wire->len <= limits->outbox_bytes && outbox->count < limits->outbox_messages);
}

static void push(struct session *session, const struct outbox_entry *entry) {
    if (session->outbox == NULL)
        session->outbox = outbox_create();
    outbox_push(session->outbox, entry, held_bytes(session));
    if (!session->is_congested || session->is_collected)
        session_stage(session);
}

/* Replies and events are never dropped: a client that asks without reading the answers is too slow. */
static void send_event(struct session *session, const struct event *event,
                       struct subscription *subscription) {
    const struct form *form = session->transport->form;
    struct buf text, framed;
    if (!session_is_open(session))
        return;
    buf_init(&text, 0);
    buf_init(&framed, 0);
    session->protocol->encode_event(event, &text);
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
    if (outbox_has_room(session, wire))
        push(session, &entry);
    else
        session_close(session, CLOSE_SLOW_CONSUMER);
    wire_unref(wire);
    buf_finish(&text);
    buf_finish(&framed);
}

static void reply_event(struct session *session, const struct event *event) {
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
}

static void push_message(struct subscription *subscription, struct message *message) {
    struct outbox_entry entry = {
        .wire = message_wire(message, subscription->session->transport->form),
        .subscription = subscription,
        .position = message->id,
        .is_message = true,
    };
    push(subscription->session, &entry);
}

void session_queue_message(struct subscription *subscription, struct message *message) {
    struct session *session = subscription->session;
    struct metrics *metrics = metrics_of(session);
    struct wire *wire = message_wire(message, session->transport->form);
    enum slow_consumer policy = subscription->channel->options->slow_consumer;
    if (!session_is_open(session))
        return;
    if (policy == SLOW_CONFLATE && session->is_congested && session->outbox != NULL)
        metrics->drops[DROP_CONFLATED] +=
            outbox_drop_all(session->outbox, subscription, true, held_bytes(session));
    while (!outbox_has_room(session, wire)) {
        if (policy == SLOW_DISCONNECT) {
            metrics->drops[DROP_DISCONNECTED] += 1 + (session->outbox ? session->outbox->messages : 0);
            session_close(session, CLOSE_SLOW_CONSUMER);
            return;
        }
        struct subscription *loser =
            session->outbox ? outbox_drop_oldest(session->outbox, may_drop, held_bytes(session)) : NULL;
        metrics->drops[DROP_OLDEST]++;
        owe_gap(loser ? loser : subscription);
        if (loser == NULL)
            return; /* There is nothing else to drop, so it is this one. */
    }
    push_message(subscription, message);
}

static void advance(struct subscription *subscription, const struct position *position) {
    if (subscription->session->keeps_positions && position->epoch != 0)
        subscription->position[0] = *position;
}

/* Frames a text that goes with the session's own place in its channels. */
static void append_framed(struct session *session, struct bytes text, struct buf *out) {
    struct buf cursor;
    buf_init(&cursor, 0);
    session_print_cursor(session, &cursor);
    session->transport->form->frame(text, buf_bytes(&cursor), out);
    buf_finish(&cursor);
}

static void append_gap(struct session *session, struct subscription *subscription, struct buf *out) {
    struct event event = {.kind = EVENT_GAP, .channel = channel_name(subscription->channel)};
    struct buf text;
    buf_init(&text, 0);
    session->protocol->encode_event(&event, &text);
    if (session->transport->form->is_framed_per_session)
        append_framed(session, buf_bytes(&text), out);
    else
        session->transport->form->frame(buf_bytes(&text), BYTES_LITERAL(""), out);
    buf_finish(&text);
    subscription->gap_owed = false;
    metrics_of(session)->gaps++;
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

/* Takes entries from the outbox into one piece of bytes, each gap before the first message after it. */
static uint32_t gather(struct session *session, struct buf *out, size_t bytes_max) {
    struct outbox_entry entry;
    uint32_t messages = 0;
    while (session->outbox != NULL && session->outbox->count > 0 &&
           (out->len == 0 || out->len + outbox_peek(session->outbox)->wire->len <= bytes_max)) {
        outbox_pop(session->outbox, &entry, held_bytes(session));
        messages += entry.is_message;
        append_entry(session, &entry, out);
        wire_unref(entry.wire);
    }
    if (session->outbox == NULL || session->outbox->count > 0)
        return messages;
    if (session->gap_owed)
        append_owed_gaps(session, out);
    outbox_destroy(session->outbox, held_bytes(session));
    session->outbox = NULL;
    return messages;
}

uint32_t session_collect(struct session *session, struct buf *out) {
    uint32_t messages = gather(session, out, COLLECT_BYTES_MAX);
    metrics_of(session)->deliveries += messages;
    return messages;
}

void session_flush(struct session *session) {
    list_unlink(&session->staged);
    if (session->is_collected) {
        if (session_is_open(session))
            session->transport->collect(session->carrier);
        return;
    }
    /* What is framed with the session's place has to wait until that is known. */
    if (session->waiting_count > 0 && session->keeps_positions)
        return;
    while (session_is_open(session) && !session->is_congested && session->outbox != NULL) {
        struct buf *scratch = session_scratch();
        buf_clear(scratch);
        uint32_t messages = gather(session, scratch, FLUSH_BYTES_MAX);
        if (messages > 0)
            session_write(session, buf_bytes(scratch), messages);
        else
            on_write_result(session, session->transport->write(session->carrier, buf_bytes(scratch)));
    }
}

void session_on_writable(struct session *session) {
    session->is_congested = false;
    session->heard_ms = hub_now_ms(session->hub); /* The peer's TCP took something. */
    session_flush(session);
}

/* --- Cursors --------------------------------------------------------------------------------- */

/* Channels are named in a cursor by a hash, so that it stays short, and may be asked for in another order. */
static uint32_t name_hash(struct bytes channel) {
    return XXH32(channel.data, channel.len, 0);
}

void session_print_cursor(const struct session *session, struct buf *out) {
    for (const struct subscription *each = session->subscriptions; each != NULL; each = each->next) {
        if (session->channel_count > 1)
            buf_printf(out, "%s%08" PRIx32 ":", each == session->subscriptions ? "" : ",",
                       name_hash(channel_name(each->channel)));
        position_append(&each->position[0], out);
    }
}

bool cursor_find(struct bytes cursor, struct bytes channel, bool is_only, struct position *position) {
    char name[10];
    if (is_only && position_parse(cursor, position))
        return true;
    snprintf(name, sizeof name, "%08" PRIx32 ":", name_hash(channel));
    while (cursor.len > 0) {
        const char *comma = memchr(cursor.data, ',', cursor.len);
        struct bytes part = bytes_make(cursor.data, comma ? (size_t)(comma - cursor.data) : cursor.len);
        if (bytes_start_with(part, bytes_make(name, 9)))
            return position_parse(bytes_skip(part, 9), position);
        cursor = bytes_skip(cursor, comma ? part.len + 1 : part.len);
    }
    return false;
}

/* --- Time ------------------------------------------------------------------------------------ */

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void arm(struct session *session, uint64_t ping_ms) {
    bool is_silent = !session->transport->form->has_pong; /* It cannot but be. */
    uint32_t idle_seconds = is_silent ? 0 : config_of(session)->limits.idle_seconds;
    uint64_t deadline = earlier(ping_ms, session->drain_ms);
    if (idle_seconds > 0)
        deadline = earlier(deadline, session->command_ms + idle_seconds * 1000ull);
    if (deadline == TIME_NEVER)
        wheel_cancel(&session->timer);
    else
        wheel_arm(session->hub->options.wheel, &session->timer, deadline);
}

static void send_ping(struct session *session) {
    const struct form *form = session->transport->form;
    session->is_ping_pending = true;
    /* On a congested socket the ping would wait behind what the client does not read; that it reads at all
     * shows by the socket becoming writable. */
    if (!session_may_write(session) || form->ping.len == 0)
        return;
    on_write_result(session, session->transport->write(session->carrier, form->ping));
    if (session->wants_visible_ping && session_may_write(session))
        on_write_result(session, session->transport->write(session->carrier, form->visible_ping));
}

static uint64_t ping_interval_from(const struct session *session, uint64_t now_ms) {
    uint32_t seconds = config_of(session)->ping.interval_seconds;
    bool has_ping = session->transport->form->ping.len > 0;
    return seconds > 0 && has_ping ? now_ms + seconds * 1000ull : TIME_NEVER;
}

static void on_timer(struct wheel_timer *timer, uint64_t now_ms) {
    struct session *session = list_entry(timer, struct session, timer);
    uint64_t interval_ms = config_of(session)->ping.interval_seconds * 1000ull;
    uint64_t timeout_ms = config_of(session)->ping.timeout_seconds * 1000ull;
    uint32_t idle_seconds = config_of(session)->limits.idle_seconds;
    if (!session_is_open(session))
        return;
    if (now_ms >= session->drain_ms) {
        session_close(session, CLOSE_DRAIN);
    } else if (!session->transport->form->has_pong) {
        send_ping(session);
        arm(session, ping_interval_from(session, now_ms));
    } else if (idle_seconds > 0 && now_ms >= session->command_ms + idle_seconds * 1000ull) {
        session_close(session, CLOSE_IDLE);
    } else if (interval_ms == 0) {
        arm(session, TIME_NEVER);
    } else if (session->is_ping_pending && session->heard_ms < session->pinged_ms) {
        if (now_ms >= session->pinged_ms + timeout_ms)
            session_close(session, CLOSE_PING_TIMEOUT);
        else
            arm(session, session->pinged_ms + timeout_ms);
    } else if (session->is_ping_pending && timeout_ms < interval_ms &&
               now_ms < session->pinged_ms + interval_ms) {
        session->is_ping_pending = false;
        arm(session, session->pinged_ms + interval_ms);
    } else {
        session->pinged_ms = now_ms;
        send_ping(session);
        arm(session, now_ms + earlier(timeout_ms, interval_ms));
    }
}

void session_drain(struct session *session, uint32_t seconds) {
    uint64_t span_ms = seconds * 1000ull;
    /* The first second belongs to the balancer: it has to notice that the node is not ready any more. */
    uint64_t start_ms = earlier(1000, span_ms / 4);
    uint32_t retry_ms =
        (uint32_t)(start_ms + (span_ms > start_ms ? (uint64_t)random() % (span_ms - start_ms) : 0));
    struct event event = {.kind = EVENT_DRAIN, .retry_ms = retry_ms};
    if (!session_is_open(session))
        return;
    reply_event(session, &event);
    session->drain_ms = hub_now_ms(session->hub) + retry_ms;
    arm(session, wheel_timer_is_armed(&session->timer) ? session->timer.deadline_ms : TIME_NEVER);
}

/* --- Commands -------------------------------------------------------------------------------- */

static void reply_error(struct session *session, const struct command *command, enum error error) {
    struct event event = {
        .kind = EVENT_ERROR,
        .error = error,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .channel = command->channel,
    };
    metrics_of(session)->command_errors++;
    reply_event(session, &event);
}

static struct pending_reply *pending_create(struct session *session, const struct command *command) {
    struct pending_reply *reply = xmalloc(sizeof *reply);
    *reply = (struct pending_reply){
        .session = session,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .start = command->start,
        .is_history = command->kind == COMMAND_HISTORY,
    };
    list_init(&reply->in_channel);
    list_push_back(&session->pending_replies, &reply->in_session);
    return reply;
}

static void connect_session(struct session *session, const struct command *command) {
    struct buf id;
    session->wants_visible_ping = command->visible_ping;
    buf_init(&id, 0);
    session_print_id(session, &id);
    struct event event = {
        .kind = EVENT_CONNECTED,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .session = buf_bytes(&id),
        .node = session->hub->options.node,
        .ping_seconds = config_of(session)->ping.interval_seconds,
    };
    reply_event(session, &event);
    buf_finish(&id);
}

/* --- Subscriptions --------------------------------------------------------------------------- */

static enum error add_subscription(struct session *session, struct bytes name) {
    if (!channel_name_is_valid(name))
        return ERR_CHANNEL_INVALID;
    struct channel *channel = hub_find_channel(session->hub, name);
    if (channel != NULL && session_find_subscription(session, channel) != NULL)
        return ERR_OK;
    if (session->channel_count >= config_of(session)->limits.channels_per_session)
        return ERR_CHANNEL_LIMIT;
    /* Whoever comes while a message is on its way to the others must not get what was before the reply. */
    hub_finish_pass(session->hub);
    channel = hub_open_channel(session->hub, name);
    if (session->keeps_positions)
        channel_keep_history(channel);
    struct subscription *subscription =
        xcalloc(1, sizeof *subscription + (session->keeps_positions ? sizeof *subscription->position : 0));
    subscription->session = session;
    subscription->channel = channel;
    subscription->next = session->subscriptions;
    subscription->is_waiting = true;
    session->subscriptions = subscription;
    session->channel_count++;
    session->waiting_count++;
    channel_add_subscriber(channel, subscription);
    return ERR_OK;
}

/* A subscription that goes takes its place in the outbox with it. */
static void remove_subscription(struct session *session, struct subscription *subscription) {
    struct subscription **at = &session->subscriptions;
    if (session->outbox != NULL)
        outbox_drop_all(session->outbox, subscription, false, held_bytes(session));
    while (*at != subscription)
        at = &(*at)->next;
    *at = subscription->next;
    session->channel_count--;
    session->waiting_count -= subscription->is_waiting;
    channel_remove_subscriber(subscription->channel, subscription);
    free(subscription);
}

/* The entry from which on `start` wants the channel's messages; -1 when they are not all there. */
static int64_t find_start(const struct channel *channel, const struct start *start) {
    const struct history *history = channel->history;
    if (history == NULL)
        return start->kind == START_SINCE ? -1 : 0;
    if (start->kind == START_SINCE)
        return history_find(history, &start->since);
    return start->kind == START_LAST ? history_find_last(history, start->last) : history->count;
}

static void expire(struct channel *channel) {
    uint64_t ttl_ms = channel->options->history_ttl_seconds * 1000ull;
    uint64_t wall_ms = channel->hub->options.wall_ms();
    if (channel_has_history(channel) && wall_ms > ttl_ms)
        history_expire(channel->history, wall_ms - ttl_ms);
}

static void replay(struct subscription *subscription, uint32_t from) {
    const struct history *history = subscription->channel->history;
    struct session *session = subscription->session;
    for (uint32_t i = from; history != NULL && i < history->count && session_is_open(session); i++) {
        struct message *message = history_at(history, i);
        /* What a client missed does not make it a slow one: only the node's memory is a limit here. */
        if (message->kind == ENTRY_MESSAGE)
            push_message(subscription, message);
    }
    if (*held_bytes(session) > config_of(session)->limits.outbox_total_bytes)
        session_close(session, CLOSE_SLOW_CONSUMER);
}

/* The place just before the entry at `index`. */
static struct position place_before(const struct history *history, int64_t index) {
    if (index == history->count)
        return history->head;
    if (index > 0)
        return history_at(history, (uint32_t)index - 1)->id;
    return history->has_base ? history->base : (struct position){history_at(history, 0)->id.epoch, 0};
}

/* Where the session begins is known for all its channels: it may be told, and sent what waited for that. */
static void open_when_ready(struct session *session) {
    const struct form *form = session->transport->form;
    if (session->waiting_count > 0 || !session_is_open(session))
        return;
    if (form->open != NULL) {
        struct buf cursor, opening;
        buf_init(&cursor, 0);
        buf_init(&opening, 0);
        session_print_cursor(session, &cursor);
        form->open(buf_bytes(&cursor), &opening);
        on_write_result(session, session->transport->write(session->carrier, buf_bytes(&opening)));
        buf_finish(&cursor);
        buf_finish(&opening);
    }
    session_stage(session);
}

void session_hold(struct session *session) {
    session->waiting_count++;
}

void session_release(struct session *session) {
    session->waiting_count--;
    open_when_ready(session);
}

/* For sessions that are told nothing but messages and gaps. */
static void begin_silently(struct subscription *subscription, const struct start *start, int64_t from) {
    const struct history *history = subscription->channel->history;
    if (from >= 0) {
        subscription->position[0] = start->kind == START_SINCE ? start->since : place_before(history, from);
    } else {
        subscription->position[0] = history->head;
        session_send_gap(subscription, &history->head);
    }
    open_when_ready(subscription->session);
}

static void begin_with_reply(const struct pending_reply *reply, struct channel *channel, int64_t from) {
    bool has_position = channel_has_history(channel);
    struct event event = {
        .kind = EVENT_SUBSCRIBED,
        .has_ref = reply->has_ref,
        .ref = reply->ref,
        .channel = channel_name(channel),
        .has_position = has_position,
        .has_recovered = has_position && reply->start.kind == START_SINCE,
        .recovered = from >= 0,
    };
    if (has_position)
        event.position = channel->history->head;
    reply_event(reply->session, &event);
}

static void reply_history(const struct pending_reply *reply, struct channel *channel, int64_t from) {
    struct session *session = reply->session;
    const struct history *history = channel->history;
    bool is_whole = from >= 0;
    struct buf messages;
    buf_init(&messages, 0);
    /* The reply has to fit the outbox; of what does not, the newest is worth most. */
    size_t bytes = 0;
    for (int64_t i = history->count - 1; i >= from && from >= 0; i--) {
        bytes += history_at(history, (uint32_t)i)->payload_len + HISTORY_OVERHEAD_BYTES;
        if (bytes > config_of(session)->limits.outbox_bytes / 2) {
            from = i + 1;
            is_whole = false;
        }
    }
    for (int64_t i = from; i >= 0 && i < history->count; i++) {
        const struct message *message = history_at(history, (uint32_t)i);
        if (message->kind != ENTRY_MESSAGE)
            continue;
        if (messages.len > 0)
            buf_append_char(&messages, ',');
        session->protocol->encode_message(message, &messages);
    }
    struct event event = {
        .kind = EVENT_HISTORY,
        .has_ref = reply->has_ref,
        .ref = reply->ref,
        .channel = channel_name(channel),
        .has_position = true,
        .position = history->head,
        .has_recovered = reply->start.kind == START_SINCE,
        .recovered = is_whole,
        .messages = buf_bytes(&messages),
    };
    reply_event(session, &event);
    buf_finish(&messages);
}

static void begin(struct pending_reply *reply, struct channel *channel) {
    struct session *session = reply->session;
    struct subscription *subscription = session_find_subscription(session, channel);
    expire(channel);
    int64_t from = find_start(channel, &reply->start);
    if (!session->keeps_positions && !channel_has_history(channel))
        from =
            channel->history ? channel->history->count : 0; /* What is kept for pollers is not for others. */
    if (reply->is_history) {
        reply_history(reply, channel, from);
        return;
    }
    if (subscription == NULL || !subscription->is_waiting) {
        begin_with_reply(reply, channel, from); /* It was subscribed before. */
        return;
    }
    subscription->is_waiting = false;
    session->waiting_count--;
    if (!session->keeps_positions)
        begin_with_reply(reply, channel, from);
    if (session->keeps_positions)
        begin_silently(subscription, &reply->start, from);
    if (from >= 0)
        replay(subscription, (uint32_t)from);
}

static void fail_pending(struct pending_reply *reply, struct channel *channel, enum error error) {
    struct session *session = reply->session;
    struct subscription *subscription = session_find_subscription(session, channel);
    struct event event = {
        .kind = EVENT_ERROR,
        .error = error,
        .has_ref = reply->has_ref,
        .ref = reply->ref,
    };
    if (subscription != NULL && subscription->is_waiting && !reply->is_history)
        remove_subscription(session, subscription);
    metrics_of(session)->command_errors++;
    reply_event(session, &event);
    if (session->keeps_positions)
        session_close(session, CLOSE_UNAVAILABLE);
}

void session_subscribe_done(struct pending_reply *reply, struct channel *channel, enum error error) {
    if (reply->session != NULL && error == ERR_OK)
        begin(reply, channel);
    else if (reply->session != NULL)
        fail_pending(reply, channel, error);
    list_unlink(&reply->in_session);
    free(reply);
}

static void wait_for_channel(struct session *session, const struct command *command,
                             struct channel *channel) {
    struct pending_reply *reply = pending_create(session, command);
    if (channel_is_ready(channel))
        session_subscribe_done(reply, channel, ERR_OK);
    else
        list_push_back(&channel->pending_replies, &reply->in_channel);
}

static void subscribe(struct session *session, const struct command *command) {
    enum error error = add_subscription(session, command->channel);
    if (error == ERR_OK)
        wait_for_channel(session, command, hub_find_channel(session->hub, command->channel));
    else
        reply_error(session, command, error);
}

static void history(struct session *session, const struct command *command) {
    const struct config *config = config_of(session);
    if (!channel_name_is_valid(command->channel))
        reply_error(session, command, ERR_CHANNEL_INVALID);
    else if (channel_namespace(config, command->channel)->history_size == 0)
        reply_error(session, command, ERR_NO_HISTORY);
    else
        wait_for_channel(session, command, hub_open_channel(session->hub, command->channel));
}

/* The client has changed its mind before the broker answered: its first command is answered first. */
static void answer_early(struct pending_reply *reply, struct channel *channel) {
    struct event event = {
        .kind = EVENT_SUBSCRIBED,
        .has_ref = reply->has_ref,
        .ref = reply->ref,
        .channel = channel_name(channel),
    };
    reply_event(reply->session, &event);
    list_unlink(&reply->in_session);
    free(reply);
}

static void unsubscribe(struct session *session, const struct command *command) {
    struct channel *channel = hub_find_channel(session->hub, command->channel);
    struct subscription *subscription = channel ? session_find_subscription(session, channel) : NULL;
    if (subscription == NULL) {
        reply_error(session, command,
                    channel_name_is_valid(command->channel) ? ERR_NOT_SUBSCRIBED : ERR_CHANNEL_INVALID);
        return;
    }
    hub_finish_pass(session->hub);
    list_each_safe (node, &channel->pending_replies) {
        struct pending_reply *reply = list_entry(node, struct pending_reply, in_channel);
        if (reply->session == session && !reply->is_history) {
            list_unlink(&reply->in_channel);
            answer_early(reply, channel);
        }
    }
    remove_subscription(session, subscription);
    struct event event = {
        .kind = EVENT_UNSUBSCRIBED,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .channel = command->channel,
    };
    reply_event(session, &event);
}

static void on_published(void *arg, enum error error, const struct position *id) {
    struct pending_reply *reply = arg;
    if (reply->session != NULL) {
        struct event event = {
            .kind = error == ERR_OK ? EVENT_PUBLISHED : EVENT_ERROR,
            .error = error,
            .has_ref = reply->has_ref,
            .ref = reply->ref,
            .has_id = id != NULL,
        };
        if (id != NULL)
            event.id = *id;
        reply_event(reply->session, &event);
    }
    list_unlink(&reply->in_session);
    free(reply);
}

static void publish(struct session *session, const struct command *command) {
    const struct config *config = config_of(session);
    enum error error = ERR_OK;
    if (!channel_name_is_valid(command->channel))
        error = ERR_CHANNEL_INVALID;
    else if (!channel_namespace(config, command->channel)->client_publish)
        error = ERR_PUBLISH_FORBIDDEN;
    else if (command->payload.len > config->limits.message_bytes)
        error = ERR_MESSAGE_TOO_LARGE;
    else if (!token_bucket_take(&session->publishes, config->limits.publishes_per_second,
                                hub_now_ms(session->hub)))
        error = ERR_RATE_LIMITED;
    if (error != ERR_OK) {
        reply_error(session, command, error);
        return;
    }
    struct publish_request request = {
        .channel = command->channel,
        .payload = command->payload,
        .options = channel_namespace(config, command->channel),
        .is_urgent = command->is_urgent,
        .idempotency_key = command->idempotency_key,
    };
    hub_publish(session->hub, &request, on_published, pending_create(session, command));
}

static void ping(struct session *session, const struct command *command) {
    struct event event = {.kind = EVENT_PONG, .has_ref = command->has_ref, .ref = command->ref};
    reply_event(session, &event);
}

void session_execute(struct session *session, const struct command *command) {
    static void (*const handlers[])(struct session *, const struct command *) = {
        [COMMAND_CONNECT] = connect_session,
        [COMMAND_SUBSCRIBE] = subscribe,
        [COMMAND_UNSUBSCRIBE] = unsubscribe,
        [COMMAND_PUBLISH] = publish,
        [COMMAND_PING] = ping,
        [COMMAND_PONG] = NULL,
        [COMMAND_HISTORY] = history,
    };
    metrics_of(session)->commands++;
    session->strikes = 0;
    if (handlers[command->kind] == NULL)
        return;
    session->command_ms = hub_now_ms(session->hub);
    handlers[command->kind](session, command);
}

void session_receive(struct session *session, struct bytes text) {
    session->heard_ms = hub_now_ms(session->hub);
    while (session_is_open(session)) {
        struct command command = {0};
        size_t used = 0;
        enum error error = session->protocol->decode(text, &used, &command);
        if (error == ERR_MORE)
            return;
        text = bytes_skip(text, used);
        if (error == ERR_OK) {
            session_execute(session, &command);
        } else {
            reply_error(session, &command, error);
            if (++session->strikes == STRIKES_MAX)
                session_close(session, CLOSE_BAD_REQUEST);
        }
    }
}

void session_on_pong(struct session *session) {
    session->heard_ms = hub_now_ms(session->hub);
}

/* --- Life ------------------------------------------------------------------------------------ */

struct session *session_create(struct hub *hub, const struct session_options *options) {
    struct session *session = xcalloc(1, sizeof *session);
    uint64_t now_ms = hub_now_ms(hub);
    uint64_t interval_ms = hub->options.config->ping.interval_seconds * 1000ull;
    session->hub = hub;
    session->transport = options->transport;
    session->protocol = options->protocol;
    session->carrier = options->carrier;
    session->keeps_positions = options->keeps_positions;
    session->is_collected = options->transport->collect != NULL;
    session->is_congested = session->is_collected;
    if (options->transport->form->ping.len == 0)
        interval_ms = 0;
    session->id = ++hub->last_session_id;
    session->heard_ms = session->command_ms = now_ms;
    session->drain_ms = TIME_NEVER;
    list_init(&session->staged);
    list_init(&session->pending_replies);
    wheel_timer_init(&session->timer, on_timer);
    list_push_back(&hub->sessions, &session->link);
    hub->options.metrics->sessions[session->transport->kind]++;
    /* Clients that came all at once are not all pinged at once. */
    arm(session,
        interval_ms ? now_ms + interval_ms / 2 + (uint64_t)random() % (interval_ms / 2) : TIME_NEVER);
    if (hub->is_draining)
        session_drain(session, config_of(session)->drain_seconds);
    return session;
}

static void schedule_reap(struct session *session) {
    list_unlink(&session->staged);
    list_push_back(&session->hub->closing, &session->staged);
}

void session_close(struct session *session, enum close_reason reason) {
    if (!session_is_open(session))
        return;
    /* What was answered before goes out before, if the socket takes it. */
    if (reason != CLOSE_SLOW_CONSUMER && reason != CLOSE_LOST)
        session_flush(session);
    if (!session_is_open(session))
        return;
    session->state = SESSION_CLOSING;
    metrics_of(session)->closes[reason]++;
    wheel_cancel(&session->timer);
    schedule_reap(session);
    session->transport->close(session->carrier, reason);
}

void session_on_closed(struct session *session, enum close_reason reason) {
    if (session_is_open(session))
        metrics_of(session)->closes[reason]++;
    session->state = SESSION_CLOSED;
    session->carrier = NULL;
    wheel_cancel(&session->timer);
    list_unlink(&session->link);
    metrics_of(session)->sessions[session->transport->kind]--;
    schedule_reap(session);
}

void session_reap(struct session *session) {
    list_unlink(&session->staged);
    while (!list_is_empty(&session->pending_replies)) {
        struct pending_reply *reply =
            list_entry(session->pending_replies.next, struct pending_reply, in_session);
        list_unlink(&reply->in_session);
        reply->session = NULL;
    }
    outbox_destroy(session->outbox, held_bytes(session));
    session->outbox = NULL;
    while (session->subscriptions != NULL)
        remove_subscription(session, session->subscriptions);
    if (session->state == SESSION_CLOSED)
        free(session);
}

#include <assert.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/core/channel.h"
#include "gateway/core/cursor.h"
#include "gateway/core/history.h"
#include "gateway/core/recovery.h"
#include "gateway/core/session_internal.h"

enum {
    /* What a message in a list has around its payload, about. */
    HISTORY_OVERHEAD_BYTES = 400,
    /* Commands of one session that may wait for Redis, beyond one for each channel it may have. */
    WAITING_COMMANDS_SPARE = 256,
};

static enum error add_subscription(struct session *session, struct bytes name, bool *is_new) {
    if (!channel_name_is_valid(name))
        return ERR_CHANNEL_INVALID;
    struct channel *channel = hub_find_channel(session->hub, name);
    *is_new = channel == NULL || session_find_subscription(session, channel) == NULL;
    if (!*is_new)
        return ERR_OK;
    if (session->channel_count >= session_config(session)->limits.channels_per_session)
        return ERR_CHANNEL_LIMIT;
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
    assert(session->channel_count <= session_config(session)->limits.channels_per_session);
    session->waiting_count++;
    channel_add_subscriber(channel, subscription);
    return ERR_OK;
}

/* A subscription that goes takes its place in the outbox with it. */
void session_remove_subscription(struct session *session, struct subscription *subscription) {
    struct subscription **at = &session->subscriptions;
    if (session->outbox != NULL)
        outbox_drop_all(session->outbox, subscription, false, session_held_bytes(session));
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

/* Whether a replay is on its way to the client already. */
static bool is_replaying(const struct session *session) {
    return session->outbox != NULL && session->outbox->replays > 0;
}

/* What a client missed does not make it a slow one: only the node's memory is a limit for what is `owed`, and for
 * what the client does not take at once. */
static void replay(struct subscription *subscription, uint32_t from, bool is_owed) {
    const struct history *history = subscription->channel->history;
    struct session *session = subscription->session;
    const uint64_t total_bytes_max = session_config(session)->limits.outbox_total_bytes;
    uint32_t messages = 0;
    size_t bytes = 0;
    for (uint32_t i = from; history != NULL && i < history->count && session_is_open(session); i++) {
        struct message *message = history_at(history, i);
        if (message->kind == ENTRY_GAP && i > from)
            session_send_gap(subscription,
                             &message->id); /* Only who asked for the last few gets across one. */
        if (message->kind != ENTRY_MESSAGE)
            continue;
        messages++;
        bytes += message->payload_len;
        if (is_owed)
            session_replay_message(subscription, message);
        else
            session_queue_message(subscription, message);
        if (*session_held_bytes(session) <= total_bytes_max)
            continue;
        if (!session->is_congested)
            session_flush(session);
        if (session->outbox != NULL)
            session_close(session, CLOSE_SLOW_CONSUMER);
    }
    session_pay_replay(session, messages, bytes);
}

/* The place just before the entry at `index`. */
static struct position place_before(const struct history *history, int64_t index) {
    if (index == history->count)
        return history->head;
    return index > 0 ? history_at(history, (uint32_t)index - 1)->id : history->base;
}

/* Where the session begins is known for all its channels: it may be told, and sent what waited for that. */
static void open_when_ready(struct session *session) {
    const struct form *form = session->transport->form;
    if (session->waiting_count > 0 || !session_is_open(session))
        return;
    if (form->open != NULL && session->is_congested) {
        /* By a ping. What opens the stream comes before all that waits, and so that waits on. */
        session->is_open_due = true;
        session_hold(session);
        return;
    }
    if (form->open != NULL) {
        struct buf cursor, opening;
        buf_init(&cursor, 0);
        buf_init(&opening, 0);
        cursor_print(session, &cursor);
        form->open(buf_bytes(&cursor), &opening);
        session_after_write(session, session->transport->write(session->carrier, buf_bytes(&opening)));
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
    /* Who cannot go on from where it was is there until it is told: a cursor that came before the gap would let
     * it come back as if there were none. */
    subscription->position[0] = start->kind == START_SINCE ? start->since : place_before(history, from);
    if (from < 0)
        session_send_gap(subscription, &history->head);
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
    session_reply(reply->session, &event);
}

static void reply_history(const struct pending_reply *reply, struct channel *channel, int64_t from) {
    struct session *session = reply->session;
    const struct history *history = channel->history;
    bool is_whole = from >= 0;
    struct buf messages;
    buf_init(&messages, 0);
    /* The reply has to fit the outbox; of what does not, the newest is worth most. */
    size_t bytes = 0;
    for (int64_t i = (int64_t)history->count - 1; i >= from && from >= 0; i--) {
        bytes += history_at(history, (uint32_t)i)->payload_len + HISTORY_OVERHEAD_BYTES;
        if (bytes > session_config(session)->limits.outbox_bytes / 2) {
            from = i + 1;
            is_whole = false;
        }
    }
    uint32_t count = 0;
    for (int64_t i = from; i >= 0 && i < history->count; i++) {
        const struct message *message = history_at(history, (uint32_t)i);
        if (message->kind != ENTRY_MESSAGE)
            continue;
        if (messages.len > 0)
            buf_append_char(&messages, ',');
        session_protocol(session)->encode_message(message, &messages);
        count++;
    }
    session_pay_replay(session, count, messages.len);
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
    session_reply(session, &event);
    buf_finish(&messages);
}

/* The client has seen what is about to be delivered to the others: it is to begin after that. */
static void catch_up(const struct pending_reply *reply, struct channel *channel) {
    if (reply->start.kind == START_SINCE && channel_has_history(channel) &&
        position_compare(&reply->start.since, &channel->history->head) > 0)
        channel_flush(channel);
}

static void begin_first(const struct pending_reply *reply, struct subscription *subscription, int64_t from) {
    struct session *session = subscription->session;
    subscription->is_waiting = false;
    subscription->taken =
        subscription->channel->batched; /* On its way to the others, and from before the reply. */
    session->waiting_count--;
    if (session->keeps_positions)
        begin_silently(subscription, &reply->start, from);
    else
        begin_with_reply(reply, subscription->channel, from);
    if (from >= 0)
        replay(subscription, (uint32_t)from, true);
}

/* The client has the channel, and wants what was before once more: another part of it begins there. One such replay
 * at a time is owed; who asks for more than it takes is slow. */
static void begin_again(const struct pending_reply *reply, struct subscription *subscription, int64_t from) {
    bool is_owed = !is_replaying(subscription->session);
    if (subscription->session->keeps_positions)
        return; /* Its URL names the channel twice. */
    begin_with_reply(reply, subscription->channel, from);
    if (from >= 0)
        replay(subscription, (uint32_t)from, is_owed);
}

static void begin(struct pending_reply *reply, struct channel *channel) {
    struct session *session = reply->session;
    struct subscription *subscription = session_find_subscription(session, channel);
    /* What is on its way to the others is in the ring. Whoever has the channel gets it before the reply, not with what
     * is replayed and once more. */
    if (subscription != NULL)
        subscription_catch_up(subscription);
    catch_up(reply, channel);
    assert(channel_is_ready(channel));
    expire(channel);
    int64_t from = find_start(channel, &reply->start);
    if (!session->keeps_positions && !channel_has_history(channel))
        from =
            channel->history ? channel->history->count : 0; /* What is kept for pollers is not for others. */
    if (reply->is_history) {
        reply_history(reply, channel, from);
        return;
    }
    assert(subscription != NULL); /* It is given up with the commands that wait for it. */
    if (subscription->is_waiting)
        begin_first(reply, subscription, from);
    else
        begin_again(reply, subscription, from);
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
    session_metrics(session)->command_errors++;
    if (session->keeps_positions) {
        /* It comes back with the cursor that it has. Whatever it got now would come with one that leaves out
         * this channel. */
        session_close(session, CLOSE_UNAVAILABLE);
        return;
    }
    if (subscription != NULL && subscription->is_waiting && !reply->is_history)
        session_remove_subscription(session, subscription);
    session_reply(session, &event);
}

/* A client can ask the same again and again while Redis is away, and each reply that waits takes memory. */
static bool may_wait(const struct session *session) {
    uint32_t max = session_config(session)->limits.channels_per_session + WAITING_COMMANDS_SPARE;
    return session->waiting_commands < (max < UINT16_MAX ? max : UINT16_MAX);
}

static void forget(struct pending_reply *reply) {
    if (reply->is_waiting && reply->session != NULL)
        reply->session->waiting_commands--;
    session_forget_pending(reply);
    free(reply);
}

/* What was asked while the channel was opened was let in for what a command costs; what it brings is known by now, and
 * the ones before it have paid. */
static bool is_too_much(const struct pending_reply *reply) {
    return reply->is_waiting && (reply->is_history || reply->is_behind) &&
           !session_may_have_replayed(reply->session);
}

void session_subscribe_done(struct pending_reply *reply, struct channel *channel, enum error error) {
    if (reply->session != NULL && error == ERR_OK && is_too_much(reply))
        error = ERR_RATE_LIMITED;
    if (reply->session != NULL && error == ERR_OK)
        begin(reply, channel);
    else if (reply->session != NULL)
        fail_pending(reply, channel, error);
    forget(reply);
}

static void wait_for_channel(struct session *session, const struct command *command, struct channel *channel,
                             bool is_behind) {
    struct pending_reply *reply = session_pend(session, command);
    bool is_ready = channel_is_ready(channel);
    reply->is_behind = is_behind;
    if (is_ready && !pending_is_ahead(reply, channel) && !pending_is_behind(reply, channel)) {
        session_subscribe_done(reply, channel, ERR_OK);
        return;
    }
    reply->is_waiting = true;
    session->waiting_commands++;
    list_push_back(&channel->pending_replies, &reply->in_channel);
    reply->reads = channel->recovery == NULL;
    if (!is_ready)
        recovery_retry(channel);
    else if (pending_is_ahead(reply, channel))
        recovery_start(channel);
}

void session_subscribe(struct session *session, const struct command *command) {
    bool is_new = false;
    enum error error =
        may_wait(session) ? add_subscription(session, command->channel, &is_new) : ERR_TOO_MANY_WAITING;
    if (error == ERR_OK)
        wait_for_channel(session, command, hub_find_channel(session->hub, command->channel), !is_new);
    else
        session_reply_error(session, command, error);
}

void session_history(struct session *session, const struct command *command) {
    const struct config *config = session_config(session);
    if (!channel_name_is_valid(command->channel))
        session_reply_error(session, command, ERR_CHANNEL_INVALID);
    else if (channel_namespace(config, command->channel)->history_size == 0)
        session_reply_error(session, command, ERR_NO_HISTORY);
    else if (!may_wait(session))
        session_reply_error(session, command, ERR_TOO_MANY_WAITING);
    else
        wait_for_channel(session, command, hub_open_channel(session->hub, command->channel), false);
}

/* The client has changed its mind before the broker answered: its first command is answered first. */
static void answer_early(struct pending_reply *reply, struct channel *channel) {
    struct event event = {
        .kind = EVENT_SUBSCRIBED,
        .has_ref = reply->has_ref,
        .ref = reply->ref,
        .channel = channel_name(channel),
    };
    session_reply(reply->session, &event);
    forget(reply);
}

void session_unsubscribe(struct session *session, const struct command *command) {
    struct channel *channel = hub_find_channel(session->hub, command->channel);
    struct subscription *subscription = channel ? session_find_subscription(session, channel) : NULL;
    if (subscription == NULL) {
        session_reply_error(session, command,
                            channel_name_is_valid(command->channel) ? ERR_NOT_SUBSCRIBED
                                                                    : ERR_CHANNEL_INVALID);
        return;
    }
    subscription_catch_up(subscription);
    list_each_safe (node, &channel->pending_replies) {
        struct pending_reply *reply = list_entry(node, struct pending_reply, in_channel);
        if (reply->session == session && !reply->is_history) {
            list_unlink(&reply->in_channel);
            answer_early(reply, channel);
        }
    }
    session_remove_subscription(session, subscription);
    struct event event = {
        .kind = EVENT_UNSUBSCRIBED,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .channel = command->channel,
    };
    session_reply(session, &event);
}

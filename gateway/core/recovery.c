#include "gateway/core/recovery.h"

#include <assert.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/core/history.h"

enum {
    /* What may wait for a read of the stream. Beyond it, what waits is dropped and read as well. */
    HELD_COUNT_MAX = 4096,
    HELD_BYTES_MAX = 8 * 1024 * 1024,
};

/* A read of the stream under way. Outlives the channel if need be. */
struct recovery {
    struct channel *channel; /* NULL: gone. */
    struct message *held_first;
    struct message *held_last;
    uint32_t held_count;
    size_t held_bytes;
    bool must_repeat; /* What waited became too much, or the link was lost and came back. */
};

static void drop_held(struct recovery *recovery) {
    while (recovery->held_first != NULL) {
        struct message *message = recovery->held_first;
        recovery->held_first = message->next_in_batch;
        message_unref(message);
    }
    recovery->held_count = 0;
    recovery->held_bytes = 0;
}

static void hold(struct recovery *recovery, struct message *message) {
    if (recovery->held_count == HELD_COUNT_MAX || recovery->held_bytes > HELD_BYTES_MAX) {
        recovery->must_repeat = true;
        recovery->channel->gap_owed = recovery->channel->gap_owed || recovery->channel->carries_bare;
        drop_held(recovery);
        message_unref(message);
        return;
    }
    if (recovery->held_first == NULL)
        recovery->held_first = message;
    else
        recovery->held_last->next_in_batch = message;
    recovery->held_last = message;
    recovery->held_count++;
    recovery->held_bytes += message->payload_len;
}

static const struct position *seen_of(const struct channel *channel) {
    return channel->has_seen ? &channel->seen : NULL;
}

static void accept_next(struct channel *channel, struct message *message) {
    assert(!channel->has_seen || position_compare(&message->id, &channel->seen) > 0);
    channel->seen = message->id;
    channel->has_seen = true;
    channel_accept(channel, message);
}

/* Something between what was seen and `message` is lost for good. Subscribers are told the place that it goes on
 * from, since clients who have seen that much have missed nothing. Where we have seen more than a boundary goes on
 * from, its own place is the one: that epoch has lost what we have seen. */
static void accept_after_gap(struct channel *channel, struct message *message) {
    struct position before = message->has_previous ? message->previous : position_before(&message->id);
    bool is_lost = channel->has_seen && position_compare(&before, &channel->seen) < 0;
    bool is_mark = message->kind == ENTRY_GAP && message->has_previous; /* Tells by itself. */
    if (!is_mark && !is_lost)
        channel_accept_gap(channel, &before);
    accept_next(channel, message);
    if (!is_mark && is_lost)
        channel_accept_gap(channel, &channel->seen);
}

/* An entry, in order, when nothing more is to be had of what may be missing before it. */
static void take_entry(struct channel *channel, struct message *message) {
    switch (splice_check(&channel->seen, message)) {
    case SPLICE_OLD:
        message_unref(message);
        break;
    case SPLICE_NEXT:
        accept_next(channel, message);
        break;
    case SPLICE_HOLE:
        accept_after_gap(channel, message);
        break;
    }
}

/* Whoever was there before the channel had a history does not get what the read has brought. Some of it may
 * have come live meanwhile, and is not delivered any more. */
static void tell_who_was_there(struct channel *channel) {
    for (uint32_t i = 0; i < channel->subscriber_count; i++) {
        if (!channel->subscribers[i]->is_waiting) {
            channel_accept_gap(channel, &channel->seen);
            return;
        }
    }
}

/* The first read of a channel: nobody has it yet, so the ring is filled without a delivery. */
static void fill(struct channel *channel, const struct sync_result *result) {
    for (size_t i = 0; i < result->count; i++) {
        struct message *message = channel_make_message(channel, &result->entries[i]);
        history_append(channel->history, message, channel->options->history_size);
        message_unref(message);
    }
    if (!channel->history->has_head || position_compare(&channel->history->head, &result->head) != 0)
        history_reset(channel->history, &result->head);
    channel->history->has_calm = result->has_calm && channel->history->count == result->count;
    channel->history->calm = result->calm;
    channel->seen = result->head;
    channel->has_seen = true;
    tell_who_was_there(channel);
    channel->gap_owed = false;
}

/* Whether nothing was lost between nothing and what there is now. */
static bool goes_on_from_nothing(const struct position *seen, const struct sync_result *result) {
    return position_is_nothing(seen) && result->has_calm && seen->epoch >= result->calm &&
           (result->count > 0 ? seen->epoch < result->entries[0].id.epoch
                              : seen->epoch <= result->head.epoch);
}

/* The first entry of a stream that began where nothing was. */
static void continue_nothing(const struct channel *channel, struct message *message) {
    message->has_previous = true;
    message->previous = channel->seen;
}

static void take(struct channel *channel, const struct sync_result *result) {
    bool goes_on = goes_on_from_nothing(&channel->seen, result);
    for (size_t i = 0; i < result->count; i++) {
        struct message *message = channel_make_message(channel, &result->entries[i]);
        if (i == 0 && goes_on)
            continue_nothing(channel, message);
        take_entry(channel, message);
    }
    if (position_compare(&channel->seen, &result->head) == 0 || (goes_on && result->count == 0))
        return;
    /* The stream went on and has expired since, or it is another one. */
    channel_accept_gap(channel, &result->head);
    channel->seen = result->head;
}

/* What was bare among the missing is in no stream. The gap has no place: in the stream's order nothing is missing, and
 * what this node keeps of it stays. */
static void tell_owed_gap(struct channel *channel) {
    if (!channel->gap_owed || !channel->is_subscribed)
        return;
    channel->gap_owed = false;
    channel_accept_gap(channel, NULL);
}

static void take_held(struct channel *channel, struct recovery *recovery) {
    struct message *message = recovery->held_first;
    recovery->held_first = NULL;
    while (message != NULL) {
        struct message *next = message->next_in_batch;
        message->next_in_batch = NULL;
        recovery_on_entry(channel, message);
        message = next;
    }
}

/* Whether what waits shows by itself that something is missing before it. */
static bool shows_hole(const struct channel *channel, const struct recovery *recovery) {
    const struct message *message = recovery->held_first;
    while (message != NULL && (!message->has_id || splice_check(seen_of(channel), message) == SPLICE_OLD))
        message = message->next_in_batch;
    return message != NULL && splice_check(seen_of(channel), message) == SPLICE_HOLE;
}

/* The stream cannot be read: what comes live is all there is, and what is missing in between is told. */
static void take_held_as_they_are(struct channel *channel, struct recovery *recovery) {
    while (recovery->held_first != NULL) {
        struct message *message = recovery->held_first;
        recovery->held_first = message->next_in_batch;
        message->next_in_batch = NULL;
        if (message->has_id && channel->has_seen)
            take_entry(channel, message);
        else if (message->has_id)
            accept_next(channel, message);
        else
            channel_accept(channel, message);
    }
}

static void on_synced(void *arg, enum error error, const struct sync_result *result) {
    struct recovery *recovery = arg;
    struct channel *channel = recovery->channel;
    if (channel == NULL) {
        drop_held(recovery);
        free(recovery);
        return;
    }
    assert(!channel->hub->is_in_broker);
    channel->recovery = NULL;
    if (error == ERR_OK) {
        channel->is_failing = false;
        if (channel->has_seen)
            take(channel, result);
        else
            fill(channel, result);
        tell_owed_gap(channel);
        channel_answer_pending(channel, ERR_OK);
        take_held(channel, recovery);
        if (recovery->must_repeat)
            recovery_start(channel);
    } else if (error == ERR_BROKER_UNAVAILABLE) {
        /* The link is lost, or about to be known as such; the next one begins with a read. */
        if (channel->is_subscribed && recovery->must_repeat)
            recovery_start(channel);
    } else {
        /* Redis does not let us. Whoever is here is told once, whoever comes gets the error. */
        if (channel->has_seen && !channel->is_failing && !shows_hole(channel, recovery))
            channel->gap_owed = true;
        tell_owed_gap(channel);
        channel->is_failing = true;
        channel_answer_pending(channel, error);
        take_held_as_they_are(channel, recovery);
    }
    drop_held(recovery);
    free(recovery);
}

void recovery_start(struct channel *channel) {
    struct broker *broker = channel->hub->broker;
    if (channel->recovery != NULL) {
        channel->recovery->must_repeat = true;
        return;
    }
    channel->recovery = xcalloc(1, sizeof *channel->recovery);
    channel->recovery->channel = channel;
    hub_enter_broker(channel->hub);
    broker->ops->sync(broker, channel_name(channel), channel->options, seen_of(channel), on_synced,
                      channel->recovery);
    hub_leave_broker(channel->hub);
}

void recovery_retry(struct channel *channel) {
    if (channel_has_history(channel) && channel->is_subscribed && channel->recovery == NULL)
        recovery_start(channel);
}

/* What begins live, where there was nothing at the last read: whatever had come before it would have been heard. */
static bool is_first_after_nothing(const struct channel *channel, const struct message *message) {
    return channel->has_seen && position_is_nothing(&channel->seen) && message->id.offset == 0 &&
           !message->has_previous && message->id.epoch > channel->seen.epoch;
}

void recovery_on_entry(struct channel *channel, struct message *message) {
    channel->carries_bare = channel->carries_bare || !message->has_id;
    if (channel->recovery != NULL) {
        hold(channel->recovery, message);
        return;
    }
    if (!message->has_id) {
        /* A bare PUBLISH to a channel with history: live, and not kept. */
        channel_accept(channel, message);
        return;
    }
    if (is_first_after_nothing(channel, message))
        continue_nothing(channel, message);
    switch (splice_check(seen_of(channel), message)) {
    case SPLICE_OLD:
        message_unref(message);
        break;
    case SPLICE_NEXT:
        accept_next(channel, message);
        break;
    case SPLICE_HOLE:
        recovery_start(channel);
        hold(channel->recovery, message);
        break;
    }
}

void recovery_forget(struct channel *channel) {
    if (channel->recovery != NULL)
        channel->recovery->channel = NULL;
    channel->recovery = NULL;
}

#include "gateway/core/hub.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/core/channel.h"
#include "gateway/core/history.h"
#include "gateway/core/rates.h"
#include "gateway/core/recovery.h"
#include "gateway/core/session.h"

/* Writes after which a pass yields: about a millisecond of sends, so that accepts, pings and Redis get their turn
 * while a message goes to a hundred thousand subscribers, and what comes meanwhile soon joins. */
enum { PASS_WRITES_MAX = 256 };

/* Whoever is in a channel that the broker refuses, after a link was lost, hears of it again so soon after somebody has
 * changed the broker's mind. */
enum { RETRY_MS = 5000 };

/* Channels without subscribers. They stay for a while, so that a page that reloads costs Redis nothing; but a client can
 * be in one after the other, each for a moment. */
enum { IDLE_CHANNELS_MAX = 16384 };

static void on_retry(struct wheel_timer *timer, uint64_t now_ms);

struct hub *hub_create(const struct hub_options *options) {
    struct hub *hub = xcalloc(1, sizeof *hub);
    hub->options = *options;
    hub->rates = rates_create(options->seed);
    if (hub->options.pass_writes_max == 0)
        hub->options.pass_writes_max = PASS_WRITES_MAX;
    list_init(&hub->sessions);
    list_init(&hub->staged);
    list_init(&hub->closing);
    list_init(&hub->dirty);
    list_init(&hub->pass);
    list_init(&hub->idle);
    wheel_timer_init(&hub->retry, on_retry);
    /* Redis counts epochs in milliseconds; ours begin far above, and differ from start to start. */
    hub->last_local_epoch = (uint64_t)1 << 62 | (uint64_t)options->generation << 24;
    return hub;
}

void hub_set_broker(struct hub *hub, struct broker *broker) {
    hub->broker = broker;
}

uint64_t hub_now_ms(const struct hub *hub) {
    return hub->options.now_ms(hub->options.now_context);
}

static void free_messages(struct message *first) {
    while (first != NULL) {
        struct message *next = first->next_in_batch;
        message_unref(first);
        first = next;
    }
}

static void leave_idle(struct channel *channel) {
    channel->hub->idle_count -= !list_is_empty(&channel->idle);
    list_unlink(&channel->idle);
}

static void channel_destroy(struct channel *channel) {
    struct hub *hub = channel->hub;
    channel_finish_batch(channel);
    list_unlink(&channel->dirty);
    free_messages(channel->pending_first);
    recovery_forget(channel);
    if (channel->history != NULL)
        history_finish(channel->history);
    free(channel->history);
    channel_answer_pending(channel, ERR_BROKER_UNAVAILABLE);
    wheel_cancel(&channel->timer);
    leave_idle(channel);
    HASH_DEL(hub->channels, channel);
    hub->options.metrics->channels--;
    free(channel->subscribers);
    free(channel);
}

/* It goes at the end of the turn, if it may. */
static void expire(struct channel *channel) {
    leave_idle(channel);
    wheel_arm(channel->hub->options.wheel, &channel->timer, hub_now_ms(channel->hub));
}

static void arm_linger(struct channel *channel) {
    struct hub *hub = channel->hub;
    leave_idle(channel);
    list_push_back(&hub->idle, &channel->idle);
    wheel_arm(hub->options.wheel, &channel->timer, hub_now_ms(hub) + hub->options.config->redis.linger_ms);
    if (++hub->idle_count <= IDLE_CHANNELS_MAX)
        return;
    hub->options.metrics->channels_crowded_out++;
    expire(list_entry(hub->idle.next, struct channel, idle));
}

static void mark_dirty(struct channel *channel) {
    if (list_is_empty(&channel->dirty))
        list_push_back(&channel->hub->dirty, &channel->dirty);
}

/* The last subscriber left a while ago and none has come since; or messages have waited long enough. */
static void on_channel_timer(struct wheel_timer *timer, uint64_t now_ms) {
    struct channel *channel = list_entry(timer, struct channel, timer);
    (void)now_ms;
    if (channel->subscriber_count > 0) {
        mark_dirty(channel);
        return;
    }
    bool has_answer = channel->is_subscribed || (channel->is_refused && !channel->is_retried);
    if (!has_answer && channel->hub->broker->ops->is_up(channel->hub->broker)) {
        /* The confirmation to come would be taken for that of the next subscription. */
        arm_linger(channel);
        return;
    }
    if (!channel->is_refused) {
        hub_enter_broker(channel->hub);
        channel->hub->broker->ops->unsubscribe(channel->hub->broker, channel_name(channel));
        hub_leave_broker(channel->hub);
    }
    channel_destroy(channel);
}

struct channel *hub_find_channel(const struct hub *hub, struct bytes name) {
    struct channel *channel;
    HASH_FIND(hh, hub->channels, name.data, name.len, channel);
    return channel;
}

static void subscribe(struct channel *channel) {
    struct broker *broker = channel->hub->broker;
    channel->is_retried = channel->is_refused;
    hub_enter_broker(channel->hub);
    broker->ops->subscribe(broker, channel_name(channel));
    hub_leave_broker(channel->hub);
}

static void retry(struct channel *channel) {
    if (channel->is_refused && !channel->is_retried)
        subscribe(channel);
}

static void on_retry(struct wheel_timer *timer, uint64_t now_ms) {
    struct hub *hub = list_entry(timer, struct hub, retry);
    (void)now_ms;
    for (struct channel *channel = hub->channels; channel != NULL; channel = channel->hh.next) {
        if (channel->subscriber_count > 0)
            retry(channel);
    }
}

struct channel *hub_open_channel(struct hub *hub, struct bytes name) {
    struct channel *channel = hub_find_channel(hub, name);
    if (channel != NULL) {
        retry(channel);
        return channel;
    }
    channel = xcalloc(1, sizeof *channel + name.len);
    channel->hub = hub;
    channel->options = channel_namespace(hub->options.config, name);
    channel->name_len = (uint8_t)name.len;
    memcpy(channel->name, name.data, name.len);
    list_init(&channel->dirty);
    list_init(&channel->in_pass);
    list_init(&channel->pending_replies);
    list_init(&channel->idle);
    wheel_timer_init(&channel->timer, on_channel_timer);
    HASH_ADD_KEYPTR(hh, hub->channels, channel->name, channel->name_len, channel);
    hub->options.metrics->channels++;
    if (channel_has_history(channel)) {
        channel->history = xcalloc(1, sizeof *channel->history);
    } else {
        channel->seen.epoch = ++hub->last_local_epoch;
        channel->has_seen = true;
        /* Whoever subscribes while the broker is away is told, when it is back, that messages may be lost. */
        channel->gap_owed = !hub->broker->ops->is_up(hub->broker);
    }
    /* Gone again after a while, unless a subscriber comes. */
    arm_linger(channel);
    subscribe(channel);
    return channel;
}

void channel_keep_history(struct channel *channel) {
    if (channel->history != NULL)
        return;
    /* What waits for its batch will be appended; the ring begins before it. */
    struct position head = channel->seen;
    if (channel->pending_first != NULL) {
        head = channel->pending_first->id;
        head.offset--;
    }
    channel->history = xcalloc(1, sizeof *channel->history);
    history_reset(channel->history, &head);
}

bool channel_is_ready(const struct channel *channel) {
    if (channel->is_refused)
        return false;
    if (channel_has_history(channel))
        return channel->history->has_head;
    return channel->is_subscribed || channel->gap_owed;
}

static uint64_t batch_due_ms(const struct channel *channel) {
    return channel->pending_since_ms + channel->options->batch_delay_ms;
}

static void arm_batch(struct channel *channel) {
    wheel_arm(channel->hub->options.wheel, &channel->timer, batch_due_ms(channel));
}

void channel_add_subscriber(struct channel *channel, struct subscription *subscription) {
    if (channel->subscriber_count == channel->subscriber_capacity) {
        channel->subscriber_capacity = channel->subscriber_capacity ? channel->subscriber_capacity * 2 : 1;
        channel->subscribers =
            xrealloc(channel->subscribers, sizeof *channel->subscribers * channel->subscriber_capacity);
    }
    channel_list_subscriber(channel, subscription);
    channel->hub->options.metrics->subscriptions++;
    if (channel->subscriber_count > 1)
        return;
    leave_idle(channel);
    channel->lingers = true;
    wheel_cancel(&channel->timer);
    if (channel->pending_first != NULL && list_is_empty(&channel->dirty))
        arm_batch(channel);
}

void channel_remove_subscriber(struct channel *channel, struct subscription *subscription) {
    struct hub *hub = channel->hub;
    channel_unlist_subscriber(channel, subscription);
    hub->options.metrics->subscriptions--;
    if (channel->subscriber_count == 0) {
        free(channel->subscribers);
        channel->subscribers = NULL;
        channel->subscriber_capacity = 0;
        if (channel->pending_first != NULL && channel->history == NULL)
            mark_dirty(channel); /* Its timer had been for these. */
        arm_linger(channel);
    } else if (channel->subscriber_count < channel->subscriber_capacity / 4) {
        channel->subscriber_capacity /= 2;
        channel->subscribers =
            xrealloc(channel->subscribers, sizeof *channel->subscribers * channel->subscriber_capacity);
    }
}

/* Whether the namespace wants the channel's messages to wait for each other, still. Also while nobody is there:
 * pollers are away for moments, and would come back to a batch of one. */
static bool may_wait(const struct channel *channel, const struct message *message) {
    const struct namespace_config *options = channel->options;
    return options->batch_delay_ms > 0 && !message->is_urgent && message->kind == ENTRY_MESSAGE &&
           (channel->subscriber_count > 0 || channel->history != NULL) &&
           (options->batch_count == 0 || channel->pending_count < options->batch_count) &&
           (options->batch_bytes == 0 || channel->pending_bytes < options->batch_bytes);
}

void channel_accept(struct channel *channel, struct message *message) {
    struct hub *hub = channel->hub;
    if (channel->pending_first == NULL) {
        channel->pending_first = message;
        channel->pending_since_ms = hub_now_ms(hub);
    } else {
        channel->pending_last->next_in_batch = message;
    }
    channel->pending_last = message;
    channel->pending_count++;
    channel->pending_bytes += (uint32_t)message->payload_len;
    if (!may_wait(channel, message) || hub_now_ms(hub) >= batch_due_ms(channel))
        mark_dirty(channel);
    else if (channel->subscriber_count > 0 && !wheel_timer_is_armed(&channel->timer))
        arm_batch(channel);
}

/* Channels without history count their messages on this node, for those who come back to it. */
static void number_locally(struct channel *channel, struct message *message) {
    channel->seen.offset++;
    message->id = channel->seen;
}

void channel_accept_gap(struct channel *channel, const struct position *position) {
    struct entry entry = {.kind = ENTRY_GAP};
    struct message *mark = message_create(channel_name(channel), &entry, clock_monotonic_ns());
    if (!channel_has_history(channel))
        number_locally(channel, mark);
    else if (position != NULL)
        mark->id = *position;
    channel_accept(channel, mark);
}

struct message *channel_make_message(struct channel *channel, const struct entry *entry) {
    struct hub *hub = channel->hub;
    struct entry cut = *entry;
    if (entry->payload.len > hub->options.config->limits.message_bytes) {
        /* Its place in the order becomes a gap: nobody gets it, and everybody knows. */
        hub->options.metrics->drops[DROP_TOO_LARGE]++;
        log_warn("hub", "message larger than limits.message_bytes dropped channel=%.*s bytes=%zu",
                 BYTES_FMT(channel_name(channel)), entry->payload.len);
        cut.kind = ENTRY_GAP;
        cut.has_previous = cut.has_id;
        cut.previous = position_before(&cut.id);
        cut.payload = BYTES_LITERAL("");
    }
    return message_create(channel_name(channel), &cut, clock_monotonic_ns());
}

static void on_entry(void *context, struct bytes name, const struct entry *entry) {
    struct hub *hub = context;
    struct channel *channel = hub_find_channel(hub, name);
    assert(!hub->is_in_broker);
    if (entry->kind == ENTRY_MESSAGE) {
        hub->options.metrics->messages_in++;
        hub->options.metrics->bytes_messages_in += entry->payload.len;
    }
    if (channel == NULL || (channel->subscriber_count == 0 && channel->history == NULL))
        return;
    /* Of a subscription that was given up and is asked for again: what comes in between the two does not, and only what
     * has a place in a stream shows by itself that something is missing after it. */
    if (!channel->is_subscribed && !(channel_has_history(channel) && entry->has_id))
        return;
    struct message *message = channel_make_message(channel, entry);
    if (channel_has_history(channel)) {
        recovery_on_entry(channel, message);
    } else {
        /* Where this node keeps no history, an id that the publisher got means nothing to clients. */
        message->has_id = false;
        number_locally(channel, message);
        channel_accept(channel, message);
    }
}

bool pending_is_ahead(const struct pending_reply *reply, const struct channel *channel) {
    if (position_is_nothing(&reply->start.since) && position_is_nothing(&channel->seen))
        return false; /* Another node had looked later: that is all. */
    return reply->start.kind == START_SINCE && channel_has_history(channel) && channel->has_seen &&
           position_compare(&reply->start.since, &channel->seen) > 0;
}

bool pending_is_behind(const struct pending_reply *reply, const struct channel *channel) {
    if (!reply->is_behind || reply->session == NULL)
        return false;
    const struct subscription *subscription = session_find_subscription(reply->session, channel);
    return subscription != NULL && subscription->is_waiting;
}

void channel_answer_pending(struct channel *channel, enum error error) {
    struct list replies;
    bool must_read = false;
    /* After reads that were refused, what has come live may be all there is, and wait itself. */
    if (error == ERR_OK && !channel_is_ready(channel))
        channel_flush(channel);
    list_init(&replies);
    list_splice_back(&replies, &channel->pending_replies);
    while (!list_is_empty(&replies)) {
        struct pending_reply *reply = list_entry(replies.next, struct pending_reply, in_channel);
        list_unlink(&reply->in_channel);
        /* The read that has just ended may have begun before the client saw what it has seen. */
        if (error == ERR_OK && pending_is_ahead(reply, channel) && ++reply->reads < 2) {
            list_push_back(&channel->pending_replies, &reply->in_channel);
            must_read = true;
        } else if (error == ERR_OK && pending_is_behind(reply, channel)) {
            list_push_back(&channel->pending_replies, &reply->in_channel);
        } else {
            session_subscribe_done(reply, channel, error);
        }
    }
    if (must_read)
        recovery_start(channel);
    /* It was opened for these. */
    if (list_is_empty(&channel->pending_replies) && channel->subscriber_count == 0 && !channel->lingers)
        expire(channel);
}

static void on_subscribed(void *context, struct bytes name) {
    struct hub *hub = context;
    struct channel *channel = hub_find_channel(hub, name);
    assert(!hub->is_in_broker);
    if (channel == NULL)
        return;
    channel->is_subscribed = true;
    channel->is_refused = channel->is_retried = false;
    if (channel_has_history(channel)) {
        recovery_start(channel);
        return;
    }
    if (channel->gap_owed)
        channel_accept_gap(channel, NULL);
    channel->gap_owed = false;
    channel_answer_pending(channel, ERR_OK);
}

/* Who waits for the channel is told. Who was in it before the link was lost stays, and is told of that once the channel
 * can be heard again. */
static void on_refused(void *context, struct bytes name) {
    struct hub *hub = context;
    struct channel *channel = hub_find_channel(hub, name);
    assert(!hub->is_in_broker);
    if (channel == NULL)
        return;
    channel->is_refused = true;
    channel->is_retried = false;
    channel_answer_pending(channel, ERR_BROKER_REFUSED);
    if (channel->subscriber_count > 0 && !wheel_timer_is_armed(&hub->retry))
        wheel_arm(hub->options.wheel, &hub->retry, hub_now_ms(hub) + RETRY_MS);
}

static void on_link_up(void *context) {
    struct hub *hub = context;
    assert(!hub->is_in_broker);
    for (struct channel *channel = hub->channels; channel != NULL; channel = channel->hh.next)
        subscribe(channel);
}

static void on_link_lost(void *context) {
    struct hub *hub = context;
    assert(!hub->is_in_broker);
    for (struct channel *channel = hub->channels; channel != NULL; channel = channel->hh.next) {
        channel->is_subscribed = channel->is_refused = channel->is_retried = false;
        /* Where there is a stream, what is missed will be read from it, but for what was never in it. */
        channel->gap_owed = channel->gap_owed || !channel_has_history(channel) || channel->carries_bare;
        if (channel_has_history(channel))
            continue;
        /* Nobody is left waiting for as long as Redis is away: the subscription stands, and its first event
         * once Redis is back is the gap. */
        channel_answer_pending(channel, ERR_OK);
    }
}

/* A reload gave the channel a history at the broker, or took it. */
static void change_history(struct channel *channel) {
    struct hub *hub = channel->hub;
    bool is_cut_short = channel->has_seen && (channel->recovery != NULL || channel->gap_owed);
    recovery_forget(channel);
    if (channel->history != NULL)
        history_finish(channel->history);
    else
        channel->history = xcalloc(1, sizeof *channel->history);
    channel->has_seen = !channel_has_history(channel);
    if (channel->has_seen) {
        channel->seen = (struct position){.epoch = ++hub->last_local_epoch};
        history_reset(channel->history, &channel->seen);
        /* What was to be read from the stream will not be. */
        channel->gap_owed = !channel->is_subscribed;
        if (channel->is_subscribed && is_cut_short)
            channel_accept_gap(channel, NULL);
        channel_answer_pending(channel, ERR_OK);
    } else if (channel->is_subscribed) {
        recovery_start(channel);
    }
}

void hub_set_config(struct hub *hub, const struct config *config) {
    hub->options.config = config;
    for (struct channel *channel = hub->channels; channel != NULL; channel = channel->hh.next) {
        bool had_history = channel_has_history(channel);
        channel->options = channel_namespace(config, channel_name(channel));
        if (had_history != channel_has_history(channel))
            change_history(channel);
    }
}

const struct broker_events hub_broker_events = {
    .on_entry = on_entry,
    .on_subscribed = on_subscribed,
    .on_refused = on_refused,
    .on_link_up = on_link_up,
    .on_link_lost = on_link_lost,
};

void hub_publish(struct hub *hub, const struct publish_request *request, publish_done *on_done, void *arg) {
    hub->options.metrics->publishes++;
    hub->broker->ops->publish(hub->broker, request, on_done, arg);
}

void hub_drain(struct hub *hub, uint32_t seconds) {
    hub->is_draining = true;
    hub->drain_end_ms = hub_now_ms(hub) + seconds * 1000ull;
    hub->options.metrics->draining = 1;
    log_info("hub", "draining sessions=%u seconds=%u", (unsigned)hub->options.metrics->connections,
             (unsigned)seconds);
    list_each (node, &hub->sessions)
        session_drain(session_of_link(node));
}

void hub_destroy(struct hub *hub) {
    struct channel *channel, *next;
    if (hub == NULL)
        return;
    wheel_cancel(&hub->retry);
    while (!list_is_empty(&hub->sessions))
        session_on_closed(session_of_link(hub->sessions.next), CLOSE_LOST);
    while (hub_end_turn(hub))
        continue;
    HASH_ITER(hh, hub->channels, channel, next) {
        channel_destroy(channel);
    }
    rates_destroy(hub->rates);
    free(hub);
}

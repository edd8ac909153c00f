#include "gateway/core/hub.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/core/channel.h"
#include "gateway/core/session.h"

struct hub *hub_create(const struct hub_options *options) {
    struct hub *hub = xcalloc(1, sizeof *hub);
    hub->options = *options;
    list_init(&hub->sessions);
    list_init(&hub->staged);
    list_init(&hub->closing);
    list_init(&hub->dirty);
    list_init(&hub->pass);
    return hub;
}

void hub_set_broker(struct hub *hub, struct broker *broker) {
    hub->broker = broker;
}

uint64_t hub_now_ms(const struct hub *hub) {
    return hub->options.now_ms(hub->options.now_context);
}

void hub_set_config(struct hub *hub, const struct config *config) {
    hub->options.config = config;
    for (struct channel *channel = hub->channels; channel != NULL; channel = channel->hh.next)
        channel->options = channel_namespace(config, channel_name(channel));
}

static void channel_destroy(struct channel *channel) {
    struct hub *hub = channel->hub;
    wheel_cancel(&channel->linger);
    list_unlink(&channel->dirty);
    while (channel->pending_first != NULL) {
        struct message *message = channel->pending_first;
        channel->pending_first = message->next_in_batch;
        message_unref(message);
    }
    while (!list_is_empty(&channel->pending_replies)) {
        struct pending_reply *reply =
            list_entry(channel->pending_replies.next, struct pending_reply, in_channel);
        list_unlink(&reply->in_channel);
        list_unlink(&reply->in_session);
        free(reply);
    }
    HASH_DEL(hub->channels, channel);
    hub->options.metrics->channels--;
    free(channel->subscribers);
    free(channel);
}

/* The last subscriber left a while ago, and none has come since. */
static void on_linger_over(struct wheel_timer *timer, uint64_t now_ms) {
    struct channel *channel = list_entry(timer, struct channel, linger);
    (void)now_ms;
    hub_finish_pass(channel->hub);
    channel->hub->broker->ops->unsubscribe(channel->hub->broker, channel_name(channel));
    channel_destroy(channel);
}

struct channel *hub_find_channel(const struct hub *hub, struct bytes name) {
    struct channel *channel;
    HASH_FIND(hh, hub->channels, name.data, name.len, channel);
    return channel;
}

struct channel *hub_open_channel(struct hub *hub, struct bytes name) {
    struct channel *channel = hub_find_channel(hub, name);
    if (channel != NULL)
        return channel;
    channel = xcalloc(1, sizeof *channel + name.len);
    channel->hub = hub;
    channel->options = channel_namespace(hub->options.config, name);
    channel->name_len = (uint8_t)name.len;
    memcpy(channel->name, name.data, name.len);
    list_init(&channel->dirty);
    list_init(&channel->pending_replies);
    wheel_timer_init(&channel->linger, on_linger_over);
    HASH_ADD_KEYPTR(hh, hub->channels, channel->name, channel->name_len, channel);
    hub->options.metrics->channels++;
    /* Whoever subscribes while the broker is away is told, when it is back, that messages may be lost. */
    channel->gap_owed = !hub->broker->ops->is_up(hub->broker);
    hub->broker->ops->subscribe(hub->broker, channel_name(channel));
    return channel;
}

void channel_add_subscriber(struct channel *channel, struct subscription *subscription) {
    if (channel->subscriber_count == channel->subscriber_capacity) {
        channel->subscriber_capacity = channel->subscriber_capacity ? channel->subscriber_capacity * 2 : 1;
        channel->subscribers =
            xrealloc(channel->subscribers, sizeof *channel->subscribers * channel->subscriber_capacity);
    }
    subscription->index = channel->subscriber_count;
    channel->subscribers[channel->subscriber_count++] = subscription;
    channel->hub->options.metrics->subscriptions++;
    wheel_cancel(&channel->linger);
}

void channel_remove_subscriber(struct channel *channel, struct subscription *subscription) {
    struct hub *hub = channel->hub;
    struct subscription *last = channel->subscribers[--channel->subscriber_count];
    channel->subscribers[subscription->index] = last;
    last->index = subscription->index;
    hub->options.metrics->subscriptions--;
    if (channel->subscriber_count == 0) {
        free(channel->subscribers);
        channel->subscribers = NULL;
        channel->subscriber_capacity = 0;
        wheel_arm(hub->options.wheel, &channel->linger,
                  hub_now_ms(hub) + hub->options.config->redis.linger_ms);
    } else if (channel->subscriber_count < channel->subscriber_capacity / 4) {
        channel->subscriber_capacity /= 2;
        channel->subscribers =
            xrealloc(channel->subscribers, sizeof *channel->subscribers * channel->subscriber_capacity);
    }
}

static void tell_gap(struct channel *channel) {
    channel->gap_owed = false;
    channel->hub->options.metrics->gaps++;
    for (uint32_t i = 0; i < channel->subscriber_count; i++)
        session_send_gap(channel->subscribers[i]->session, channel_name(channel));
}

static void on_entry(void *context, struct bytes name, const struct entry *entry) {
    struct hub *hub = context;
    struct channel *channel = hub_find_channel(hub, name);
    hub->options.metrics->messages_in++;
    hub->options.metrics->bytes_messages_in += entry->payload.len;
    if (channel == NULL || channel->subscriber_count == 0)
        return;
    struct message *message =
        message_create(name, entry->payload, entry->has_id ? &entry->id : NULL, clock_monotonic_ns());
    if (channel->pending_first == NULL) {
        channel->pending_first = message;
        if (list_is_empty(&channel->dirty))
            list_push_back(&hub->dirty, &channel->dirty);
    } else {
        channel->pending_last->next_in_batch = message;
    }
    channel->pending_last = message;
}

static void on_subscribed(void *context, struct bytes name) {
    struct hub *hub = context;
    struct channel *channel = hub_find_channel(hub, name);
    if (channel == NULL)
        return;
    channel->is_subscribed = true;
    if (channel->gap_owed)
        tell_gap(channel);
    while (!list_is_empty(&channel->pending_replies)) {
        struct pending_reply *reply =
            list_entry(channel->pending_replies.next, struct pending_reply, in_channel);
        list_unlink(&reply->in_channel);
        session_subscribe_done(reply, channel);
    }
}

static void on_link_up(void *context) {
    struct hub *hub = context;
    for (struct channel *channel = hub->channels; channel != NULL; channel = channel->hh.next)
        hub->broker->ops->subscribe(hub->broker, channel_name(channel));
}

static void on_link_lost(void *context) {
    struct hub *hub = context;
    for (struct channel *channel = hub->channels; channel != NULL; channel = channel->hh.next) {
        channel->is_subscribed = false;
        channel->gap_owed = true;
        /* Nobody is left waiting for as long as Redis is away: the subscription stands, and its first event
         * once Redis is back is the gap. */
        while (!list_is_empty(&channel->pending_replies)) {
            struct pending_reply *reply =
                list_entry(channel->pending_replies.next, struct pending_reply, in_channel);
            list_unlink(&reply->in_channel);
            session_subscribe_done(reply, channel);
        }
    }
}

const struct broker_events hub_broker_events = {
    .on_entry = on_entry,
    .on_subscribed = on_subscribed,
    .on_link_up = on_link_up,
    .on_link_lost = on_link_lost,
};

void hub_publish(struct hub *hub, const struct publish_request *request, publish_done *on_done, void *arg) {
    hub->options.metrics->publishes++;
    hub->broker->ops->publish(hub->broker, request, on_done, arg);
}

void hub_drain(struct hub *hub, uint32_t seconds) {
    hub->is_draining = true;
    hub->drain_start_ms = hub_now_ms(hub);
    hub->options.metrics->draining = 1;
    log_info("hub", "draining sessions=%u seconds=%u", (unsigned)hub->options.metrics->connections,
             (unsigned)seconds);
    list_each (node, &hub->sessions)
        session_drain(session_of_link(node), seconds);
}

void hub_destroy(struct hub *hub) {
    struct channel *channel, *next;
    if (hub == NULL)
        return;
    hub_finish_pass(hub);
    while (!list_is_empty(&hub->sessions))
        session_on_closed(session_of_link(hub->sessions.next), CLOSE_LOST);
    hub_end_turn(hub);
    HASH_ITER(hh, hub->channels, channel, next)
    channel_destroy(channel);
    free(hub);
}

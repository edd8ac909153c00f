/* How nodes hear each other. A broker carries payloads between publishers and hubs; who subscribes to what on
 * this node is the hub's business.
 *
 * Events come from the loop, never from within a call of the broker's functions, but for `on_done`. */
#ifndef GATEWAY_BROKER_H
#define GATEWAY_BROKER_H

#include <stdbool.h>

#include "common/bytes.h"
#include "common/error.h"
#include "gateway/core/message.h"

struct broker;

/* What a broker tells the hub. Slices are borrowed for the time of the call. */
struct broker_events {
    /* A message of a subscribed channel; in the broker's order. `id` is NULL where there is no history. */
    void (*on_message)(void *context, struct bytes channel, struct bytes payload, const struct position *id);

    /* From here on, every message of the channel arrives. */
    void (*on_subscribed)(void *context, struct bytes channel);

    /* The link is there; every channel has to be subscribed again. */
    void (*on_link_up)(void *context);

    /* The link is gone; messages may be lost from now on (or already) until on_subscribed. */
    void (*on_link_lost)(void *context);
};

struct publish_request {
    struct bytes channel;
    struct bytes payload;
};

/* Called exactly once per publish, possibly from within it. `id` is NULL where there is no history. */
typedef void publish_done(void *arg, enum error error, const struct position *id);

struct broker_ops {
    const char *name;
    /* While the link is away these two do nothing: on_link_up asks for all channels again. */
    void (*subscribe)(struct broker *broker, struct bytes channel);
    void (*unsubscribe)(struct broker *broker, struct bytes channel);
    void (*publish)(struct broker *broker, const struct publish_request *request, publish_done *on_done,
                    void *arg);
    /* Whether messages flow, as far as is known. */
    bool (*is_up)(const struct broker *broker);
    /* Sends what subscribe and unsubscribe collected; called once at the end of a turn of the loop. */
    void (*flush)(struct broker *broker);
};

/* The first member of every broker. */
struct broker {
    const struct broker_ops *ops;
    const struct broker_events *events;
    void *context; /* For the events. */
};

#endif

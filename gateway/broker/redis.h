/* Nodes hear each other through Redis pub/sub. One connection listens, one gives commands; they live and die
 * together, so that there is one state to know: the link is up, or it is not.
 *
 * Up means proven: a message that we publish for ourselves comes back, again and again. A link that is there
 * but deaf is lost like one that broke. */
#ifndef BROKER_REDIS_H
#define BROKER_REDIS_H

#include "gateway/broker/broker.h"
#include "gateway/config/config.h"
#include "gateway/core/metrics.h"
#include "gateway/loop.h"

struct redis_broker_options {
    struct loop *loop;
    const struct config *config; /* Borrowed; its redis settings do not change. */
    struct metrics *metrics;
    const char *name; /* Unique among all workers of all nodes: "NODE-START". Borrowed. */

    /* Why there is no link, for people; called when that changes. */
    void (*on_trouble)(void *context, const char *why);
    void *trouble_context;
};

/* NULL, with the reason logged, when the URL is not usable. Connects, and keeps connecting, by itself. */
struct broker *redis_broker_create(const struct redis_broker_options *options,
                                   const struct broker_events *events, void *context);
/* Takes over the namespaces of a configuration read again; nothing of it is kept. */
void redis_broker_set_config(struct broker *broker, const struct config *config);
void redis_broker_destroy(struct broker *broker); /* NULL is fine. */

#endif

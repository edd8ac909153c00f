/* A node's broker on the model of Redis: gateway/broker/redis.c without sockets. It loses its connections,
 * comes back with backoff, and keeps to broker.h's contract meanwhile. */
#ifndef SIM_MODEL_BROKER_H
#define SIM_MODEL_BROKER_H

#include "common/list.h"
#include "gateway/broker/broker.h"
#include "tests/sim/redis_model.h"

struct model_broker {
    struct broker base;
    struct redis_model *redis;
    struct timeline *timeline;
    struct dice *dice;
    const char *name;
    struct link *link;  /* NULL while it is away. */
    struct list calls;  /* Without a reply yet. */
    struct list failed; /* Syncs to be refused at the next flush, since there is no link. */
    uint64_t delay_max_ms;
    uint64_t lost_count;
    uint64_t up_ms;         /* Since when the link stands. */
    bool is_listening_dead; /* Nothing comes, and the next probe will tell. */
    bool is_finished;
    void (*on_event)(void *context); /* The node's loop is about to be told something. */
    void *context;
};

void model_broker_init(struct model_broker *broker, struct redis_model *redis, const char *name);
void model_broker_finish(struct model_broker *broker); /* Answers what waits. */

/* As a new process, after model_broker_finish. */
void model_broker_restart(struct model_broker *broker);

/* Begins to connect. */
void model_broker_start(struct model_broker *broker);

/* One of the link's ways goes silent; it is given up when a probe does not come back. */
void model_broker_go_deaf(struct model_broker *broker);

#endif

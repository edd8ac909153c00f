/* A Redis with two connections to each node: one for commands, one that listens. Each is a queue in both
 * directions, with delays of its own, so that what goes through one overtakes what goes through the other.
 *
 * The streams are the real rules (gateway/broker/stream_store.h); what is published travels in envelopes. */
#ifndef SIM_REDIS_MODEL_H
#define SIM_REDIS_MODEL_H

#include "common/list.h"
#include "gateway/broker/broker.h"
#include "gateway/broker/stream_store.h"
#include "tests/sim/dice.h"
#include "tests/sim/timeline.h"
#include "tests/sim/truth.h"

/* How far a queue's latest parcel is: later ones do not overtake it. */
struct queue {
    uint64_t last_ms;
    uint64_t delay_max_ms;
    bool is_cut; /* What is sent from now on never arrives. */
};

/* What a node hears from its connections. */
struct link_events {
    void (*on_message)(void *context, struct bytes channel, struct bytes payload);
    void (*on_subscribed)(void *context, struct bytes channel);
    /* `id` is NULL where there is no history. */
    void (*on_published)(void *context, void *call, const struct position *id);
    void (*on_synced)(void *context, void *call, const struct sync_result *result);
    void (*on_refused)(void *context, void *call);
    void (*on_broken)(void *context); /* The connections are of no more use. */
};

/* Both connections of one node. Lives until the node has let go of it and nothing is on its way. */
struct link {
    struct list in_redis; /* Empty once Redis has forgotten it. */
    struct redis_model *redis;
    const struct link_events *events;
    void *context; /* NULL: the node has let go. */
    unsigned refs;
    unsigned subscribed; /* A bit per channel. */
    bool is_held;        /* The node does not listen for now. */
    struct list held;    /* What it will hear then. */
    struct queue commands_up, commands_down, listen_up, listen_down;
};

struct redis_model {
    struct timeline *timeline;
    struct dice *dice;
    struct truth *truth;
    struct stream_store *store;
    struct stream_store *dump; /* NULL: none yet. */
    size_t dump_counts[SIM_CHANNELS_MAX];
    struct list links;
    uint64_t run;
    uint64_t lives;           /* How often it lost something. */
    unsigned refuses_percent; /* Of syncs. */
    bool is_up;
};

/* What of its state a Redis that restarts still has. */
enum survival { SURVIVES_ALL, SURVIVES_DUMP, SURVIVES_NOTHING };

void redis_model_init(struct redis_model *redis, struct timeline *timeline, struct dice *dice,
                      struct truth *truth);
void redis_model_finish(struct redis_model *redis); /* No link is left. */

uint64_t redis_model_wall_ms(const struct redis_model *redis);

/* Redis' own publisher, as redis-cli is. False: Redis is down. */
bool redis_model_publish(struct redis_model *redis, const struct publish_request *request,
                         struct position *id);

void redis_model_dump(struct redis_model *redis);
void redis_model_flush_all(struct redis_model *redis);
void redis_model_stop(struct redis_model *redis);
void redis_model_start(struct redis_model *redis, enum survival survival);

/* NULL while Redis is down. */
struct link *link_open(struct redis_model *redis, const struct link_events *events, void *context,
                       uint64_t delay_max_ms);
void link_let_go(struct link *link); /* Nothing more is heard of it. */

void link_subscribe(struct link *link, struct bytes channel, bool is_wanted);
void link_publish(struct link *link, const struct publish_request *request, void *call);
void link_sync(struct link *link, struct bytes channel, const struct namespace_config *options,
               const struct position *seen, void *call);

/* What comes to the node's listening end waits there. */
void link_hold(struct link *link, bool is_held);

/* One of its four ways stops carrying anything, and nobody is told. */
void link_cut(struct link *link, unsigned which);
/* What is sent next waits, and all behind it. */
void link_stall(struct link *link, uint64_t ms);
/* Both ends hear of it within a moment. */
void link_break(struct link *link);

#endif

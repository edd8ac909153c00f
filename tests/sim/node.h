/* A worker of a gateway: a hub with its wheel and broker, and the turns of its loop. */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include "gateway/core/hub.h"
#include "tests/sim/model_broker.h"

struct node {
    char name[8];
    struct hub *hub;
    struct wheel wheel;
    struct metrics metrics;
    struct list sockets; /* To clients. */
    struct model_broker broker;
    struct timeline *timeline;
    struct dice *dice;
    uint32_t pass_writes_max;
    int64_t clock_skew_ms; /* Of its wall clock. */
    uint64_t wake_ms;      /* When its wheel is to be looked at; TIME_NEVER: no timer is armed. */
    bool has_turn;         /* A turn is about to come. */
};

/* `number` differs for every life of every node. */
void node_init(struct node *node, unsigned number, struct redis_model *redis, const struct config *config);
void node_finish(struct node *node); /* Every session's carrier is gone. Checks that nothing is left. */

/* The process dies with all its connections, and another takes its place. */
void node_kill(struct node *node, unsigned number, const struct config *config);

/* Something has happened, so that a turn of the loop follows. To be called before the hub is. */
void node_touch(struct node *node);

#endif

/* One run: the nodes, Redis, clients and publishers of a seed, and what goes wrong. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "gateway/config/config.h"
#include "tests/sim/client.h"
#include "tests/sim/redis_model.h"

enum {
    WORLD_NODES_MAX = 4,
    WORLD_CLIENTS_MAX = 10,
    WORLD_SETTINGS_MAX = 6,
    WORLD_NAMESPACES = SIM_CHANNELS_MAX
};

/* A configuration, and what it refers to. */
struct settings {
    struct config config;
    struct namespace_config namespaces[WORLD_NAMESPACES];
};

struct world {
    struct timeline timeline;
    struct dice dice;
    struct truth truth;
    struct redis_model redis;
    struct settings *settings[WORLD_SETTINGS_MAX]; /* The latest is in force, or about to be. */
    unsigned settings_count;
    struct node *nodes[WORLD_NODES_MAX];
    unsigned node_count;
    unsigned node_lives;
    struct client clients[WORLD_CLIENTS_MAX];
    unsigned client_count;
    uint64_t last_key;
    unsigned faults;         /* A bit for each kind that may happen. */
    bool is_calm;            /* Nothing goes wrong any more. */
    bool is_over;            /* Everybody leaves. */
    unsigned fault_pause_ms; /* About; 0: there are none. */
    unsigned publish_pause_ms;
    unsigned breaks_percent;
};

/* Ends the process when something does not hold. */
void world_run(uint64_t seed, bool is_verbose);

/* --- For clients ----------------------------------------------------------------------------------------- */

/* What a client publishes in `channel`. */
void world_append_payload(struct world *world, struct truth_channel *channel, struct buf *out);

/* The gateway says that a message got this id, or none. */
void world_on_published(struct world *world, const struct position *id);

#endif

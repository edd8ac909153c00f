/* A node in a test: a hub with a fake clock and a fake broker, and the turns of its loop. */
#ifndef FAKE_NODE_H
#define FAKE_NODE_H

#include "gateway/config/config.h"
#include "gateway/core/hub.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_client.h"
#include "tests/fake/fake_clock.h"

enum { FAKE_NAMESPACES = 6, FAKE_HISTORY_SIZE = 5, FAKE_HISTORY_TTL_SECONDS = 60 };

struct fake_node {
    struct fake_clock clock;
    struct fake_broker broker;
    /* Clients may publish everywhere but in "closed:"; "oldest:" drops the oldest message, "latest:" keeps
     * the latest, the others disconnect. "kept:" has history; "batch:" waits for three messages, 50 bytes or
     * 100 ms. No pings and no idle time unless a test asks for them. */
    struct namespace_config namespaces[FAKE_NAMESPACES];
    struct config config;
    struct metrics metrics;
    struct hub *hub;
};

/* One at a time: the hub's wall clock is that of the latest. */
struct fake_node *fake_node_create(void);
void fake_node_destroy(struct fake_node *node); /* Every client has hung up. */

/* Milliseconds since 1970, as the clock of the node has it. */
uint64_t fake_node_wall_ms(void);

/* The turn ends, and the ones after it as long as there is more to send. */
void fake_node_turn(struct fake_node *node);

/* Time passes, and the turn after it. */
void fake_node_pass(struct fake_node *node, uint64_t ms);

/* A client that is subscribed to `channel`, has been told so and has read it; NULL: to none. */
void fake_node_join(struct fake_node *node, struct fake_client *client, const char *channel);
/* The same for one more channel. */
void fake_node_subscribe(struct fake_node *node, struct fake_client *client, const char *channel);

#endif

/* A client: connects, receives, goes away at bad moments, comes back to another node by another transport, and
 * continues from where it was. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "tests/sim/checker.h"
#include "tests/sim/socket.h"

enum { CLIENT_CHANNELS_MAX = 3 };

struct world;

/* A part of the client that comes to a channel when the client has it already, and wants what was before. */
struct again {
    enum { AGAIN_NOT, AGAIN_ASKED, AGAIN_HEARING } state;
    struct checker checker;
    bool has_asked_since;
    bool has_end;
    struct position end; /* What is replayed goes up to here, and what is live comes after it. */
};

struct client {
    struct world *world;
    char name[8];
    enum carriage carriage;
    unsigned channel_count;
    struct truth_channel *channels[CLIENT_CHANNELS_MAX];
    struct checker checkers[CLIENT_CHANNELS_MAX];
    bool is_asked_since[CLIENT_CHANNELS_MAX];
    bool is_unsubscribing[CLIENT_CHANNELS_MAX];
    struct again again[CLIENT_CHANNELS_MAX];
    struct buf cursor;     /* Of what came without a WebSocket. */
    struct socket *socket; /* NULL: not connected. */
    struct node *node;     /* Where it is, or was. */
    bool is_connecting;
    bool stays;         /* With one node. */
    bool roams;         /* From transport to transport. */
    bool asks_for_last; /* Messages from before it came, the first time. */
    uint64_t delay_max_ms;
    size_t room;
    uint64_t last_ref;
    unsigned leaves_percent;
};

void client_init(struct client *client, struct world *world, unsigned number);
void client_finish(struct client *client);

/* Leaves for good. */
void client_leave(struct client *client);

/* It is connected, and has everything. */
void client_settled(struct client *client);

#endif

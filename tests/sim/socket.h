/* A connection between a client and a node: bytes that take their time, a window that fills up, ends that
 * notice late that the other has gone. Holds the core to the transport's contract. */
#ifndef SIM_SOCKET_H
#define SIM_SOCKET_H

#include "gateway/core/session.h"
#include "tests/sim/hear.h"
#include "tests/sim/node.h"

enum carriage {
    CARRY_WEBSOCKET,
    CARRY_SSE,
    CARRY_CHUNK,
    CARRY_LINE,
    CARRY_LONGPOLL,
    CARRY_POLL,
    CARRIAGE_COUNT
};

struct socket_options {
    struct node *node;
    enum carriage carriage;
    bool is_list; /* Several channels. */
    uint64_t delay_max_ms;
    size_t room;             /* Bytes on their way at once; more, and the socket is congested. */
    unsigned breaks_percent; /* Of writes. */
    uint64_t wait_ms;        /* Of a poll. */
    struct bytes known;      /* Of a poll: If-None-Match. */
    void (*on_heard)(void *context, const struct heard *heard);
    void (*on_closed)(void *context); /* By the node; nothing follows. */
    void *context;
};

struct socket {
    struct list in_node; /* While the node's end is open. */
    struct socket_options options;
    unsigned refs;
    struct session *session; /* NULL once it is over. */
    struct hearing hearing;
    struct buf unsent;
    size_t in_flight;
    uint64_t last_ms; /* When the latest bytes to the client arrive. */
    bool has_client;
    bool is_congested;
    bool is_broken;
    bool is_closing;
    /* Of a poll. */
    struct wheel_timer timer;
    struct buf known;
    bool is_answered;
};

/* The request has arrived: makes the session. */
struct socket *socket_open(const struct socket_options *options);

/* The client sends a command. */
void socket_say(struct socket *socket, struct bytes text);

/* The client goes, without a word. It must not use the socket any more. */
void socket_leave(struct socket *socket);

/* The node dies. */
void socket_kill(struct socket *socket);

/* --- For sim/poll.c -------------------------------------------------------------------------------------- */

/* Everything goes, and then the end. */
void socket_answer(struct socket *socket, struct bytes body);

/* The node's end is gone; tells the session. */
void socket_end(struct socket *socket, enum close_reason reason);

extern const struct transport sim_longpoll, sim_poll;

/* The poll begins to wait; it is over, and its timer is not needed. */
void poll_begin(struct socket *socket);
void poll_forget(struct socket *socket);

#endif

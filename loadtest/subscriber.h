/* One subscriber: a connection of any transport, and what it has seen. subscriber.c leads it from connect to
 * live and to its end, receive.c takes apart what comes. Both work on a struct swarm. */
#ifndef LOADTEST_SUBSCRIBER_H
#define LOADTEST_SUBSCRIBER_H

#include "common/buf.h"
#include "loadtest/board.h"
#include "loadtest/http.h"
#include "loadtest/peer.h"
#include "loadtest/sequence.h"

enum subscriber_state {
    SUBSCRIBER_WAITING,    /* In the queue of those to connect, or for good. */
    SUBSCRIBER_CONNECTING, /* TCP. */
    SUBSCRIBER_HEAD,       /* Awaiting the response's head. */
    SUBSCRIBER_GREETING,   /* Awaiting that all subscriptions are confirmed. */
    SUBSCRIBER_LIVE,
    SUBSCRIBER_ENDED,
};

struct subscriber {
    int fd; /* -1: none. */
    uint8_t state;
    uint8_t transport;
    bool is_slow;
    bool was_live;
    bool is_cut;        /* Cut on purpose, and not live again. */
    bool head_closes;   /* Long poll: the server closes after this reply. */
    uint32_t index;     /* Among all of the run. */
    uint32_t confirmed; /* Subscriptions. */
    uint32_t failed;    /* Connects in a row. */
    uint64_t began_ns;  /* connect(). */
    uint64_t cut_ns;
    uint64_t retry_ns; /* When to try again; 0: not waiting for that. */
    struct buf in;     /* The beginning of what is not whole yet; mostly empty, without memory. */
    struct buf out;    /* What the socket did not take. */
    struct buf fragments;
    struct http_body body;
    struct sequence *sequences; /* [subscription * publishers + publisher] */
    char *positions;            /* POSITION_BYTES per subscription; NULL where nothing is recovered. */
    struct buf cursor;          /* SSE, stream and long poll. */
    struct subscriber *next;    /* In the queue of those to connect. */
};

/* All of one process. */
struct swarm {
    const struct options *options;
    struct board *board;
    struct client_counts *counts;
    int epoll_fd;
    struct subscriber *subscribers;
    uint32_t count;
    uint32_t under_way_max;
    struct subscriber *queue; /* To be connected, first in first out. */
    struct subscriber **queue_end;
    uint32_t sleepers; /* Subscribers with a retry_ns. */
    uint64_t now_ns;   /* Of the latest read of the clock. */
    uint64_t measure_from_ns, measure_until_ns;
    char *buffer; /* What is being received; shared by all. */
    size_t buffer_bytes;
    size_t hints[2];           /* Where marks are found: in the first message of a frame, in further ones. */
    struct deflater *deflater; /* Both where permessage-deflate is offered. */
    struct inflate_memo *inflater;
};

/* subscriber.c */

void subscriber_enqueue(struct swarm *swarm, struct subscriber *subscriber);
void subscriber_begin(struct swarm *swarm, struct subscriber *subscriber);
/* connect() has come to its end. */
void subscriber_on_connect(struct swarm *swarm, struct subscriber *subscriber, bool is_error);
void subscriber_on_writable(struct subscriber *subscriber);
/* Sends what stands in `bytes`, keeping what the socket does not take. */
void subscriber_send(struct subscriber *subscriber, struct bytes bytes);
void subscriber_go_live(struct swarm *swarm, struct subscriber *subscriber);
/* One subscription was confirmed. */
void subscriber_confirm(struct swarm *swarm, struct subscriber *subscriber, enum verdict verdict);
/* Ends the connection for a reason of its own or the server's. */
void subscriber_fail(struct swarm *swarm, struct subscriber *subscriber, enum failure failure);
/* Ends it without counting that. */
void subscriber_close(struct swarm *swarm, struct subscriber *subscriber);
void subscriber_cut(struct swarm *swarm, struct subscriber *subscriber);
/* Sends the HTTP request of its transport. */
void subscriber_request(struct swarm *swarm, struct subscriber *subscriber);
void subscriber_tell_gap(struct swarm *swarm, struct subscriber *subscriber);
struct dialogue subscriber_dialogue(const struct swarm *swarm, const struct subscriber *subscriber);

/* receive.c */

/* Reads once, at most `bytes_max`. True when there may be more. */
bool subscriber_read(struct swarm *swarm, struct subscriber *subscriber, size_t bytes_max);

/* Reads all that has come. `to_the_end`: the peer has closed, so a short read does not mean that it was all.
 */
void subscriber_drain(struct swarm *swarm, struct subscriber *subscriber, bool to_the_end);

#endif

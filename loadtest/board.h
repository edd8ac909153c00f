/* What the processes of a run tell each other: one block of shared memory. Each number has one writer;
 * readers take what they find, as they want rates and sums, not a consistent cut. */
#ifndef LOADTEST_BOARD_H
#define LOADTEST_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "loadtest/histogram.h"
#include "loadtest/options.h"
#include "loadtest/payload.h"
#include "loadtest/sequence.h"

/* Why a connection did not come about, or ended. */
enum failure {
    FAILURE_CONNECT,   /* connect() failed: refused, no port, no descriptor. */
    FAILURE_TIMEOUT,   /* Not subscribed within CONNECT_TIMEOUT_MS. */
    FAILURE_STATUS,    /* An HTTP status other than the one we want. */
    FAILURE_SUBSCRIBE, /* An error reply. */
    FAILURE_PROTOCOL,  /* What came is not the protocol. */
    FAILURE_CLOSED,    /* Ended by the server though we did not ask for it. */
    FAILURE_COUNT,
};

const char *failure_text(enum failure failure);

enum { CONNECT_TIMEOUT_MS = 10000 };

/* Written by one client process. */
struct client_counts {
    uint64_t cpu_ns;
    uint32_t live;       /* Subscribed connections now. */
    uint32_t under_way;  /* Connections on their way to that. */
    uint32_t cut;        /* Connections cut on purpose and not live again. */
    uint32_t open_slow;  /* Of the live ones, slow readers. */
    uint64_t connects;   /* Became live, also again. */
    uint64_t reconnects; /* Became live again. */
    uint64_t deflated;   /* Handshakes that agreed on permessage-deflate. */
    uint64_t failures[FAILURE_COUNT];
    uint32_t last_status;     /* Of the latest FAILURE_STATUS. */
    uint32_t last_close_code; /* Of the latest FAILURE_CLOSED over WebSocket. */
    uint64_t delivered[TRANSPORT_COUNT];
    uint64_t delivered_slow;
    uint64_t bytes; /* Received, with all framing. */
    uint64_t reads; /* recv() calls that brought something. */
    struct sequence_counts sequences;
    uint64_t foreign;   /* Messages of another run. */
    uint64_t misrouted; /* Messages of a channel that the subscriber did not ask for. */
    uint64_t gaps;      /* "gap" events. */
    uint64_t drains;
    uint64_t recovered;
    uint64_t not_recovered;
    struct histogram latency[TRANSPORT_COUNT];
    struct histogram connect; /* From connect() to subscribed. */
    struct histogram away;    /* From the cut to subscribed again. */
    char last_error[160];     /* Text of the latest refusal. */
};

/* Written by the publishing process. */
struct publisher_counts {
    uint64_t cpu_ns;
    uint64_t published;
    uint64_t answered;
    uint64_t failed;      /* Error replies, and messages that could not be sent. */
    uint64_t unheard;     /* Redis said that nobody was subscribed. */
    uint64_t late_max_ns; /* Open loop: how late the worst message left, against its plan. */
    uint64_t stalled;     /* Closed loop: messages given up as some deliveries did not come. */
    bool is_ready;
    bool is_broken; /* Lost its connection; `error` says why. */
    char error[160];
};

/* What the processes shall do. Written by the controller. */
struct board_orders {
    atomic_bool connect;
    atomic_bool publish;
    atomic_bool finish;               /* Count what is missing, report, end. */
    atomic_uint cut;                  /* Each increment cuts and reconnects. */
    atomic_uint plan;                 /* Each increment starts the publishing plan below anew. */
    _Atomic uint64_t rate_millis;     /* Messages per 1,000 seconds. */
    _Atomic uint64_t messages_left;   /* Stop after so many; UINT64_MAX: never. */
    _Atomic uint64_t measure_from_ns; /* Latencies of messages sent in between are kept. */
    _Atomic uint64_t measure_until_ns;
};

/* One of the messages in flight. */
struct board_slot {
    atomic_int missing; /* Deliveries still to come; at 0 the slot is free. */
};

struct board {
    uint32_t run;
    int window_event; /* eventfd, written when a slot became free. */
    struct board_orders orders;
    struct board_slot slots[PAYLOAD_SLOTS_MAX];
    atomic_uint finished; /* Processes that have counted what is missing. */
    struct publisher_counts publisher;
    uint32_t *published;           /* [publisher * channels + channel]: messages sent. */
    struct client_counts *clients; /* One per client process. */
    uint32_t client_count;
};

/* Shared with every process forked later. Lives until the process ends. */
struct board *board_create(const struct options *options);

/* Adds up what the client processes say. `sum` is large: keep it off the stack. */
void board_sum(const struct board *board, struct client_counts *sum);

uint64_t board_delivered(const struct client_counts *counts);

#endif

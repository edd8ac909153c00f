/* What must hold for one client in one channel, whatever transports and nodes it came by: nothing twice,
 * nothing out of order, no hole that it was not told of, and no tale of a hole where there is none. */
#ifndef SIM_CHECKER_H
#define SIM_CHECKER_H

#include "tests/sim/node.h"
#include "tests/sim/truth.h"

struct checker {
    const char *client; /* For the story. */
    const struct truth_channel *channel;

    /* Of a channel with history: the place up to which all is delivered, or told to be lost. */
    bool has_place;
    struct position place;
    bool has_latest;
    struct position latest; /* The latest message delivered. */
    bool is_replaying;      /* Asked for the last few: they may begin anywhere before the place. */
    bool is_gap_told;       /* Since the place. */
    uint64_t told_epoch;    /* At the beginning of this it was told of a gap. */

    /* Beside the history: bare messages that came by this connection. */
    bool has_bare;
    bool is_bare_gap_told; /* Since the last one. */
    bool may_lack_bare;    /* Since the place a gap was told that may be about these. */
    uint64_t bare;

    /* Of one without: messages are counted. */
    bool has_number;
    uint64_t number; /* The last one delivered; with `is_floor`, one that it was there for at the latest. */
    bool is_floor;
    const struct node *node; /* Where it was then. */
    uint64_t heard_ms;       /* When a node last knew of it. */
};

void checker_init(struct checker *checker, const char *client, const struct truth_channel *channel);

/* A connection begins, or a subscription of it anew. */
void checker_on_connect(struct checker *checker);

/* It says nothing of where it left off. */
void checker_forget_numbers(struct checker *checker);

/* The client was told where it begins: a reply, or a first cursor. NULL: a channel without history. */
void checker_on_begin(struct checker *checker, const struct node *node, const struct position *place,
                      bool is_replaying);

/* A poll was answered: the node has the channel, and keeps it for a while. */
void checker_on_answer(struct checker *checker, const struct node *node);

/* It said where it had been, and was told that it has missed nothing, or something. */
void checker_on_recovered(struct checker *checker, bool is_recovered, const struct position *place);

/* A replay is over, which was to bring all up to `end`. */
void checker_on_replayed(struct checker *checker, const struct position *end);

/* NULL: the message came without an id. */
void checker_on_message(struct checker *checker, const struct node *node, const struct position *id,
                        struct bytes payload);

/* NULL: without a place. */
void checker_on_gap(struct checker *checker, const struct node *node, const struct position *place);

/* All is quiet: the client has everything. */
void checker_settled(const struct checker *checker);

#endif

/* What was ever published in each channel, whoever still holds it: what clients are told is judged by this. */
#ifndef SIM_TRUTH_H
#define SIM_TRUTH_H

#include "gateway/broker/broker.h"
#include "tests/sim/dice.h"

enum { SIM_CHANNELS_MAX = 8 };

/* An entry that a stream has issued. */
struct record {
    struct position id;
    enum entry_kind kind;
    bool begins_life; /* Nothing ties it to what was before it. */
    bool is_sequel;   /* A gap mark within an epoch: what was lost before that. */
    bool is_lost;     /* Redis came back from a state without it. */
    uint64_t number;  /* Of a message: what its payload says. */
};

struct truth_channel {
    char name[32];
    const struct namespace_config *options;
    struct record *records; /* In the order of their ids. */
    size_t count;
    size_t capacity;
    bool was_refused;    /* Reads of it were: nodes tell of gaps that may be none. */
    bool was_cut;        /* Some are too large, for which nodes tell of a gap. */
    uint64_t bare_count; /* Bare messages are numbered 1, 2, ..., also beside a history. */
};

struct truth {
    struct truth_channel channels[SIM_CHANNELS_MAX];
    unsigned count;
    uint64_t last_number;
};

void truth_finish(struct truth *truth);

struct truth_channel *truth_add_channel(struct truth *truth, const char *name,
                                        const struct namespace_config *options);
struct truth_channel *truth_find_channel(struct truth *truth, struct bytes name); /* NULL: none of ours. */

static inline bool truth_has_history(const struct truth_channel *channel) {
    return channel->options->history_size > 0;
}

/* A stream has issued `entry`: no id comes twice, and each is later than all before. */
void truth_on_entry(struct truth_channel *channel, const struct entry *entry);

/* Redis has lost what was issued after the first `kept` entries. */
void truth_lose(struct truth_channel *channel, size_t kept);

/* NULL when no stream has issued it. */
const struct record *truth_find(const struct truth_channel *channel, const struct position *id);

/* There is one. */
const struct position *truth_last_message(const struct truth_channel *channel);

/* What lies after one place, up to another. */
struct span {
    unsigned messages; /* Of which Redis has kept what it promised, */
    unsigned lost;     /* and which it has lost, marks among them. */
    unsigned marks;    /* Gap marks that begin an epoch. */
    uint64_t sequel;   /* The epoch that has another within; 0: there is none. */
    unsigned lives;    /* Places where nothing ties what follows to what was before. */
    bool ends_at_mark; /* A boundary, that is: what it goes on from may be known no more. */
    bool begins_lost;  /* It begins within what Redis has lost, */
    bool leaves_lost;  /* and ends after that. */
};

/* `until` itself is included, but as a message only when that `is_missing`. */
struct span truth_between(const struct truth_channel *channel, const struct position *after,
                          const struct position *until, bool is_missing);

/* Payloads: a JSON string of a letter, the number, and up to `padding` bytes more. */
void payload_make(struct buf *out, char letter, uint64_t number, size_t padding);
bool payload_parse(struct bytes payload, char *letter, uint64_t *number);

#endif

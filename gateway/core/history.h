/* The latest entries of one channel, held in memory for clients that come back: messages, and the marks
 * between them. Pure: the broker's stream and the clock are arguments.
 *
 * The ring is contiguous: whoever has seen one of its entries, or the one before its first, misses nothing by
 * getting all that follows. */
#ifndef CORE_HISTORY_H
#define CORE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/broker/broker.h"
#include "gateway/core/message.h"

struct history {
    struct message **entries; /* A ring: `count` of them from `first` on. */
    uint32_t first;
    uint32_t count;
    uint32_t capacity;
    size_t bytes;
    bool has_head; /* False: nothing is known of the channel yet, and the rest means nothing. */
    struct position head;
    struct position base; /* What the first entry continues. */
    bool has_gap;
    struct position gap; /* The last gap mark: nobody from before it has everything. */
    bool has_calm;
    uint64_t calm; /* Places of nothing from this epoch on are continued by the first entry. */
};

void history_finish(struct history *history);

/* Nothing is held, and `head` is where the channel is. */
void history_reset(struct history *history, const struct position *head);

/* Takes a reference to `message`, which comes after the head. What it does not continue is forgotten. Of what
 * is held, the oldest goes until `count_max` messages are left, and what is older than `oldest_ms`. */
void history_append(struct history *history, struct message *message, uint32_t count_max);
void history_expire(struct history *history, uint64_t oldest_ms);

/* The index of the first entry after `position`, `count` when there is none; -1 when it cannot be continued
 * from here. */
int64_t history_find(const struct history *history, const struct position *position);

/* The index of a message from which on there are `count`, or as many as there are. */
uint32_t history_find_last(const struct history *history, uint32_t count);

struct message *history_at(const struct history *history, uint32_t index);

/* How an entry goes on from what was seen last. */
enum splice {
    SPLICE_NEXT, /* It is the next one. */
    SPLICE_OLD,  /* It was seen. */
    SPLICE_HOLE, /* Something is missing in between, or nothing is known. */
};

/* `seen` may be NULL: nothing was. */
enum splice splice_check(const struct position *seen, const struct message *entry);

#endif

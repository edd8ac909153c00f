/* The place of an entry in its channel's stream: "EPOCH-OFFSET". An epoch is a life of the stream, later ones
 * have larger numbers; within one the offsets count up without holes. */
#ifndef CORE_POSITION_H
#define CORE_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/bytes.h"

struct position {
    uint64_t epoch;
    uint64_t offset;
};

/* Both numbers decimal, at most 2^64 - 1, without leading zeroes. False, with `*position` untouched, for
 * anything else. */
bool position_parse(struct bytes text, struct position *position);
void position_append(const struct position *position, struct buf *out);

/* Negative, zero or positive, as the first is before, at or after the second. */
int position_compare(const struct position *a, const struct position *b);

/* The place just before an entry. Before the first of an epoch that is one that no entry has: after all of the
 * epochs before. */
struct position position_before(const struct position *position);

/* The place of a channel to which nothing has been published when the broker's clock said `epoch`, and whether that is
 * what a place is. Before the first entry of an epoch there is such a one as well. */
struct position position_of_nothing(uint64_t epoch);
bool position_is_nothing(const struct position *position);

/* Whether `after` is the offset that follows `before` in the same epoch. */
bool position_follows(const struct position *after, const struct position *before);

#endif

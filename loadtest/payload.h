/* The payload of a test message: JSON that any gateway carries, with a mark in it that is found without a
 * JSON parser, also inside a larger envelope or an escaped string:
 *
 *   {"f":"ftl1:RRRRRRRR:PP:CCCCCC:LLL:SSSSSSSS:TTTTTTTTTTTTTTTT","p":"words..."}
 *
 * run, publisher, channel, slot of the window, sequence number and time of sending in hexadecimal. */
#ifndef LOADTEST_PAYLOAD_H
#define LOADTEST_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

enum { PAYLOAD_MARK_BYTES = 53, PAYLOAD_BYTES_MIN = 68 };

enum { PAYLOAD_PUBLISHERS_MAX = 0x100, PAYLOAD_CHANNELS_MAX = 0x1000000, PAYLOAD_SLOTS_MAX = 0x1000 };

struct payload_mark {
    uint32_t run; /* Tells this run's messages from those of another that uses the same channels. */
    uint32_t publisher;
    uint32_t channel;
    uint32_t slot; /* Closed loop: which of the messages in flight this is. */
    uint32_t sequence;
    uint64_t sent_ns; /* CLOCK_MONOTONIC; in the open loop the time at which it was due. */
};

/* Writes exactly `len` bytes, at least PAYLOAD_BYTES_MIN. */
void payload_write(char *out, size_t len, const struct payload_mark *mark);

/* Finds the first mark in `text`. `*hint` is where the last one was found: equal envelopes have it at the
 * same place, which saves the search. `*end` becomes the offset behind the mark. */
bool payload_find(struct bytes text, size_t *hint, struct payload_mark *mark, size_t *end);

#endif

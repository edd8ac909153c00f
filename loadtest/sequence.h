/* Whether one subscriber got all messages of one publisher in one channel, once each and in order. Messages
 * are numbered 0, 1, 2, ... per publisher and channel. Sixteen bytes, as there is one per subscription. */
#ifndef LOADTEST_SEQUENCE_H
#define LOADTEST_SEQUENCE_H

#include <stdint.h>

/* A zeroed struct awaits message 0. */
struct sequence {
    uint32_t next;      /* One more than the highest number seen; SEQUENCE_TOLD while a gap was told of. */
    uint32_t told_from; /* What `next` was when the gap was told of. */
    uint64_t seen;      /* Bit k: number next - 1 - k has come. */
};

#define SEQUENCE_TOLD UINT32_MAX

struct sequence_counts {
    uint64_t lost;    /* Numbers skipped in silence and not seen later. */
    uint64_t told;    /* Numbers skipped after sequence_tell_gap(). */
    uint64_t doubled; /* Seen before; also what comes over 64 numbers late, which cannot be told apart. */
    uint64_t out_of_order; /* Came after a higher number; no longer counted as lost. */
};

/* Called when `number` is not sequence->next. */
void sequence_irregular(struct sequence *sequence, uint32_t number, struct sequence_counts *counts);

static inline void sequence_add(struct sequence *sequence, uint32_t number, struct sequence_counts *counts) {
    if (number == sequence->next) {
        sequence->next++;
        sequence->seen = (sequence->seen << 1) | 1;
    } else {
        sequence_irregular(sequence, number, counts);
    }
}

/* The server said that messages may be missing from here to the next one that comes. */
void sequence_tell_gap(struct sequence *sequence);

/* At the end, when `published` messages were numbered: counts the tail that never came. */
void sequence_end(struct sequence *sequence, uint32_t published, struct sequence_counts *counts);

#endif

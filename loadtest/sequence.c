#include "loadtest/sequence.h"

#include <stdbool.h>

static void skip_to(struct sequence *sequence, uint32_t number, uint64_t *counter) {
    uint32_t skipped = number - sequence->next;
    *counter += skipped;
    sequence->next = number;
    sequence->seen = skipped < 64 ? sequence->seen << skipped : 0;
}

/* A number below `next`: late, or come before. */
static void look_back(struct sequence *sequence, uint32_t number, struct sequence_counts *counts) {
    uint32_t age = sequence->next - 1 - number;
    if (age < 64 && (sequence->seen >> age & 1) == 0) {
        sequence->seen |= UINT64_C(1) << age;
        counts->out_of_order++;
        counts->lost -= counts->lost > 0;
    } else {
        counts->doubled++;
    }
}

void sequence_irregular(struct sequence *sequence, uint32_t number, struct sequence_counts *counts) {
    bool is_told = sequence->next == SEQUENCE_TOLD;
    if (is_told)
        sequence->next = sequence->told_from;
    if (number >= sequence->next) {
        skip_to(sequence, number, is_told ? &counts->told : &counts->lost);
        sequence_add(sequence, number, counts);
        return;
    }
    look_back(sequence, number, counts);
    if (is_told)
        sequence_tell_gap(sequence);
}

void sequence_tell_gap(struct sequence *sequence) {
    if (sequence->next == SEQUENCE_TOLD)
        return;
    sequence->told_from = sequence->next;
    sequence->next = SEQUENCE_TOLD;
}

void sequence_end(struct sequence *sequence, uint32_t published, struct sequence_counts *counts) {
    bool is_told = sequence->next == SEQUENCE_TOLD;
    if (is_told)
        sequence->next = sequence->told_from;
    if (published > sequence->next)
        skip_to(sequence, published, is_told ? &counts->told : &counts->lost);
}

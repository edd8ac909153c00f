/* What was logged need not be logged again: remembers the last things told, and spares the log from whoever thinks up
 * new ones without end. */
#ifndef CORE_TOLD_H
#define CORE_TOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "gateway/core/limits.h"

enum { TOLD_MAX = 64 };

/* Zeroed it has told nothing. */
struct told {
    uint64_t hashes[TOLD_MAX]; /* The newest have overwritten the oldest. */
    uint32_t next;
    struct token_bucket lines; /* One a second. */
};

/* Whether `what` is to be told now; it is remembered then. What comes too soon after another is so next time. */
bool told_is_new(struct told *told, struct bytes what, uint64_t now_ms);

#endif

/* Chance from a seed: the same seed, the same throws, on every machine. */
#ifndef SIM_DICE_H
#define SIM_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

uint64_t dice_next(struct dice *dice);
uint64_t dice_below(struct dice *dice, uint64_t count);                  /* 0 to count - 1. */
uint64_t dice_between(struct dice *dice, uint64_t least, uint64_t most); /* Both included. */
bool dice_percent(struct dice *dice, unsigned percent);

#endif

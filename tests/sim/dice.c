#include "tests/sim/dice.h"

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
uint64_t dice_next(struct dice *dice) {
    uint64_t z = dice->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint64_t dice_below(struct dice *dice, uint64_t count) {
    return dice_next(dice) % count;
}

uint64_t dice_between(struct dice *dice, uint64_t least, uint64_t most) {
    return least + dice_below(dice, most - least + 1);
}

bool dice_percent(struct dice *dice, unsigned percent) {
    return dice_below(dice, 100) < percent;
}

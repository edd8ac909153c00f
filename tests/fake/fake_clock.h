/* Time as tests set it, and a wheel that follows. */
#ifndef FAKE_CLOCK_H
#define FAKE_CLOCK_H

#include <stdint.h>

#include "common/wheel.h"

struct fake_clock {
    struct wheel wheel;
    uint64_t now_ms;
};

void fake_clock_init(struct fake_clock *clock, uint64_t now_ms);

/* For whoever asks for a function that tells the time; `clock` is the fake one. */
uint64_t fake_clock_now(void *clock);

/* Lets `ms` pass in steps of the wheel's ticks, so that every timer fires within a tick of its deadline. */
void fake_clock_pass(struct fake_clock *clock, uint64_t ms);

#endif

#include "tests/fake/fake_clock.h"

void fake_clock_init(struct fake_clock *clock, uint64_t now_ms) {
    clock->now_ms = now_ms;
    wheel_init(&clock->wheel, now_ms);
}

uint64_t fake_clock_now(void *clock) {
    return ((struct fake_clock *)clock)->now_ms;
}

void fake_clock_pass(struct fake_clock *clock, uint64_t ms) {
    uint64_t end_ms = clock->now_ms + ms;
    while (clock->now_ms < end_ms) {
        uint64_t step = end_ms - clock->now_ms;
        clock->now_ms += step < WHEEL_TICK_MS ? step : WHEEL_TICK_MS;
        wheel_advance(&clock->wheel, clock->now_ms);
    }
}

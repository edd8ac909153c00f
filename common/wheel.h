/* A hashed timer wheel: arming, moving and cancelling a timer cost a few pointer writes, however many there
 * are. Made for a heartbeat per connection: a hundred thousand timers, each far away, most never due.
 *
 * A timer fires at the first wheel_advance() at or after its deadline, rounded up to WHEEL_TICK_MS. Belongs
 * to one thread and reads no clock. */
#ifndef COMMON_WHEEL_H
#define COMMON_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/list.h"

enum { WHEEL_TICK_MS = 8, WHEEL_SLOTS = 4096 };

struct wheel_timer {
    struct list link;
    uint64_t deadline_ms;
    /* Called once per arming, with the timer already disarmed; it may arm or cancel any timer. */
    void (*on_due)(struct wheel_timer *timer, uint64_t now_ms);
};

struct wheel {
    struct list slots[WHEEL_SLOTS];
    uint64_t used[WHEEL_SLOTS / 64]; /* A bit per slot that may hold timers. */
    uint64_t tick;                   /* Every tick before this one has been served. */
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);

void wheel_timer_init(struct wheel_timer *timer, void (*on_due)(struct wheel_timer *, uint64_t));
bool wheel_timer_is_armed(const struct wheel_timer *timer);

/* Arms the timer, or moves it when it is armed. A deadline that has passed fires at the next advance. */
void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, uint64_t deadline_ms);
void wheel_cancel(struct wheel_timer *timer); /* Harmless when it is not armed. */

/* Fires what is due. */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);

/* When wheel_advance should be called next: never later than the earliest deadline (rounded to the tick), at
 * times earlier. TIME_NEVER when no timer is armed. */
uint64_t wheel_next_ms(const struct wheel *wheel);

#endif

#include "common/wheel.h"

#include "common/clock.h"

static uint64_t tick_of_deadline(uint64_t deadline_ms) {
    return deadline_ms / WHEEL_TICK_MS + (deadline_ms % WHEEL_TICK_MS != 0);
}

void wheel_init(struct wheel *wheel, uint64_t now_ms) {
    *wheel = (struct wheel){.tick = now_ms / WHEEL_TICK_MS};
    for (int i = 0; i < WHEEL_SLOTS; i++)
        list_init(&wheel->slots[i]);
}

void wheel_timer_init(struct wheel_timer *timer, void (*on_due)(struct wheel_timer *, uint64_t)) {
    list_init(&timer->link);
    timer->deadline_ms = TIME_NEVER;
    timer->on_due = on_due;
}

bool wheel_timer_is_armed(const struct wheel_timer *timer) {
    return !list_is_empty(&timer->link);
}

void wheel_arm(struct wheel *wheel, struct wheel_timer *timer, uint64_t deadline_ms) {
    uint64_t tick = tick_of_deadline(deadline_ms);
    if (tick < wheel->tick)
        tick = wheel->tick;
    size_t slot = tick % WHEEL_SLOTS;
    list_unlink(&timer->link);
    timer->deadline_ms = deadline_ms;
    list_push_back(&wheel->slots[slot], &timer->link);
    wheel->used[slot / 64] |= (uint64_t)1 << (slot % 64);
}

void wheel_cancel(struct wheel_timer *timer) {
    list_unlink(&timer->link);
    timer->deadline_ms = TIME_NEVER;
}

/* A slot holds its timers of this turn of the wheel and of later turns; only the former are due. */
static void serve_slot(struct wheel *wheel, size_t slot, uint64_t now_ms) {
    struct list later;
    struct list *timers = &wheel->slots[slot];
    list_init(&later);
    while (!list_is_empty(timers)) {
        struct wheel_timer *timer = list_entry(timers->next, struct wheel_timer, link);
        list_unlink(&timer->link);
        if (timer->deadline_ms > now_ms) {
            list_push_back(&later, &timer->link);
        } else {
            timer->deadline_ms = TIME_NEVER;
            timer->on_due(timer, now_ms);
        }
    }
    list_splice_back(timers, &later);
    if (list_is_empty(timers))
        wheel->used[slot / 64] &= ~((uint64_t)1 << (slot % 64));
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms) {
    uint64_t last = now_ms / WHEEL_TICK_MS;
    if (last < wheel->tick)
        return;
    uint64_t first = wheel->tick;
    if (last - first >= WHEEL_SLOTS)
        first = last - WHEEL_SLOTS + 1;
    /* What a callback arms for now or earlier goes to the next tick, so that one advance always ends. */
    wheel->tick = last + 1;
    for (uint64_t tick = first; tick <= last; tick++) {
        size_t slot = tick % WHEEL_SLOTS;
        if (wheel->used[slot / 64] & ((uint64_t)1 << (slot % 64)))
            serve_slot(wheel, slot, now_ms);
    }
}

uint64_t wheel_next_ms(const struct wheel *wheel) {
    enum { WORDS = WHEEL_SLOTS / 64 };
    size_t start = wheel->tick % WHEEL_SLOTS;
    /* The first word is looked at twice: from the start bit on, and at the end from its beginning. */
    for (size_t i = 0; i <= WORDS; i++) {
        size_t word = (start / 64 + i) % WORDS;
        uint64_t bits = wheel->used[word];
        if (i == 0)
            bits &= ~(uint64_t)0 << (start % 64);
        if (bits != 0) {
            size_t slot = word * 64 + (size_t)__builtin_ctzll(bits);
            return (wheel->tick + (slot + WHEEL_SLOTS - start) % WHEEL_SLOTS) * WHEEL_TICK_MS;
        }
    }
    return TIME_NEVER;
}

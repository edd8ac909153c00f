/* The event loop of a process: libuv's, with our timer wheel on it and a hook at the end of every turn. */
#ifndef GATEWAY_LOOP_H
#define GATEWAY_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/wheel.h"

struct loop {
    uv_loop_t uv;
    struct wheel wheel;
    uv_timer_t timer;                   /* Fires when the wheel has something due. */
    uint64_t timer_ms;                  /* When that is; TIME_NEVER when it is not running. */
    uv_check_t turn;                    /* After the events of each turn. */
    uv_idle_t busy;                     /* Runs while on_turn_end wants another turn at once. */
    bool (*on_turn_end)(void *context); /* Returns whether there is work left for another turn. */
    void *context;
    void (*on_lag)(void *context,
                   uint64_t lag_us); /* How late the wheel was served; NULL: not of interest. */
};

/* The time of the turn, in the wheel's milliseconds. */
static inline uint64_t loop_now_ms(const struct loop *loop) {
    return uv_now(&loop->uv);
}

/* For hub_options.now_ms: `loop` is a struct loop. */
uint64_t loop_clock(void *loop);

void loop_init(struct loop *loop, bool (*on_turn_end)(void *), void *context);

/* Runs until loop_stop, or until nothing is left that could happen. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Closes our own handles and runs the loop until every handle is closed or `seconds` are over. */
void loop_finish(struct loop *loop, unsigned seconds);

#endif

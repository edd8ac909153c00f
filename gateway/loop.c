#include "gateway/loop.h"

#include "common/clock.h"

static void on_busy(uv_idle_t *busy) {
    (void)busy; /* That it runs keeps the loop from sleeping. */
}

/* As a rule the poll ends when the timer is due, and on_turn serves the wheel and sets the timer anew before it
 * can fire. It fires when it became due after on_turn had looked: the next poll, with no timer left to end it, would
 * sleep until something else happens. */
static void on_timer(uv_timer_t *timer) {
    struct loop *loop = timer->data;
    uv_idle_start(&loop->busy, on_busy);
}

static void set_timer(struct loop *loop) {
    uint64_t next_ms = wheel_next_ms(&loop->wheel);
    if (next_ms == loop->timer_ms)
        return;
    loop->timer_ms = next_ms;
    if (next_ms == TIME_NEVER) {
        uv_timer_stop(&loop->timer);
    } else {
        uint64_t now_ms = loop_now_ms(loop);
        uv_timer_start(&loop->timer, on_timer, next_ms > now_ms ? next_ms - now_ms : 0, 0);
    }
}

static void on_turn(uv_check_t *turn) {
    struct loop *loop = turn->data;
    uint64_t now_ms = loop_now_ms(loop);
    if (now_ms >= loop->timer_ms) {
        if (loop->on_lag != NULL)
            loop->on_lag(loop->context, (now_ms - loop->timer_ms) * 1000);
        loop->timer_ms = TIME_NEVER;
    }
    wheel_advance(&loop->wheel, now_ms);
    if (loop->on_turn_end(loop->context))
        uv_idle_start(&loop->busy, on_busy);
    else
        uv_idle_stop(&loop->busy);
    set_timer(loop);
}

uint64_t loop_clock(void *loop) {
    return loop_now_ms(loop);
}

void loop_init(struct loop *loop, bool (*on_turn_end)(void *), void *context) {
    *loop = (struct loop){.on_turn_end = on_turn_end, .context = context, .timer_ms = TIME_NEVER};
    uv_loop_init(&loop->uv);
    wheel_init(&loop->wheel, loop_now_ms(loop));
    uv_timer_init(&loop->uv, &loop->timer);
    uv_check_init(&loop->uv, &loop->turn);
    uv_idle_init(&loop->uv, &loop->busy);
    loop->timer.data = loop->turn.data = loop->busy.data = loop;
    uv_check_start(&loop->turn, on_turn);
}

void loop_run(struct loop *loop) {
    set_timer(loop);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop) {
    uv_stop(&loop->uv);
}

void loop_finish(struct loop *loop, unsigned seconds) {
    uint64_t deadline_ms = clock_monotonic_ms() + seconds * 1000ull;
    uv_close((uv_handle_t *)&loop->timer, NULL);
    uv_close((uv_handle_t *)&loop->turn, NULL);
    uv_close((uv_handle_t *)&loop->busy, NULL);
    while (uv_run(&loop->uv, UV_RUN_NOWAIT) != 0 && clock_monotonic_ms() < deadline_ms)
        ;
    uv_loop_close(&loop->uv);
}

#include "tests/unit/unit.h"

#include "common/clock.h"
#include "gateway/loop.h"

struct fixture {
    struct loop loop;
    struct wheel_timer timer;
    uv_timer_t guard; /* Ends the run, and is all that could wake the loop when its own timer does not. */
    uint64_t due_ms;
    uint64_t served_ms;
    uint64_t lag_us;
    unsigned lag_count;
    uint64_t work_until_ms; /* The next end of a turn takes until then. */
};

enum { DUE_MS = 50, GUARD_MS = 1000 };

static void on_due(struct wheel_timer *timer, uint64_t now_ms) {
    struct fixture *fixture = list_entry(timer, struct fixture, timer);
    fixture->served_ms = now_ms;
    loop_stop(&fixture->loop);
}

static void on_guard(uv_timer_t *guard) {
    struct fixture *fixture = guard->data;
    loop_stop(&fixture->loop);
}

static bool on_turn_end(void *context) {
    struct fixture *fixture = context;
    while (clock_monotonic_ms() < fixture->work_until_ms)
        ;
    return false;
}

static void on_lag(void *context, uint64_t lag_us) {
    struct fixture *fixture = context;
    fixture->lag_us = lag_us;
    fixture->lag_count++;
}

static void on_nothing(uv_async_t *async) {
    (void)async;
}

static void set_up(struct fixture *fixture) {
    *fixture = (struct fixture){0};
    loop_init(&fixture->loop, on_turn_end, fixture);
    fixture->loop.on_lag = on_lag;
    uv_timer_init(&fixture->loop.uv, &fixture->guard);
    fixture->guard.data = fixture;
    uv_timer_start(&fixture->guard, on_guard, GUARD_MS, 0);
    wheel_timer_init(&fixture->timer, on_due);
    fixture->due_ms = loop_now_ms(&fixture->loop) + DUE_MS;
    wheel_arm(&fixture->loop.wheel, &fixture->timer, fixture->due_ms);
}

static void tear_down(struct fixture *fixture) {
    uv_close((uv_handle_t *)&fixture->guard, NULL);
    loop_finish(&fixture->loop, 1);
}

static void sleeping_loop_wakes_for_its_timer(void **state) {
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    loop_run(&fixture.loop);
    assert_in_range(fixture.served_ms, fixture.due_ms, fixture.due_ms + GUARD_MS / 2);
    assert_int_equal(fixture.lag_count, 1);
    tear_down(&fixture);
}

/* A turn that began before the deadline and ends after it has looked at the wheel too early. */
static void timer_that_becomes_due_while_a_turn_ends_is_served_by_the_next(void **state) {
    (void)state;
    struct fixture fixture;
    uv_async_t event;
    set_up(&fixture);
    uv_async_init(&fixture.loop.uv, &event, on_nothing);
    uv_async_send(&event);
    fixture.work_until_ms = fixture.due_ms + 2 * WHEEL_TICK_MS;
    loop_run(&fixture.loop);
    assert_in_range(fixture.served_ms, fixture.due_ms, fixture.due_ms + GUARD_MS / 2);
    assert_true(fixture.lag_us >= WHEEL_TICK_MS * 1000);
    uv_close((uv_handle_t *)&event, NULL);
    tear_down(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeping_loop_wakes_for_its_timer),
        cmocka_unit_test(timer_that_becomes_due_while_a_turn_ends_is_served_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/unit.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/wheel.h"

struct alarm {
    struct wheel_timer timer;
    uint64_t fired_ms;
    int count;
};

static struct wheel wheel;

static void ring(struct wheel_timer *timer, uint64_t now_ms) {
    struct alarm *alarm = list_entry(timer, struct alarm, timer);
    alarm->fired_ms = now_ms;
    alarm->count++;
}

static void alarm_init(struct alarm *alarm) {
    *alarm = (struct alarm){0};
    wheel_timer_init(&alarm->timer, ring);
}

static void advance_to(uint64_t from_ms, uint64_t to_ms) {
    for (uint64_t now = from_ms; now <= to_ms; now++)
        wheel_advance(&wheel, now);
}

static void timer_fires_once_within_a_tick_of_its_deadline(void **state) {
    (void)state;
    struct alarm alarm;
    alarm_init(&alarm);
    wheel_init(&wheel, 1000);
    wheel_arm(&wheel, &alarm.timer, 1100);
    advance_to(1000, 1099);
    assert_int_equal(alarm.count, 0);
    advance_to(1100, 3000);
    assert_int_equal(alarm.count, 1);
    assert_in_range(alarm.fired_ms, 1100, 1100 + WHEEL_TICK_MS);
}

static void deadline_beyond_one_turn_of_the_wheel_waits_for_its_turn(void **state) {
    (void)state;
    struct alarm alarm;
    uint64_t turn_ms = (uint64_t)WHEEL_TICK_MS * WHEEL_SLOTS;
    alarm_init(&alarm);
    wheel_init(&wheel, 0);
    wheel_arm(&wheel, &alarm.timer, 3 * turn_ms + 50);
    advance_to(0, 3 * turn_ms + 49);
    assert_int_equal(alarm.count, 0);
    advance_to(3 * turn_ms + 50, 3 * turn_ms + 100);
    assert_int_equal(alarm.count, 1);
}

static void cancelled_timer_stays_silent(void **state) {
    (void)state;
    struct alarm alarm;
    alarm_init(&alarm);
    wheel_init(&wheel, 0);
    wheel_arm(&wheel, &alarm.timer, 100);
    wheel_cancel(&alarm.timer);
    assert_false(wheel_timer_is_armed(&alarm.timer));
    wheel_advance(&wheel, 1000);
    assert_int_equal(alarm.count, 0);
}

static void stalled_loop_fires_everything_that_came_due(void **state) {
    (void)state;
    enum { COUNT = 500 };
    static struct alarm alarms[COUNT];
    wheel_init(&wheel, 0);
    for (int i = 0; i < COUNT; i++) {
        alarm_init(&alarms[i]);
        wheel_arm(&wheel, &alarms[i].timer, (uint64_t)i * 211);
    }
    wheel_advance(&wheel, (uint64_t)COUNT * 211 + WHEEL_TICK_MS);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(alarms[i].count, 1);
    assert_int_equal(wheel_next_ms(&wheel), TIME_NEVER);
}

static void next_is_never_later_than_the_earliest_deadline(void **state) {
    (void)state;
    srand(7);
    for (int round = 0; round < 2000; round++) {
        uint64_t now = (uint64_t)rand();
        uint64_t earliest = TIME_NEVER;
        struct alarm alarms[5];
        wheel_init(&wheel, now);
        for (int i = 0; i < 5; i++) {
            uint64_t deadline = now + (uint64_t)(rand() % 100000);
            alarm_init(&alarms[i]);
            wheel_arm(&wheel, &alarms[i].timer, deadline);
            earliest = deadline < earliest ? deadline : earliest;
        }
        assert_true(wheel_next_ms(&wheel) <= earliest + WHEEL_TICK_MS);
        /* Following its advice, and nothing else, fires all of them in time. */
        while (wheel_next_ms(&wheel) != TIME_NEVER) {
            uint64_t next = wheel_next_ms(&wheel);
            wheel_advance(&wheel, next);
        }
        for (int i = 0; i < 5; i++)
            assert_int_equal(alarms[i].count, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_fires_once_within_a_tick_of_its_deadline),
        cmocka_unit_test(deadline_beyond_one_turn_of_the_wheel_waits_for_its_turn),
        cmocka_unit_test(cancelled_timer_stays_silent),
        cmocka_unit_test(stalled_loop_fires_everything_that_came_due),
        cmocka_unit_test(next_is_never_later_than_the_earliest_deadline),
    };
    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}

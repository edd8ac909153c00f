#include "tests/unit/unit.h"

#include "gateway/core/limits.h"

/* How many of `tries` takes at this moment succeed. */
static int take(struct token_bucket *bucket, uint32_t rate, uint64_t now_ms, int tries) {
    int taken = 0;
    for (int i = 0; i < tries; i++)
        taken += token_bucket_take(bucket, rate, now_ms);
    return taken;
}

static void new_bucket_gives_a_burst_of_one_second(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    assert_int_equal(take(&bucket, 5, 1000000, 20), 5);
}

static void new_bucket_is_full_at_any_time(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    assert_int_equal(take(&bucket, 5, 0, 20), 5);
}

static void tokens_come_back_at_the_rate(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    take(&bucket, 5, 1000, 5);
    assert_int_equal(take(&bucket, 5, 1199, 1), 0);
    assert_int_equal(take(&bucket, 5, 1200, 2), 1);
    assert_int_equal(take(&bucket, 5, 1600, 9), 2);
    assert_int_equal(take(&bucket, 5, 1000000, 9), 5);
}

/* Asking often must not lose the fractions that came in between. */
static void frequent_questions_lose_nothing(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    int taken = 0;
    take(&bucket, 3, 1000, 3);
    for (uint64_t now_ms = 1001; now_ms <= 11000; now_ms++)
        taken += token_bucket_take(&bucket, 3, now_ms);
    assert_int_equal(taken, 30);
}

static void rate_of_zero_is_no_limit(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    assert_int_equal(take(&bucket, 0, 1000, 100000), 100000);
}

static void highest_rate_does_not_overflow(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    assert_int_equal(take(&bucket, UINT32_MAX, UINT64_MAX - 5000, 1000), 1000);
    assert_int_equal(take(&bucket, UINT32_MAX, UINT64_MAX - 1, 1000), 1000);
}

/* The rate may change at a reload: nobody waits longer than a second of the new one. */
static void lower_rate_takes_hold_at_once(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    take(&bucket, 100, 1000, 100);
    assert_int_equal(take(&bucket, 2, 1000, 5), 0);
    assert_int_equal(take(&bucket, 2, 2001, 5), 2);
}

/* --- Paid when it is done ---------------------------------------------------------------------------- */

static const struct allowance allowance = {.per_second = 10, .burst_milli = 20000};

static void spend(struct token_bucket *bucket, uint64_t tokens, uint32_t used_max, uint64_t now_ms) {
    token_bucket_spend(bucket, &allowance, tokens * 1000, used_max, now_ms);
}

static void what_costs_too_much_is_paid_back_first(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    assert_true(token_bucket_has_some(&bucket, &allowance, 1000));
    spend(&bucket, 25, 30000, 1000);
    assert_false(token_bucket_has_some(&bucket, &allowance, 1000));
    assert_false(token_bucket_has_some(&bucket, &allowance, 1500));
    assert_true(token_bucket_has_some(&bucket, &allowance, 1501));
}

static void debt_has_an_end(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    spend(&bucket, UINT64_MAX / 1000, 30000, 1000);
    assert_int_equal(bucket.used_milli, 30000);
    spend(&bucket, 1, 40000, 1000);
    assert_int_equal(bucket.used_milli, 31000);
    spend(&bucket, 1, 30000, 1000); /* Nobody gets back what is above it. */
    assert_int_equal(bucket.used_milli, 31000);
}

/* What was refilled long ago does not pay for what is spent now. */
static void spending_comes_after_refilling(void **state) {
    (void)state;
    struct token_bucket bucket = {0};
    spend(&bucket, 20, 40000, 1000);
    spend(&bucket, 25, 40000, 1000000);
    assert_false(token_bucket_has_some(&bucket, &allowance, 1000100));
}

static void state_takes_eight_bytes(void **state) {
    (void)state;
    assert_int_equal(sizeof(struct token_bucket), 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_bucket_gives_a_burst_of_one_second),
        cmocka_unit_test(new_bucket_is_full_at_any_time),
        cmocka_unit_test(tokens_come_back_at_the_rate),
        cmocka_unit_test(frequent_questions_lose_nothing),
        cmocka_unit_test(rate_of_zero_is_no_limit),
        cmocka_unit_test(highest_rate_does_not_overflow),
        cmocka_unit_test(lower_rate_takes_hold_at_once),
        cmocka_unit_test(what_costs_too_much_is_paid_back_first),
        cmocka_unit_test(debt_has_an_end),
        cmocka_unit_test(spending_comes_after_refilling),
        cmocka_unit_test(state_takes_eight_bytes),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}

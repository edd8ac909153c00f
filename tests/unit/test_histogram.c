#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "loadtest/histogram.h"

static struct histogram histogram, other, third;

static int reset(void **state) {
    (void)state;
    memset(&histogram, 0, sizeof histogram);
    memset(&other, 0, sizeof other);
    memset(&third, 0, sizeof third);
    return 0;
}

static void every_value_lies_in_its_bucket_and_buckets_do_not_overlap(void **state) {
    (void)state;
    uint32_t last = 0;
    for (uint64_t value = 0; value < 1 << 20; value++) {
        uint32_t bucket = histogram_bucket(value);
        assert_true(bucket == last || bucket == last + 1);
        assert_true(value <= histogram_bucket_top(bucket));
        assert_true(bucket == 0 || value > histogram_bucket_top(bucket - 1));
        last = bucket;
    }
}

static void width_of_a_bucket_is_below_one_percent(void **state) {
    (void)state;
    for (uint32_t bucket = 2 * HISTOGRAM_PARTS; bucket < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t top = histogram_bucket_top(bucket);
        uint64_t bottom = histogram_bucket_top(bucket - 1) + 1;
        assert_int_equal(histogram_bucket(top), bucket);
        assert_int_equal(histogram_bucket(bottom), bucket);
        assert_true((top - bottom) * 100 < bottom);
    }
}

static void huge_value_counts_in_the_last_bucket(void **state) {
    (void)state;
    histogram_add(&histogram, UINT64_MAX);
    histogram_add(&histogram, UINT64_C(1) << HISTOGRAM_VALUE_BITS);
    assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 2);
    assert_int_equal(histogram.max, UINT64_MAX);
}

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void percentiles_agree_with_a_sorted_list_to_one_percent(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    static uint64_t values[COUNT];
    static const double percents[] = {0, 1, 25, 50, 90, 99, 99.9, 99.99, 100};
    srand(3);
    for (int i = 0; i < COUNT; i++) {
        values[i] = (uint64_t)rand() % (UINT64_C(1) << (rand() % 36));
        histogram_add(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        int rank = (int)(COUNT * percents[i] / 100 + 0.9999999);
        uint64_t exact = values[rank > 0 ? rank - 1 : 0];
        uint64_t found = histogram_percentile(&histogram, percents[i]);
        assert_in_range(found, exact, exact + exact / 100 + 1);
    }
    assert_int_equal(histogram_percentile(&histogram, 100), values[COUNT - 1]);
}

static void empty_histogram_answers_zero(void **state) {
    (void)state;
    assert_int_equal(histogram_percentile(&histogram, 99), 0);
    assert_true(histogram_mean(&histogram) == 0);
}

static void merged_histogram_holds_what_both_held(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        histogram_add(i % 3 == 0 ? &histogram : &other, i * 977);
        histogram_add(&third, i * 977);
    }
    histogram_merge(&histogram, &other);
    assert_memory_equal(&histogram, &third, sizeof third);
}

static void difference_holds_only_what_came_in_between(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++)
        histogram_add(&histogram, 5000000);
    other = histogram;
    for (int i = 0; i < 50; i++)
        histogram_add(&histogram, 1000);
    histogram_difference(&third, &histogram, &other);
    assert_int_equal(third.count, 50);
    assert_int_equal(third.sum, 50000);
    assert_in_range(histogram_percentile(&third, 99), 1000, 1010);
    assert_in_range(third.max, 1000, 1010);
}

static void count_above_leaves_out_what_is_not_greater(void **state) {
    (void)state;
    for (uint64_t i = 1; i <= 100; i++)
        histogram_add(&histogram, i);
    assert_int_equal(histogram_count_above(&histogram, 90), 10);
    assert_int_equal(histogram_count_above(&histogram, 100), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_value_lies_in_its_bucket_and_buckets_do_not_overlap, reset),
        cmocka_unit_test_setup(width_of_a_bucket_is_below_one_percent, reset),
        cmocka_unit_test_setup(huge_value_counts_in_the_last_bucket, reset),
        cmocka_unit_test_setup(percentiles_agree_with_a_sorted_list_to_one_percent, reset),
        cmocka_unit_test_setup(empty_histogram_answers_zero, reset),
        cmocka_unit_test_setup(merged_histogram_holds_what_both_held, reset),
        cmocka_unit_test_setup(difference_holds_only_what_came_in_between, reset),
        cmocka_unit_test_setup(count_above_leaves_out_what_is_not_greater, reset),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}

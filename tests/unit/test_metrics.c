#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/core/metrics.h"

static char *print(const struct metrics *block) {
    static struct buf out = {.max = SIZE_MAX};
    buf_clear(&out);
    metrics_print(block, "n\"1", &out);
    buf_append_char(&out, '\0');
    return out.data;
}

static void assert_has_line(const char *text, const char *line) {
    size_t len = strlen(line);
    for (const char *at = text; (at = strstr(at, line)) != NULL; at++)
        if ((at == text || at[-1] == '\n') && at[len] == '\n')
            return;
    fail_msg("no line %s", line);
}

static void blocks_are_summed_field_by_field(void **state) {
    (void)state;
    struct metrics a = {
        .connections = 1, .deliveries = 10, .closes[CLOSE_PEER] = 2, .delivery = {.sum_us = 5}};
    struct metrics b = {
        .connections = 2, .deliveries = 20, .closes[CLOSE_PEER] = 3, .loop_lag = {.buckets[0] = 7}};
    metrics_add(&a, &b);
    assert_int_equal(a.connections, 3);
    assert_int_equal(a.deliveries, 30);
    assert_int_equal(a.closes[CLOSE_PEER], 5);
    assert_int_equal(a.delivery.sum_us, 5);
    assert_int_equal(a.loop_lag.buckets[0], 7);
}

static void worker_that_died_leaves_what_it_did_and_not_what_it_held(void **state) {
    (void)state;
    struct metrics block = {
        .workers = 1,
        .connections = 2,
        .subscriptions = 3,
        .channels = 4,
        .outbox_bytes = 5,
        .redis_up = 1,
        .draining = 1,
        .deliveries = 6,
        .sessions[TRANSPORT_SSE] = 7,
        .closes[CLOSE_IDLE] = 8,
    };
    metrics_clear_gauges(&block);
    struct metrics expected = {.deliveries = 6, .closes[CLOSE_IDLE] = 8};
    assert_memory_equal(&block, &expected, sizeof block);
}

static void histogram_counts_up_to_each_bound(void **state) {
    (void)state;
    struct metrics block = {0};
    metrics_observe(&block.delivery, 0);
    metrics_observe(&block.delivery, 50);
    metrics_observe(&block.delivery, 51);
    metrics_observe(&block.delivery, 30000000);
    metrics_observe(&block.delivery, 30000001);
    metrics_observe(&block.delivery, 1000000000);
    const char *text = print(&block);
    assert_has_line(text, "# TYPE fantail_delivery_seconds histogram");
    assert_has_line(text, "fantail_delivery_seconds_bucket{le=\"5e-05\"} 2");
    assert_has_line(text, "fantail_delivery_seconds_bucket{le=\"0.0001\"} 3");
    assert_has_line(text, "fantail_delivery_seconds_bucket{le=\"10\"} 3");
    assert_has_line(text, "fantail_delivery_seconds_bucket{le=\"30\"} 4");
    assert_has_line(text, "fantail_delivery_seconds_bucket{le=\"+Inf\"} 6");
    assert_has_line(text, "fantail_delivery_seconds_count 6");
    assert_has_line(text, "fantail_delivery_seconds_sum 1060.000102");
    assert_has_line(text, "fantail_loop_lag_seconds_count 0");
}

static void everything_is_printed_with_its_kind(void **state) {
    (void)state;
    struct metrics block = {
        .connections = 5,
        .deliveries = UINT64_MAX,
        .sessions[TRANSPORT_LONGPOLL] = 3,
        .closes[CLOSE_SLOW_CONSUMER] = 2,
        .drops[DROP_CONFLATED] = 9,
        .refusals[REFUSED_ORIGIN] = 4,
    };
    const char *text = print(&block);
    assert_has_line(text, "fantail_build_info{version=\"" FANTAIL_VERSION "\",node=\"n\\\"1\"} 1");
    assert_has_line(text, "# TYPE fantail_connections gauge");
    assert_has_line(text, "fantail_connections 5");
    assert_has_line(text, "# TYPE fantail_deliveries_total counter");
    assert_has_line(text, "fantail_deliveries_total 18446744073709551615");
    assert_has_line(text, "fantail_sessions{transport=\"longpoll\"} 3");
    assert_has_line(text, "fantail_closes_total{reason=\"slow_consumer\"} 2");
    assert_has_line(text, "fantail_drops_total{reason=\"conflated\"} 9");
    assert_has_line(text, "fantail_refusals_total{reason=\"origin\"} 4");
}

/* Every line is a comment of two known kinds, or a name, labels perhaps, and one value; every name's type is
 * told once, before its values. */
static void text_is_what_prometheus_reads(void **state) {
    (void)state;
    struct metrics block = {0};
    char name[100], type[20], known[200][100];
    int known_count = 0;
    char *text = print(&block), *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && (rest != NULL || *line != '\0');) {
        unsigned long long value;
        double real;
        if (sscanf(line, "# TYPE %99s %19s", name, type) == 2) {
            for (int i = 0; i < known_count; i++)
                assert_string_not_equal(known[i], name);
            strcpy(known[known_count++], name);
            assert_true(!strcmp(type, "counter") || !strcmp(type, "gauge") || !strcmp(type, "histogram"));
        } else if (strncmp(line, "# HELP ", 7) != 0) {
            const char *space = strrchr(line, ' ');
            assert_non_null(space);
            assert_true(sscanf(space, " %llu", &value) == 1 || sscanf(space, " %lf", &real) == 1);
            /* The last type told is its own. */
            assert_true(strncmp(line, known[known_count - 1], strlen(known[known_count - 1])) == 0);
        }
    }
    assert_true(known_count > 25);
}

static void every_reason_to_close_has_a_code_that_may_be_sent(void **state) {
    (void)state;
    for (int i = 0; i < CLOSE_REASON_COUNT; i++) {
        uint16_t code = close_code((enum close_reason)i);
        assert_true((code >= 1000 && code <= 1009) || (code >= 3000 && code < 4000));
        /* A close frame has room for 123 bytes of text. */
        assert_in_range(strlen(close_text((enum close_reason)i)), 1, 123);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(close_label((enum close_reason)i), close_label((enum close_reason)j));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_summed_field_by_field),
        cmocka_unit_test(worker_that_died_leaves_what_it_did_and_not_what_it_held),
        cmocka_unit_test(histogram_counts_up_to_each_bound),
        cmocka_unit_test(everything_is_printed_with_its_kind),
        cmocka_unit_test(text_is_what_prometheus_reads),
        cmocka_unit_test(every_reason_to_close_has_a_code_that_may_be_sent),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}

#include "tests/unit/unit.h"

#include <stdio.h>

#include "gateway/core/told.h"

enum { SECOND = 1000 };

static void what_was_told_is_not_new(void **state) {
    (void)state;
    struct told told = {0};
    assert_true(told_is_new(&told, BYTES_LITERAL("a"), 1 * SECOND));
    assert_false(told_is_new(&told, BYTES_LITERAL("a"), 2 * SECOND));
    assert_true(told_is_new(&told, BYTES_LITERAL("b"), 2 * SECOND));
    assert_false(told_is_new(&told, BYTES_LITERAL("a"), 9 * SECOND));
}

static void what_comes_too_soon_is_new_next_time(void **state) {
    (void)state;
    struct told told = {0};
    assert_true(told_is_new(&told, BYTES_LITERAL("a"), 5 * SECOND));
    assert_false(told_is_new(&told, BYTES_LITERAL("b"), 5 * SECOND + 1));
    assert_true(told_is_new(&told, BYTES_LITERAL("b"), 6 * SECOND));
}

static void oldest_is_forgotten_first(void **state) {
    (void)state;
    struct told told = {0};
    char what[16];
    for (unsigned i = 0; i <= TOLD_MAX; i++) {
        snprintf(what, sizeof what, "%u", i);
        assert_true(told_is_new(&told, bytes_of(what), i * SECOND));
    }
    assert_false(told_is_new(&told, BYTES_LITERAL("1"), 100 * SECOND));
    assert_true(told_is_new(&told, BYTES_LITERAL("0"), 100 * SECOND));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_told_is_not_new),
        cmocka_unit_test(what_comes_too_soon_is_new_next_time),
        cmocka_unit_test(oldest_is_forgotten_first),
    };
    return cmocka_run_group_tests_name("told", tests, NULL, NULL);
}

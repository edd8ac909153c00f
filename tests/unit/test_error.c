#include "tests/unit/unit.h"

#include <string.h>

#include "common/error.h"

static void every_code_is_unique(void **state) {
    (void)state;
    for (int i = 0; i < ERROR_COUNT; i++) {
        for (int j = 0; j < i; j++)
            assert_string_not_equal(error_code((enum error)i), error_code((enum error)j));
    }
}

static void every_code_is_a_lower_case_word(void **state) {
    (void)state;
    for (int i = 0; i < ERROR_COUNT; i++) {
        const char *code = error_code((enum error)i);
        assert_true(strlen(code) > 0);
        assert_int_equal(strspn(code, "abcdefghijklmnopqrstuvwxyz_"), strlen(code));
    }
}

static void every_error_has_a_status_and_a_sentence(void **state) {
    (void)state;
    for (int i = 0; i < ERROR_COUNT; i++) {
        const char *text = error_text((enum error)i);
        int status = error_http_status((enum error)i);
        assert_true(strlen(text) > 1);
        assert_int_equal(text[strlen(text) - 1], '.');
        assert_true(i == ERR_OK ? status == 200 : status >= 400 && status <= 599);
    }
}

/* What a client's own request is the reason of stays refused; what Redis or the load is the reason of passes. */
static void errors_are_sorted_by_whether_they_pass(void **state) {
    (void)state;
    for (int i = 0; i < ERROR_COUNT; i++) {
        int status = error_http_status((enum error)i);
        bool is_ours_alone = i == ERR_MORE || i == ERR_CONFIG; /* Reach no client. */
        bool is_never_served = status == 501 || status == 505;
        if (status >= 500 && !is_ours_alone && !is_never_served)
            assert_true(error_may_pass((enum error)i));
        if (status < 400 || (status < 500 && status != 429))
            assert_false(error_may_pass((enum error)i));
    }
    assert_true(error_may_pass(ERR_RATE_LIMITED));
    assert_true(error_may_pass(ERR_TOO_MANY_WAITING));
    assert_false(error_may_pass(ERR_CHANNEL_LIMIT));
}

static void no_text_tells_of_a_publish_that_was_none(void **state) {
    (void)state;
    static const enum error any[] = {ERR_BROKER_UNAVAILABLE, ERR_BROKER_REFUSED, ERR_RATE_LIMITED,
                                     ERR_TOO_MANY_WAITING, ERR_INTERNAL};
    for (size_t i = 0; i < sizeof any / sizeof *any; i++)
        assert_null(strstr(error_text(any[i]), "publish"));
}

static void names_and_codes_belong_together(void **state) {
    (void)state;
    assert_int_equal(ERR_OK, 0); /* So that `if (error)` reads as it should. */
    assert_string_equal(error_code(ERR_CHANNEL_FORBIDDEN), "channel_forbidden");
    assert_int_equal(error_http_status(ERR_CHANNEL_FORBIDDEN), 403);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_is_unique),
        cmocka_unit_test(every_code_is_a_lower_case_word),
        cmocka_unit_test(every_error_has_a_status_and_a_sentence),
        cmocka_unit_test(errors_are_sorted_by_whether_they_pass),
        cmocka_unit_test(no_text_tells_of_a_publish_that_was_none),
        cmocka_unit_test(names_and_codes_belong_together),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}

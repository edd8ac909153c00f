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
        cmocka_unit_test(names_and_codes_belong_together),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}

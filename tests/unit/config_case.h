/* What the tests of the configuration share: parse a text and say what has to come of it. */
#ifndef TESTS_CONFIG_CASE_H
#define TESTS_CONFIG_CASE_H

#include "tests/unit/unit.h"

#include "gateway/config/config.h"

static struct buf errors; /* What the last parse said; ends with a zero byte. */

static inline int set_up(void **state) {
    (void)state;
    buf_init(&errors, 0);
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    buf_finish(&errors);
    return 0;
}

static inline struct config *parse_with(const char *text, const struct config_options *options) {
    buf_clear(&errors);
    struct config *config = config_parse(bytes_of(text), "f.conf", options, &errors);
    buf_append_char(&errors, '\0');
    return config;
}

static inline struct config *parse(const char *text) {
    return parse_with(text, &(struct config_options){0});
}

/* The text is fine. */
static inline struct config *accept_with(const char *text, const struct config_options *options) {
    struct config *config = parse_with(text, options);
    assert_string_equal(errors.data, "");
    assert_non_null(config);
    return config;
}

static inline struct config *accept_text(const char *text) {
    return accept_with(text, &(struct config_options){0});
}

static inline struct config *accept_environment(const char *text, const char *const *environment) {
    return accept_with(text, &(struct config_options){.environment = (char *const *)environment});
}

/* The text is refused with exactly these lines. */
static inline void refuse(const char *text, const char *expected) {
    struct config *config = parse(text);
    assert_null(config);
    assert_string_equal(errors.data, expected);
}

static inline void refuse_environment(const char *text, const char *variable, const char *expected) {
    const char *environment[] = {variable, NULL};
    struct config *config =
        parse_with(text, &(struct config_options){.environment = (char *const *)environment});
    assert_null(config);
    assert_string_equal(errors.data, expected);
}

/* Every test begins with no errors. */
#define CONFIG_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif

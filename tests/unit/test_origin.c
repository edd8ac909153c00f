#include "tests/unit/unit.h"

#include "gateway/core/origin.h"

static bool may_connect(struct bytes origin, struct bytes host, const char *const *patterns, uint32_t count) {
    return origin_may_connect(origin, host, (char *const *)patterns, count);
}

static void pattern_is_a_star_or_an_origin(void **state) {
    (void)state;
    static const char *const valid[] = {
        "*",
        "https://example.com",
        "http://localhost:3000",
        "https://*.example.com",
        "https://*.example.com:8443",
        "HTTPS://Example.COM",
        "http://127.0.0.1",
        "http://[::1]:8000",
        "capacitor://localhost",
        "chrome-extension://abcdefgh",
        "https://a_b.example",
    };
    static const char *const invalid[] = {
        "",
        "example.com",
        "https://",
        "https:///",
        "://example.com",
        "https://example.com/",
        "https://example.com/path",
        "https://user@example.com",
        "https://example.com:",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:80:80",
        "https://example.com:*",
        "https://*",
        "https://*.",
        "https://*example.com",
        "https://a.*.example.com",
        "https://*.*.example.com",
        "*://example.com",
        "https://*.[::1]",
        "https://[::1",
        "https://[]",
        "https://.example.com",
        "https://example..com",
        "https://example.com.",
        "https://exa mple.com",
        "https:example.com",
        "null",
        "**",
        "*.example.com",
    };
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
        if (!origin_pattern_is_valid(bytes_of(valid[i])))
            fail_msg("%s is valid", valid[i]);
    }
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        if (origin_pattern_is_valid(bytes_of(invalid[i])))
            fail_msg("%s is not valid", invalid[i]);
    }
}

static void request_without_an_origin_passes(void **state) {
    (void)state;
    const char *patterns[] = {"https://example.com"};
    assert_true(may_connect(bytes_of(""), bytes_of("gateway"), patterns, 1));
    assert_true(may_connect((struct bytes){0}, (struct bytes){0}, NULL, 0));
}

static void without_patterns_the_origin_is_the_host_asked(void **state) {
    (void)state;
    static const struct {
        const char *origin;
        const char *host;
        bool allowed;
    } rows[] = {
        {"http://localhost:8000", "localhost:8000", true},
        {"http://LOCALHOST:8000", "localhost:8000", true},
        {"http://localhost:8001", "localhost:8000", false},
        {"http://localhost", "localhost:8000", false},
        {"http://example.com", "example.com", true},
        {"http://example.com:80", "example.com", true},
        {"http://example.com", "example.com:80", true},
        {"https://example.com", "example.com", true},
        {"https://example.com", "example.com:443", true},
        {"https://example.com", "example.com:80", false},
        {"https://evil.example", "example.com", false},
        {"https://example.com.evil.example", "example.com", false},
        {"https://sub.example.com", "example.com", false},
        {"http://[::1]:8000", "[::1]:8000", true},
        {"http://[::1]:8000", "[::2]:8000", false},
        {"null", "example.com", false},
        {"null", "null", false},
        {"http://", "", false},
        {"http://example.com", "", false},
        {"http://example.com", "example.com:", false},
        {"http://example.com http://example.com", "example.com", false},
        {"http://example.com/", "example.com", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (may_connect(bytes_of(rows[i].origin), bytes_of(rows[i].host), NULL, 0) != rows[i].allowed)
            fail_msg("origin %s at host %s", rows[i].origin, rows[i].host);
    }
}

static void pattern_matches_scheme_host_and_port(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *origin;
        bool allowed;
    } rows[] = {
        {"https://example.com", "https://example.com", true},
        {"https://example.com", "HTTPS://EXAMPLE.com", true},
        {"https://example.com", "https://example.com:443", true},
        {"https://example.com:443", "https://example.com", true},
        {"https://example.com", "http://example.com", false},
        {"https://example.com", "https://example.com:8443", false},
        {"https://example.com:8443", "https://example.com:8443", true},
        {"https://example.com", "https://www.example.com", false},
        {"https://example.com", "https://example.com.evil.example", false},
        {"https://example.com", "https://evil-example.com", false},
        {"https://example.com", "null", false},
        {"https://*.example.com", "https://www.example.com", true},
        {"https://*.example.com", "https://a.b.example.com", true},
        {"https://*.example.com", "https://A.Example.Com", true},
        {"https://*.example.com", "https://example.com", false},
        {"https://*.example.com", "https://.example.com", false},
        {"https://*.example.com", "https://evilexample.com", false},
        {"https://*.example.com", "https://www.example.com.evil.example", false},
        {"https://*.example.com", "https://www.example.com:8443", false},
        {"https://*.example.com", "http://www.example.com", false},
        {"https://*.example.com:8443", "https://www.example.com:8443", true},
        {"capacitor://localhost", "capacitor://localhost", true},
        {"capacitor://localhost", "ionic://localhost", false},
        {"*", "https://anything.example", true},
        {"*", "null", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *patterns[] = {rows[i].pattern};
        /* Where patterns are given, being the page's own host does not help. */
        if (may_connect(bytes_of(rows[i].origin), bytes_of("example.com:8443"), patterns, 1) !=
            rows[i].allowed)
            fail_msg("pattern %s and origin %s", rows[i].pattern, rows[i].origin);
    }
}

static void any_of_several_patterns_is_enough(void **state) {
    (void)state;
    const char *patterns[] = {"https://a.example", "https://*.b.example", "http://c.example:8080"};
    assert_true(may_connect(bytes_of("http://c.example:8080"), bytes_of("h"), patterns, 3));
    assert_true(may_connect(bytes_of("https://x.b.example"), bytes_of("h"), patterns, 3));
    assert_false(may_connect(bytes_of("https://d.example"), bytes_of("d.example"), patterns, 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pattern_is_a_star_or_an_origin),
        cmocka_unit_test(request_without_an_origin_passes),
        cmocka_unit_test(without_patterns_the_origin_is_the_host_asked),
        cmocka_unit_test(pattern_matches_scheme_host_and_port),
        cmocka_unit_test(any_of_several_patterns_is_enough),
    };
    return cmocka_run_group_tests_name("origin", tests, NULL, NULL);
}

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
        if (may_connect(bytes_of(rows[i].origin), bytes_of("gateway.example"), patterns, 1) !=
            rows[i].allowed)
            fail_msg("pattern %s and origin %s", rows[i].pattern, rows[i].origin);
    }
}

static void any_of_several_patterns_is_enough(void **state) {
    (void)state;
    const char *patterns[] = {"https://a.example", "https://*.b.example", "http://c.example:8080"};
    assert_true(may_connect(bytes_of("http://c.example:8080"), bytes_of("h"), patterns, 3));
    assert_true(may_connect(bytes_of("https://x.b.example"), bytes_of("h"), patterns, 3));
    assert_false(may_connect(bytes_of("https://d.example"), bytes_of("h"), patterns, 3));
}

static void own_host_may_connect_whatever_is_listed(void **state) {
    (void)state;
    const char *patterns[] = {"https://a.example"};
    assert_true(may_connect(bytes_of("https://d.example"), bytes_of("d.example"), patterns, 1));
    assert_true(may_connect(bytes_of("http://d.example:8000"), bytes_of("D.example:8000"), patterns, 1));
    assert_false(may_connect(bytes_of("https://d.example"), bytes_of("d.example:8443"), patterns, 1));
    assert_false(may_connect(bytes_of("null"), bytes_of("null"), patterns, 1));
}

/* Only who is known may send its visitor's cookies. */
static void star_alone_makes_nobody_known(void **state) {
    (void)state;
    char star[] = "*", listed[] = "https://a.example";
    char *patterns[] = {star, listed};
    static const struct {
        const char *origin;
        enum page page;
    } rows[] = {
        {"", PAGE_NONE},
        {"https://evil.example", PAGE_ANY},
        {"null", PAGE_ANY},
        {"no origin at all", PAGE_ANY},
        {"https://a.example", PAGE_KNOWN},
        {"https://own.example", PAGE_KNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (origin_judge(bytes_of(rows[i].origin), bytes_of("own.example"), patterns, 2) != rows[i].page)
            fail_msg("%s", rows[i].origin);
    assert_int_equal(origin_judge(bytes_of("null"), bytes_of("own.example"), patterns + 1, 1), PAGE_REFUSED);
}

static void host_name_has_neither_scheme_nor_port(void **state) {
    (void)state;
    static const char *const valid[] = {"chat.example.com", "localhost", "*.example.com", "192.0.2.1",
                                        "[::1]"};
    static const char *const invalid[] = {"",     "*",  "*.",      "a:80",  "http://a", "a/",      "::1",
                                          "a..b", "a.", "*.[::1]", "a.*.b", "a b",      "[::1]:80"};
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++)
        if (!host_name_is_valid(bytes_of(valid[i])))
            fail_msg("%s is valid", valid[i]);
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++)
        if (host_name_is_valid(bytes_of(invalid[i])))
            fail_msg("%s is not valid", invalid[i]);
}

static void host_is_own_when_it_says_one_of_the_names(void **state) {
    (void)state;
    char a[] = "chat.example.com", b[] = "*.example.org", c[] = "[::1]";
    char *names[] = {a, b, c};
    static const struct {
        const char *host;
        bool is_own;
    } rows[] = {
        {"chat.example.com", true},
        {"chat.example.com:8443", true},
        {"CHAT.example.com", true},
        {"a.b.example.org", true},
        {"[::1]:8000", true},
        {"example.org", false},
        {"evil.example", false},
        {"evil.example:8000", false},
        {"chat.example.com.evil.example", false},
        {"evilexample.org", false},
        {"", false},
        {"chat.example.com:", false},
        {"chat.example.com:0", false},
        {"chat.example.com, evil.example", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (host_is_own(bytes_of(rows[i].host), names, 3) != rows[i].is_own)
            fail_msg("%s", rows[i].host);
    assert_true(host_is_own(bytes_of("whatever"), NULL, 0));
    assert_true(host_is_own(bytes_of(""), NULL, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pattern_is_a_star_or_an_origin),
        cmocka_unit_test(request_without_an_origin_passes),
        cmocka_unit_test(without_patterns_the_origin_is_the_host_asked),
        cmocka_unit_test(pattern_matches_scheme_host_and_port),
        cmocka_unit_test(any_of_several_patterns_is_enough),
        cmocka_unit_test(own_host_may_connect_whatever_is_listed),
        cmocka_unit_test(star_alone_makes_nobody_known),
        cmocka_unit_test(host_name_has_neither_scheme_nor_port),
        cmocka_unit_test(host_is_own_when_it_says_one_of_the_names),
    };
    return cmocka_run_group_tests_name("origin", tests, NULL, NULL);
}

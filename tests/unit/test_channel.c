#include "tests/unit/unit.h"

#include <string.h>

#include "gateway/core/channel.h"

static void name_is_utf8_without_what_others_use(void **state) {
    (void)state;
    static const struct {
        struct bytes name;
        bool is_valid;
    } rows[] = {
        {BYTES_LITERAL("a"), true},
        {BYTES_LITERAL("room:42"), true},
        {BYTES_LITERAL(":"), true},
        {BYTES_LITERAL("!\"#$%&'()*+,-./;<=>?@[\\]^_`|~"), true},
        {BYTES_LITERAL("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"), true},
        {BYTES_LITERAL("\xC2\xA0"), true}, /* U+00A0 is the first behind the control characters. */
        {BYTES_LITERAL(""), false},
        {BYTES_LITERAL("a b"), false},
        {BYTES_LITERAL("a\n"), false},
        {BYTES_LITERAL("\0"), false},
        {BYTES_LITERAL("a\x1F"), false},
        {BYTES_LITERAL("a\x7F"), false},
        {BYTES_LITERAL("\xC2\x80"), false}, /* C1 */
        {BYTES_LITERAL("a\xC2\x9F"), false},
        {BYTES_LITERAL("{a}"), false},
        {BYTES_LITERAL("a}"), false},
        {BYTES_LITERAL("\xFF"), false},
        {BYTES_LITERAL("\xC3"), false},
        {BYTES_LITERAL("\xC2"), false},
        {BYTES_LITERAL("\xED\xA0\x80"), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (channel_name_is_valid(rows[i].name) != rows[i].is_valid)
            fail_msg("%.*s", BYTES_FMT(rows[i].name));
}

static void name_is_neither_of_redis_nor_of_the_gateway(void **state) {
    (void)state;
    static const char *const reserved[] = {
        "__keyspace@0__:user:1",
        "__keyevent@0__:set",
        "__redis__:invalidate",
        "__sentinel__:hello",
        "__",
        "___",
        "fantail:probe:n1-0000",
        "fantail:namespaces",
        "fantail:",
    };
    static const char *const free[] = {"_",          "_a",        "a__",         "fantail",
                                       "fantailb:a", "Fantail:a", "x:fantail:a", "x:__a"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (channel_name_is_valid(bytes_of(reserved[i])))
            fail_msg("%s is reserved", reserved[i]);
    for (size_t i = 0; i < sizeof free / sizeof *free; i++)
        if (!channel_name_is_valid(bytes_of(free[i])))
            fail_msg("%s is free", free[i]);
}

/* Whatever prefix is taken, no valid name makes one of Redis' own with it. */
static void prefix_does_not_lead_back_to_redis(void **state) {
    (void)state;
    static const char *const bad[] = {"_", "__", "__keyspace@0__:"};
    static const char *const good[] = {"", "a", "a_", "_a", "fantail:", "app:__"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(channel_prefix_is_of_redis(bytes_of(bad[i])));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(!channel_prefix_is_of_redis(bytes_of(good[i])) &&
                    channel_prefix_is_valid(bytes_of(good[i])));
    assert_false(channel_prefix_is_valid(BYTES_LITERAL("a b")));
}

static void name_has_at_most_255_bytes(void **state) {
    (void)state;
    char name[256];
    memset(name, 'x', sizeof name);
    assert_true(channel_name_is_valid(bytes_make(name, 255)));
    assert_false(channel_name_is_valid(bytes_make(name, 256)));
}

static void namespace_is_what_stands_before_the_first_colon(void **state) {
    (void)state;
    static char names[][8] = {"default", "chat", "chat2"};
    struct namespace_config namespaces[] = {{.name = names[0]}, {.name = names[1]}, {.name = names[2]}};
    struct config config = {.namespaces = namespaces, .namespace_count = 3};
    static const struct {
        const char *name;
        int index;
    } rows[] = {
        {"chat:lobby", 1}, {"chat:", 1}, {"chat:a:b", 1}, {"chat2:x", 2},   {"chat", 0},
        {"cha:x", 0},      {":chat", 0}, {"x:chat:y", 0}, {"default:x", 0}, {"Chat:x", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_ptr_equal(channel_namespace(&config, bytes_of(rows[i].name)), &namespaces[rows[i].index]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_is_utf8_without_what_others_use),
        cmocka_unit_test(name_is_neither_of_redis_nor_of_the_gateway),
        cmocka_unit_test(prefix_does_not_lead_back_to_redis),
        cmocka_unit_test(name_has_at_most_255_bytes),
        cmocka_unit_test(namespace_is_what_stands_before_the_first_colon),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}

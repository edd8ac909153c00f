#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"

/* In memory of exactly its size, so that the sanitizer sees a read behind its end. */
static bool is_utf8(const void *data, size_t len) {
    char *copy = malloc(len ? len : 1);
    memcpy(copy, data, len);
    bool fine = text_is_utf8(bytes_make(copy, len));
    free(copy);
    return fine;
}

static size_t encode(uint32_t point, unsigned char *out) {
    if (point < 0x80) {
        out[0] = (unsigned char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (unsigned char)(0xC0 | point >> 6);
        out[1] = (unsigned char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (unsigned char)(0xE0 | point >> 12);
        out[1] = (unsigned char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (unsigned char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (unsigned char)(0xF0 | point >> 18);
    out[1] = (unsigned char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (unsigned char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (unsigned char)(0x80 | (point & 0x3F));
    return 4;
}

static void every_code_point_but_surrogates_is_utf8(void **state) {
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        unsigned char text[4];
        size_t len = encode(point, text);
        bool expected = point <= 0x10FFFF && !(point >= 0xD800 && point <= 0xDFFF);
        if (text_is_utf8(bytes_make(text, len)) != expected)
            fail_msg("U+%04X", point);
    }
}

static void cut_sequence_is_not_utf8(void **state) {
    (void)state;
    static const uint32_t points[] = {0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        unsigned char text[4];
        size_t len = encode(points[i], text);
        assert_true(is_utf8(text, len));
        for (size_t cut = 1; cut < len; cut++) {
            assert_false(is_utf8(text, cut));
            assert_false(is_utf8(text + cut, len - cut));
        }
    }
}

static void malformed_sequences_are_not_utf8(void **state) {
    (void)state;
    static const char *const rows[] = {
        "\xC0\x80",
        "\xC1\xBF", /* Overlong forms of one byte, */
        "\xE0\x80\x80",
        "\xE0\x9F\xBF", /* of two, */
        "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF", /* of three. */
        "\xED\xA0\x80",
        "\xED\xBF\xBF", /* Surrogates. */
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xF8\x88\x80\x80\x80",
        "\xFE",
        "\xFF",
        "\x80",
        "\xBF",
        "\xC3(",
        "\xE2\x82(",
        "\xE2(\xA1",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_false(is_utf8(rows[i], strlen(rows[i])));
}

/* Eight ASCII bytes are taken in one step; a fault may hide at any place around them. */
static void fault_is_seen_at_every_place_of_a_long_text(void **state) {
    (void)state;
    char text[40];
    for (size_t len = 0; len <= sizeof text; len++) {
        memset(text, 'a', sizeof text);
        assert_true(is_utf8(text, len));
        for (size_t at = 0; at < len; at++) {
            text[at] = '\x80';
            assert_false(is_utf8(text, len));
            text[at] = 'a';
        }
        for (size_t at = 0; at + 1 < len; at++) {
            memcpy(text + at, "\xC3\xA9", 2);
            assert_true(is_utf8(text, len));
            memcpy(text + at, "aa", 2);
        }
    }
}

static void percent_escapes_become_bytes(void **state) {
    (void)state;
    static const struct {
        const char *in;
        const char *out; /* NULL: refused. */
    } rows[] = {
        {"", ""},         {"abc", "abc"},         {"a+b", "a+b"}, {"a%20b", "a b"},
        {"%2B%25", "+%"}, {"%c3%A9", "\xc3\xa9"}, {"%", NULL},    {"%2", NULL},
        {"%zz", NULL},    {"%2g", NULL},          {"%%20", NULL}, {"room%3A42", "room:42"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        buf_init(&out, 0);
        assert_int_equal(text_percent_decode(bytes_of(rows[i].in), &out), rows[i].out != NULL);
        if (rows[i].out != NULL)
            assert_true(bytes_equal_text(buf_bytes(&out), rows[i].out));
        buf_finish(&out);
    }
}

static void plus_is_a_space_in_queries_alone(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 0);
    assert_true(text_query_decode(bytes_of("a+b%2Bc"), &out));
    assert_true(bytes_equal_text(buf_bytes(&out), "a b+c"));
    buf_finish(&out);
}

static void percent_escape_may_be_a_zero_byte(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 0);
    assert_true(text_percent_decode(bytes_of("a%00b"), &out));
    assert_true(bytes_equal(buf_bytes(&out), BYTES_LITERAL("a\0b")));
    buf_finish(&out);
}

static void decoding_stops_at_the_buffers_maximum(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 2);
    assert_true(text_percent_decode(bytes_of("%61b"), &out));
    buf_clear(&out);
    assert_false(text_percent_decode(bytes_of("%61bc"), &out));
    buf_finish(&out);
}

static void number_is_digits_and_nothing_else(void **state) {
    (void)state;
    static const char *const refused[] = {"",
                                          "-1",
                                          "+1",
                                          " 1",
                                          "1 ",
                                          "1.0",
                                          "0x10",
                                          "1e3",
                                          "a",
                                          "18446744073709551616",
                                          "99999999999999999999"};
    static const struct {
        const char *text;
        uint64_t value;
    } taken[] = {{"0", 0}, {"007", 7}, {"42", 42}, {"18446744073709551615", UINT64_MAX}};
    uint64_t value = 5;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_false(text_parse_u64(bytes_of(refused[i]), &value));
        assert_int_equal(value, 5);
    }
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        assert_true(text_parse_u64(bytes_of(taken[i].text), &value));
        assert_true(value == taken[i].value);
    }
    assert_true(text_parse_u64(bytes_make("123456", 3), &value));
    assert_int_equal(value, 123);
}

static void letters_compare_without_case(void **state) {
    (void)state;
    assert_true(text_equal_nocase(bytes_of("WebSocket"), "websocket"));
    assert_true(text_equal_nocase(bytes_make("upgrade, x", 7), "Upgrade"));
    assert_false(text_equal_nocase(bytes_of("websocke"), "websocket"));
    assert_false(text_equal_nocase(bytes_of("websockets"), "websocket"));
    assert_true(text_equal_nocase(bytes_of(""), ""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_but_surrogates_is_utf8),
        cmocka_unit_test(cut_sequence_is_not_utf8),
        cmocka_unit_test(malformed_sequences_are_not_utf8),
        cmocka_unit_test(fault_is_seen_at_every_place_of_a_long_text),
        cmocka_unit_test(percent_escapes_become_bytes),
        cmocka_unit_test(plus_is_a_space_in_queries_alone),
        cmocka_unit_test(percent_escape_may_be_a_zero_byte),
        cmocka_unit_test(decoding_stops_at_the_buffers_maximum),
        cmocka_unit_test(number_is_digits_and_nothing_else),
        cmocka_unit_test(letters_compare_without_case),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

static void expect(const struct buf *buf, const char *content) {
    assert_int_equal(buf->len, strlen(content));
    assert_memory_equal(buf->data, content, buf->len);
}

static void empty_buffer_owns_no_memory(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 10);
    assert_null(buf.data);
    assert_true(buf_append(&buf, NULL, 0));
    assert_int_equal(buf.len, 0);
    assert_true(buf_append_text(&buf, "abc"));
    buf_finish(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.max, 10);
    assert_true(buf_append_text(&buf, "again"));
    expect(&buf, "again");
    buf_finish(&buf);
}

static void appends_follow_each_other(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    assert_true(buf_append(&buf, "a", 1));
    assert_true(buf_append_bytes(&buf, BYTES_LITERAL("bc")));
    assert_true(buf_append_text(&buf, "def"));
    assert_true(buf_append_char(&buf, '-'));
    assert_true(buf_append_u64(&buf, 0));
    assert_true(buf_append_char(&buf, '-'));
    assert_true(buf_append_u64(&buf, UINT64_MAX));
    assert_true(buf_printf(&buf, "-%d-%s", -7, "x"));
    expect(&buf, "abcdef-0-18446744073709551615--7-x");
    assert_true(bytes_equal_text(buf_bytes(&buf), "abcdef-0-18446744073709551615--7-x"));
    buf_finish(&buf);
}

static void content_survives_growth(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    for (int i = 0; i < 10000; i++)
        assert_true(buf_append_char(&buf, (char)('a' + i % 26)));
    assert_int_equal(buf.len, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf.data[i], 'a' + i % 26);
    buf_finish(&buf);
}

static void maximum_is_reached_but_never_passed(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    assert_true(buf_append_text(&buf, "abc"));
    assert_true(buf_append_text(&buf, "de"));
    assert_false(buf.overflow);
    assert_false(buf_append_char(&buf, 'f'));
    assert_true(buf.overflow);
    expect(&buf, "abcde");
    buf_finish(&buf);
}

static void formatted_text_may_fill_the_buffer_exactly(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    assert_true(buf_printf(&buf, "%s", "abcde"));
    expect(&buf, "abcde");
    assert_false(buf_printf(&buf, "%s", "f"));
    expect(&buf, "abcde");
    buf_finish(&buf);
}

/* Who checks once at the end must not miss what was refused in between. */
static void refused_append_makes_the_next_ones_fail_too(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 5);
    assert_true(buf_append_text(&buf, "abc"));
    assert_false(buf_append_text(&buf, "too long"));
    assert_false(buf_append_char(&buf, 'd'));
    assert_false(buf_printf(&buf, "d"));
    assert_null(buf_reserve(&buf, 1));
    expect(&buf, "abc");
    buf_clear(&buf);
    assert_false(buf.overflow);
    assert_true(buf_append_text(&buf, "abcde"));
    buf_finish(&buf);
}

static void refused_json_string_leaves_nothing_behind(void **state) {
    (void)state;
    for (size_t max = 3; max < 3 + 13; max++) {
        struct buf buf;
        buf_init(&buf, max);
        assert_true(buf_append_text(&buf, "abc"));
        /* "a\"b\u0001c" takes 13 bytes. */
        assert_false(buf_append_json_string(&buf, BYTES_LITERAL("a\"b\x01"
                                                                "c")));
        expect(&buf, "abc");
        buf_finish(&buf);
    }
    struct buf buf;
    buf_init(&buf, 3 + 13);
    assert_true(buf_append_text(&buf, "abc"));
    assert_true(buf_append_json_string(&buf, BYTES_LITERAL("a\"b\x01"
                                                           "c")));
    expect(&buf, "abc\"a\\\"b\\u0001c\"");
    buf_finish(&buf);
}

static void json_string_escapes_what_it_must_and_no_more(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    assert_true(buf_append_json_string(&buf, BYTES_LITERAL("")));
    assert_true(buf_append_json_string(&buf, BYTES_LITERAL("/ \x7f \xc3\xa9")));
    assert_true(buf_append_json_string(&buf, BYTES_LITERAL("\"\\\n\r\t\b\0\x1f")));
    expect(&buf, "\"\"\"/ \x7f \xc3\xa9\"\"\\\"\\\\\\n\\r\\t\\u0008\\u0000\\u001f\"");
    buf_finish(&buf);
}

static void reserved_room_counts_once_it_is_used(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 8);
    char *room = buf_reserve(&buf, 8);
    assert_non_null(room);
    memcpy(room, "abcdefgh", 8);
    assert_int_equal(buf.len, 0);
    buf.len += 3;
    expect(&buf, "abc");
    assert_null(buf_reserve(&buf, 6));
    buf_finish(&buf);
}

static void consumed_bytes_leave_from_the_front(void **state) {
    (void)state;
    struct buf buf;
    buf_init(&buf, 0);
    assert_true(buf_append_text(&buf, "abcdef"));
    buf_consume(&buf, 0);
    expect(&buf, "abcdef");
    buf_consume(&buf, 2);
    expect(&buf, "cdef");
    buf_consume(&buf, 4);
    assert_int_equal(buf.len, 0);
    buf_finish(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_buffer_owns_no_memory),
        cmocka_unit_test(appends_follow_each_other),
        cmocka_unit_test(content_survives_growth),
        cmocka_unit_test(maximum_is_reached_but_never_passed),
        cmocka_unit_test(formatted_text_may_fill_the_buffer_exactly),
        cmocka_unit_test(refused_append_makes_the_next_ones_fail_too),
        cmocka_unit_test(refused_json_string_leaves_nothing_behind),
        cmocka_unit_test(json_string_escapes_what_it_must_and_no_more),
        cmocka_unit_test(reserved_room_counts_once_it_is_used),
        cmocka_unit_test(consumed_bytes_leave_from_the_front),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}

/* Where a member's value stands in an object's text, against what jansson makes of the same text. */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/xalloc.h"
#include "gateway/protocol/json_span.h"

static bool find(const char *text, const char *name, struct bytes *value) {
    /* Memory of exactly its size shows a read behind its end. */
    static char *copy;
    size_t len = strlen(text);
    free(copy);
    copy = xmalloc(len);
    memcpy(copy, text, len);
    return json_member_span(bytes_make(copy, len), name, value);
}

static void value_is_found_as_it_was_written(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *value; /* NULL: there is none. */
    } rows[] = {
        {"{}", NULL},
        {"{ }", NULL},
        {"", NULL},
        {"   ", NULL},
        {"[\"data\",1]", NULL},
        {"{\"other\":1}", NULL},
        {"{\"data\":1}", "1"},
        {"{\"data\":1.50}", "1.50"},
        {"{\"data\":-0}", "-0"},
        {"{\"data\":1E+2 }", "1E+2"},
        {"{\"data\":123456789012345678901234567890}", "123456789012345678901234567890"},
        {" \r\n\t{ \"data\" \n:\t true\r, \"x\":1}", "true"},
        {"{\"data\":null,\"x\":2}", "null"},
        {"{\"data\":\"\"}", "\"\""},
        {"{\"data\":\"a\\\"b\\\\\"}", "\"a\\\"b\\\\\""},
        {"{\"data\":\"}],{:\"}", "\"}],{:\""},
        {"{\"data\":{}}", "{}"},
        {"{\"data\":[]}", "[]"},
        {"{\"data\":{\"b\": [1, {\"c\" :\"]}\"} ] , \"a\":2}}", "{\"b\": [1, {\"c\" :\"]}\"} ] , \"a\":2}"},
        {"{\"x\":{\"data\":1},\"data\":2}", "2"},
        {"{\"x\":{\"data\":1}}", NULL},
        {"{\"x\":\"\\\"data\\\":1\"}", NULL},
        {"{\"x\":[\"data\",1],\"y\":\"data\"}", NULL},
        {"{\"data\":1,\"data\":2}", "2"}, /* As jansson: the last one counts. */
        {"{\"datas\":1,\"dat\":2,\"Data\":3}", NULL},
        {"{\"data\":\"\xC3\xA4\"}", "\"\xC3\xA4\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes value = BYTES_LITERAL("untouched");
        bool found = find(rows[i].text, "data", &value);
        if (found != (rows[i].value != NULL) ||
            !bytes_equal_text(value, rows[i].value ? rows[i].value : "untouched"))
            fail_msg("%s gives %.*s", rows[i].text, BYTES_FMT(value));
    }
}

/* Not what the codec hands over, but no reason to read behind the end. */
static void text_that_breaks_off_is_read_to_its_end_only(void **state) {
    (void)state;
    static const char text[] =
        " { \"x\" : [ 1 , { \"y\" : \"\\\"z\\\\\" } ] , \"data\" : { \"a\" : [ \"b\" , -1.5e3 ] } } ";
    for (size_t len = 0; len < sizeof text; len++) {
        char *cut = xstrndup(text, len);
        struct bytes value;
        find(cut, "data", &value);
        find(cut, "none", &value);
        free(cut);
    }
}

/* --- Random objects ------------------------------------------------------------------------- */

static void append_space(struct buf *out) {
    static const char *const spaces[] = {"", "", "", " ", "\n", "\t ", "\r\n"};
    buf_append_text(out, spaces[(size_t)rand() % (sizeof spaces / sizeof *spaces)]);
}

static void append_name(struct buf *out) {
    static const char *const names[] = {"data",  "dat",      "data2",   "",  "op",
                                        "x\\\"", "data\\\\", "\\u0041", "{", "a:b"};
    buf_append_char(out, '"');
    buf_append_text(out, names[(size_t)rand() % (sizeof names / sizeof *names)]);
    buf_append_char(out, '"');
}

static void append_value(struct buf *out, int depth) {
    static const char *const simple[] = {"0",    "-12.50e-3",  "true",     "false",        "null",
                                         "\"\"", "\"}\"",      "\"\\\\\"", "\"\\\"data\"", "\"a,b]:{\"",
                                         "1E5",  "\"\\u00e4\""};
    int kind = rand() % (depth > 3 ? 2 : 4);
    if (kind < 2) {
        buf_append_text(out, simple[(size_t)rand() % (sizeof simple / sizeof *simple)]);
        return;
    }
    buf_append_char(out, kind == 2 ? '[' : '{');
    append_space(out);
    for (int i = rand() % 4; i > 0; i--) {
        if (kind == 3) {
            append_name(out);
            append_space(out);
            buf_append_char(out, ':');
            append_space(out);
        }
        append_value(out, depth + 1);
        append_space(out);
        if (i > 1) {
            buf_append_char(out, ',');
            append_space(out);
        }
    }
    buf_append_char(out, kind == 2 ? ']' : '}');
}

static void append_object(struct buf *out) {
    append_space(out);
    buf_append_char(out, '{');
    append_space(out);
    for (int i = rand() % 6; i > 0; i--) {
        append_name(out);
        append_space(out);
        buf_append_char(out, ':');
        append_space(out);
        append_value(out, 0);
        append_space(out);
        if (i > 1) {
            buf_append_char(out, ',');
            append_space(out);
        }
    }
    buf_append_char(out, '}');
}

static void span_means_what_jansson_reads(void **state) {
    (void)state;
    struct buf text;
    int found_count = 0;
    buf_init(&text, 0);
    srand(17);
    for (int round = 0; round < 20000; round++) {
        struct bytes span;
        buf_clear(&text);
        append_object(&text);
        json_t *object = json_loadb(text.data, text.len, 0, NULL);
        assert_true(json_is_object(object));
        const json_t *expected = json_object_get(object, "data");
        bool found = json_member_span(buf_bytes(&text), "data", &span);
        if (found != (expected != NULL))
            fail_msg("%.*s", BYTES_FMT(buf_bytes(&text)));
        if (found) {
            json_t *value = json_loadb(span.data, span.len, JSON_DECODE_ANY, NULL);
            if (!json_equal(value, expected))
                fail_msg("%.*s in %.*s", BYTES_FMT(span), BYTES_FMT(buf_bytes(&text)));
            /* Exactly the value: no space around it. */
            assert_null(memchr(" \t\r\n", span.data[0], 4));
            assert_null(memchr(" \t\r\n", span.data[span.len - 1], 4));
            json_decref(value);
            found_count++;
        }
        json_decref(object);
    }
    assert_in_range(found_count, 2000, 18000);
    buf_finish(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_is_found_as_it_was_written),
        cmocka_unit_test(text_that_breaks_off_is_read_to_its_end_only),
        cmocka_unit_test(span_means_what_jansson_reads),
    };
    return cmocka_run_group_tests_name("json_span", tests, NULL, NULL);
}

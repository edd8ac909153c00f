/* The grammar of JSON, by rows and against what jansson makes of the same text; where a member's value stands. */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/xalloc.h"

/* Memory of exactly its size shows a read behind its end. */
static struct bytes exact(struct bytes text) {
    static char *copy;
    free(copy);
    copy = xmalloc(text.len + 1);
    memcpy(copy + 1, text.data, text.len);
    return bytes_make(copy + 1, text.len);
}

/* As JSONTestSuite sorts them: y_ has to be read, n_ has to be refused, and i_ is left to us. */
static void grammar_is_that_of_rfc_8259(void **state) {
    (void)state;
    static const struct {
        bool is_valid;
        struct bytes text;
    } rows[] = {
#define Y(text) {true, BYTES_LITERAL(text)}
#define N(text)                                                                                              \
    { false, BYTES_LITERAL(text) }
        Y("null"),
        Y("true"),
        Y("false"),
        Y(" null "),
        Y("\t\r\n1\n"),
        Y("\"\""),
        Y("[]"),
        Y("{}"),
        Y("[ ]"),
        Y("{ }"),
        Y("0"),
        Y("-0"),
        Y("-0.0"),
        Y("10"),
        Y("-123"),
        Y("1.5"),
        Y("0.1"),
        Y("1e1"),
        Y("1E1"),
        Y("0e0"),
        Y("0e+1"),
        Y("0E-1"),
        Y("1.5e+10"),
        Y("-1.234567e-8"),
        Y("1e999"),
        Y("-1E+9999"),
        Y("1e-999"),
        Y("123456789012345678901234567890"),
        Y("0.4e00669999999999999999999999999999999999999999969999999006"),
        Y("[1]"),
        Y("[1,2]"),
        Y(" [ 1 , \"a\" , null ] "),
        Y("[[[]],[]]"),
        Y("[false,[true,{}]]"),
        Y("{\"a\":1}"),
        Y("{\"a\":1,\"a\":2}"),
        Y("{\"\":0}"),
        Y("{\"\\u0000\":0}"),
        Y(" { \"a\" : { \"b\" : [ ] } } "),
        Y("\"a\""),
        Y("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
        Y("\"\\u00e4\\uD83D\\uDE00\""),
        Y("\"\\u0000\""),
        Y("\"\\uFFFF\""),
        Y("\"\x7F\""),
        Y("\"\xC3\xA4\""),
        Y("\"\xE2\x80\xA8\xE2\x80\xA9\""),
        Y("\"\xF4\x8F\xBF\xBF\""),
        Y("\"\\ud83d\""),
        Y("\"\\uDe00x\""),
        Y("\"\\uD800\\uD800\\n\""),
        Y("[\"\\udfaa\"]"),
        Y("\"/*x*/\""),
        Y("\"\\\\a\""),
        N(""),
        N(" "),
        N("\n"),
        N("nul"),
        N("nulll"),
        N("True"),
        N("NaN"),
        N("Infinity"),
        N("-Infinity"),
        N("+1"),
        N("-"),
        N("01"),
        N("-01"),
        N("-012"),
        N("1."),
        N(".1"),
        N("-.1"),
        N("1.e1"),
        N("1e"),
        N("1e+"),
        N("1E+-1"),
        N("1e1.5"),
        N("0x1"),
        N("1 000"),
        N("1_000"),
        N("- 1"),
        N("--1"),
        N("1a"),
        N("\xEF\xBC\x91"),
        N("1 2"),
        N("[1"),
        N("[1,"),
        N("[1,]"),
        N("[,1]"),
        N("[1,,2]"),
        N("[1 2]"),
        N("[1}"),
        N("]"),
        N("[]]"),
        N("[\"a\",\n4"),
        N("[1:2]"),
        N("[*]"),
        N("{"),
        N("{]"),
        N("{,}"),
        N("{\"a\"}"),
        N("{\"a\":}"),
        N("{\"a\":1,}"),
        N("{\"a\" 1}"),
        N("{\"a\"::1}"),
        N("{a:1}"),
        N("{1:1}"),
        N("{'a':1}"),
        N("{null:1}"),
        N("{\"a\":1 \"b\":2}"),
        N("{\"a\":1}}"),
        N("{\"a\":1}x"),
        N("{\"a\":1,,\"b\":2}"),
        N("{\"a\":\"b\"/**/}"),
        N("{\"a\":1} // b"),
        N("#1"),
        N("\""),
        N("\"a"),
        N("'a'"),
        N("\"\\"),
        N("\"\\\""),
        N("\"\\x00\""),
        N("\"\\a\""),
        N("\"\\u\""),
        N("\"\\u00\""),
        N("\"\\u00G0\""),
        N("\"\\U0041\""),
        N("\"\\uD83D\\u\""),
        N("\"\\u00e\""),
        N("\"\\ \""),
        N("\"\\\0\""),
        N("\"\t\""),
        N("\"\n\""),
        N("\"\x1F\""),
        N("\"\0\""),
        N("\0"),
        N("1\0"),
        N("[\0]"),
        N("\"a\"b"),
        N("\x0C[]"),
        N("\xC2\xA0[]"),
        N("\xE2\x81\xA0[]"),
        N("\xEF\xBB\xBF[]"),
        N("\"\xFF\""),
        N("\"\xC3\""),
        N("\"\xC0\xAF\""),
        N("\"\xED\xA0\x80\""),
        N("\"\xF4\x90\x80\x80\""),
        N("[\"\\\xE5\"]"),
#undef Y
#undef N
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (json_is_valid(exact(rows[i].text)) != rows[i].is_valid)
            fail_msg("%s: %.*s", rows[i].is_valid ? "refused" : "taken", BYTES_FMT(rows[i].text));
    }
}

static void append_nest(struct buf *out, const char *open, const char *close, int depth) {
    buf_clear(out);
    for (int i = 0; i < depth; i++)
        buf_append_text(out, open);
    buf_append_text(out, "1");
    for (int i = 0; i < depth; i++)
        buf_append_text(out, close);
}

static void nesting_has_an_end(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    append_nest(&text, "[", "]", JSON_DEPTH_MAX);
    assert_true(json_is_valid(buf_bytes(&text)));
    append_nest(&text, "{\"a\":[", "]}", JSON_DEPTH_MAX / 2);
    assert_true(json_is_valid(buf_bytes(&text)));
    append_nest(&text, "[", "]", JSON_DEPTH_MAX + 1);
    assert_false(json_is_valid(buf_bytes(&text)));
    append_nest(&text, "[", "]", 1000000);
    assert_false(json_is_valid(buf_bytes(&text)));
    assert_int_equal(json_value_len(buf_bytes(&text)), 0);
    /* What is beside it is not deeper for it. */
    buf_clear(&text);
    buf_append_char(&text, '[');
    for (int i = 0; i < 2 * JSON_DEPTH_MAX; i++)
        buf_append_text(&text, "[],{\"a\":{}},");
    buf_append_text(&text, "0]");
    assert_true(json_is_valid(buf_bytes(&text)));
    buf_finish(&text);
}

static void value_ends_where_the_next_begins(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {
        {"{}{}", 2}, {"[1] x", 3}, {"12,", 2},    {"\"a\"\"b\"", 3}, {"truefalse", 4},
        {" 1", 0},   {"", 0},      {"{\"a\"", 0}, {"x", 0},          {"\"\xFF\"", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(json_value_len(exact(bytes_of(rows[i].text))), rows[i].len);
}

/* The last member called `name`, as a reader finds it who knows no escapes. */
static bool find_member(struct bytes text, const char *name, struct bytes *value) {
    struct bytes each_name, each;
    bool found = false;
    text = json_skip_space(text);
    for (size_t at = 0; json_next_member(text, &at, &each_name, &each);) {
        if (!bytes_equal_text(bytes_make(each_name.data + 1, each_name.len - 2), name))
            continue;
        *value = each;
        found = true;
    }
    return found;
}

static bool find(const char *text, const char *name, struct bytes *value) {
    return find_member(exact(bytes_of(text)), name, value);
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
        bool found = find_member(buf_bytes(&text), "data", &span);
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
        cmocka_unit_test(grammar_is_that_of_rfc_8259),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(value_ends_where_the_next_begins),
        cmocka_unit_test(value_is_found_as_it_was_written),
        cmocka_unit_test(text_that_breaks_off_is_read_to_its_end_only),
        cmocka_unit_test(span_means_what_jansson_reads),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

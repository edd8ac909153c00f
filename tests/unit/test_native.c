/* fantail.v1: what clients write, and what they read. */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/broker/broker.h"
#include "gateway/protocol/native.h"

/* --- Decoding ------------------------------------------------------------------------------------------- */

/* A command as a line: its kind, then what it has. */
static void print_command(const struct command *command, struct buf *out) {
    static const char *const kinds[] = {"connect", "subscribe", "unsubscribe", "publish",
                                        "ping",    "pong",      "history"};
    assert_in_range(command->kind, COMMAND_CONNECT, COMMAND_HISTORY);
    buf_append_text(out, kinds[command->kind]);
    if (command->has_ref)
        buf_printf(out, " ref=%lld", (long long)command->ref);
    if (command->channel.len > 0)
        buf_printf(out, " channel=%.*s", BYTES_FMT(command->channel));
    if (command->kind == COMMAND_PUBLISH)
        buf_printf(out, " payload=%.*s", BYTES_FMT(command->payload));
    if (command->visible_ping)
        buf_append_text(out, " ping");
    if (command->is_urgent)
        buf_append_text(out, " urgent");
    if (command->idempotency_key.len > 0)
        buf_printf(out, " key=%.*s", BYTES_FMT(command->idempotency_key));
    if (command->start.kind == START_SINCE) {
        buf_append_text(out, " since=");
        position_append(&command->start.since, out);
    } else if (command->start.kind == START_LAST) {
        buf_printf(out, " last=%u", (unsigned)command->start.last);
    }
}

/* Everything that `in` holds: commands, or error codes with the ref that was read, each ended by ';'. */
static void decode_all(struct bytes in, struct buf *out) {
    for (;;) {
        struct command command = {0};
        size_t used = 0;
        enum error error = native_protocol.decode(in, &used, &command);
        assert_true(used <= in.len);
        if (error == ERR_MORE) {
            assert_int_equal(used, in.len);
            return;
        }
        assert_true(used > 0);
        if (error == ERR_OK) {
            print_command(&command, out);
        } else {
            buf_append_text(out, error_code(error));
            if (command.has_ref)
                buf_printf(out, " ref=%lld", (long long)command.ref);
        }
        buf_append_char(out, ';');
        in = bytes_skip(in, used);
    }
}

struct row {
    const char *in;
    const char *out;
};

static void decode_rows(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct buf out;
        size_t len = strlen(rows[i].in);
        char *copy = xmalloc(len); /* Of exactly its size: a read behind its end shows. */
        memcpy(copy, rows[i].in, len);
        buf_init(&out, 0);
        decode_all(bytes_make(copy, len), &out);
        if (!bytes_equal_text(buf_bytes(&out), rows[i].out))
            fail_msg("%s\n  gives  %.*s\n  not    %s", rows[i].in, BYTES_FMT(buf_bytes(&out)), rows[i].out);
        buf_finish(&out);
        free(copy);
    }
}

#define DECODE_ROWS(rows) decode_rows(rows, sizeof(rows) / sizeof *(rows))

static void every_op_is_read(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"op\":\"connect\"}", "connect;"},
        {"{\"ref\":0,\"op\":\"connect\",\"ping\":true}", "connect ref=0 ping;"},
        {"{\"op\":\"connect\",\"ping\":false}", "connect;"},
        {"{\"op\":\"connect\",\"ping\":1,\"token\":\"t\"}", "connect;"},
        {"{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"room:42\"}", "subscribe ref=1 channel=room:42;"},
        {"{\"channel\":\"b\\u00e4r\",\"op\":\"unsubscribe\"}", "unsubscribe channel=b\xC3\xA4r;"},
        {"{\"op\":\"publish\",\"channel\":\"a\",\"data\":7}", "publish channel=a payload=7;"},
        {"{\"op\":\"ping\",\"unknown\":[{}]}", "ping;"},
        {"{\"ref\":3,\"op\":\"pong\"}", "pong ref=3;"},
        {"{\"op\":\"dance\"}", "unknown_op;"},
        {"{\"ref\":5,\"op\":\"PING\"}", "unknown_op ref=5;"},
        {"{\"ref\":6,\"op\":7}", "unknown_op ref=6;"},
        {"{\"ref\":7}", "unknown_op ref=7;"},
        {"{}", "unknown_op;"},
        {"{\"op\":\"ping\\u0000\"}", "unknown_op;"},
        {"{\"op\":\"subscribe\",\"channel\":7}", "subscribe;"}, /* The core finds the name empty. */
    };
    DECODE_ROWS(rows);
}

static void ref_is_a_whole_number_that_javascript_can_tell_apart(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"ref\":9007199254740992,\"op\":\"ping\"}", "ping ref=9007199254740992;"},
        {"{\"ref\":9007199254740994,\"op\":\"ping\"}", "bad_request;"},
        {"{\"ref\":-1,\"op\":\"ping\"}", "bad_request;"},
        {"{\"ref\":1.5,\"op\":\"ping\"}", "bad_request;"},
        {"{\"ref\":2.0,\"op\":\"ping\"}", "ping ref=2;"},
        {"{\"ref\":1e3,\"op\":\"ping\"}", "ping ref=1000;"},
        {"{\"ref\":1e300,\"op\":\"ping\"}", "bad_request;"},
        {"{\"ref\":18446744073709551617,\"op\":\"ping\"}", "bad_request;"},
        {"{\"ref\":\"1\",\"op\":\"ping\"}", "bad_request;"},
        {"{\"ref\":null,\"op\":\"ping\"}", "bad_request;"},
        {"{\"ref\":true,\"op\":\"ping\"}", "bad_request;"},
    };
    DECODE_ROWS(rows);
}

static void start_is_read_where_it_makes_sense(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"since\":\"1763680000123-42\"}",
         "subscribe channel=a since=1763680000123-42;"},
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"since\":\"18446744073709551615-0\",\"last\":3}",
         "subscribe channel=a since=18446744073709551615-0;"},
        {"{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"a\",\"since\":\"x\"}", "position_invalid ref=1;"},
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"since\":\"1\"}", "position_invalid;"},
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"since\":\"1-2-3\"}", "position_invalid;"},
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"since\":7}", "position_invalid;"},
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"last\":20}", "subscribe channel=a last=20;"},
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"last\":0}", "subscribe channel=a last=0;"},
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"last\":-1}", "bad_request;"},
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"last\":4294967296}", "bad_request;"},
        {"{\"op\":\"subscribe\",\"channel\":\"a\",\"last\":\"1\"}", "bad_request;"},
        {"{\"op\":\"history\",\"channel\":\"a\"}", "history channel=a last=100;"},
        {"{\"op\":\"history\",\"channel\":\"a\",\"last\":5}", "history channel=a last=5;"},
        {"{\"op\":\"history\",\"channel\":\"a\",\"since\":\"7-1\"}", "history channel=a since=7-1;"},
        {"{\"op\":\"publish\",\"data\":1,\"priority\":\"high\"}", "publish payload=1 urgent;"},
        {"{\"op\":\"publish\",\"data\":1,\"priority\":\"low\"}", "publish payload=1;"},
        {"{\"op\":\"publish\",\"data\":1,\"idempotency_key\":\"k1\"}", "publish payload=1 key=k1;"},
    };
    DECODE_ROWS(rows);
}

static void payload_is_taken_as_it_was_written(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"op\":\"publish\",\"data\":1.50}", "publish payload=1.50;"},
        {"{\"op\":\"publish\",\"data\":1E5}", "publish payload=1E5;"},
        {"{\"op\":\"publish\",\"data\":12345678901234567890123}", "publish payload=12345678901234567890123;"},
        {"{\"op\":\"publish\",\"data\":0.1000000000000000055511151231257827021181583404541015625}",
         "publish payload=0.1000000000000000055511151231257827021181583404541015625;"},
        {"{\"op\":\"publish\",\"data\":{\"z\":1, \"a\" :2}}", "publish payload={\"z\":1, \"a\" :2};"},
        {"{\"op\":\"publish\",\"data\":\"h\\u00e4\"}", "publish payload=\"h\\u00e4\";"},
        {"{\"op\":\"publish\",\"data\":null}", "publish payload=null;"},
        {"{\"op\":\"publish\",\"data\":[1,\n2]}", "publish payload=[1,\n2];"},
        {"{\"data\":{\"op\":\"ping\",\"ref\":9},\"op\":\"publish\"}",
         "publish payload={\"op\":\"ping\",\"ref\":9};"},
        {"{\"op\":\"publish\",\"data\":1,\"data\":2}", "publish payload=2;"},
        {"{\"ref\":4,\"op\":\"publish\",\"channel\":\"a\"}", "bad_request ref=4;"},
    };
    DECODE_ROWS(rows);
}

static void base64_is_decoded(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"op\":\"publish\",\"base64\":\"\"}", "publish payload=;"},
        {"{\"op\":\"publish\",\"base64\":\"aA==\"}", "publish payload=h;"},
        {"{\"op\":\"publish\",\"base64\":\"aGk=\"}", "publish payload=hi;"},
        {"{\"op\":\"publish\",\"base64\":\"aGkh\"}", "publish payload=hi!;"},
        {"{\"op\":\"publish\",\"base64\":\"aGkhaGkhaGk=\"}", "publish payload=hi!hi!hi;"},
        {"{\"op\":\"publish\",\"base64\":\"Pz9/Pj4+\"}", "publish payload=??\x7F>>>;"},
        {"{\"op\":\"publish\",\"base64\":\"aGk=\",\"data\":1}", "publish payload=hi;"},
        {"{\"op\":\"publish\",\"base64\":\"aGk\"}", "bad_request;"},
        {"{\"op\":\"publish\",\"base64\":\"a\"}", "bad_request;"},
        {"{\"op\":\"publish\",\"base64\":\"aG k\"}", "bad_request;"},
        {"{\"op\":\"publish\",\"base64\":\"aG_-\"}", "bad_request;"},
        {"{\"op\":\"publish\",\"base64\":\"a===\"}", "bad_request;"},
        {"{\"op\":\"publish\",\"base64\":\"====\"}", "bad_request;"},
        {"{\"op\":\"publish\",\"base64\":\"aA==aA==\"}", "bad_request;"},
        {"{\"op\":\"publish\",\"base64\":\"aGk=\\n\\n\\n\\n\"}", "bad_request;"},
        {"{\"op\":\"publish\",\"base64\":7}", "bad_request;"},
        {"{\"op\":\"publish\",\"base64\":null,\"data\":1}", "bad_request;"},
    };
    DECODE_ROWS(rows);
}

static void base64_holds_any_bytes(void **state) {
    (void)state;
    static const char text[] = "{\"op\":\"publish\",\"channel\":\"a\",\"base64\":\"AAECA//+\"}";
    struct command command = {0};
    size_t used;
    assert_int_equal(native_protocol.decode(BYTES_LITERAL(text), &used, &command), ERR_OK);
    assert_int_equal(command.payload.len, 6);
    assert_memory_equal(command.payload.data, "\0\1\2\3\xFF\xFE", 6);
    assert_true(bytes_equal_text(command.channel, "a"));
}

static void several_commands_may_share_a_frame(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", ""},
        {" \t\r\n", ""},
        {"{\"op\":\"ping\"}\n{\"op\":\"pong\"}\n", "ping;pong;"},
        {"{\"op\":\"ping\"}{\"op\":\"pong\"}", "ping;pong;"},
        {" {\"op\":\"ping\"}\r\n\r\n {\"ref\":1,\"op\":\"pong\"} ", "ping;pong ref=1;"},
        {"{\"op\":\"publish\",\"data\":1}{\"op\":\"publish\",\"data\":2}",
         "publish payload=1;publish payload=2;"},
        /* After a broken one the next line is looked at. */
        {"{\"op\":\n{\"op\":\"ping\"}", "bad_json;ping;"},
        {"oops\n{\"op\":\"ping\"}\n", "bad_json;ping;"},
        {"{\"op\":\"ping\"} oops {\"op\":\"pong\"}\n{\"op\":\"pong\"}", "ping;bad_json;pong;"},
        {"[{\"op\":\"ping\"}]", "bad_json;"},
        {"7\n8\n", "bad_json;bad_json;"},
        {"\"text\"", "bad_json;"},
        {"null", "bad_json;"},
        {"{\"op\":\"ping\"", "bad_json;"},
        {"{'op':'ping'}", "bad_json;"},
        {"{\"op\":\"ping\",}", "bad_json;"},
        {"{\"op\":\"p\\u00ng\"}", "bad_json;"},
        {"{\"op\":\"ping\",\"x\":\"\xC3\"}", "bad_json;"},
        {"{\"op\":\"ping\",\"x\":\"\xFF\"}", "bad_json;"},
        {"{\"op\":\"ping\",\"x\":\"tab\there\"}", "bad_json;"},
        {"\xEF\xBB\xBF{\"op\":\"ping\"}", "bad_json;"},
    };
    DECODE_ROWS(rows);
}

/* What a reader of ours cannot hold harms nothing where we need not read it, and is refused by name where we do. */
static void what_is_valid_json_is_no_fault_of_a_command(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"op\":\"ping\",\"x\":\"\\ud83d\"}", "ping;"},
        {"{\"ref\":1,\"x\":[1e999,{\"\\udc00\":-1e-999}],\"op\":\"ping\"}", "ping ref=1;"},
        {"{\"op\":\"ping\",\"\\ud83d\":1,\"\\u0000\":{\"\\u0000\":2}}", "ping;"},
        {"{\"ref\":1,\"op\":\"publish\",\"data\":\"\\ud83d\"}", "publish ref=1 payload=\"\\ud83d\";"},
        {"{\"op\":\"publish\",\"data\":[1e999,-1E+999]}", "publish payload=[1e999,-1E+999];"},
        {"{\"op\":\"publish\",\"d\\u0061ta\":1}", "publish payload=1;"},
        {"{\"\\u006fp\":\"p\\u0069ng\",\"r\\u0065f\":2}", "ping ref=2;"},
        {"{\"op\":\"publish\",\"data\":1,\"d\\u0061ta\":2}", "publish payload=2;"},
        {"{\"op\":\"publish\",\"data\\u0000\":1}", "bad_request;"},
        {"{\"ref\":1,\"op\":\"\\ud83d\"}", "unknown_op ref=1;"},
        {"{\"ref\":1e999,\"op\":\"ping\"}", "bad_request;"},
        {"{\"op\":\"subscribe\",\"channel\":\"\\ud83d\"}", "subscribe;"}, /* The core refuses the name. */
        {"{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"a\",\"last\":1e999}", "bad_request ref=1;"},
        {"{\"ref\":1,\"op\":\"publish\",\"data\":1,\"base64\":\"\\ud83d\"}", "bad_request ref=1;"},
        {"{\"op\":\"publish\",\"data\":1,\"idempotency_key\":\"\\ud83d\"}", "bad_request;"},
        {"{\"op\":\"publish\",\"data\":1,\"idempotency_key\":7}", "bad_request;"},
    };
    DECODE_ROWS(rows);
}

static void reply_to_broken_json_has_the_ref_that_came_before_the_fault(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"{\"ref\":7,\"op\":\"ping\",\"x\":nul}", "bad_json ref=7;"},
        {"{\"ref\":7,\"op\":\"ping\"", "bad_json ref=7;"},
        {"{\"ref\":7,\"op\":\"ping\",}", "bad_json ref=7;"},
        {"{\"ref\":7 x", "bad_json;"}, /* Who knows what it was to become. */
        {"{\"ref\":7", "bad_json;"},
        {"{\"x\":{\"ref\":7},\"y\":}", "bad_json;"},
        {"{\"ref\":-7,\"y\":}", "bad_json;"},
        {"[{\"ref\":7}]", "bad_json;"},
        {"{\"op\":x,\"ref\":7}", "bad_json;"},
    };
    DECODE_ROWS(rows);
}

static void deep_nesting_is_refused_not_followed(void **state) {
    (void)state;
    enum { DEPTH = 100000 };
    struct buf text, out;
    buf_init(&text, 0);
    buf_init(&out, 0);
    buf_append_text(&text, "{\"op\":\"publish\",\"data\":");
    for (int i = 0; i < DEPTH; i++)
        buf_append_char(&text, '[');
    for (int i = 0; i < DEPTH; i++)
        buf_append_char(&text, ']');
    buf_append_text(&text, "}\n{\"op\":\"ping\"}");
    decode_all(buf_bytes(&text), &out);
    assert_true(bytes_equal_text(buf_bytes(&out), "bad_json;ping;"));
    /* Nor where it is somebody's payload: it is text then. */
    struct bytes nest = bytes_make(text.data + 23, 2 * DEPTH);
    buf_clear(&out);
    native_append_payload(nest, &out);
    assert_true(bytes_start_with(buf_bytes(&out), BYTES_LITERAL("\"data\":\"[[[[")));
    buf_finish(&text);
    buf_finish(&out);
}

static void cut_frame_is_an_error_and_no_more(void **state) {
    (void)state;
    static const char text[] =
        "{\"ref\":1,\"op\":\"publish\",\"channel\":\"\\u00e4\",\"data\":{\"a\":[1.5,\"\\\\\"]}}";
    for (size_t len = 1; len < sizeof text - 1; len++) {
        struct buf out;
        char *copy = xmalloc(len);
        memcpy(copy, text, len);
        buf_init(&out, 0);
        decode_all(bytes_make(copy, len), &out);
        bool has_ref = len >= strlen("{\"ref\":1,");
        assert_true(bytes_equal_text(buf_bytes(&out), has_ref ? "bad_json ref=1;" : "bad_json;"));
        buf_finish(&out);
        free(copy);
    }
}

/* --- Encoding ------------------------------------------------------------------------------------------- */

static void payload_goes_out_as_what_it_is(void **state) {
    (void)state;
    static const struct {
        struct bytes payload;
        const char *out;
    } rows[] = {
        /* JSON as it is, */
        {BYTES_LITERAL("{\"text\":\"hi\"}"), "\"data\":{\"text\":\"hi\"}"},
        {BYTES_LITERAL("{\"b\": 1.50, \"a\":1E2}"), "\"data\":{\"b\": 1.50, \"a\":1E2}"},
        {BYTES_LITERAL("42"), "\"data\":42"},
        {BYTES_LITERAL("-0.0"), "\"data\":-0.0"},
        {BYTES_LITERAL("123456789012345678901234567890"), "\"data\":123456789012345678901234567890"},
        {BYTES_LITERAL("true"), "\"data\":true"},
        {BYTES_LITERAL("false"), "\"data\":false"},
        {BYTES_LITERAL("null"), "\"data\":null"},
        {BYTES_LITERAL("\"hi\\n\""), "\"data\":\"hi\\n\""},
        {BYTES_LITERAL("\"a\\u0000b\""), "\"data\":\"a\\u0000b\""},
        {BYTES_LITERAL(" [1] "), "\"data\": [1] "},
        {BYTES_LITERAL("\"\\ud83d\""), "\"data\":\"\\ud83d\""},
        {BYTES_LITERAL("[1e999,-1E-999]"), "\"data\":[1e999,-1E-999]"},
        {BYTES_LITERAL("{\"\\u0000\":\"\\uDC00\\uD800\"}"), "\"data\":{\"\\u0000\":\"\\uDC00\\uD800\"}"},
        /* with line breaks between its tokens as spaces, because a line break ends a message; */
        {BYTES_LITERAL("{\r\n  \"a\": 1\n}\n"), "\"data\":{    \"a\": 1 } "},
        /* other text as a string; */
        {BYTES_LITERAL("hi"), "\"data\":\"hi\""},
        {BYTES_LITERAL(""), "\"data\":\"\""},
        {BYTES_LITERAL("  "), "\"data\":\"  \""},
        {BYTES_LITERAL("true story"), "\"data\":\"true story\""},
        {BYTES_LITERAL("1 2"), "\"data\":\"1 2\""},
        {BYTES_LITERAL("{\"a\":1}{}"), "\"data\":\"{\\\"a\\\":1}{}\""},
        {BYTES_LITERAL("{\"a\":}"), "\"data\":\"{\\\"a\\\":}\""},
        {BYTES_LITERAL("01"), "\"data\":\"01\""},
        {BYTES_LITERAL("NaN"), "\"data\":\"NaN\""},
        {BYTES_LITERAL("\"open"), "\"data\":\"\\\"open\""},
        {BYTES_LITERAL("line\nbreak\ttab\x01\x7F"), "\"data\":\"line\\nbreak\\ttab\\u0001\x7F\""},
        {BYTES_LITERAL("a\0b"), "\"data\":\"a\\u0000b\""},
        {BYTES_LITERAL("\xC3\xA4\xF0\x9F\x98\x80"), "\"data\":\"\xC3\xA4\xF0\x9F\x98\x80\""},
        /* and the rest in base64. */
        {BYTES_LITERAL("\xFF"), "\"base64\":\"/w==\""},
        {BYTES_LITERAL("\xFF\xFE"), "\"base64\":\"//4=\""},
        {BYTES_LITERAL("\0\x01\x80"), "\"base64\":\"AAGA\""},
        {BYTES_LITERAL("\"\xFF\""), "\"base64\":\"Iv8i\""},
        {BYTES_LITERAL("\xED\xA0\x80"), "\"base64\":\"7aCA\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 0);
        native_append_payload(rows[i].payload, &out);
        if (!bytes_equal_text(buf_bytes(&out), rows[i].out))
            fail_msg("%.*s\n  not %s", BYTES_FMT(buf_bytes(&out)), rows[i].out);
        buf_finish(&out);
    }
}

static void long_binary_payload_comes_back(void **state) {
    (void)state;
    enum { BYTES = 1000 };
    char payload[BYTES];
    for (int i = 0; i < BYTES; i++)
        payload[i] = (char)(i * 7 + 200);
    for (size_t len = BYTES - 4; len <= BYTES; len++) {
        struct command command = {0};
        struct buf text;
        size_t used;
        buf_init(&text, 0);
        buf_append_text(&text, "{\"op\":\"publish\",");
        native_append_payload(bytes_make(payload, len), &text);
        buf_append_char(&text, '}');
        assert_int_equal(native_protocol.decode(buf_bytes(&text), &used, &command), ERR_OK);
        assert_true(bytes_equal(command.payload, bytes_make(payload, len)));
        buf_finish(&text);
    }
}

static void message_has_its_channel_and_its_id_if_it_has_one(void **state) {
    (void)state;
    struct entry bare = {.kind = ENTRY_MESSAGE, .payload = BYTES_LITERAL("{\"text\":\"hi\"}")};
    struct entry kept = {.has_id = true, .id = {1763680000123, 42}, .payload = BYTES_LITERAL("hi")};
    struct message *messages[] = {
        message_create(BYTES_LITERAL("room:\"42\""), &bare, 0),
        message_create(BYTES_LITERAL("a"), &kept, 0),
    };
    static const char *const lines[] = {
        "{\"channel\":\"room:\\\"42\\\"\",\"data\":{\"text\":\"hi\"}}",
        "{\"channel\":\"a\",\"id\":\"1763680000123-42\",\"data\":\"hi\"}",
    };
    for (int i = 0; i < 2; i++) {
        struct buf out;
        buf_init(&out, 0);
        native_protocol.encode_message(messages[i], &out);
        assert_true(bytes_equal_text(buf_bytes(&out), lines[i]));
        message_unref(messages[i]);
        buf_finish(&out);
    }
}

static void events_read_as_documented(void **state) {
    (void)state;
    const struct {
        struct event event;
        const char *out;
    } rows[] = {
        {{.kind = EVENT_CONNECTED,
          .has_ref = true,
          .ref = 0,
          .session = BYTES_LITERAL("n1-1"),
          .node = BYTES_LITERAL("n1"),
          .ping_seconds = 25},
         "{\"ref\":0,\"ok\":true,\"session\":\"n1-1\",\"node\":\"n1\",\"version\":\"" FANTAIL_VERSION
         "\",\"ping_seconds\":25}"},
        {{.kind = EVENT_SUBSCRIBED, .has_ref = true, .ref = 1, .channel = BYTES_LITERAL("a")},
         "{\"ref\":1,\"ok\":true,\"channel\":\"a\"}"},
        {{.kind = EVENT_SUBSCRIBED, .channel = BYTES_LITERAL("\"")}, "{\"ok\":true,\"channel\":\"\\\"\"}"},
        {{.kind = EVENT_UNSUBSCRIBED,
          .has_ref = true,
          .ref = 9007199254740992,
          .channel = BYTES_LITERAL("a")},
         "{\"ref\":9007199254740992,\"ok\":true,\"channel\":\"a\"}"},
        {{.kind = EVENT_PUBLISHED, .has_ref = true, .ref = 2}, "{\"ref\":2,\"ok\":true}"},
        {{.kind = EVENT_PUBLISHED, .has_id = true, .id = {UINT64_MAX, 0}},
         "{\"ok\":true,\"id\":\"18446744073709551615-0\"}"},
        {{.kind = EVENT_PONG}, "{\"ok\":true}"},
        {{.kind = EVENT_SUBSCRIBED,
          .channel = BYTES_LITERAL("a"),
          .has_position = true,
          .position = {7, 41},
          .has_recovered = true,
          .recovered = true},
         "{\"ok\":true,\"channel\":\"a\",\"position\":\"7-41\",\"recovered\":true}"},
        {{.kind = EVENT_SUBSCRIBED,
          .channel = BYTES_LITERAL("a"),
          .has_position = true,
          .position = {7, 41},
          .has_recovered = true},
         "{\"ok\":true,\"channel\":\"a\",\"position\":\"7-41\",\"recovered\":false}"},
        {{.kind = EVENT_HISTORY,
          .has_ref = true,
          .ref = 3,
          .channel = BYTES_LITERAL("a"),
          .has_position = true,
          .position = {7, 41},
          .messages = BYTES_LITERAL("{},{}")},
         "{\"ref\":3,\"ok\":true,\"channel\":\"a\",\"position\":\"7-41\",\"messages\":[{},{}]}"},
        {{.kind = EVENT_GAP, .channel = BYTES_LITERAL("a"), .has_position = true, .position = {7, 41}},
         "{\"event\":\"gap\",\"channel\":\"a\",\"position\":\"7-41\"}"},
        {{.kind = EVENT_GAP, .channel = BYTES_LITERAL("room:42")},
         "{\"event\":\"gap\",\"channel\":\"room:42\"}"},
        {{.kind = EVENT_DRAIN, .retry_ms = 1234}, "{\"event\":\"drain\",\"retry_ms\":1234}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 0);
        native_protocol.encode_event(&rows[i].event, &out);
        if (!bytes_equal_text(buf_bytes(&out), rows[i].out))
            fail_msg("%.*s\n  not %s", BYTES_FMT(buf_bytes(&out)), rows[i].out);
        buf_finish(&out);
    }
}

static void every_error_is_one_line_of_json(void **state) {
    (void)state;
    for (int error = 0; error < ERROR_COUNT; error++) {
        struct event event = {.kind = EVENT_ERROR, .has_ref = true, .ref = 7, .error = (enum error)error};
        struct buf out;
        buf_init(&out, 0);
        native_protocol.encode_event(&event, &out);
        assert_null(memchr(out.data, '\n', out.len));
        json_t *object = json_loadb(out.data, out.len, 0, NULL);
        const json_t *details = json_object_get(object, "error");
        assert_int_equal(json_integer_value(json_object_get(object, "ref")), 7);
        assert_string_equal(json_string_value(json_object_get(details, "code")),
                            error_code((enum error)error));
        assert_string_equal(json_string_value(json_object_get(details, "message")),
                            error_text((enum error)error));
        assert_int_equal(json_is_true(json_object_get(details, "retry")), error_may_pass((enum error)error));
        json_decref(object);
        buf_finish(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_is_read),
        cmocka_unit_test(ref_is_a_whole_number_that_javascript_can_tell_apart),
        cmocka_unit_test(start_is_read_where_it_makes_sense),
        cmocka_unit_test(payload_is_taken_as_it_was_written),
        cmocka_unit_test(base64_is_decoded),
        cmocka_unit_test(base64_holds_any_bytes),
        cmocka_unit_test(several_commands_may_share_a_frame),
        cmocka_unit_test(what_is_valid_json_is_no_fault_of_a_command),
        cmocka_unit_test(reply_to_broken_json_has_the_ref_that_came_before_the_fault),
        cmocka_unit_test(deep_nesting_is_refused_not_followed),
        cmocka_unit_test(cut_frame_is_an_error_and_no_more),
        cmocka_unit_test(payload_goes_out_as_what_it_is),
        cmocka_unit_test(long_binary_payload_comes_back),
        cmocka_unit_test(message_has_its_channel_and_its_id_if_it_has_one),
        cmocka_unit_test(events_read_as_documented),
        cmocka_unit_test(every_error_is_one_line_of_json),
    };
    return cmocka_run_group_tests_name("native", tests, NULL, NULL);
}

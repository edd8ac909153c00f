/* What Redis pushes, in whatever pieces it comes. */
#include "tests/unit/unit.h"

#include <hiredis/sds.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/broker/redis_push.h"

struct reading {
    struct redis_push push;
    redisReader *reader;
    struct buf heard; /* A line per event. */
};

static void hear(struct reading *reading, const char *what, struct bytes a, struct bytes b) {
    buf_printf(&reading->heard, "%s %.*s|", what, BYTES_FMT(a));
    buf_append_bytes(&reading->heard, b);
    buf_append_char(&reading->heard, '\n');
}

static void on_message(void *context, struct bytes channel, struct bytes payload) {
    hear(context, "message", channel, payload);
}

static void on_subscribed(void *context, struct bytes channel) {
    hear(context, "subscribed", channel, BYTES_LITERAL(""));
}

static void on_unsubscribed(void *context) {
    hear(context, "unsubscribed", BYTES_LITERAL(""), BYTES_LITERAL(""));
}

static void on_status(void *context, struct bytes text) {
    hear(context, "status", text, BYTES_LITERAL(""));
}

static void on_error(void *context, struct bytes text) {
    hear(context, "error", text, BYTES_LITERAL(""));
}

static const struct redis_push_events events = {
    .on_message = on_message,
    .on_subscribed = on_subscribed,
    .on_unsubscribed = on_unsubscribed,
    .on_status = on_status,
    .on_error = on_error,
};

static void start(struct reading *reading) {
    reading->reader = redisReaderCreate();
    buf_init(&reading->heard, 0);
    redis_push_init(&reading->push, reading->reader, &events, reading);
}

static void finish(struct reading *reading) {
    redisReaderFree(reading->reader);
    redis_push_finish(&reading->push);
    buf_finish(&reading->heard);
}

/* From memory of exactly the piece's size. */
static bool feed(struct reading *reading, const char *data, size_t len) {
    char *copy = xmalloc(len);
    memcpy(copy, data, len);
    bool fine = redis_push_feed(reading->reader, bytes_make(copy, len));
    free(copy);
    return fine;
}

/* An evening of a link: logging in, subscribing, messages of all sorts, leaving. */
static const char talk[] = "+OK\r\n"
                           "-ERR unknown command\r\n"
                           "*3\r\n$9\r\nsubscribe\r\n$4\r\nroom\r\n:1\r\n"
                           "*3\r\n$9\r\nsubscribe\r\n$0\r\n\r\n:2\r\n"
                           "*3\r\n$7\r\nmessage\r\n$4\r\nroom\r\n$2\r\nhi\r\n"
                           "*3\r\n$7\r\nmessage\r\n$4\r\nroom\r\n$0\r\n\r\n"
                           "*3\r\n$7\r\nmessage\r\n$4\r\nroom\r\n$11\r\n*3\r\n\0$7\r\nm\r\r\n"
                           "*3\r\n$11\r\nunsubscribe\r\n$4\r\nroom\r\n:0\r\n"
                           "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"
                           "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$4\r\nroom\r\n$2\r\nno\r\n"
                           "$4\r\nPONG\r\n"
                           "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
                           ":7\r\n"
                           "*-1\r\n"
                           "*0\r\n"
                           "*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$3\r\nend\r\n";

static const char heard_of_talk[] = "status OK|\n"
                                    "error ERR unknown command|\n"
                                    "subscribed room|\n"
                                    "subscribed |\n"
                                    "message room|hi\n"
                                    "message room|\n"
                                    "message room|*3\r\n\0$7\r\nm\r\n"
                                    "unsubscribed |\n"
                                    "unsubscribed |\n"
                                    "message b|end\n";

static void assert_heard_talk(const struct reading *reading) {
    struct bytes heard = buf_bytes(&reading->heard);
    if (!bytes_equal(heard, BYTES_LITERAL(heard_of_talk)))
        fail_msg("%.*s", BYTES_FMT(heard));
}

static void whole_talk_is_understood(void **state) {
    (void)state;
    struct reading reading;
    start(&reading);
    assert_true(feed(&reading, talk, sizeof talk - 1));
    assert_heard_talk(&reading);
    finish(&reading);
}

static void pieces_of_any_size_make_the_same_talk(void **state) {
    (void)state;
    for (size_t step = 1; step < sizeof talk; step++) {
        struct reading reading;
        start(&reading);
        for (size_t at = 0; at < sizeof talk - 1; at += step) {
            size_t left = sizeof talk - 1 - at;
            assert_true(feed(&reading, talk + at, left < step ? left : step));
        }
        assert_heard_talk(&reading);
        finish(&reading);
    }
}

static void random_cuts_make_the_same_talk(void **state) {
    (void)state;
    srand(23);
    for (int round = 0; round < 2000; round++) {
        struct reading reading;
        start(&reading);
        for (size_t at = 0; at < sizeof talk - 1;) {
            size_t left = sizeof talk - 1 - at;
            size_t len = 1 + (size_t)rand() % (rand() % 2 ? 5 : 200);
            len = len < left ? len : left;
            assert_true(feed(&reading, talk + at, len));
            at += len;
        }
        assert_heard_talk(&reading);
        finish(&reading);
    }
}

/* Payloads of the size of several reads, many of them: what was read is given back. */
static void memory_of_a_huge_message_is_given_back(void **state) {
    (void)state;
    enum { BYTES = 20 * 1024 * 1024 };
    static const char small[] = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n";
    struct reading reading;
    struct buf text;
    buf_init(&text, 0);
    start(&reading);
    buf_printf(&text, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n", BYTES);
    memset(buf_reserve(&text, BYTES), 'x', BYTES);
    text.len += BYTES;
    buf_append_text(&text, "\r\n");
    assert_true(feed(&reading, text.data, text.len));
    assert_true(feed(&reading, small, sizeof small - 1));
    assert_true(sdsavail(reading.reader->buf) < 5 * 1024 * 1024);
    finish(&reading);
    buf_finish(&text);
}

static void long_payloads_pass_whole(void **state) {
    (void)state;
    enum { BYTES = 300000, COUNT = 20, STEP = 65536 };
    struct reading reading;
    struct buf text;
    buf_init(&text, 0);
    start(&reading);
    for (int i = 0; i < COUNT; i++) {
        buf_printf(&text, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n", BYTES + i);
        memset(buf_reserve(&text, BYTES + (size_t)i), 'a' + i, BYTES + (size_t)i);
        text.len += BYTES + (size_t)i;
        buf_append_text(&text, "\r\n");
    }
    for (size_t at = 0; at < text.len; at += STEP)
        assert_true(feed(&reading, text.data + at, text.len - at < STEP ? text.len - at : STEP));
    struct bytes heard = buf_bytes(&reading.heard);
    for (int i = 0; i < COUNT; i++) {
        size_t len = strlen("message a|") + BYTES + (size_t)i + 1;
        assert_true(heard.len >= len);
        assert_int_equal(heard.data[10], 'a' + i);
        assert_int_equal(heard.data[len - 2], 'a' + i);
        assert_int_equal(heard.data[len - 1], '\n');
        heard = bytes_skip(heard, len);
    }
    assert_int_equal(heard.len, 0);
    finish(&reading);
    buf_finish(&text);
}

static void channel_name_that_cannot_be_ours_is_passed_over(void **state) {
    (void)state;
    struct reading reading;
    struct buf text;
    buf_init(&text, 0);
    start(&reading);
    buf_append_text(&text, "*3\r\n$7\r\nmessage\r\n$5000\r\n");
    memset(buf_reserve(&text, 5000), 'x', 5000);
    text.len += 5000;
    buf_append_text(&text, "\r\n$1\r\n1\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n2\r\n");
    assert_true(feed(&reading, text.data, text.len));
    assert_true(bytes_equal_text(buf_bytes(&reading.heard), "message a|2\n"));
    finish(&reading);
    buf_finish(&text);
}

static void other_languages_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\n", "hello\r\n", "*x\r\n", "$x\r\n", ":x\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct reading reading;
        start(&reading);
        if (feed(&reading, texts[i], strlen(texts[i])))
            fail_msg("%s was taken", texts[i]);
        assert_true(reading.reader->errstr[0] != '\0');
        finish(&reading);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_talk_is_understood),
        cmocka_unit_test(pieces_of_any_size_make_the_same_talk),
        cmocka_unit_test(random_cuts_make_the_same_talk),
        cmocka_unit_test(memory_of_a_huge_message_is_given_back),
        cmocka_unit_test(long_payloads_pass_whole),
        cmocka_unit_test(channel_name_that_cannot_be_ours_is_passed_over),
        cmocka_unit_test(other_languages_are_refused),
    };
    return cmocka_run_group_tests_name("redis_push", tests, NULL, NULL);
}

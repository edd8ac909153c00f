#include "gateway/broker/sync_reply.h"

#include "tests/unit/unit.h"

/* What Redis would send, as hiredis gives it to us. */
static redisReply *reply_of(const char *resp) {
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    redisReaderFeed(reader, resp, strlen(resp));
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

#define HEAD "$6\r\n1000-3\r\n"

static void entries_are_read(void **state) {
    (void)state;
    redisReply *reply =
        reply_of("*2\r\n" HEAD "*3\r\n"
                 "*6\r\n$6\r\n1000-0\r\n$1\r\nb\r\n$5\r\n999-7\r\n$4\r\n1234\r\n$1\r\n-\r\n$0\r\n\r\n"
                 "*6\r\n$6\r\n1000-1\r\n$1\r\nm\r\n$0\r\n\r\n$4\r\n1235\r\n$1\r\nh\r\n$3\r\na\nb\r\n"
                 "*6\r\n$6\r\n1000-2\r\n$1\r\ng\r\n$0\r\n\r\n$4\r\n1236\r\n$1\r\n-\r\n$0\r\n\r\n");
    struct sync_reply parsed;
    assert_true(sync_reply_parse(reply, &parsed));
    assert_true(parsed.result.head.epoch == 1000 && parsed.result.head.offset == 3);
    assert_int_equal(parsed.result.count, 3);
    assert_int_equal(parsed.unknown, 0);
    const struct entry *entries = parsed.result.entries;
    assert_int_equal(entries[0].kind, ENTRY_BOUNDARY);
    assert_true(entries[0].has_previous);
    assert_true(entries[0].previous.epoch == 999 && entries[0].previous.offset == 7);
    assert_int_equal(entries[1].kind, ENTRY_MESSAGE);
    assert_true(entries[1].has_id && entries[1].id.offset == 1);
    assert_true(entries[1].is_urgent);
    assert_true(entries[1].published_ms == 1235);
    assert_true(bytes_equal_text(entries[1].payload, "a\nb"));
    assert_int_equal(entries[2].kind, ENTRY_GAP);
    assert_false(entries[2].has_previous);
    sync_reply_finish(&parsed);
    freeReplyObject(reply);
}

static void calm_is_a_number_or_not_there(void **state) {
    (void)state;
    static const char *const replies[] = {"*3\r\n" HEAD "*0\r\n$3\r\n999\r\n",
                                          "*3\r\n" HEAD "*0\r\n$0\r\n\r\n", "*3\r\n" HEAD "*0\r\n:999\r\n",
                                          "*2\r\n" HEAD "*0\r\n"};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        redisReply *reply = reply_of(replies[i]);
        struct sync_reply parsed;
        assert_true(sync_reply_parse(reply, &parsed));
        assert_int_equal(parsed.result.has_calm, i == 0);
        assert_true(i > 0 || parsed.result.calm == 999);
        sync_reply_finish(&parsed);
        freeReplyObject(reply);
    }
}

static void no_entries_are_fine(void **state) {
    (void)state;
    redisReply *reply = reply_of("*2\r\n" HEAD "*0\r\n");
    struct sync_reply parsed;
    assert_true(sync_reply_parse(reply, &parsed));
    assert_int_equal(parsed.result.count, 0);
    sync_reply_finish(&parsed);
    freeReplyObject(reply);
}

/* Of a library that is newer than we are. */
static void unknown_kinds_are_left_out_and_counted(void **state) {
    (void)state;
    redisReply *reply = reply_of(
        "*2\r\n" HEAD "*2\r\n"
        "*6\r\n$6\r\n1000-0\r\n$1\r\nz\r\n$0\r\n\r\n$4\r\n1234\r\n$1\r\n-\r\n$0\r\n\r\n"
        "*7\r\n$6\r\n1000-1\r\n$1\r\nm\r\n$0\r\n\r\n$4\r\n1235\r\n$1\r\n-\r\n$1\r\nx\r\n$3\r\nnew\r\n");
    struct sync_reply parsed;
    assert_true(sync_reply_parse(reply, &parsed));
    assert_int_equal(parsed.unknown, 1);
    assert_int_equal(parsed.result.count, 1);
    assert_int_equal(parsed.result.entries[0].id.offset, 1);
    sync_reply_finish(&parsed);
    freeReplyObject(reply);
}

static void anything_else_is_refused(void **state) {
    (void)state;
    const char *const replies[] = {
        "-ERR Function not found\r\n",
        "$-1\r\n",
        ":1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n" HEAD,
        "*2\r\n" HEAD ":1\r\n",
        "*2\r\n:1000\r\n*0\r\n",
        "*2\r\n$4\r\nlate\r\n*0\r\n",
        "*2\r\n" HEAD "*1\r\n$1\r\nx\r\n",
        "*2\r\n" HEAD "*1\r\n*1\r\n$6\r\n1000-0\r\n",
        "*2\r\n" HEAD "*1\r\n*6\r\n$6\r\n1000-0\r\n$1\r\nm\r\n$0\r\n\r\n:1234\r\n$1\r\n-\r\n$0\r\n\r\n",
        "*2\r\n" HEAD "*1\r\n*6\r\n$4\r\n1000\r\n$1\r\nm\r\n$0\r\n\r\n$4\r\n1234\r\n$1\r\n-\r\n$0\r\n\r\n",
        "*2\r\n" HEAD "*1\r\n*6\r\n$6\r\n1000-0\r\n$1\r\nm\r\n$1\r\n-\r\n$4\r\n1234\r\n$1\r\n-\r\n$0\r\n\r\n",
        "*2\r\n" HEAD "*1\r\n*6\r\n$6\r\n1000-0\r\n$1\r\nm\r\n$0\r\n\r\n$4\r\nsoon\r\n$1\r\n-\r\n$0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        redisReply *reply = reply_of(replies[i]);
        struct sync_reply parsed;
        assert_false(sync_reply_parse(reply, &parsed));
        freeReplyObject(reply);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_read),         cmocka_unit_test(calm_is_a_number_or_not_there),
        cmocka_unit_test(no_entries_are_fine),      cmocka_unit_test(unknown_kinds_are_left_out_and_counted),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests_name("sync_reply", tests, NULL, NULL);
}

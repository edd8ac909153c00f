/* Whose the replies on the link for commands are, and what is none. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "gateway/broker/redis_replies.h"

struct heard {
    int count;
    int type; /* Of the reply; 0: there was none. */
};

static struct redis_replies replies;

static int setup(void **state) {
    (void)state;
    redis_replies_init(&replies, redisReaderCreate());
    return 0;
}

static int teardown(void **state) {
    (void)state;
    redis_replies_finish(&replies);
    redisReaderFree(replies.reader);
    return 0;
}

static void hear(void *arg, const redisReply *reply) {
    struct heard *heard = arg;
    heard->count++;
    heard->type = reply ? reply->type : 0;
}

static const char *feed(const char *text) {
    return redis_replies_feed(&replies, bytes_of(text));
}

static void replies_come_in_the_order_of_the_commands(void **state) {
    (void)state;
    struct heard first = {0}, second = {0};
    redis_replies_expect(&replies, 10, hear, &first);
    redis_replies_expect(&replies, 5, NULL, NULL);
    redis_replies_expect(&replies, 7, hear, &second);
    assert_int_equal(replies.count, 3);
    assert_int_equal(replies.bytes, 22);
    assert_null(feed(":1\r"));
    assert_int_equal(first.count, 0);
    assert_null(feed("\n+OK\r\n-ERR no\r\n"));
    assert_true(first.count == 1 && first.type == REDIS_REPLY_INTEGER);
    assert_true(second.count == 1 && second.type == REDIS_REPLY_ERROR);
    assert_int_equal(replies.count, 0);
    assert_int_equal(replies.bytes, 0);
}

/* What a proxy that miscounts, or no Redis at all, may say: hiredis' own client ends the process. */
static void reply_to_no_command_is_a_reason_to_leave(void **state) {
    (void)state;
    static const char *const texts[] = {
        ":1\r\n",
        "+OK\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
        "*3\r\n*2\r\n$7\r\nmessage\r\n$1\r\na\r\n*1\r\n:1\r\n$1\r\nb\r\n",
        ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
        "%1\r\n+a\r\n:1\r\n",
        "_\r\n",
        "#t\r\n",
        "-ERR max number of clients reached\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\r\n",
        "*1048577\r\n",
        "*1073741824\r\n$1\r\na\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        redisReader *before = replies.reader;
        if (feed(texts[i]) == NULL)
            fail_msg("%s", texts[i]);
        redisReaderFree(before);
        redis_replies_init(&replies, redisReaderCreate());
    }
}

static void error_to_no_command_says_why(void **state) {
    (void)state;
    assert_string_equal(feed("-ERR max number of clients reached\r\n"), "ERR max number of clients reached");
}

static void what_waits_is_told_that_nothing_comes(void **state) {
    (void)state;
    struct heard first = {0}, second = {.type = -1};
    redis_replies_expect(&replies, 1, hear, &first);
    redis_replies_expect(&replies, 1, hear, &second);
    assert_null(feed("+OK\r\n"));
    redis_replies_finish(&replies);
    assert_true(first.count == 1 && first.type == REDIS_REPLY_STATUS);
    assert_true(second.count == 1 && second.type == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replies_come_in_the_order_of_the_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(reply_to_no_command_is_a_reason_to_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(error_to_no_command_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_is_told_that_nothing_comes, setup, teardown),
    };
    return cmocka_run_group_tests_name("redis_replies", tests, NULL, NULL);
}

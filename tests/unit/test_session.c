/* One client: its commands and their answers, and the ways in which it ends. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "tests/fake/fake_node.h"

static struct fake_node *node;
static struct fake_client ann;

static int setup(void **state) {
    (void)state;
    node = fake_node_create();
    fake_node_join(node, &ann, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fake_client_finish(&ann);
    fake_node_destroy(node);
    return 0;
}

static void say(const char *text) {
    fake_client_say(&ann, text);
    fake_node_turn(node);
}

/* Takes a line that answers with the error of that code, and with `ref` unless it is negative. */
static void hears_error(struct fake_client *client, int ref, const char *code) {
    struct bytes line;
    char start[128];
    if (ref >= 0)
        snprintf(start, sizeof start, "{\"ref\":%d,\"error\":{\"code\":\"%s\",\"message\":\"", ref, code);
    else
        snprintf(start, sizeof start, "{\"error\":{\"code\":\"%s\",\"message\":\"", code);
    assert_true(fake_client_read(client, &line));
    if (!bytes_start_with(line, bytes_of(start)))
        fail_msg("%.*s is not %s...", BYTES_FMT(line), start);
}

/* --- Commands ------------------------------------------------------------------------------------------- */

static void connect_tells_who_is_there(void **state) {
    (void)state;
    node->config.ping.interval_seconds = 25;
    say("{\"ref\":0,\"op\":\"connect\"}");
    fake_client_hears(
        &ann,
        "{\"ref\":0,\"ok\":true,\"session\":\"n1-00000abc-1\",\"node\":\"n1\",\"version\":\"" FANTAIL_VERSION
        "\",\"ping_seconds\":25}");
    fake_client_hears_nothing(&ann);
}

static void token_is_refused_rather_than_ignored(void **state) {
    (void)state;
    static const char *const tokens[] = {"\"eyJhbGciOi\"", "\"\"", "7", "false", "{}"};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
        char command[64];
        snprintf(command, sizeof command, "{\"ref\":0,\"op\":\"connect\",\"token\":%s}", tokens[i]);
        say(command);
        hears_error(&ann, 0, "token_unsupported");
    }
    say("{\"ref\":1,\"op\":\"connect\",\"token\":null}");
    struct bytes line;
    assert_true(fake_client_read(&ann, &line) &&
                bytes_start_with(line, BYTES_LITERAL("{\"ref\":1,\"ok\":true,")));
    say("{\"ref\":2,\"op\":\"ping\",\"token\":\"a member that ping does not know\"}");
    fake_client_hears(&ann, "{\"ref\":2,\"ok\":true}");
}

static void every_session_has_an_id_of_its_own(void **state) {
    (void)state;
    struct fake_client bob;
    struct buf id;
    fake_node_join(node, &bob, NULL);
    buf_init(&id, 0);
    session_print_id(ann.session, &id);
    assert_true(bytes_equal_text(buf_bytes(&id), "n1-00000abc-1"));
    buf_clear(&id);
    session_print_id(bob.session, &id);
    assert_true(bytes_equal_text(buf_bytes(&id), "n1-00000abc-2"));
    buf_finish(&id);
    fake_client_finish(&bob);
}

/* One client does not take all the places there are on the way to Redis. */
static void publishes_without_an_answer_have_a_share(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    for (int i = 0; i < 2000; i++)
        say("{\"op\":\"publish\",\"channel\":\"a\",\"data\":1}");
    say("{\"ref\":1,\"op\":\"publish\",\"channel\":\"a\",\"data\":1}");
    hears_error(&ann, 1, "too_many_waiting");
    fake_client_hears_nothing(&ann);
    fake_broker_answer_publish(&node->broker, ERR_OK, NULL);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ok\":true}");
    say("{\"ref\":2,\"op\":\"publish\",\"channel\":\"a\",\"data\":1}");
    fake_client_hears_nothing(&ann);
    while (node->broker.publishes.count > 0)
        fake_broker_answer_publish(&node->broker, ERR_OK, NULL);
    fake_node_turn(node);
    while (fake_client_read(&ann, &(struct bytes){0}))
        continue;
    buf_append_text(&text, "{\"ref\":3,\"op\":\"publish\",\"channel\":\"a\",\"data\":\"");
    for (int i = 0; i < 60000; i++)
        buf_append_char(&text, 'x');
    buf_append(&text, "\"}", 3);
    for (int i = 0; i < 4 * 1024 * 1024 / 60002 + 1; i++)
        say(text.data);
    fake_client_hears_nothing(&ann);
    say(text.data);
    hears_error(&ann, 3, "too_many_waiting");
    buf_finish(&text);
}

static void each_mistake_has_its_error_and_harms_nothing_else(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int ref;
        const char *code;
    } rows[] = {
        {"{\"ref\":1,\"op\":\"subscribe\"}", 1, "channel_invalid"},
        {"{\"ref\":2,\"op\":\"subscribe\",\"channel\":\"\"}", 2, "channel_invalid"},
        {"{\"ref\":3,\"op\":\"subscribe\",\"channel\":\"a b\"}", 3, "channel_invalid"},
        {"{\"ref\":4,\"op\":\"subscribe\",\"channel\":7}", 4, "channel_invalid"},
        {"{\"ref\":5,\"op\":\"unsubscribe\",\"channel\":\"other\"}", 5, "not_subscribed"},
        {"{\"ref\":6,\"op\":\"unsubscribe\",\"channel\":\"{}\"}", 6, "channel_invalid"},
        {"{\"ref\":7,\"op\":\"publish\",\"channel\":\"closed:a\",\"data\":1}", 7, "publish_forbidden"},
        {"{\"ref\":8,\"op\":\"publish\",\"channel\":\"\\n\",\"data\":1}", 8, "channel_invalid"},
        {"{\"ref\":9,\"op\":\"publish\",\"channel\":\"a\"}", 9, "bad_request"},
        {"{\"ref\":10,\"op\":\"dance\"}", 10, "unknown_op"},
        {"{\"ref\":11}", 11, "unknown_op"},
        {"{\"ref\":\"x\",\"op\":\"ping\"}", -1, "bad_request"},
        {"{\"ref\":12,\"op\":\"ping\"", 12, "bad_json"},
        {"hello", -1, "bad_json"},
        {"[]", -1, "bad_json"},
    };
    fake_node_subscribe(node, &ann, "a");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        say(rows[i].text);
        hears_error(&ann, rows[i].ref, rows[i].code);
        fake_client_hears_nothing(&ann);
        assert_int_equal(node->metrics.command_errors, i + 1);
        fake_broker_bring(&node->broker, "a", "1");
        fake_node_turn(node);
        fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":1}");
    }
    assert_false(ann.is_closed);
    assert_int_equal(node->broker.publishes.count, 0);
}

static void commands_of_one_frame_are_done_in_order_past_a_broken_one(void **state) {
    (void)state;
    say("{\"ref\":1,\"op\":\"ping\"} {\"ref\":2,\"op\":\"subscribe\",\"channel\":\"a\"}\n{oops}\n"
        "{\"ref\":3,\"op\":\"unsubscribe\",\"channel\":\"a\"}{\"ref\":4,\"op\":\"ping\"}\n");
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true}");
    hears_error(&ann, -1, "bad_json");
    /* Unsubscribing answers the subscribe that was still waiting for the broker. */
    fake_client_hears(&ann, "{\"ref\":2,\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears(&ann, "{\"ref\":3,\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears(&ann, "{\"ref\":4,\"ok\":true}");
    fake_client_hears_nothing(&ann);
    assert_int_equal(ann.writes, 1);
    assert_int_equal(node->metrics.commands, 4);
}

static void frame_without_a_command_is_no_mistake(void **state) {
    (void)state;
    say("");
    say(" \n\r\n\t");
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->metrics.command_errors, 0);
}

/* --- Publishing ----------------------------------------------------------------------------- */

static void publish_is_answered_when_the_broker_has_answered(void **state) {
    (void)state;
    struct position id = {1763680000123, 42};
    say("{\"ref\":1,\"op\":\"publish\",\"channel\":\"a\",\"data\":{\"x\": 1.50}}");
    say("{\"ref\":2,\"op\":\"publish\",\"channel\":\"b\",\"base64\":\"AAH/\"}");
    say("{\"op\":\"publish\",\"channel\":\"c\",\"data\":\"three\"}");
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->broker.publishes.count, 3);
    assert_string_equal(node->broker.publishes.items[0].channel, "a");
    assert_string_equal(node->broker.publishes.items[0].payload, "{\"x\": 1.50}");
    assert_memory_equal(node->broker.publishes.items[1].payload, "\0\1\xFF", 4);
    assert_string_equal(node->broker.publishes.items[2].payload, "\"three\"");
    assert_int_equal(node->metrics.publishes, 3);

    fake_broker_answer_publish(&node->broker, ERR_OK, NULL);
    fake_broker_answer_publish(&node->broker, ERR_BROKER_UNAVAILABLE, NULL);
    fake_broker_answer_publish(&node->broker, ERR_OK, &id);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true}");
    hears_error(&ann, 2, "broker_unavailable");
    fake_client_hears(&ann, "{\"ok\":true,\"id\":\"1763680000123-42\"}");
    fake_client_hears_nothing(&ann);
}

static void payload_has_a_maximum(void **state) {
    (void)state;
    node->config.limits.message_bytes = 10;
    say("{\"ref\":1,\"op\":\"publish\",\"channel\":\"a\",\"data\":\"12345678\"}");
    say("{\"ref\":2,\"op\":\"publish\",\"channel\":\"a\",\"data\":\"123456789\"}");
    assert_int_equal(node->broker.publishes.count, 1);
    hears_error(&ann, 2, "message_too_large");
}

static void publishes_have_a_rate(void **state) {
    (void)state;
    struct fake_client bob;
    fake_node_join(node, &bob, NULL);
    node->config.limits.publishes_per_second = 2;
    for (int second = 0; second < 3; second++) {
        say("{\"op\":\"publish\",\"channel\":\"a\",\"data\":1}{\"op\":\"publish\",\"channel\":\"a\",\"data\":"
            "2}"
            "{\"ref\":3,\"op\":\"publish\",\"channel\":\"a\",\"data\":3}");
        hears_error(&ann, 3, "rate_limited");
        assert_int_equal(node->broker.publishes.count, 2 * (second + 1));
        fake_node_pass(node, 1001);
    }
    /* Each session has its own. */
    say("{\"op\":\"publish\",\"channel\":\"a\",\"data\":1}{\"op\":\"publish\",\"channel\":\"a\",\"data\":2}");
    fake_client_say(&bob, "{\"op\":\"publish\",\"channel\":\"a\",\"data\":1}");
    assert_int_equal(node->broker.publishes.count, 9);
    fake_client_finish(&bob);
}

static void commands_that_wait_for_the_broker_have_a_maximum(void **state) {
    (void)state;
    enum { SPARE = 256 };
    uint32_t max = node->config.limits.channels_per_session + SPARE;
    node->broker.confirms = false;
    for (uint32_t i = 0; i < max; i++)
        say("{\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_client_hears_nothing(&ann);
    say("{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"a\"}");
    hears_error(&ann, 1, "too_many_waiting");
    say("{\"ref\":2,\"op\":\"history\",\"channel\":\"kept:a\"}");
    hears_error(&ann, 2, "too_many_waiting");
    fake_broker_confirm_all(&node->broker);
    fake_node_turn(node);
    for (uint32_t i = 0; i < max; i++)
        fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"a\"}");
    say("{\"ref\":3,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_client_hears(&ann, "{\"ref\":3,\"ok\":true,\"channel\":\"a\"}");
    say("{\"ref\":4,\"op\":\"subscribe\",\"channel\":\"b\"}");
    say("{\"ref\":5,\"op\":\"unsubscribe\",\"channel\":\"b\"}");
    fake_client_hears(&ann, "{\"ref\":4,\"ok\":true,\"channel\":\"b\"}");
    fake_client_hears(&ann, "{\"ref\":5,\"ok\":true,\"channel\":\"b\"}");
}

static void session_may_go_before_its_publish_is_answered(void **state) {
    (void)state;
    say("{\"ref\":1,\"op\":\"publish\",\"channel\":\"a\",\"data\":1}");
    say("{\"ref\":2,\"op\":\"publish\",\"channel\":\"a\",\"data\":2}");
    say("{\"ref\":3,\"op\":\"publish\",\"channel\":\"a\",\"data\":3}");
    session_close(ann.session, CLOSE_OPERATOR);
    fake_broker_answer_publish(&node->broker, ERR_OK, NULL); /* Closed, */
    fake_node_turn(node);
    fake_broker_answer_publish(&node->broker, ERR_OK, NULL); /* without its outbox and channels, */
    fake_client_hang_up(&ann);
    fake_node_turn(node);
    fake_broker_answer_publish(&node->broker, ERR_OK, NULL); /* and gone. */
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
}

/* --- Strikes -------------------------------------------------------------------------------- */

static void client_of_another_language_is_sent_away(void **state) {
    (void)state;
    for (int i = 1; i < 16; i++) {
        say("GET / HTTP/1.1\n");
        hears_error(&ann, -1, "bad_json");
    }
    assert_false(ann.is_closed);
    say("GET / HTTP/1.1\n");
    hears_error(&ann, -1, "bad_json");
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_BAD_REQUEST);
    assert_int_equal(node->metrics.closes[CLOSE_BAD_REQUEST], 1);
}

static void strikes_in_one_frame_end_it_there(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    for (int i = 0; i < 30; i++)
        buf_append_text(&text, "?\n");
    buf_append(&text, "{\"op\":\"ping\"}", 14);
    say(text.data);
    for (int i = 0; i < 16; i++)
        hears_error(&ann, -1, "bad_json");
    fake_client_hears_nothing(&ann);
    assert_int_equal(ann.reason, CLOSE_BAD_REQUEST);
    buf_finish(&text);
}

static void command_that_is_understood_forgives_the_strikes(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        say("oops");
        if (i % 15 == 14)
            say(i % 2 ? "{\"op\":\"pong\"}" : "{\"op\":\"unsubscribe\",\"channel\":\"none\"}");
    }
    assert_false(ann.is_closed);
}

/* --- Ends ----------------------------------------------------------------------------------- */

static void closing_sends_what_was_answered_first(void **state) {
    (void)state;
    fake_client_say(&ann, "{\"ref\":1,\"op\":\"ping\"}");
    fake_client_hears_nothing(&ann);
    session_close(ann.session, CLOSE_OPERATOR);
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true}");
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_OPERATOR);
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
}

static void closed_session_hears_and_does_nothing_more(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    session_close(ann.session, CLOSE_OPERATOR);
    session_close(ann.session, CLOSE_NORMAL); /* The first reason stands; the fake wants to be closed once. */
    say("{\"ref\":1,\"op\":\"ping\"}");
    fake_broker_bring(&node->broker, "a", "1");
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->metrics.commands, 1);
    assert_int_equal(node->metrics.subscriptions, 0);
    assert_int_equal(node->metrics.closes[CLOSE_OPERATOR], 1);
    assert_int_equal(node->metrics.closes[CLOSE_NORMAL], 0);
    fake_client_hang_up(&ann);
    assert_int_equal(node->metrics.closes[CLOSE_OPERATOR], 1);
    assert_int_equal(node->metrics.closes[CLOSE_PEER], 0);
}

static void client_that_leaves_is_counted_once(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    assert_int_equal(node->metrics.sessions[TRANSPORT_WEBSOCKET], 1);
    fake_client_hang_up(&ann);
    assert_int_equal(node->metrics.sessions[TRANSPORT_WEBSOCKET], 0);
    assert_int_equal(node->metrics.closes[CLOSE_PEER], 1);
    fake_node_turn(node);
    assert_int_equal(node->metrics.subscriptions, 0);
    assert_true(list_is_empty(&node->hub->sessions));
}

static void write_to_a_dead_connection_ends_the_session(void **state) {
    (void)state;
    ann.fails_at = 1;
    say("{\"op\":\"ping\"}{\"op\":\"ping\"}");
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_LOST);
    assert_int_equal(node->metrics.closes[CLOSE_LOST], 1);
}

/* What was to be said before the end finds nobody there any more. */
static void connection_that_is_dead_already_is_closed_once(void **state) {
    (void)state;
    ann.fails_at = 1;
    fake_client_say(&ann, "{\"op\":\"ping\"}");
    session_close(ann.session, CLOSE_OPERATOR);
    assert_int_equal(ann.reason, CLOSE_LOST);
    assert_int_equal(node->metrics.closes[CLOSE_LOST], 1);
    assert_int_equal(node->metrics.closes[CLOSE_OPERATOR], 0);
}

static void congested_client_is_closed_without_what_waits(void **state) {
    (void)state;
    ann.takes = 0;
    fake_node_subscribe(node, &ann, "a");
    ann.takes = 3;
    for (int i = 0; i < 3; i++) {
        fake_broker_bring(&node->broker, "a", "1");
        fake_node_turn(node);
    }
    assert_true(node->metrics.outbox_bytes > 0);
    session_close(ann.session, CLOSE_OPERATOR);
    assert_true(ann.is_closed);
    fake_node_turn(node);
    assert_int_equal(node->metrics.outbox_bytes, 0);
}

/* Its socket may become writable between our close and its end. */
static void closed_session_gives_its_channels_back_at_the_end_of_the_turn(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    session_close(ann.session, CLOSE_OPERATOR);
    session_on_writable(ann.session);
    session_on_pong(ann.session);
    fake_node_turn(node);
    assert_int_equal(node->metrics.subscriptions, 0);
    assert_int_equal(ann.writes, 0);
}

static void many_sessions_come_and_go(void **state) {
    (void)state;
    enum { ROUNDS = 20, CLIENTS = 100 };
    static struct fake_client clients[CLIENTS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            fake_node_join(node, &clients[i], i % 2 ? "a" : "b");
            fake_client_say(&clients[i], "{\"op\":\"publish\",\"channel\":\"a\",\"data\":1}");
            fake_broker_answer_publish(&node->broker, ERR_OK, NULL);
            fake_broker_bring(&node->broker, "a", "1");
        }
        for (int i = 0; i < CLIENTS; i++) {
            if (i % 3 == 0)
                session_close(clients[i].session, CLOSE_OPERATOR);
            if (i % 5 == 0)
                fake_node_turn(node);
            fake_client_finish(&clients[i]);
        }
        fake_node_turn(node);
        assert_int_equal(node->metrics.subscriptions, 0);
        assert_int_equal(node->metrics.sessions[TRANSPORT_WEBSOCKET], 1);
    }
    fake_node_pass(node, 6000);
    assert_int_equal(node->metrics.channels, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(connect_tells_who_is_there),
        TEST(token_is_refused_rather_than_ignored),
        TEST(every_session_has_an_id_of_its_own),
        TEST(publishes_without_an_answer_have_a_share),
        TEST(each_mistake_has_its_error_and_harms_nothing_else),
        TEST(commands_of_one_frame_are_done_in_order_past_a_broken_one),
        TEST(frame_without_a_command_is_no_mistake),
        TEST(publish_is_answered_when_the_broker_has_answered),
        TEST(payload_has_a_maximum),
        TEST(publishes_have_a_rate),
        TEST(commands_that_wait_for_the_broker_have_a_maximum),
        TEST(session_may_go_before_its_publish_is_answered),
        TEST(client_of_another_language_is_sent_away),
        TEST(strikes_in_one_frame_end_it_there),
        TEST(command_that_is_understood_forgives_the_strikes),
        TEST(closing_sends_what_was_answered_first),
        TEST(closed_session_hears_and_does_nothing_more),
        TEST(client_that_leaves_is_counted_once),
        TEST(write_to_a_dead_connection_ends_the_session),
        TEST(connection_that_is_dead_already_is_closed_once),
        TEST(congested_client_is_closed_without_what_waits),
        TEST(closed_session_gives_its_channels_back_at_the_end_of_the_turn),
        TEST(many_sessions_come_and_go),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}

/* How much a client may ask, what it is told beyond that, and when it is closed. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "tests/fake/fake_node.h"

enum {
    RATE = 10,
    BURST = 10 * RATE + 2, /* Ten seconds' worth, and the channels that a client may have. */
};

static struct fake_node *node;
static struct fake_client ann;

static int setup(void **state) {
    (void)state;
    node = fake_node_create();
    node->config.limits.commands_per_second = RATE;
    node->config.limits.channels_per_session = 2;
    fake_node_join(node, &ann, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fake_client_finish(&ann);
    fake_node_destroy(node);
    return 0;
}

/* Says it so often, and returns how often it was refused for being too much. */
static int refused(struct fake_client *client, const char *text, int times) {
    int count = 0;
    struct bytes line;
    for (int i = 0; i < times; i++)
        fake_client_say(client, text);
    fake_node_turn(node);
    while (fake_client_read(client, &line))
        count += memmem(line.data, line.len, "\"rate_limited\"", 14) != NULL;
    return count;
}

static const char unsubscribe[] = "{\"op\":\"unsubscribe\",\"channel\":\"room\"}";
static const char history[] = "{\"op\":\"history\",\"channel\":\"kept:room\",\"last\":5}";
static const char ping[] = "{\"op\":\"ping\"}";

static void burst_then_the_rate(void **state) {
    (void)state;
    assert_int_equal(refused(&ann, unsubscribe, BURST + 5), 5);
    assert_int_equal(node->metrics.rate_limited, 5);
    /* The five were paid for as well. */
    fake_node_pass(node, 1000);
    assert_int_equal(refused(&ann, unsubscribe, 5), 0);
    fake_node_pass(node, 3600 * 1000);
    assert_int_equal(refused(&ann, unsubscribe, BURST), 0);
    assert_false(ann.is_closed);
}

static void no_limit_where_none_is_set(void **state) {
    (void)state;
    node->config.limits.commands_per_second = 0;
    assert_int_equal(refused(&ann, unsubscribe, 20 * BURST), 0);
}

static void ping_is_a_fiftieth(void **state) {
    (void)state;
    assert_int_equal(refused(&ann, ping, 50 * BURST), 0);
    assert_int_equal(refused(&ann, ping, 1), 1);
}

static void pong_is_never_answered(void **state) {
    (void)state;
    struct bytes line;
    refused(&ann, unsubscribe, BURST + 1);
    fake_client_say(&ann, "{\"op\":\"pong\"}");
    fake_node_turn(node);
    assert_false(fake_client_read(&ann, &line));
}

static void who_goes_on_is_closed(void **state) {
    (void)state;
    assert_int_equal(refused(&ann, unsubscribe, 2 * BURST - 1), BURST - 1);
    assert_false(ann.is_closed);
    refused(&ann, unsubscribe, 1);
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_RATE_LIMITED);
    assert_int_equal(node->metrics.closes[CLOSE_RATE_LIMITED], 1);
}

static void others_are_not_refused(void **state) {
    (void)state;
    struct fake_client bob;
    fake_node_join(node, &bob, NULL);
    refused(&ann, unsubscribe, BURST + 5);
    assert_int_equal(refused(&bob, unsubscribe, 5), 0);
    fake_client_finish(&bob);
}

static void what_is_no_command_counts(void **state) {
    (void)state;
    /* A good one now and then, which begins the count of those that are not understood anew. */
    for (int i = 0; i < BURST / 9 + 1; i++)
        refused(&ann, "{\n{\n{\n{\n{\n{\n{\n{\n{\n{\"op\":\"pong\"}", 1);
    assert_true(refused(&ann, unsubscribe, 12) > 0);
}

static void publish_counts_when_it_is_refused(void **state) {
    (void)state;
    refused(&ann, "{\"op\":\"publish\",\"channel\":\"closed:a\",\"data\":1}", BURST);
    assert_int_equal(refused(&ann, ping, 1), 1);
}

static void publish_that_is_taken_does_not(void **state) {
    (void)state;
    for (int i = 0; i < 2 * BURST; i++) {
        fake_client_say(&ann, "{\"op\":\"publish\",\"channel\":\"room\",\"data\":1}");
        fake_broker_answer_publish(&node->broker, ERR_OK, NULL);
    }
    assert_int_equal(refused(&ann, ping, 1), 0);
}

/* A channel whose five messages of so many bytes each this node holds, and which Ann has subscribed to. */
static void keep_for(size_t bytes, int waiting) {
    static char payload[65536];
    struct entry entries[FAKE_HISTORY_SIZE];
    memset(payload, 'x', sizeof payload);
    for (uint64_t i = 0; i < FAKE_HISTORY_SIZE; i++)
        entries[i] = (struct entry){
            .kind = ENTRY_MESSAGE,
            .has_id = true,
            .id = {1, i + 1},
            .published_ms = fake_node_wall_ms(),
            .payload = bytes_make(payload, bytes),
        };
    struct sync_result result = {
        .head = {1, FAKE_HISTORY_SIZE},
        .entries = entries,
        .count = FAKE_HISTORY_SIZE,
    };
    fake_node_subscribe(node, &ann, "kept:room");
    for (int i = 0; i < waiting; i++)
        fake_client_say(&ann, history);
    fake_broker_confirm_all(&node->broker);
    fake_broker_answer_sync(&node->broker, ERR_OK, &result);
}

static void keep(size_t bytes) {
    keep_for(bytes, 0);
    assert_int_equal(refused(&ann, "", 0), 0);
}

static void replay_costs_what_it_brings(void **state) {
    (void)state;
    keep(16 * 1024);
    /* Five for the messages, one for asking; one was the subscribe. */
    int asked = (BURST - 1 + 5) / 6;
    assert_int_equal(refused(&ann, history, asked), 0);
    assert_true(refused(&ann, history, 1) == 1);
}

/* Let in while nobody knew what they would bring. */
static void what_waited_for_the_channel_costs_as_much(void **state) {
    (void)state;
    enum { WAITING = 50 };
    keep_for(16 * 1024, WAITING);
    int answered = WAITING - refused(&ann, "", 0);
    assert_true(answered > 0 && answered <= (BURST - 1 - WAITING) / 5 + 1);
}

/* After one large answer nobody is closed who goes on as before. */
static void large_replay_is_no_reason_to_close(void **state) {
    (void)state;
    keep(65536);
    for (int i = 0; i < 20; i++)
        refused(&ann, history, 1);
    assert_false(ann.is_closed);
    fake_node_pass(node, 6000);
    assert_int_equal(refused(&ann, unsubscribe, 1), 0);
}

/* Another session at the same address goes on with what the first has left. */
static void address_has_ten_times_as_much_replayed(void **state) {
    (void)state;
    keep(65536);
    for (int i = 0; i < 100 && hub_may_replay(node->hub, 7); i++) {
        struct fake_client again;
        fake_node_join(node, &again, NULL);
        again.session->client = 7;
        refused(&again, history, 5);
        fake_client_finish(&again);
        fake_node_turn(node);
    }
    assert_false(hub_may_replay(node->hub, 7));
    assert_true(hub_may_replay(node->hub, 8));
    struct fake_client again;
    fake_node_join(node, &again, NULL);
    again.session->client = 7;
    assert_int_equal(refused(&again, history, 1), 1);
    assert_int_equal(refused(&again, "{\"op\":\"subscribe\",\"channel\":\"room\"}", 1), 0);
    fake_client_finish(&again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(burst_then_the_rate),
        TEST(no_limit_where_none_is_set),
        TEST(ping_is_a_fiftieth),
        TEST(pong_is_never_answered),
        TEST(who_goes_on_is_closed),
        TEST(others_are_not_refused),
        TEST(what_is_no_command_counts),
        TEST(publish_counts_when_it_is_refused),
        TEST(publish_that_is_taken_does_not),
        TEST(replay_costs_what_it_brings),
        TEST(what_waited_for_the_channel_costs_as_much),
        TEST(large_replay_is_no_reason_to_close),
        TEST(address_has_ten_times_as_much_replayed),
    };
    return cmocka_run_group_tests_name("session_limits", tests, NULL, NULL);
}

/* One message in, one write per subscriber out: joining, gathering, and batches that wait. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "tests/fake/fake_node.h"

static struct fake_node *node;

static int setup(void **state) {
    (void)state;
    node = fake_node_create();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fake_node_destroy(node);
    return 0;
}

static void bring(const char *channel, unsigned number) {
    fake_broker_bring_number(&node->broker, channel, number);
}

/* --- Joining ------------------------------------------------------------------------------------------- */

static void messages_of_one_turn_leave_in_one_write(void **state) {
    (void)state;
    struct fake_client ann, bob, sse;
    fake_node_join(node, &ann, "a");
    fake_node_join(node, &bob, "a");
    fake_client_open(&sse, node->hub, &fake_quotes);
    fake_node_subscribe(node, &sse, "a");
    for (unsigned i = 1; i <= 3; i++)
        bring("a", i);
    assert_int_equal(ann.writes, 0);
    fake_node_turn(node);
    assert_int_equal(ann.writes, 1);
    assert_int_equal(bob.writes, 1);
    assert_int_equal(sse.writes, 1);
    for (unsigned i = 1; i <= 3; i++) {
        fake_client_hears_number(&ann, "a", i);
        fake_client_hears_number(&bob, "a", i);
    }
    fake_client_hears(&sse, "> {\"channel\":\"a\",\"data\":1}");
    fake_client_hears(&sse, "> {\"channel\":\"a\",\"data\":2}");
    fake_client_hears(&sse, "> {\"channel\":\"a\",\"data\":3}");
    fake_client_hears_nothing(&ann);
    fake_client_hears_nothing(&sse);
    assert_int_equal(node->metrics.deliveries, 9);
    assert_int_equal(node->metrics.writes, 3);
    assert_int_equal(node->metrics.messages_in, 3);
    fake_client_finish(&ann);
    fake_client_finish(&bob);
    fake_client_finish(&sse);
}

static void lone_message_is_written_as_it_was_encoded(void **state) {
    (void)state;
    struct fake_client ann;
    fake_node_join(node, &ann, "a");
    fake_broker_bring(&node->broker, "a", "{\"text\":\"hi\"}");
    fake_node_turn(node);
    assert_int_equal(ann.writes, 1);
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":{\"text\":\"hi\"}}");
    fake_node_turn(node);
    assert_int_equal(ann.writes, 1);
    fake_client_finish(&ann);
}

static void batch_has_a_maximum_of_messages(void **state) {
    (void)state;
    struct fake_client ann;
    fake_node_join(node, &ann, "a");
    for (unsigned i = 0; i < 600; i++)
        bring("a", i);
    fake_node_turn(node);
    assert_int_equal(ann.writes, 3); /* 256, 256 and 88 */
    for (unsigned i = 0; i < 600; i++)
        fake_client_hears_number(&ann, "a", i);
    fake_client_hears_nothing(&ann);
    fake_client_finish(&ann);
}

static void batch_has_a_maximum_of_bytes_and_a_larger_message_goes_alone(void **state) {
    (void)state;
    enum { LENGTHS = 6 };
    static const size_t lengths[LENGTHS] = {30000, 30000, 30000, 200000, 10, 20};
    struct fake_client ann;
    struct bytes line;
    char *payload = xcalloc(1, 200001);
    node->config.limits.message_bytes = 200000;
    fake_node_join(node, &ann, "a");
    for (int i = 0; i < LENGTHS; i++) {
        memset(payload, 'a' + i, lengths[i]);
        payload[lengths[i]] = '\0';
        fake_broker_bring(&node->broker, "a", payload);
    }
    /* 1 and 2; 3; the large one; 5 and 6. */
    assert_false(hub_end_turn(node->hub));
    assert_int_equal(ann.writes, 4);
    for (int i = 0; i < LENGTHS; i++) {
        assert_true(fake_client_read(&ann, &line));
        assert_int_equal(line.len, strlen("{\"channel\":\"a\",\"data\":\"\"}") + lengths[i]);
        assert_int_equal(line.data[line.len - 3], 'a' + i);
    }
    free(payload);
    fake_client_finish(&ann);
}

static void turn_without_news_writes_nothing(void **state) {
    (void)state;
    struct fake_client ann;
    fake_node_join(node, &ann, "a");
    assert_false(hub_end_turn(node->hub));
    assert_int_equal(ann.writes, 0);
    fake_client_finish(&ann);
}

/* --- Gathering ----------------------------------------------------------------------------------------- */

static void several_channels_of_a_session_leave_in_one_write(void **state) {
    (void)state;
    struct fake_client both, one, other;
    fake_node_join(node, &both, "a");
    fake_node_subscribe(node, &both, "b");
    fake_node_subscribe(node, &both, "quiet");
    fake_node_join(node, &one, "a");
    fake_node_join(node, &other, "b");
    bring("a", 1);
    bring("b", 2);
    bring("a", 3);
    fake_node_turn(node);
    assert_int_equal(both.writes, 1);
    assert_int_equal(one.writes, 1);
    assert_int_equal(other.writes, 1);
    /* Between channels there is no order; within each there is. */
    fake_client_hears_number(&both, "b", 2);
    fake_client_hears_number(&both, "a", 1);
    fake_client_hears_number(&both, "a", 3);
    fake_client_hears_nothing(&both);
    fake_client_hears_number(&one, "a", 1);
    fake_client_hears_number(&one, "a", 3);
    fake_client_hears_number(&other, "b", 2);
    fake_client_hears_nothing(&other);
    fake_client_finish(&both);
    fake_client_finish(&one);
    fake_client_finish(&other);
}

static void what_is_too_much_for_one_write_follows_in_the_next(void **state) {
    (void)state;
    enum { CHANNELS = 8, BYTES = 30000 };
    struct fake_client ann;
    char name[8], *payload = xcalloc(1, BYTES + 1);
    bool heard[CHANNELS] = {false};
    fake_node_join(node, &ann, NULL);
    memset(payload, 'x', BYTES);
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "c%d", i);
        fake_node_subscribe(node, &ann, name);
    }
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "c%d", i);
        fake_broker_bring(&node->broker, name, payload);
    }
    fake_node_turn(node);
    assert_in_range(ann.writes, 2, CHANNELS);
    struct bytes line;
    for (int i = 0; i < CHANNELS; i++) {
        assert_true(fake_client_read(&ann, &line));
        assert_int_equal(line.len, strlen("{\"channel\":\"c0\",\"data\":\"\"}") + BYTES);
        int channel = line.data[13] - '0';
        assert_false(heard[channel]);
        heard[channel] = true;
    }
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->metrics.deliveries, CHANNELS);
    free(payload);
    fake_client_finish(&ann);
}

/* --- Batches that wait ----------------------------------------------------------------------------------- */

static void messages_of_a_batching_channel_wait_for_each_other(void **state) {
    (void)state;
    struct fake_client ann;
    fake_node_join(node, &ann, "batch:a");
    bring("batch:a", 1);
    fake_node_pass(node, 50);
    bring("batch:a", 2);
    fake_node_pass(node, 40);
    assert_int_equal(ann.writes, 0);
    fake_node_pass(node, 20); /* 100 ms after the first. */
    assert_int_equal(ann.writes, 1);
    fake_client_hears_number(&ann, "batch:a", 1);
    fake_client_hears_number(&ann, "batch:a", 2);
    /* The next one begins anew. */
    bring("batch:a", 3);
    fake_node_pass(node, 90);
    fake_client_hears_nothing(&ann);
    fake_node_pass(node, 20);
    fake_client_hears_number(&ann, "batch:a", 3);
    fake_client_finish(&ann);
}

static void full_batch_waits_no_longer(void **state) {
    (void)state;
    struct fake_client ann;
    fake_node_join(node, &ann, "batch:a");
    for (unsigned i = 1; i <= 4; i++)
        bring("batch:a", i);
    fake_node_turn(node);
    assert_int_equal(ann.writes, 1);
    for (unsigned i = 1; i <= 4; i++)
        fake_client_hears_number(&ann, "batch:a", i);
    /* In bytes too. */
    fake_broker_bring(&node->broker, "batch:a", "\"0123456789012345678901234567890123456789012345678\"");
    fake_node_turn(node);
    assert_int_equal(ann.writes, 2);
    fake_client_finish(&ann);
}

static void what_follows_a_full_batch_waits_its_own_time(void **state) {
    (void)state;
    struct fake_client ann;
    fake_node_join(node, &ann, "batch:a");
    bring("batch:a", 1);
    fake_node_pass(node, 60);
    bring("batch:a", 2);
    bring("batch:a", 3);
    fake_node_turn(node);
    assert_int_equal(ann.writes, 1);
    bring("batch:a", 4);
    fake_node_pass(node, 80); /* 140 ms after the first. */
    assert_int_equal(ann.writes, 1);
    fake_node_pass(node, 30);
    assert_int_equal(ann.writes, 2);
    fake_client_finish(&ann);
}

static void urgent_message_takes_along_what_waits(void **state) {
    (void)state;
    struct fake_client ann;
    struct entry urgent = {.kind = ENTRY_MESSAGE, .is_urgent = true, .payload = BYTES_LITERAL("2")};
    fake_node_join(node, &ann, "batch:a");
    bring("batch:a", 1);
    fake_broker_bring_entry(&node->broker, "batch:a", &urgent);
    fake_node_turn(node);
    fake_client_hears_number(&ann, "batch:a", 1);
    fake_client_hears_number(&ann, "batch:a", 2);
    fake_client_finish(&ann);
}

/* One timer serves the batches of a channel with subscribers and the linger time of one without. */
static void batch_waits_its_own_time_in_a_channel_that_was_left(void **state) {
    (void)state;
    struct fake_client ann, bob;
    fake_node_join(node, &ann, "batch:a");
    fake_node_join(node, &bob, NULL);
    bring("batch:a", 1);
    fake_client_hang_up(&ann);
    fake_node_turn(node);
    fake_node_pass(node, 1000);
    fake_node_subscribe(node, &bob, "batch:a");
    bring("batch:a", 2);
    fake_node_pass(node, 110);
    fake_client_hears_number(&bob, "batch:a", 2);
    fake_client_hears_nothing(&bob);
    fake_client_finish(&bob);
    fake_node_turn(node);
    fake_node_pass(node, 4990);
    assert_int_equal(node->broker.unsubscribed, 0);
    fake_node_pass(node, 20);
    assert_int_equal(node->broker.unsubscribed, 1);
    fake_client_finish(&ann);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(messages_of_one_turn_leave_in_one_write),
        TEST(lone_message_is_written_as_it_was_encoded),
        TEST(batch_has_a_maximum_of_messages),
        TEST(batch_has_a_maximum_of_bytes_and_a_larger_message_goes_alone),
        TEST(turn_without_news_writes_nothing),
        TEST(several_channels_of_a_session_leave_in_one_write),
        TEST(what_is_too_much_for_one_write_follows_in_the_next),
        TEST(messages_of_a_batching_channel_wait_for_each_other),
        TEST(full_batch_waits_no_longer),
        TEST(what_follows_a_full_batch_waits_its_own_time),
        TEST(urgent_message_takes_along_what_waits),
        TEST(batch_waits_its_own_time_in_a_channel_that_was_left),
    };
    return cmocka_run_group_tests_name("fanout", tests, NULL, NULL);
}

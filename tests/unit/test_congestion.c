/* Clients whose sockets take little: the order holds, nothing is lost or doubled, and where an outbox is full
 * the namespace's policy decides. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "tests/fake/fake_node.h"

static struct fake_node *node;
static struct fake_client ann, bob;

static int setup(void **state) {
    (void)state;
    node = fake_node_create();
    fake_node_join(node, &ann, NULL);
    fake_node_join(node, &bob, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fake_client_finish(&ann);
    fake_client_finish(&bob);
    fake_node_destroy(node);
    return 0;
}

static void bring(const char *channel, unsigned number) {
    fake_broker_bring_number(&node->broker, channel, number);
    fake_node_turn(node);
}

/* Messages `first` to `last`, each in a turn of its own. */
static void bring_all(const char *channel, unsigned first, unsigned last) {
    for (unsigned i = first; i <= last; i++)
        bring(channel, i);
}

static void hears_gap(struct fake_client *client, const char *channel) {
    char line[128];
    snprintf(line, sizeof line, "{\"event\":\"gap\",\"channel\":\"%s\"}", channel);
    fake_client_hears(client, line);
}

/* The socket takes everything again. */
static void relieve(struct fake_client *client) {
    client->takes = SIZE_MAX;
    fake_client_pump(client);
    fake_node_turn(node);
}

static size_t wire_len(const char *channel, unsigned number) {
    char line[128];
    return (size_t)snprintf(line, sizeof line, "{\"channel\":\"%s\",\"data\":%u}\n", channel, number);
}

/* --- Order ---------------------------------------------------------------------------------------------- */

/* One conversation, for a socket that takes `takes` bytes at a time and is pumped at random moments, beside
 * one that takes everything at once. */
static void converse(size_t takes, unsigned seed) {
    struct fake_client slow, fast;
    fake_node_join(node, &slow, "a");
    fake_node_join(node, &fast, "a");
    slow.takes = takes;
    srand(seed);
    for (unsigned i = 0; i < 60; i++) {
        switch (rand() % 10) {
        case 0:
            fake_client_say(&slow, "{\"op\":\"ping\"}");
            fake_client_say(&fast, "{\"op\":\"ping\"}");
            fake_node_turn(node);
            break;
        case 1:
            fake_broker_lose_link(&node->broker);
            fake_broker_restore_link(&node->broker);
            fake_node_turn(node);
            break;
        case 2:
        case 3: /* Several in one turn. */
            fake_broker_bring(&node->broker, "a", "\"one of several\"");
            fake_broker_bring(&node->broker, "a", "[\"another\"]");
            break;
        default:
            bring("a", i);
        }
        for (int pumps = rand() % 20; pumps > 0; pumps--)
            fake_client_pump(&slow);
    }
    fake_node_turn(node);
    while (fake_client_pump(&slow))
        continue;
    assert_int_equal(slow.heard.len, fast.heard.len);
    assert_memory_equal(slow.heard.data, fast.heard.data, fast.heard.len);
    assert_int_equal(node->metrics.outbox_bytes, 0);
    fake_client_finish(&slow);
    fake_client_finish(&fast);
    fake_node_turn(node);
}

static void socket_that_takes_any_number_of_bytes_gets_every_byte_in_order(void **state) {
    (void)state;
    for (size_t takes = 1; takes <= 200; takes++)
        converse(takes, (unsigned)takes);
}

static void any_seed_gets_every_byte_in_order(void **state) {
    (void)state;
    for (unsigned seed = 1000; seed < 1300; seed++) {
        srand(seed);
        converse((size_t)(1 + rand() % 5000), seed);
    }
}

static void reply_stays_behind_the_messages_before_it(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    ann.takes = 5;
    bring_all("a", 1, 2);
    fake_client_say(&ann, "{\"op\":\"ping\"}");
    bring("a", 3);
    while (fake_client_pump(&ann))
        continue;
    fake_client_hears_number(&ann, "a", 1);
    fake_client_hears_number(&ann, "a", 2);
    fake_client_hears(&ann, "{\"ok\":true}");
    fake_client_hears_number(&ann, "a", 3);
    fake_client_hears_nothing(&ann);
}

/* A long queue leaves in pieces of bounded size, not in one buffer of the outbox's size. */
static void long_outbox_leaves_in_pieces(void **state) {
    (void)state;
    char *payload = xcalloc(1, 10001);
    memset(payload, 'x', 10000);
    fake_node_subscribe(node, &ann, "a");
    ann.takes = 0;
    for (int i = 0; i < 50; i++) {
        fake_broker_bring(&node->broker, "a", payload);
        fake_node_turn(node);
    }
    assert_int_equal(ann.writes, 1);
    relieve(&ann);
    assert_in_range(ann.writes, 8, 12);
    struct bytes line;
    for (int i = 0; i < 50; i++)
        assert_true(fake_client_read(&ann, &line));
    fake_client_hears_nothing(&ann);
    free(payload);
}

/* --- Policies ------------------------------------------------------------------------------------------- */

static void slow_client_is_disconnected(void **state) {
    (void)state;
    node->config.limits.outbox_messages = 3;
    fake_node_subscribe(node, &ann, "a");
    fake_node_subscribe(node, &bob, "a");
    ann.takes = 0;
    bring_all("a", 1, 4); /* One in the socket, three in the outbox. */
    assert_false(ann.is_closed);
    assert_int_equal(node->metrics.outbox_bytes, 3 * wire_len("a", 1));
    bring("a", 5);
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_SLOW_CONSUMER);
    assert_int_equal(node->metrics.closes[CLOSE_SLOW_CONSUMER], 1);
    assert_int_equal(node->metrics.drops[DROP_DISCONNECTED], 4);
    assert_int_equal(node->metrics.outbox_bytes, 0);
    assert_int_equal(node->metrics.subscriptions, 1);
    bring("a", 6);
    for (unsigned i = 1; i <= 6; i++)
        fake_client_hears_number(&bob, "a", i);
    fake_client_hears_nothing(&bob);
}

static void outbox_is_limited_in_bytes_too(void **state) {
    (void)state;
    node->config.limits.outbox_bytes = 3 * wire_len("a", 1);
    fake_node_subscribe(node, &ann, "a");
    ann.takes = 0;
    bring_all("a", 1, 4);
    assert_false(ann.is_closed);
    bring("a", 5);
    assert_true(ann.is_closed);
}

static void oldest_messages_make_room_and_the_gap_comes_where_they_were(void **state) {
    (void)state;
    node->config.limits.outbox_messages = 3;
    fake_node_subscribe(node, &ann, "oldest:a");
    ann.takes = 0;
    bring_all("oldest:a", 1, 7);
    assert_int_equal(node->metrics.drops[DROP_OLDEST], 3);
    relieve(&ann);
    fake_client_hears_number(&ann, "oldest:a", 1);
    hears_gap(&ann, "oldest:a");
    fake_client_hears_number(&ann, "oldest:a", 5);
    fake_client_hears_number(&ann, "oldest:a", 6);
    fake_client_hears_number(&ann, "oldest:a", 7);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->metrics.gaps, 1);
    bring("oldest:a", 8);
    fake_client_hears_number(&ann, "oldest:a", 8);
    fake_client_hears_nothing(&ann);
}

static void as_many_oldest_messages_go_as_a_long_one_needs(void **state) {
    (void)state;
    node->config.limits.outbox_bytes = 4 * wire_len("oldest:a", 1);
    fake_node_subscribe(node, &ann, "oldest:a");
    ann.takes = 0;
    bring_all("oldest:a", 1, 5);
    /* As long as two and a bit. */
    fake_broker_bring(&node->broker, "oldest:a", "\"0123456789012345678901234567890123456789\"");
    fake_node_turn(node);
    assert_int_equal(node->metrics.drops[DROP_OLDEST], 3);
    relieve(&ann);
    fake_client_hears_number(&ann, "oldest:a", 1);
    hears_gap(&ann, "oldest:a");
    fake_client_hears_number(&ann, "oldest:a", 5);
    fake_client_hears(&ann,
                      "{\"channel\":\"oldest:a\",\"data\":\"0123456789012345678901234567890123456789\"}");
    fake_client_hears_nothing(&ann);
}

static void gap_of_a_channel_that_has_nothing_left_comes_when_the_queue_is_empty(void **state) {
    (void)state;
    node->config.limits.outbox_messages = 3;
    fake_node_subscribe(node, &ann, "oldest:a");
    fake_node_subscribe(node, &ann, "oldest:b");
    ann.takes = 0;
    bring_all("oldest:a", 1, 2);
    bring_all("oldest:b", 3, 5);
    relieve(&ann);
    fake_client_hears_number(&ann, "oldest:a", 1);
    fake_client_hears_number(&ann, "oldest:b", 3);
    fake_client_hears_number(&ann, "oldest:b", 4);
    fake_client_hears_number(&ann, "oldest:b", 5);
    hears_gap(&ann, "oldest:a");
    fake_client_hears_nothing(&ann);
}

static void each_channel_gets_its_own_gap(void **state) {
    (void)state;
    node->config.limits.outbox_messages = 4;
    fake_node_subscribe(node, &ann, "oldest:a");
    fake_node_subscribe(node, &ann, "oldest:b");
    ann.takes = 0;
    bring("oldest:a", 0);
    for (unsigned i = 1; i <= 8; i++)
        bring(i % 2 ? "oldest:a" : "oldest:b", i);
    relieve(&ann);
    fake_client_hears_number(&ann, "oldest:a", 0);
    hears_gap(&ann, "oldest:a");
    fake_client_hears_number(&ann, "oldest:a", 5);
    hears_gap(&ann, "oldest:b");
    fake_client_hears_number(&ann, "oldest:b", 6);
    fake_client_hears_number(&ann, "oldest:a", 7);
    fake_client_hears_number(&ann, "oldest:b", 8);
    fake_client_hears_nothing(&ann);
}

static void channel_that_may_lose_nothing_loses_nothing_to_one_that_may(void **state) {
    (void)state;
    node->config.limits.outbox_messages = 4;
    fake_node_subscribe(node, &ann, "strict");
    fake_node_subscribe(node, &ann, "oldest:a");
    ann.takes = 0;
    bring_all("strict", 1, 3);
    bring_all("oldest:a", 4, 6);
    assert_false(ann.is_closed);
    relieve(&ann);
    for (unsigned i = 1; i <= 3; i++)
        fake_client_hears_number(&ann, "strict", i);
    hears_gap(&ann, "oldest:a");
    fake_client_hears_number(&ann, "oldest:a", 5);
    fake_client_hears_number(&ann, "oldest:a", 6);
    fake_client_hears_nothing(&ann);

    ann.takes = 0;
    bring_all("strict", 7, 11);
    assert_false(ann.is_closed);
    bring("oldest:a", 12); /* Nothing that may go: so it goes itself. */
    assert_false(ann.is_closed);
    relieve(&ann);
    for (unsigned i = 7; i <= 11; i++)
        fake_client_hears_number(&ann, "strict", i);
    hears_gap(&ann, "oldest:a");
    fake_client_hears_nothing(&ann);
}

static void latest_message_replaces_the_ones_before_it(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "latest:a");
    fake_node_subscribe(node, &ann, "latest:b");
    ann.takes = 0;
    bring_all("latest:a", 1, 3);
    bring_all("latest:b", 4, 6);
    bring("latest:a", 7);
    assert_int_equal(node->metrics.drops[DROP_CONFLATED], 4);
    assert_int_equal(node->metrics.outbox_bytes, 2 * wire_len("latest:b", 6));
    relieve(&ann);
    fake_client_hears_number(&ann, "latest:a", 1);
    fake_client_hears_number(&ann, "latest:b", 6);
    fake_client_hears_number(&ann, "latest:a", 7);
    fake_client_hears_nothing(&ann); /* And no gap: this is what was asked for. */
    assert_int_equal(node->metrics.gaps, 0);
}

static void of_several_messages_in_one_turn_the_latest_is_kept(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "latest:a");
    ann.takes = 0;
    bring("latest:a", 1);
    fake_broker_bring(&node->broker, "latest:a", "2");
    fake_broker_bring(&node->broker, "latest:a", "3");
    bring("latest:a", 4);
    relieve(&ann);
    fake_client_hears_number(&ann, "latest:a", 1);
    fake_client_hears_number(&ann, "latest:a", 4);
    fake_client_hears_nothing(&ann);
    /* A client that keeps up gets all of them. */
    fake_broker_bring(&node->broker, "latest:a", "5");
    bring("latest:a", 6);
    fake_client_hears_number(&ann, "latest:a", 5);
    fake_client_hears_number(&ann, "latest:a", 6);
}

static void latest_message_that_does_not_fit_leaves_a_gap(void **state) {
    (void)state;
    node->config.limits.outbox_messages = 2;
    fake_node_subscribe(node, &ann, "strict");
    fake_node_subscribe(node, &ann, "latest:a");
    ann.takes = 0;
    bring_all("strict", 1, 3);
    bring("latest:a", 4);
    assert_false(ann.is_closed);
    relieve(&ann);
    for (unsigned i = 1; i <= 3; i++)
        fake_client_hears_number(&ann, "strict", i);
    hears_gap(&ann, "latest:a");
    fake_client_hears_nothing(&ann);
}

static void client_that_asks_without_reading_is_disconnected(void **state) {
    (void)state;
    node->config.limits.outbox_messages = 10;
    fake_node_subscribe(node, &ann, "oldest:a");
    ann.takes = 0;
    bring("oldest:a", 1);
    for (int i = 0; i < 10; i++)
        fake_client_say(&ann, "{\"op\":\"ping\"}");
    assert_false(ann.is_closed);
    fake_client_say(&ann, "{\"op\":\"ping\"}");
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_SLOW_CONSUMER);
}

/* More questions in one frame than an outbox holds answers: it reads them, so it gets them. */
static void client_that_asks_much_at_once_and_reads_is_answered(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    static const char one[] = "{\"op\":\"ping\"}\n";
    struct buf text;
    node->config.limits.outbox_messages = 10;
    buf_init(&text, 0);
    for (int i = 0; i < COUNT; i++)
        buf_append_text(&text, one);
    buf_append_char(&text, '\0');
    fake_client_say(&ann, text.data);
    fake_node_turn(node);
    assert_false(ann.is_closed);
    for (int i = 0; i < COUNT; i++)
        fake_client_hears(&ann, "{\"ok\":true}");
    fake_client_hears_nothing(&ann);
    buf_finish(&text);
}

static void unsubscribing_takes_queued_messages_along(void **state) {
    (void)state;
    node->config.limits.outbox_messages = 3;
    fake_node_subscribe(node, &ann, "oldest:a");
    ann.takes = 0;
    bring_all("oldest:a", 1, 5);
    fake_client_say(&ann, "{\"op\":\"unsubscribe\",\"channel\":\"oldest:a\"}");
    relieve(&ann);
    fake_client_hears_number(&ann, "oldest:a", 1);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"oldest:a\"}");
    fake_client_hears_nothing(&ann); /* No gap either: it is nobody's any more. */
    fake_node_subscribe(node, &ann, "oldest:a");
    bring("oldest:a", 6);
    fake_client_hears_number(&ann, "oldest:a", 6);
}

static void reload_changes_the_policy_of_a_congested_client(void **state) {
    (void)state;
    struct config fresh = node->config;
    struct namespace_config namespaces[FAKE_NAMESPACES];
    memcpy(namespaces, node->namespaces, sizeof namespaces);
    namespaces[0].slow_consumer = SLOW_DROP_OLDEST;
    fresh.namespaces = namespaces;
    fresh.limits.outbox_messages = 2;
    fake_node_subscribe(node, &ann, "a");
    ann.takes = 0;
    bring_all("a", 1, 4);
    hub_set_config(node->hub, &fresh);
    bring("a", 5);
    assert_false(ann.is_closed);
    relieve(&ann);
    fake_client_hears_number(&ann, "a", 1);
    hears_gap(&ann, "a");
    fake_client_hears_number(&ann, "a", 4);
    fake_client_hears_number(&ann, "a", 5);
    fake_client_hears_nothing(&ann);
    hub_set_config(node->hub, &node->config);
}

/* --- The node's limit ----------------------------------------------------------------------- */

static void shared_messages_count_once_against_the_nodes_limit(void **state) {
    (void)state;
    node->config.limits.outbox_total_bytes = 3 * wire_len("a", 1);
    fake_node_subscribe(node, &ann, "a");
    fake_node_subscribe(node, &bob, "a");
    ann.takes = bob.takes = 0;
    bring_all("a", 1, 4);
    assert_int_equal(node->metrics.outbox_bytes, 3 * wire_len("a", 1));
    assert_false(ann.is_closed);
    assert_false(bob.is_closed);
    bring("a", 5);
    assert_true(ann.is_closed);
    assert_int_equal(node->metrics.outbox_bytes, 0);
}

/* Fills the node's limit with what `ann` does not take of "a". */
static void exhaust_the_node(void) {
    node->config.limits.outbox_total_bytes = 2 * wire_len("a", 1);
    fake_node_subscribe(node, &ann, "a");
    ann.takes = 0;
    bring_all("a", 1, 3);
    assert_int_equal(node->metrics.outbox_bytes, node->config.limits.outbox_total_bytes);
}

static void full_node_turns_away_nobody_who_reads(void **state) {
    (void)state;
    exhaust_the_node();
    fake_client_say(&bob, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_client_say(&bob, "{\"op\":\"ping\"}");
    fake_node_turn(node);
    assert_false(bob.is_closed);
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears(&bob, "{\"ok\":true}");
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    assert_false(bob.is_closed);
    hears_gap(&bob, "a");
    bring("a", 4);
    assert_false(bob.is_closed);
    fake_client_hears_number(&bob, "a", 4);
}

static void full_node_costs_a_slow_client_its_messages_and_tells_it(void **state) {
    (void)state;
    fake_node_subscribe(node, &bob, "oldest:b");
    bob.takes = 0;
    bring("oldest:b", 1); /* In the socket; nothing in the outbox. */
    exhaust_the_node();
    bring("oldest:b", 2);
    assert_int_equal(node->metrics.drops[DROP_OLDEST], 1);
    relieve(&bob);
    bring("oldest:b", 3);
    fake_client_hears_number(&bob, "oldest:b", 1);
    hears_gap(&bob, "oldest:b");
    fake_client_hears_number(&bob, "oldest:b", 3);
    fake_client_hears_nothing(&bob);
}

static void gap_is_told_even_if_nothing_follows(void **state) {
    (void)state;
    fake_node_subscribe(node, &bob, "oldest:b");
    bob.takes = 0;
    bring("oldest:b", 1);
    exhaust_the_node();
    bring("oldest:b", 2);
    relieve(&bob);
    fake_client_hears_number(&bob, "oldest:b", 1);
    hears_gap(&bob, "oldest:b");
    fake_client_hears_nothing(&bob);
}

static void gap_that_is_owed_goes_with_its_subscription(void **state) {
    (void)state;
    fake_node_subscribe(node, &bob, "oldest:b");
    bob.takes = 0;
    bring("oldest:b", 1);
    exhaust_the_node();
    bring("oldest:b", 2);
    node->config.limits.outbox_total_bytes = 1 << 20;
    fake_client_say(&bob, "{\"op\":\"unsubscribe\",\"channel\":\"oldest:b\"}");
    relieve(&bob);
    fake_client_hears_number(&bob, "oldest:b", 1);
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"oldest:b\"}");
    fake_client_hears_nothing(&bob);
}

/* Several large channels of one session: what does not fit into the one write goes by the outbox, also when
 * the node holds all that it may for others. */
static void full_node_delivers_much_at_once_to_who_reads(void **state) {
    (void)state;
    enum { CHANNELS = 6, BYTES = 30000 };
    char name[16], *payload = xcalloc(1, BYTES + 1);
    exhaust_the_node();
    memset(payload, 'x', BYTES);
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "%s%d", i % 2 ? "oldest:" : "", i);
        fake_node_subscribe(node, &bob, name);
    }
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "%s%d", i % 2 ? "oldest:" : "", i);
        fake_broker_bring(&node->broker, name, payload);
    }
    fake_node_turn(node);
    assert_false(bob.is_closed);
    struct bytes line;
    for (int i = 0; i < CHANNELS; i++) {
        assert_true(fake_client_read(&bob, &line));
        assert_true(line.len > BYTES);
    }
    fake_client_hears_nothing(&bob);
    free(payload);
}

/* The outbox is for what the socket does not take. */
static void small_outbox_is_enough_for_who_reads(void **state) {
    (void)state;
    enum { CHANNELS = 8, BYTES = 30000 };
    char name[8], *payload = xcalloc(1, BYTES + 1);
    node->config.limits.outbox_bytes = BYTES + 1000;
    memset(payload, 'x', BYTES);
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "%d", i);
        fake_node_subscribe(node, &bob, name);
    }
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "%d", i);
        fake_broker_bring(&node->broker, name, payload);
    }
    fake_node_turn(node);
    assert_false(bob.is_closed);
    struct bytes line;
    for (int i = 0; i < CHANNELS; i++)
        assert_true(fake_client_read(&bob, &line));
    free(payload);
}

static void socket_that_fills_up_in_the_midst_of_several_channels_closes_once(void **state) {
    (void)state;
    enum { CHANNELS = 8, BYTES = 30000 };
    char name[8], *payload = xcalloc(1, BYTES + 1);
    node->config.limits.outbox_bytes = BYTES + 1000;
    memset(payload, 'x', BYTES);
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "%d", i);
        fake_node_subscribe(node, &bob, name);
    }
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(name, sizeof name, "%d", i);
        fake_broker_bring(&node->broker, name, payload);
    }
    bob.takes = BYTES;
    fake_node_turn(node);
    assert_true(bob.is_closed);
    assert_int_equal(bob.reason, CLOSE_SLOW_CONSUMER);
    assert_int_equal(bob.writes, 1);
    free(payload);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(socket_that_takes_any_number_of_bytes_gets_every_byte_in_order),
        TEST(any_seed_gets_every_byte_in_order),
        TEST(reply_stays_behind_the_messages_before_it),
        TEST(long_outbox_leaves_in_pieces),
        TEST(slow_client_is_disconnected),
        TEST(outbox_is_limited_in_bytes_too),
        TEST(oldest_messages_make_room_and_the_gap_comes_where_they_were),
        TEST(as_many_oldest_messages_go_as_a_long_one_needs),
        TEST(gap_of_a_channel_that_has_nothing_left_comes_when_the_queue_is_empty),
        TEST(each_channel_gets_its_own_gap),
        TEST(channel_that_may_lose_nothing_loses_nothing_to_one_that_may),
        TEST(latest_message_replaces_the_ones_before_it),
        TEST(of_several_messages_in_one_turn_the_latest_is_kept),
        TEST(latest_message_that_does_not_fit_leaves_a_gap),
        TEST(client_that_asks_without_reading_is_disconnected),
        TEST(client_that_asks_much_at_once_and_reads_is_answered),
        TEST(unsubscribing_takes_queued_messages_along),
        TEST(reload_changes_the_policy_of_a_congested_client),
        TEST(shared_messages_count_once_against_the_nodes_limit),
        TEST(full_node_turns_away_nobody_who_reads),
        TEST(full_node_costs_a_slow_client_its_messages_and_tells_it),
        TEST(gap_is_told_even_if_nothing_follows),
        TEST(gap_that_is_owed_goes_with_its_subscription),
        TEST(full_node_delivers_much_at_once_to_who_reads),
        TEST(small_outbox_is_enough_for_who_reads),
        TEST(socket_that_fills_up_in_the_midst_of_several_channels_closes_once),
    };
    return cmocka_run_group_tests_name("congestion", tests, NULL, NULL);
}

/* Who is subscribed to what: the broker's confirmations, lingering, and a link that comes and goes. */
#include "tests/unit/unit.h"

#include <stdio.h>

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

static void first_subscribe_is_answered_when_the_broker_has_confirmed(void **state) {
    (void)state;
    node->broker.confirms = false;
    fake_client_say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_client_say(&ann, "{\"ref\":2,\"op\":\"subscribe\",\"channel\":\"b\"}");
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->broker.subscribed, 2);
    assert_true(node->broker.flushes > 0);

    fake_broker_confirm(&node->broker, "b");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ref\":2,\"ok\":true,\"channel\":\"b\"}");
    fake_client_hears_nothing(&ann);
    fake_broker_confirm(&node->broker, "a");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true,\"channel\":\"a\"}");
}

static void second_subscriber_is_answered_at_once(void **state) {
    (void)state;
    node->broker.confirms = false;
    fake_client_say(&ann, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    /* Not yet: the broker has not confirmed. */
    fake_client_say(&bob, "{\"ref\":5,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears_nothing(&bob);
    fake_broker_confirm(&node->broker, "a");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears(&bob, "{\"ref\":5,\"ok\":true,\"channel\":\"a\"}");

    struct fake_client carl;
    fake_node_join(node, &carl, NULL);
    fake_client_say(&carl, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears(&carl, "{\"ok\":true,\"channel\":\"a\"}");
    assert_int_equal(node->broker.subscribed, 1);
    assert_int_equal(node->metrics.subscriptions, 3);
    assert_int_equal(node->metrics.channels, 1);
    fake_client_finish(&carl);
}

static void subscribing_again_is_answered_and_changes_nothing(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_client_say(&ann, "{\"ref\":9,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ref\":9,\"ok\":true,\"channel\":\"a\"}");
    assert_int_equal(node->metrics.subscriptions, 1);
    fake_broker_bring(&node->broker, "a", "1");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":1}");
    fake_client_hears_nothing(&ann);
}

static void unsubscribing_answers_a_subscribe_that_still_waits(void **state) {
    (void)state;
    node->broker.confirms = false;
    fake_client_say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_client_say(&bob, "{\"ref\":2,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_client_say(&ann, "{\"ref\":3,\"op\":\"unsubscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears(&ann, "{\"ref\":3,\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears_nothing(&bob);
    fake_broker_confirm(&node->broker, "a");
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    fake_client_hears(&bob, "{\"ref\":2,\"ok\":true,\"channel\":\"a\"}");
}

static void client_that_left_before_the_confirmation_is_not_missed(void **state) {
    (void)state;
    node->broker.confirms = false;
    fake_client_say(&ann, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_client_say(&bob, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_client_hang_up(&ann);
    fake_node_turn(node);
    fake_broker_confirm(&node->broker, "a");
    fake_node_turn(node);
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears_nothing(&ann);
}

static void channel_is_left_a_while_after_its_last_subscriber(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_node_subscribe(node, &bob, "a");
    fake_client_say(&ann, "{\"op\":\"unsubscribe\",\"channel\":\"a\"}");
    fake_node_pass(node, 60000);
    assert_int_equal(node->broker.unsubscribed, 0);
    fake_client_hang_up(&bob);
    fake_node_turn(node);
    fake_node_pass(node, 4990);
    assert_int_equal(node->broker.unsubscribed, 0);
    assert_int_equal(node->metrics.channels, 1);
    fake_node_pass(node, 20);
    assert_int_equal(node->broker.unsubscribed, 1);
    assert_int_equal(node->metrics.channels, 0);
    assert_null(hub_find_channel(node->hub, BYTES_LITERAL("a")));
}

static void coming_back_in_time_finds_the_channel_as_it_was(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_client_say(&ann, "{\"op\":\"unsubscribe\",\"channel\":\"a\"}");
    fake_node_pass(node, 4000);
    ann.read = ann.heard.len;
    fake_client_say(&ann, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"a\"}");
    fake_node_pass(node, 60000);
    assert_int_equal(node->broker.subscribed, 1);
    assert_int_equal(node->broker.unsubscribed, 0);
    fake_broker_bring(&node->broker, "a", "1");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":1}");
}

static void coming_back_too_late_asks_the_broker_again(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_client_say(&ann, "{\"op\":\"unsubscribe\",\"channel\":\"a\"}");
    fake_node_pass(node, 6000);
    node->broker.confirms = false;
    ann.read = ann.heard.len;
    fake_client_say(&ann, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->broker.subscribed, 2);
    fake_broker_confirm(&node->broker, "a");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"a\"}");
}

static void message_of_a_channel_without_subscribers_goes_nowhere(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_client_say(&ann, "{\"op\":\"unsubscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    ann.read = ann.heard.len;
    fake_broker_bring(&node->broker, "a", "1");
    fake_broker_bring(&node->broker, "unknown", "2");
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->metrics.messages_in, 2);
    assert_int_equal(node->metrics.deliveries, 0);
}

/* --- The link ------------------------------------------------------------------------------------------- */

static void everybody_hears_of_the_gap_once_the_channel_is_back(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_node_subscribe(node, &bob, "a");
    fake_node_subscribe(node, &bob, "b");
    node->broker.confirms = false;
    fake_broker_lose_link(&node->broker);
    fake_node_pass(node, 3000);
    fake_client_hears_nothing(&ann);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    assert_true(fake_broker_is_waiting(&node->broker, "a"));
    assert_true(fake_broker_is_waiting(&node->broker, "b"));

    fake_broker_confirm(&node->broker, "a");
    fake_broker_bring(&node->broker, "a", "1");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"a\"}");
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":1}");
    fake_client_hears(&bob, "{\"event\":\"gap\",\"channel\":\"a\"}");
    fake_client_hears(&bob, "{\"channel\":\"a\",\"data\":1}");
    fake_client_hears_nothing(&bob);
    fake_broker_confirm(&node->broker, "b");
    fake_node_turn(node);
    fake_client_hears(&bob, "{\"event\":\"gap\",\"channel\":\"b\"}");
    assert_int_equal(node->metrics.gaps, 2);

    /* And only once. */
    fake_broker_bring(&node->broker, "b", "2");
    fake_node_turn(node);
    fake_client_hears(&bob, "{\"channel\":\"b\",\"data\":2}");
    fake_client_hears_nothing(&ann);
    fake_client_hears_nothing(&bob);
}

static void confirmation_that_comes_twice_is_no_gap(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"a\"}");
    node->broker.base.events->on_subscribed(node->hub, BYTES_LITERAL("a"));
    node->broker.base.events->on_subscribed(node->hub, BYTES_LITERAL("unknown"));
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
}

static void link_that_is_lost_again_before_it_was_of_use_makes_one_gap(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    node->broker.confirms = false;
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_broker_confirm_all(&node->broker);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"a\"}");
    fake_client_hears_nothing(&ann);

    /* The next loss is another one. */
    node->broker.confirms = true;
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"a\"}");
}

static void subscribing_while_the_link_is_away_is_answered_at_once_and_told_of_the_gap(void **state) {
    (void)state;
    fake_broker_lose_link(&node->broker);
    fake_client_say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true,\"channel\":\"a\"}");
    fake_client_say(&bob, "{\"ref\":2,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears(&bob, "{\"ref\":2,\"ok\":true,\"channel\":\"a\"}");
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"a\"}");
    fake_client_hears(&bob, "{\"event\":\"gap\",\"channel\":\"a\"}");
    fake_client_hears_nothing(&ann);
}

static void losing_the_link_answers_who_waits_for_a_confirmation(void **state) {
    (void)state;
    node->broker.confirms = false;
    fake_client_say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    fake_broker_lose_link(&node->broker);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears_nothing(&ann);
    node->broker.confirms = true;
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"a\"}");
}

static void who_subscribes_after_the_link_is_back_hears_of_no_gap(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"a\"}");
    fake_client_say(&bob, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_client_say(&bob, "{\"op\":\"subscribe\",\"channel\":\"new\"}");
    fake_node_turn(node);
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"new\"}");
    fake_client_hears_nothing(&bob);
}

static void lingering_channel_survives_the_loss_of_the_link(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_client_say(&ann, "{\"op\":\"unsubscribe\",\"channel\":\"a\"}");
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    assert_int_equal(node->broker.subscribed, 2);
    ann.read = ann.heard.len;
    fake_client_say(&ann, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears_nothing(&ann);
}

/* A client may be in one channel after the other, each for a moment. */
static void channels_that_linger_make_room(void **state) {
    (void)state;
    enum { MANY = 16384 + 100 };
    char text[80];
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"channel\":\"c%d\"}", i);
        fake_client_say(&ann, text);
        snprintf(text, sizeof text, "{\"op\":\"unsubscribe\",\"channel\":\"c%d\"}", i);
        fake_client_say(&ann, text);
        fake_node_turn(node);
        while (fake_client_read(&ann, &(struct bytes){0}))
            continue;
    }
    fake_node_pass(node, 1);
    assert_int_equal(node->metrics.channels, MANY - 100);
    assert_int_equal(node->metrics.channels_crowded_out, 100);
    assert_null(hub_find_channel(node->hub, BYTES_LITERAL("c99")));
    assert_non_null(hub_find_channel(node->hub, BYTES_LITERAL("c100")));
    fake_node_pass(node, node->config.redis.linger_ms + 1);
    assert_int_equal(node->metrics.channels, 0);
    fake_node_subscribe(node, &ann, "a");
    fake_node_pass(node, node->config.redis.linger_ms + 1);
    assert_int_equal(node->metrics.channels, 1);
}

static void hears_refusal(struct fake_client *client, int ref) {
    struct bytes line;
    char start[64];
    snprintf(start, sizeof start, "{\"ref\":%d,\"error\":{\"code\":\"broker_refused\",", ref);
    assert_true(fake_client_read(client, &line));
    assert_true(bytes_start_with(line, bytes_of(start)));
}

static void channel_that_the_broker_refuses_is_an_error_of_who_asked(void **state) {
    (void)state;
    fake_node_subscribe(node, &bob, "b");
    node->broker.confirms = false;
    for (int i = 0; i < 3; i++) {
        fake_client_say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"a\"}");
        fake_node_turn(node);
        fake_client_hears_nothing(&ann);
        fake_broker_refuse(&node->broker, "a");
        fake_node_turn(node);
        hears_refusal(&ann, 1); /* The broker was asked again each time. */
    }
    fake_client_hears_nothing(&bob);
    assert_int_equal(node->metrics.subscriptions, 1);
    /* Nobody wants it, and nothing is to be expected of it. */
    fake_node_pass(node, node->config.redis.linger_ms);
    assert_int_equal(node->metrics.channels, 1);
    assert_int_equal(node->broker.unsubscribed, 0);
    fake_client_say(&ann, "{\"ref\":4,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_broker_confirm(&node->broker, "a");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ref\":4,\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears_nothing(&ann); /* It has missed nothing. */
}

static void channel_that_is_refused_after_the_link_was_lost_is_asked_for_until_it_is_not(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    fake_broker_lose_link(&node->broker);
    node->broker.confirms = false;
    fake_broker_restore_link(&node->broker);
    fake_broker_refuse(&node->broker, "a");
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    /* Who comes now is not told that all is well. */
    fake_client_say(&bob, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"a\"}");
    fake_node_turn(node);
    fake_client_hears_nothing(&bob);
    fake_broker_refuse(&node->broker, "a");
    fake_node_turn(node);
    hears_refusal(&bob, 1);
    fake_node_pass(node, 10000);
    assert_true(fake_broker_is_waiting(&node->broker, "a"));
    fake_broker_refuse(&node->broker, "a");
    fake_node_pass(node, 10000);
    fake_broker_confirm(&node->broker, "a");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"a\"}");
    fake_client_hears_nothing(&bob);
    fake_node_pass(node, 10000);
    assert_false(fake_broker_is_waiting(&node->broker, "a"));
}

static void gap_waits_in_line_for_a_congested_client(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    ann.takes = 3;
    fake_broker_bring(&node->broker, "a", "1");
    fake_node_turn(node);
    fake_broker_bring(&node->broker, "a", "2");
    fake_node_turn(node);
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    fake_broker_bring(&node->broker, "a", "3");
    fake_node_turn(node);
    while (fake_client_pump(&ann))
        continue;
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":1}");
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":2}");
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"a\"}");
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":3}");
    fake_client_hears_nothing(&ann);
}

/* --- Limits, and a configuration read again ------------------------------------------------- */

static void session_holds_as_many_channels_as_it_may(void **state) {
    (void)state;
    node->config.limits.channels_per_session = 2;
    fake_node_subscribe(node, &ann, "a");
    fake_node_subscribe(node, &ann, "b");
    fake_client_say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"c\"}");
    fake_client_say(&ann, "{\"ref\":2,\"op\":\"subscribe\",\"channel\":\"b\"}");
    fake_client_say(&ann, "{\"op\":\"unsubscribe\",\"channel\":\"a\"}");
    fake_client_say(&ann, "{\"ref\":3,\"op\":\"subscribe\",\"channel\":\"c\"}");
    fake_node_turn(node);
    struct bytes line;
    assert_true(fake_client_read(&ann, &line));
    assert_non_null(memmem(line.data, line.len, "\"ref\":1,\"error\":{\"code\":\"channel_limit\"", 38));
    fake_client_hears(&ann, "{\"ref\":2,\"ok\":true,\"channel\":\"b\"}");
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears(&ann, "{\"ref\":3,\"ok\":true,\"channel\":\"c\"}");
    assert_int_equal(node->metrics.subscriptions, 2);
}

static void subscribers_come_and_go_in_any_order(void **state) {
    (void)state;
    enum { CLIENTS = 200 };
    static struct fake_client clients[CLIENTS];
    static bool is_in[CLIENTS];
    size_t count = 0;
    for (int i = 0; i < CLIENTS; i++) {
        is_in[i] = false;
        fake_node_join(node, &clients[i], NULL);
    }
    srand(11);
    for (int step = 0; step < 3000; step++) {
        int i = rand() % CLIENTS;
        fake_client_say(&clients[i], is_in[i] ? "{\"op\":\"unsubscribe\",\"channel\":\"a\"}"
                                              : "{\"op\":\"subscribe\",\"channel\":\"a\"}");
        is_in[i] = !is_in[i];
        count += is_in[i] ? 1 : (size_t)-1;
        assert_int_equal(node->metrics.subscriptions, count);
        if (step % 300 != 0)
            continue;
        fake_node_turn(node);
        for (int each = 0; each < CLIENTS; each++)
            clients[each].read = clients[each].heard.len;
        fake_broker_bring(&node->broker, "a", "1");
        fake_node_turn(node);
        for (int each = 0; each < CLIENTS; each++) {
            fake_client_hears(&clients[each], is_in[each] ? "{\"channel\":\"a\",\"data\":1}" : "");
            fake_client_hears_nothing(&clients[each]);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        fake_client_finish(&clients[i]);
}

static void reload_changes_what_a_channel_does_with_slow_clients(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    assert_int_equal(hub_find_channel(node->hub, BYTES_LITERAL("a"))->options->slow_consumer,
                     SLOW_DISCONNECT);
    char name[] = "default";
    struct namespace_config namespaces[] = {{.name = name, .slow_consumer = SLOW_CONFLATE}};
    struct config fresh = node->config;
    fresh.namespaces = namespaces;
    fresh.namespace_count = 1;
    hub_set_config(node->hub, &fresh);
    ann.takes = 0;
    for (int i = 1; i <= 3; i++) {
        fake_broker_bring(&node->broker, "a", (const char *[]){"0", "1", "2", "3"}[i]);
        fake_node_turn(node);
    }
    ann.takes = SIZE_MAX;
    fake_client_pump(&ann);
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":1}");
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":3}");
    fake_client_hears_nothing(&ann);
    hub_set_config(node->hub, &node->config);
}

static void hub_ends_with_everything_under_way(void **state) {
    (void)state;
    enum { CLIENTS = 5000 };
    static struct fake_client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fake_client_open(&clients[i], node->hub, &fake_lines);
        fake_client_say(&clients[i], "{\"op\":\"subscribe\",\"channel\":\"a\"}");
        clients[i].session = NULL; /* The hub ends them. */
    }
    fake_node_turn(node);
    node->broker.confirms = false;
    fake_client_say(&ann, "{\"op\":\"subscribe\",\"channel\":\"b\"}");
    fake_client_say(&ann, "{\"op\":\"publish\",\"channel\":\"b\",\"data\":1}");
    fake_broker_bring(&node->broker, "a", "1");
    ann.session = bob.session = NULL;
    fake_node_destroy(node);
    node = fake_node_create();
    for (int i = 0; i < CLIENTS; i++)
        fake_client_finish(&clients[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(first_subscribe_is_answered_when_the_broker_has_confirmed),
        TEST(second_subscriber_is_answered_at_once),
        TEST(subscribing_again_is_answered_and_changes_nothing),
        TEST(unsubscribing_answers_a_subscribe_that_still_waits),
        TEST(client_that_left_before_the_confirmation_is_not_missed),
        TEST(channel_is_left_a_while_after_its_last_subscriber),
        TEST(coming_back_in_time_finds_the_channel_as_it_was),
        TEST(coming_back_too_late_asks_the_broker_again),
        TEST(message_of_a_channel_without_subscribers_goes_nowhere),
        TEST(everybody_hears_of_the_gap_once_the_channel_is_back),
        TEST(confirmation_that_comes_twice_is_no_gap),
        TEST(link_that_is_lost_again_before_it_was_of_use_makes_one_gap),
        TEST(subscribing_while_the_link_is_away_is_answered_at_once_and_told_of_the_gap),
        TEST(losing_the_link_answers_who_waits_for_a_confirmation),
        TEST(who_subscribes_after_the_link_is_back_hears_of_no_gap),
        TEST(lingering_channel_survives_the_loss_of_the_link),
        TEST(channels_that_linger_make_room),
        TEST(channel_that_the_broker_refuses_is_an_error_of_who_asked),
        TEST(channel_that_is_refused_after_the_link_was_lost_is_asked_for_until_it_is_not),
        TEST(gap_waits_in_line_for_a_congested_client),
        TEST(session_holds_as_many_channels_as_it_may),
        TEST(subscribers_come_and_go_in_any_order),
        TEST(reload_changes_what_a_channel_does_with_slow_clients),
        TEST(hub_ends_with_everything_under_way),
    };
    return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}

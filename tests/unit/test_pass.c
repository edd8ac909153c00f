/* Passes of the fan-out over more subscribers than one turn serves: yielding, joining, and what changes meanwhile. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/fake_node.h"

/* More subscribers than one turn serves, many times over. */
enum { CROWD = 5000 };

static struct fake_node *node;
static struct fake_client crowd[CROWD];

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

static void gather_crowd(const char *channel) {
    for (int i = 0; i < CROWD; i++)
        fake_node_join(node, &crowd[i], channel);
}

static void dismiss_crowd(void) {
    for (int i = 0; i < CROWD; i++)
        fake_client_finish(&crowd[i]);
}

static int count_served(void) {
    int served = 0;
    for (int i = 0; i < CROWD; i++)
        served += crowd[i].heard.len > crowd[i].read;
    return served;
}

/* --- Passes --------------------------------------------------------------------------------------------- */

static void pass_over_a_crowd_yields_and_goes_on(void **state) {
    (void)state;
    int turns = 1, before = 0;
    gather_crowd("a");
    bring("a", 1);
    while (hub_end_turn(node->hub)) {
        int served = count_served();
        assert_in_range(served - before, 1, 512);
        before = served;
        turns++;
    }
    assert_in_range(turns, CROWD / 512, CROWD / 64);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].writes, 1);
        fake_client_hears_number(&crowd[i], "a", 1);
    }
    dismiss_crowd();
}

/* What arrives faster than it is sent has to wait where it is bounded, and that is not here. */
static void broker_is_held_while_there_is_a_backlog(void **state) {
    (void)state;
    gather_crowd("a");
    bring("a", 1);
    assert_true(hub_end_turn(node->hub));
    assert_false(node->broker.is_held); /* Messages for the same channel would join. */
    bring("b", 1);                      /* Nobody is there. */
    assert_true(hub_end_turn(node->hub));
    assert_false(node->broker.is_held);
    for (unsigned i = 2; i < 1000; i++)
        bring("a", i);
    assert_true(hub_end_turn(node->hub));
    assert_true(node->broker.is_held);
    while (hub_end_turn(node->hub))
        continue;
    assert_false(node->broker.is_held);
    dismiss_crowd();
}

/* The pass takes up another channel where it stands, and neither holds up the other, nor Redis. */
static void another_channel_joins_the_pass(void **state) {
    (void)state;
    struct fake_client ann;
    fake_node_join(node, &ann, "b");
    gather_crowd("a");
    bring("a", 1);
    assert_true(hub_end_turn(node->hub));
    int served = count_served();
    bring("b", 1);
    bring("a", 2);
    while (hub_end_turn(node->hub))
        assert_false(node->broker.is_held);
    fake_client_hears_number(&ann, "b", 1);
    fake_client_hears_nothing(&ann);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].writes, i < served ? 2 : 1);
        fake_client_hears_number(&crowd[i], "a", 1);
        fake_client_hears_number(&crowd[i], "a", 2);
        fake_client_hears_nothing(&crowd[i]);
    }
    dismiss_crowd();
    fake_client_finish(&ann);
}

static void one_turn_sends_all_batches_that_have_come(void **state) {
    (void)state;
    struct fake_client ann;
    fake_node_join(node, &ann, "a");
    for (unsigned i = 0; i < 1000; i++)
        bring("a", i);
    assert_false(hub_end_turn(node->hub));
    for (unsigned i = 0; i < 1000; i++)
        fake_client_hears_number(&ann, "a", i);
    assert_in_range(ann.writes, 2, 20);
    fake_client_finish(&ann);
}

/* Whom the pass has not reached yet gets all in one write, the others the rest in a second one. */
static void message_that_comes_during_a_pass_joins_it(void **state) {
    (void)state;
    gather_crowd("a");
    bring("a", 1);
    assert_true(hub_end_turn(node->hub));
    int served = count_served();
    bring("a", 2);
    bring("a", 3);
    fake_node_turn(node);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].writes, i < served ? 2 : 1);
        for (unsigned number = 1; number <= 3; number++)
            fake_client_hears_number(&crowd[i], "a", number);
        fake_client_hears_nothing(&crowd[i]);
    }
    dismiss_crowd();
}

/* With a message a turn no pass ever ends; each round of it is one write for everybody. */
static void messages_that_never_end_go_round_and_round(void **state) {
    (void)state;
    enum { ROUNDS = 4 };
    unsigned brought = 0;
    struct fake_client slow;
    gather_crowd("a");
    fake_node_join(node, &slow, "a");
    slow.takes = 7;
    bring("a", ++brought);
    while (crowd[0].writes < ROUNDS) {
        assert_true(hub_end_turn(node->hub));
        bring("a", ++brought);
    }
    fake_node_turn(node);
    assert_in_range(brought, ROUNDS, CROWD * ROUNDS);
    for (int i = 0; i < CROWD; i++) {
        assert_in_range(crowd[i].writes, ROUNDS - 1, ROUNDS + 1);
        for (unsigned number = 1; number <= brought; number++)
            fake_client_hears_number(&crowd[i], "a", number);
        fake_client_hears_nothing(&crowd[i]);
    }
    while (fake_client_pump(&slow))
        continue;
    for (unsigned number = 1; number <= brought; number++)
        fake_client_hears_number(&slow, "a", number);
    dismiss_crowd();
    fake_client_finish(&slow);
}

/* Three channels with a message each a turn. Of each, every round is one write for everybody; who is in two gets both in
 * one. Redis is never held, and nobody waits for more than a round. */
static void several_busy_channels_go_round_as_one_does(void **state) {
    (void)state;
    enum { ROUNDS = 4, IN_TWO = 1000 };
    static const char *const names[] = {"a", "b", "c"};
    unsigned brought = 0, turns = 0;
    for (int i = 0; i < CROWD; i++)
        fake_node_join(node, &crowd[i], names[i % 3]);
    for (int i = 0; i < IN_TWO; i++)
        fake_node_subscribe(node, &crowd[i], names[(i + 1) % 3]);
    while (crowd[CROWD - 1].writes < ROUNDS) {
        brought++;
        for (int i = 0; i < 3; i++)
            bring(names[i], brought);
        assert_true(hub_end_turn(node->hub));
        assert_false(node->broker.is_held);
        turns++;
    }
    fake_node_turn(node);
    assert_in_range(turns, ROUNDS, (CROWD + IN_TWO) / 256 * (ROUNDS + 1));
    for (int i = 0; i < CROWD; i++) {
        unsigned heard[3] = {0};
        struct bytes line;
        assert_in_range(crowd[i].writes, ROUNDS - 1, i < IN_TWO ? 2 * ROUNDS + 2 : ROUNDS + 1);
        while (fake_client_read(&crowd[i], &line)) {
            char name;
            unsigned number;
            char text[64];
            snprintf(text, sizeof text, "%.*s", BYTES_FMT(line));
            assert_int_equal(sscanf(text, "{\"channel\":\"%c\",\"data\":%u}", &name, &number), 2);
            assert_int_equal(number, ++heard[name - 'a']);
        }
        for (int channel = 0; channel < 3; channel++) {
            bool is_in = channel == i % 3 || (i < IN_TWO && channel == (i + 1) % 3);
            assert_int_equal(heard[channel], is_in ? brought : 0);
        }
    }
    dismiss_crowd();
}

/* What a client in two channels got by the first is not brought again by the second, nor what has come since forgotten. */
static void who_was_served_by_another_channel_gets_the_rest(void **state) {
    (void)state;
    struct fake_client ann, bob;
    node->hub->options.pass_writes_max = 1;
    fake_node_join(node, &bob, "a");
    fake_node_join(node, &ann, "a");
    fake_node_subscribe(node, &ann, "b");
    bring("a", 1);
    bring("b", 1);
    assert_true(hub_end_turn(node->hub)); /* To bob. */
    assert_true(hub_end_turn(node->hub)); /* To ann, both. */
    assert_int_equal(ann.writes, 1);
    bring("b", 2);
    fake_node_turn(node);
    assert_int_equal(ann.writes, 2);
    fake_client_hears_number(&ann, "b", 1);
    fake_client_hears_number(&ann, "a", 1);
    fake_client_hears_number(&ann, "b", 2);
    fake_client_hears_nothing(&ann);
    fake_client_finish(&ann);
    fake_client_finish(&bob);
}

/* Lists that change wherever the pass stands: messages join at every place, and each who stays hears all. */
static void round_is_never_too_short_however_the_list_changes(void **state) {
    (void)state;
    enum { COUNT = 9, TURNS = 3000 };
    unsigned next[COUNT], brought = 0;
    srand(7);
    node->hub->options.pass_writes_max = 2;
    for (int i = 0; i < COUNT; i++) {
        fake_node_join(node, &crowd[i], "a");
        next[i] = 1;
    }
    for (int turn = 0; turn < TURNS; turn++) {
        int i = rand() % COUNT;
        if (rand() % 3 > 0)
            bring("a", ++brought);
        if (rand() % 2 > 0) {
            fake_client_finish(&crowd[i]);
            fake_client_open(&crowd[i], node->hub, &fake_lines);
            fake_client_say(&crowd[i], "{\"op\":\"subscribe\",\"channel\":\"a\"}");
            next[i] = 0;
        }
        hub_end_turn(node->hub);
        for (i = 0; i < COUNT; i++) {
            struct bytes line;
            while (fake_client_read(&crowd[i], &line)) {
                char text[64];
                unsigned number;
                snprintf(text, sizeof text, "%.*s", BYTES_FMT(line));
                if (sscanf(text, "{\"channel\":\"a\",\"data\":%u}", &number) != 1)
                    continue; /* The reply. */
                if (next[i] > 0)
                    assert_int_equal(number, next[i]);
                next[i] = number + 1;
            }
        }
    }
    fake_node_turn(node);
    for (int i = 0; i < COUNT; i++) {
        for (; next[i] > 0 && next[i] <= brought; next[i]++)
            fake_client_hears_number(&crowd[i], "a", next[i]);
        fake_client_finish(&crowd[i]);
    }
}

static void mark_between_messages_waits_for_the_round_to_end(void **state) {
    (void)state;
    gather_crowd("a");
    bring("a", 1);
    assert_true(hub_end_turn(node->hub));
    bring("a", 2);
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_broker_confirm_all(&node->broker);
    bring("a", 3);
    fake_node_turn(node);
    for (int i = 0; i < CROWD; i++) {
        fake_client_hears_number(&crowd[i], "a", 1);
        fake_client_hears_number(&crowd[i], "a", 2);
        fake_client_hears(&crowd[i], "{\"event\":\"gap\",\"channel\":\"a\"}");
        fake_client_hears_number(&crowd[i], "a", 3);
    }
    dismiss_crowd();
}

static void client_that_subscribes_during_a_pass_gets_what_follows(void **state) {
    (void)state;
    struct fake_client late;
    gather_crowd("a");
    fake_node_join(node, &late, NULL);
    bring("a", 1);
    assert_true(hub_end_turn(node->hub));
    assert_true(count_served() < CROWD);
    fake_client_say(&late, "{\"op\":\"subscribe\",\"channel\":\"a\"}");
    bring("a", 2);
    fake_node_turn(node);
    fake_client_hears(&late, "{\"ok\":true,\"channel\":\"a\"}");
    fake_client_hears_number(&late, "a", 2);
    fake_client_hears_nothing(&late);
    for (int i = 0; i < CROWD; i++) {
        fake_client_hears_number(&crowd[i], "a", 1);
        fake_client_hears_number(&crowd[i], "a", 2);
        fake_client_hears_nothing(&crowd[i]);
    }
    fake_client_finish(&late);
    dismiss_crowd();
}

/* Nobody is skipped, and nobody served twice, when others leave before their turn has come. */
static void clients_that_leave_during_a_pass_take_nothing_from_others(void **state) {
    (void)state;
    gather_crowd("a");
    bring("a", 1);
    assert_true(hub_end_turn(node->hub));
    srand(5);
    for (int i = 0; i < CROWD; i++) {
        int what = rand() % 20;
        if (what == 0)
            fake_client_say(&crowd[i], "{\"op\":\"unsubscribe\",\"channel\":\"a\"}");
        else if (what == 1)
            fake_client_hang_up(&crowd[i]);
        else if (what == 2)
            session_close(crowd[i].session, CLOSE_OPERATOR);
    }
    bring("a", 2);
    fake_node_turn(node);
    srand(5);
    for (int i = 0; i < CROWD; i++) {
        int what = rand() % 20;
        if (what == 0) {
            fake_client_hears_number(&crowd[i], "a", 1);
            fake_client_hears(&crowd[i], "{\"ok\":true,\"channel\":\"a\"}");
        } else if (what > 2) {
            fake_client_hears_number(&crowd[i], "a", 1);
            fake_client_hears_number(&crowd[i], "a", 2);
        } else if (crowd[i].heard.len > crowd[i].read) {
            fake_client_hears_number(&crowd[i], "a", 1); /* Served before it left. */
        }
        fake_client_hears_nothing(&crowd[i]);
    }
    dismiss_crowd();
}

static void dead_connection_found_in_a_pass_hurts_nobody_else(void **state) {
    (void)state;
    gather_crowd("a");
    for (int i = 0; i < CROWD; i += 100)
        crowd[i].fails_at = 1;
    bring("a", 1);
    fake_node_turn(node);
    bring("a", 2);
    fake_node_turn(node);
    for (int i = 0; i < CROWD; i++) {
        if (i % 100 == 0) {
            assert_true(crowd[i].is_closed);
            assert_int_equal(crowd[i].reason, CLOSE_LOST);
        } else {
            fake_client_hears_number(&crowd[i], "a", 1);
            fake_client_hears_number(&crowd[i], "a", 2);
        }
        fake_client_hears_nothing(&crowd[i]);
    }
    assert_int_equal(node->metrics.closes[CLOSE_LOST], CROWD / 100);
    assert_int_equal(node->metrics.subscriptions, CROWD - CROWD / 100);
    dismiss_crowd();
}

static void dead_connection_found_while_gathering_is_written_to_once(void **state) {
    (void)state;
    struct fake_client ann, bob;
    fake_node_join(node, &ann, "a");
    fake_node_subscribe(node, &ann, "b");
    fake_node_join(node, &bob, "a");
    fake_node_subscribe(node, &bob, "b");
    ann.fails_at = 1;
    bring("a", 1);
    bring("b", 2);
    fake_node_turn(node);
    assert_int_equal(ann.writes, 1);
    assert_int_equal(ann.reason, CLOSE_LOST);
    fake_client_hears_number(&bob, "b", 2);
    fake_client_hears_number(&bob, "a", 1);
    fake_client_finish(&ann);
    fake_client_finish(&bob);
}

/* --- Everything at once --------------------------------------------------------------------- */

enum { CHANNELS = 3 };

/* What a client may expect next. */
struct expectation {
    bool is_subscribed[CHANNELS];
    bool has_heard[CHANNELS];
    unsigned last[CHANNELS];
};

static void check_line(struct expectation *expected, struct bytes line) {
    char text[128];
    unsigned number;
    int channel;
    snprintf(text, sizeof text, "%.*s", BYTES_FMT(line));
    if (sscanf(text, "{\"channel\":\"%d\",\"data\":%u}", &channel, &number) == 2) {
        assert_true(expected->is_subscribed[channel]);
        if (expected->has_heard[channel])
            assert_int_equal(number, expected->last[channel] + 1);
        expected->has_heard[channel] = true;
        expected->last[channel] = number;
    } else if (sscanf(text, "{\"ref\":1,\"ok\":true,\"channel\":\"%d\"}", &channel) == 1) {
        expected->is_subscribed[channel] = true;
        expected->has_heard[channel] = false;
    } else {
        assert_int_equal(sscanf(text, "{\"ref\":2,\"ok\":true,\"channel\":\"%d\"}", &channel), 1);
        expected->is_subscribed[channel] = false;
    }
}

static void check_heard(struct fake_client *client, struct expectation *expected) {
    struct bytes line;
    while (fake_client_read(client, &line))
        check_line(expected, line);
    client->heard.len = client->read = 0;
}

static void open_client(struct fake_client *client, struct expectation *expected) {
    fake_client_open(client, node->hub, &fake_lines);
    *expected = (struct expectation){0};
    client->takes = rand() % 3 > 0 ? SIZE_MAX : (size_t)(1 + rand() % 90);
}

static bool is_subscribed(const struct fake_client *client, char name) {
    struct channel *channel = hub_find_channel(node->hub, bytes_make(&name, 1));
    return channel != NULL && session_find_subscription(client->session, channel) != NULL;
}

static void stir(struct fake_client *client, struct expectation *expected) {
    char text[80];
    char name = (char)('0' + rand() % CHANNELS);
    switch (rand() % 8) {
    case 0:
        fake_client_hang_up(client);
        check_heard(client, expected);
        fake_client_finish(client);
        open_client(client, expected);
        break;
    case 1:
    case 2:
    case 3:
        /* The reference tells the replies apart. */
        snprintf(text, sizeof text, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"%c\"}", name);
        if (!is_subscribed(client, name))
            fake_client_say(client, text);
        break;
    case 4:
        snprintf(text, sizeof text, "{\"ref\":2,\"op\":\"unsubscribe\",\"channel\":\"%c\"}", name);
        if (is_subscribed(client, name))
            fake_client_say(client, text);
        break;
    default:
        fake_client_pump(client);
    }
}

/* Sockets that take little, clients that come and go, several channels, passes that yield: each client hears
 * of each channel every message from the reply to its subscribe to the one to its unsubscribe, in order. */
static void nothing_is_lost_doubled_or_swapped(void **state) {
    (void)state;
    static struct expectation expected[CROWD];
    unsigned brought[CHANNELS] = {0};
    srand(42);
    for (int i = 0; i < CROWD; i++)
        open_client(&crowd[i], &expected[i]);
    for (int round = 0; round < 120; round++) {
        for (int i = 0; i < 150; i++) {
            int each = rand() % CROWD;
            stir(&crowd[each], &expected[each]);
        }
        for (int i = rand() % 4; i > 0; i--) {
            char name[2] = {(char)('0' + rand() % CHANNELS), '\0'};
            bring(name, ++brought[name[0] - '0']);
        }
        /* Once: a pass that yields is met by the next round. */
        hub_end_turn(node->hub);
        if (round == 60) { /* Half way, everybody is in everything. */
            fake_node_turn(node);
            for (int i = 0; i < CROWD; i++)
                for (int channel = 0; channel < 9; channel++)
                    stir(&crowd[i], &expected[i]);
        }
    }
    fake_node_turn(node);
    for (int i = 0; i < CROWD; i++) {
        while (fake_client_pump(&crowd[i]))
            continue;
        check_heard(&crowd[i], &expected[i]);
        for (int channel = 0; channel < CHANNELS; channel++)
            if (expected[i].is_subscribed[channel] && expected[i].has_heard[channel])
                assert_int_equal(expected[i].last[channel], brought[channel]);
    }
    assert_int_equal(node->metrics.outbox_bytes, 0);
    dismiss_crowd();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(pass_over_a_crowd_yields_and_goes_on),
        TEST(broker_is_held_while_there_is_a_backlog),
        TEST(another_channel_joins_the_pass),
        TEST(one_turn_sends_all_batches_that_have_come),
        TEST(message_that_comes_during_a_pass_joins_it),
        TEST(messages_that_never_end_go_round_and_round),
        TEST(several_busy_channels_go_round_as_one_does),
        TEST(who_was_served_by_another_channel_gets_the_rest),
        TEST(round_is_never_too_short_however_the_list_changes),
        TEST(mark_between_messages_waits_for_the_round_to_end),
        TEST(client_that_subscribes_during_a_pass_gets_what_follows),
        TEST(clients_that_leave_during_a_pass_take_nothing_from_others),
        TEST(dead_connection_found_in_a_pass_hurts_nobody_else),
        TEST(dead_connection_found_while_gathering_is_written_to_once),
        TEST(nothing_is_lost_doubled_or_swapped),
    };
    return cmocka_run_group_tests_name("pass", tests, NULL, NULL);
}

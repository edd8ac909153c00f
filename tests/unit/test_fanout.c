/* One message in, one write per subscriber out: joining, gathering, and passes that yield. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "tests/fake/fake_node.h"

/* More subscribers than one pass serves before it yields, twice over. */
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
    char payload[16];
    snprintf(payload, sizeof payload, "%u", number);
    fake_broker_bring(&node->broker, channel, payload);
}

static void hears_number(struct fake_client *client, const char *channel, unsigned number) {
    char line[128];
    snprintf(line, sizeof line, "{\"channel\":\"%s\",\"data\":%u}", channel, number);
    fake_client_hears(client, line);
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
        hears_number(&ann, "a", i);
        hears_number(&bob, "a", i);
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
        hears_number(&ann, "a", i);
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
    hears_number(&both, "b", 2);
    hears_number(&both, "a", 1);
    hears_number(&both, "a", 3);
    fake_client_hears_nothing(&both);
    hears_number(&one, "a", 1);
    hears_number(&one, "a", 3);
    hears_number(&other, "b", 2);
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
    hears_number(&ann, "batch:a", 1);
    hears_number(&ann, "batch:a", 2);
    /* The next one begins anew. */
    bring("batch:a", 3);
    fake_node_pass(node, 90);
    fake_client_hears_nothing(&ann);
    fake_node_pass(node, 20);
    hears_number(&ann, "batch:a", 3);
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
        hears_number(&ann, "batch:a", i);
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
    hears_number(&ann, "batch:a", 1);
    hears_number(&ann, "batch:a", 2);
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
    hears_number(&bob, "batch:a", 2);
    fake_client_hears_nothing(&bob);
    fake_client_finish(&bob);
    fake_node_turn(node);
    fake_node_pass(node, 4990);
    assert_int_equal(node->broker.unsubscribed, 0);
    fake_node_pass(node, 20);
    assert_int_equal(node->broker.unsubscribed, 1);
    fake_client_finish(&ann);
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
        hears_number(&crowd[i], "a", 1);
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

static void broker_is_held_while_another_channel_waits(void **state) {
    (void)state;
    struct fake_client ann;
    fake_node_join(node, &ann, "b");
    gather_crowd("a");
    bring("a", 1);
    assert_true(hub_end_turn(node->hub));
    assert_false(node->broker.is_held);
    bring("b", 1);
    bring("a", 2); /* Does not go before what came before it, and does not make the other wait for longer. */
    while (ann.writes == 0) {
        assert_true(hub_end_turn(node->hub));
        assert_true(ann.writes > 0 || node->broker.is_held);
    }
    hears_number(&ann, "b", 1);
    assert_int_equal(count_served(), CROWD);
    fake_node_turn(node);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].writes, 2);
        hears_number(&crowd[i], "a", 1);
        hears_number(&crowd[i], "a", 2);
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
        hears_number(&ann, "a", i);
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
            hears_number(&crowd[i], "a", number);
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
            hears_number(&crowd[i], "a", number);
        fake_client_hears_nothing(&crowd[i]);
    }
    while (fake_client_pump(&slow))
        continue;
    for (unsigned number = 1; number <= brought; number++)
        hears_number(&slow, "a", number);
    dismiss_crowd();
    fake_client_finish(&slow);
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
        hears_number(&crowd[i], "a", 1);
        hears_number(&crowd[i], "a", 2);
        fake_client_hears(&crowd[i], "{\"event\":\"gap\",\"channel\":\"a\"}");
        hears_number(&crowd[i], "a", 3);
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
    hears_number(&late, "a", 2);
    fake_client_hears_nothing(&late);
    for (int i = 0; i < CROWD; i++) {
        hears_number(&crowd[i], "a", 1);
        hears_number(&crowd[i], "a", 2);
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
            hears_number(&crowd[i], "a", 1);
            fake_client_hears(&crowd[i], "{\"ok\":true,\"channel\":\"a\"}");
        } else if (what > 2) {
            hears_number(&crowd[i], "a", 1);
            hears_number(&crowd[i], "a", 2);
        } else if (crowd[i].heard.len > crowd[i].read) {
            hears_number(&crowd[i], "a", 1); /* Served before it left. */
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
            hears_number(&crowd[i], "a", 1);
            hears_number(&crowd[i], "a", 2);
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
    hears_number(&bob, "b", 2);
    hears_number(&bob, "a", 1);
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
        TEST(pass_over_a_crowd_yields_and_goes_on),
        TEST(broker_is_held_while_there_is_a_backlog),
        TEST(broker_is_held_while_another_channel_waits),
        TEST(one_turn_sends_all_batches_that_have_come),
        TEST(message_that_comes_during_a_pass_joins_it),
        TEST(messages_that_never_end_go_round_and_round),
        TEST(mark_between_messages_waits_for_the_round_to_end),
        TEST(client_that_subscribes_during_a_pass_gets_what_follows),
        TEST(clients_that_leave_during_a_pass_take_nothing_from_others),
        TEST(dead_connection_found_in_a_pass_hurts_nobody_else),
        TEST(dead_connection_found_while_gathering_is_written_to_once),
        TEST(nothing_is_lost_doubled_or_swapped),
    };
    return cmocka_run_group_tests_name("fanout", tests, NULL, NULL);
}

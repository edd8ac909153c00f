/* Channels with history: where a subscription begins, and how the channel stays whole when messages go missing
 * on their way. The stream is what the test says it is. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/fake_node.h"

enum { EPOCH = 7, ENTRIES_MAX = 8 };

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

/* The message with that offset; its payload is the offset. */
static struct entry message_at(uint64_t offset) {
    static const char *const payloads[] = {"0", "1", "2", "3",  "4",  "5", "6",
                                           "7", "8", "9", "10", "11", "12"};
    return (struct entry){
        .kind = ENTRY_MESSAGE,
        .has_id = true,
        .id = {EPOCH, offset},
        .published_ms = fake_node_wall_ms(),
        .payload = bytes_of(payloads[offset % 13]),
    };
}

static void bring(uint64_t offset) {
    struct entry entry = message_at(offset);
    fake_broker_bring_entry(&node->broker, "kept:a", &entry);
}

static void answer_with(const struct entry *entries, size_t count, struct position head) {
    struct sync_result result = {.head = head, .entries = entries, .count = count};
    fake_broker_answer_sync(&node->broker, ERR_OK, &result);
    fake_node_turn(node);
}

/* The stream holds the messages `first` to `last`, and that is all. */
static void answer_range(uint64_t first, uint64_t last) {
    struct entry entries[ENTRIES_MAX];
    size_t count = 0;
    for (uint64_t offset = first; offset <= last; offset++)
        entries[count++] = message_at(offset);
    answer_with(entries, count, (struct position){EPOCH, last});
}

static void hears_message(struct fake_client *client, uint64_t offset) {
    char line[128];
    snprintf(line, sizeof line, "{\"channel\":\"kept:a\",\"id\":\"%d-%llu\",\"data\":%llu}", EPOCH,
             (unsigned long long)offset, (unsigned long long)offset % 13);
    fake_client_hears(client, line);
}

static void say(struct fake_client *client, const char *text) {
    fake_client_say(client, text);
    fake_node_turn(node);
}

/* `ann` is subscribed, and the channel has messages 1 to 3. */
static void begin_with_three(void) {
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    answer_range(1, 3);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    fake_client_hears_nothing(&ann);
}

/* --- Where a subscription begins --------------------------------------------------------------- */

static void subscribe_is_answered_when_the_stream_has_been_read(void **state) {
    (void)state;
    node->broker.confirms = false;
    say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    assert_int_equal(node->broker.syncs.count, 0);
    fake_broker_confirm(&node->broker, "kept:a");
    fake_node_turn(node);
    assert_int_equal(node->broker.syncs.count, 1);
    assert_false(node->broker.syncs.items[0].has_seen);
    fake_client_hears_nothing(&ann);
    answer_with(NULL, 0, (struct position){EPOCH, 0});
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-0\"}");
    fake_client_hears_nothing(&ann);
}

#define NOTHING "18446744073709551615"

/* What the broker says where there are `count` messages, and nothing before them since `calm`. */
static void answer_calm(size_t count, uint64_t epoch, uint64_t calm) {
    struct entry entries[] = {message_at(0), message_at(1)};
    struct sync_result result = {
        .head = count > 0 ? entries[count - 1].id : position_of_nothing(epoch),
        .entries = entries,
        .count = count,
        .has_calm = true,
        .calm = calm,
    };
    fake_broker_answer_sync(&node->broker, ERR_OK, &result);
    fake_node_turn(node);
}

/* `ann` is subscribed to a channel to which nobody has published. */
static void begin_with_nothing(void) {
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    answer_calm(0, 5, 3);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"5-" NOTHING "\"}");
}

static void nothing_goes_on_with_the_first_message(void **state) {
    (void)state;
    begin_with_nothing();
    bring(0);
    fake_node_turn(node);
    assert_int_equal(node->broker.syncs.count, 0);
    hears_message(&ann, 0);
    bring(1);
    fake_node_turn(node);
    hears_message(&ann, 1);
    fake_client_hears_nothing(&ann);
    /* Other nodes had looked at other times. */
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"3-" NOTHING "\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-1\",\"recovered\":true}");
    hears_message(&bob, 0);
    hears_message(&bob, 1);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"2-" NOTHING "\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-1\",\"recovered\":false}");
    fake_client_hears_nothing(&bob);
}

static void nothing_of_a_life_that_is_over_is_a_gap(void **state) {
    (void)state;
    begin_with_nothing();
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    assert_true(position_is_nothing(&node->broker.syncs.items[0].seen));
    answer_calm(1, 0, 6);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"6-" NOTHING "\"}");
    hears_message(&ann, 0);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"5-" NOTHING "\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-0\",\"recovered\":false}");
}

static void nothing_that_has_become_something_while_the_link_was_away_is_made_good(void **state) {
    (void)state;
    begin_with_nothing();
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    answer_calm(2, 0, 3);
    hears_message(&ann, 0);
    hears_message(&ann, 1);
    fake_client_hears_nothing(&ann);
}

static void nothing_that_is_still_nothing_is_not_heard_of(void **state) {
    (void)state;
    begin_with_nothing();
    for (uint64_t calm = 3; calm <= 6; calm += 3) {
        fake_broker_lose_link(&node->broker);
        fake_broker_restore_link(&node->broker);
        fake_node_turn(node);
        fake_client_hears_nothing(&ann);
        answer_calm(0, 9, calm);
    }
    /* The second time Redis had lost what it had, and who knows what that was. */
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"9-" NOTHING "\"}");
    fake_client_hears_nothing(&ann);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"12-" NOTHING "\"}");
    assert_int_equal(node->broker.syncs.count, 0); /* A later look by another node is no news. */
}

static void second_subscriber_is_served_from_memory(void **state) {
    (void)state;
    begin_with_three();
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"last\":2}");
    assert_int_equal(node->broker.syncs.count, 0);
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    hears_message(&bob, 2);
    hears_message(&bob, 3);
    fake_client_hears_nothing(&bob);
    fake_client_hears_nothing(&ann);
}

static void client_that_comes_back_gets_what_it_missed(void **state) {
    (void)state;
    static const struct {
        const char *since;
        int first; /* 0: recovered, and nothing to replay; -1: not recovered. */
    } rows[] = {{"7-0", 1}, {"7-1", 2}, {"7-2", 3}, {"7-3", 0}, {"6-2", -1}};
    begin_with_three();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_client carl;
        char text[128];
        fake_node_join(node, &carl, NULL);
        snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"%s\"}",
                 rows[i].since);
        say(&carl, text);
        snprintf(text, sizeof text,
                 "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\",\"recovered\":%s}",
                 rows[i].first < 0 ? "false" : "true");
        fake_client_hears(&carl, text);
        for (int offset = rows[i].first; offset > 0 && offset <= 3; offset++)
            hears_message(&carl, (uint64_t)offset);
        fake_client_hears_nothing(&carl);
        fake_client_finish(&carl);
    }
}

/* Another node was faster, or what the client saw is gone: only the stream knows. */
static void client_that_is_ahead_of_the_node_is_answered_after_a_read(void **state) {
    (void)state;
    static const char *const positions[] = {"7-4", "8-1", "7-18446744073709551615"};
    begin_with_three();
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"%s\"}",
                 positions[i]);
        say(&bob, text);
        fake_client_hears_nothing(&bob);
        assert_int_equal(node->broker.syncs.count, 1);
        answer_with(NULL, 0, (struct position){EPOCH, 3});
        fake_client_hears(&bob,
                          "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\",\"recovered\":false}");
        say(&bob, "{\"op\":\"unsubscribe\",\"channel\":\"kept:a\"}");
        fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\"}");
    }
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-4\"}");
    answer_range(4, 5);
    hears_message(&ann, 4);
    hears_message(&ann, 5);
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-5\",\"recovered\":true}");
    hears_message(&bob, 5);
    fake_client_hears_nothing(&ann);
    fake_client_hears_nothing(&bob);
    assert_int_equal(node->metrics.gaps, 0);
}

static void read_under_way_may_be_older_than_what_the_client_has_seen(void **state) {
    (void)state;
    begin_with_three();
    bring(5);
    fake_node_turn(node);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-6\"}");
    answer_range(4, 5);
    hears_message(&ann, 4);
    hears_message(&ann, 5);
    fake_client_hears_nothing(&bob);
    assert_int_equal(node->broker.syncs.count, 1);
    answer_range(6, 7);
    hears_message(&ann, 6);
    hears_message(&ann, 7);
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-7\",\"recovered\":true}");
    hears_message(&bob, 7);
    fake_client_hears_nothing(&bob);
}

static void ring_holds_as_many_as_the_namespace_says(void **state) {
    (void)state;
    begin_with_three();
    for (uint64_t offset = 4; offset <= 10; offset++) {
        bring(offset);
        fake_node_turn(node);
        hears_message(&ann, offset);
    }
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-4\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-10\",\"recovered\":false}");
    fake_client_hears_nothing(&bob);
    say(&bob, "{\"op\":\"unsubscribe\",\"channel\":\"kept:a\"}");
    bob.read = bob.heard.len;
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-5\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-10\",\"recovered\":true}");
    for (uint64_t offset = 6; offset <= 10; offset++)
        hears_message(&bob, offset);
    fake_client_hears_nothing(&bob);
}

static void old_messages_are_not_replayed(void **state) {
    (void)state;
    begin_with_three();
    fake_node_pass(node, FAKE_HISTORY_TTL_SECONDS * 1000 - 500);
    bring(4);
    fake_node_turn(node);
    fake_node_pass(node, 1000);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"last\":5}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-4\"}");
    hears_message(&bob, 4);
    fake_client_hears_nothing(&bob);
}

static void replay_comes_before_what_is_live(void **state) {
    (void)state;
    begin_with_three();
    bring(4);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-1\"}");
    bring(5);
    fake_node_turn(node);
    struct bytes line;
    assert_true(fake_client_read(&bob, &line)); /* The reply: where the channel was just then. */
    for (uint64_t offset = 2; offset <= 5; offset++)
        hears_message(&bob, offset);
    fake_client_hears_nothing(&bob);
    hears_message(&ann, 4);
    hears_message(&ann, 5);
    fake_client_hears_nothing(&ann);
}

/* What a client missed is no sign that it reads slowly; the node's memory is a limit all the same. */
static void replay_on_a_full_node_is_for_who_reads(void **state) {
    (void)state;
    begin_with_three();
    node->config.limits.outbox_total_bytes = 150; /* The reply and one message. */
    node->config.limits.outbox_messages = 1;
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"last\":3}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    for (uint64_t offset = 1; offset <= 3; offset++)
        hears_message(&bob, offset);
    fake_client_hears_nothing(&bob);

    say(&bob, "{\"op\":\"unsubscribe\",\"channel\":\"kept:a\"}");
    bob.takes = 0;
    say(&bob, "{\"op\":\"ping\"}");
    assert_false(bob.is_closed);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"last\":3}");
    assert_true(bob.is_closed);
    assert_int_equal(bob.reason, CLOSE_SLOW_CONSUMER);
    assert_int_equal(node->metrics.outbox_bytes, 0);
}

/* --- Asked again on a subscription that lives --------------------------------------------------------- */

/* A part of the page that comes later begins where it says; those that were there go on as if nothing had been. */
static void replay_may_be_asked_for_again(void **state) {
    (void)state;
    static const struct {
        const char *from;
        const char *reply;
        int first; /* 0: nothing is replayed. */
    } rows[] = {
        {"", "", 0},
        {",\"last\":2", "", 3},
        {",\"last\":0", "", 0},
        {",\"since\":\"7-2\"", ",\"recovered\":true", 3},
        {",\"since\":\"7-4\"", ",\"recovered\":true", 0},
        {",\"since\":\"6-2\"", ",\"recovered\":false", 0},
    };
    begin_with_three();
    bring(4);
    fake_node_turn(node);
    hears_message(&ann, 4);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"ref\":5,\"op\":\"subscribe\",\"channel\":\"kept:a\"%s}",
                 rows[i].from);
        say(&ann, text);
        snprintf(text, sizeof text, "{\"ref\":5,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-4\"%s}",
                 rows[i].reply);
        fake_client_hears(&ann, text);
        for (int offset = rows[i].first; offset > 0 && offset <= 4; offset++)
            hears_message(&ann, (uint64_t)offset);
        fake_client_hears_nothing(&ann);
    }
    bring(5);
    fake_node_turn(node);
    hears_message(&ann, 5);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->metrics.subscriptions, 1);
}

/* What the reply's position says the client has it has had before the reply, and what is live comes after all that is
 * replayed. */
static void replay_asked_for_again_stands_between_what_was_live_and_what_is(void **state) {
    (void)state;
    struct fake_client crowd[4];
    begin_with_three();
    node->hub->options.pass_writes_max = 2;
    for (int i = 0; i < 4; i++) {
        fake_node_join(node, &crowd[i], NULL);
        fake_node_subscribe(node, &crowd[i], "kept:a");
    }
    bring(4);
    assert_true(hub_end_turn(node->hub));
    bring(5);
    fake_client_say(&crowd[3], "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"last\":3}");
    bring(6);
    fake_node_turn(node);
    hears_message(&crowd[3], 4);
    fake_client_hears(&crowd[3], "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-4\"}");
    for (uint64_t offset = 2; offset <= 6; offset++)
        hears_message(&crowd[3], offset);
    fake_client_hears_nothing(&crowd[3]);
    for (int i = 0; i < 3; i++) {
        for (uint64_t offset = 4; offset <= 6; offset++)
            hears_message(&crowd[i], offset);
        fake_client_hears_nothing(&crowd[i]);
    }
    for (int i = 0; i < 4; i++)
        fake_client_finish(&crowd[i]);
}

/* A reply says the same of what follows. */
static void history_asked_for_during_a_pass_comes_after_what_it_holds(void **state) {
    (void)state;
    begin_with_three();
    fake_node_subscribe(node, &bob, "kept:a");
    node->hub->options.pass_writes_max = 1;
    bring(4);
    assert_true(hub_end_turn(node->hub));
    fake_client_hears_nothing(&bob);
    fake_client_say(&bob, "{\"op\":\"history\",\"channel\":\"kept:a\",\"last\":1}");
    fake_node_turn(node);
    hears_message(&bob, 4);
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-4\",\"messages\":["
                            "{\"channel\":\"kept:a\",\"id\":\"7-4\",\"data\":4}]}");
    fake_client_hears_nothing(&bob);
}

/* Whoever was answered after a wait has the same, each in its turn. */
static void each_of_two_that_wait_for_the_stream_gets_its_own(void **state) {
    (void)state;
    say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"kept:a\"}\n"
              "{\"ref\":2,\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-2\"}");
    answer_range(1, 3);
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    fake_client_hears(
        &ann, "{\"ref\":2,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\",\"recovered\":true}");
    hears_message(&ann, 3);
    fake_client_hears_nothing(&ann);
}

/* The later command does not begin in the place of the earlier one, which has to wait for a read. */
static void replay_asked_for_again_waits_for_the_command_before_it(void **state) {
    (void)state;
    begin_with_three();
    say(&bob, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-4\"}");
    say(&bob, "{\"ref\":2,\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-2\"}");
    say(&bob, "{\"ref\":3,\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    fake_client_hears_nothing(&bob);
    answer_range(4, 5);
    hears_message(&ann, 4);
    hears_message(&ann, 5);
    fake_client_hears(
        &bob, "{\"ref\":1,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-5\",\"recovered\":true}");
    hears_message(&bob, 5);
    fake_client_hears(
        &bob, "{\"ref\":2,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-5\",\"recovered\":true}");
    for (uint64_t offset = 3; offset <= 5; offset++)
        hears_message(&bob, offset);
    fake_client_hears(&bob, "{\"ref\":3,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-5\"}");
    fake_client_hears_nothing(&bob);
}

/* The first is owed, whatever the outbox may hold; more of them at a time are what a slow client asks for. */
static void replays_asked_for_without_end_are_held_against_the_client(void **state) {
    (void)state;
    begin_with_three();
    node->config.limits.outbox_messages = 2;
    ann.takes = 0;
    say(&ann, "{\"op\":\"ping\"}");
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"last\":3}");
    assert_false(ann.is_closed);
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"last\":3}");
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_SLOW_CONSUMER);
    assert_int_equal(node->metrics.outbox_bytes, 0);
}

static void what_comes_while_the_stream_is_read_is_spliced_to_it(void **state) {
    (void)state;
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"last\":2}");
    bring(2);
    bring(3);
    bring(4);
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    answer_range(1, 3);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    for (uint64_t offset = 2; offset <= 4; offset++)
        hears_message(&ann, offset);
    fake_client_hears_nothing(&ann);
}

/* --- Staying whole ------------------------------------------------------------------------------ */

static void hole_is_read_from_the_stream_before_anything_later(void **state) {
    (void)state;
    begin_with_three();
    bring(6);
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->broker.syncs.count, 1);
    assert_true(node->broker.syncs.items[0].has_seen);
    assert_int_equal(node->broker.syncs.items[0].seen.offset, 3);
    bring(7);
    bring(8);
    fake_node_turn(node);
    answer_range(4, 7);
    for (uint64_t offset = 4; offset <= 8; offset++)
        hears_message(&ann, offset);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->broker.syncs.count, 0);
    assert_int_equal(node->metrics.gaps, 0);
}

static void message_that_comes_twice_is_delivered_once(void **state) {
    (void)state;
    begin_with_three();
    bring(4);
    bring(4);
    bring(2);
    bring(5);
    fake_node_turn(node);
    hears_message(&ann, 4);
    hears_message(&ann, 5);
    fake_client_hears_nothing(&ann);
}

static void what_the_stream_does_not_hold_any_more_is_a_gap(void **state) {
    (void)state;
    begin_with_three();
    bring(9);
    fake_node_turn(node);
    answer_range(7, 9);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-6\"}");
    for (uint64_t offset = 7; offset <= 9; offset++)
        hears_message(&ann, offset);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->metrics.gaps, 1);
    /* Nor is it promised to others. */
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-2\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-9\",\"recovered\":false}");
}

static void lost_link_that_missed_nothing_is_not_heard_of(void **state) {
    (void)state;
    begin_with_three();
    fake_broker_lose_link(&node->broker);
    fake_node_pass(node, 3000);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    assert_int_equal(node->broker.syncs.count, 1);
    answer_with(NULL, 0, (struct position){EPOCH, 3});
    fake_client_hears_nothing(&ann);
    bring(4);
    fake_node_turn(node);
    hears_message(&ann, 4);
}

static void lost_link_that_missed_something_is_made_good(void **state) {
    (void)state;
    begin_with_three();
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    bring(6);
    fake_node_turn(node);
    answer_range(4, 5);
    for (uint64_t offset = 4; offset <= 6; offset++)
        hears_message(&ann, offset);
    fake_client_hears_nothing(&ann);
}

static void stream_that_went_on_and_expired_is_a_gap(void **state) {
    (void)state;
    begin_with_three();
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    answer_with(NULL, 0, (struct position){EPOCH, 8});
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-8\"}");
    /* Nor may anybody go on from before it. */
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-3\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-8\",\"recovered\":false}");
    bring(9);
    fake_node_turn(node);
    hears_message(&ann, 9);
    fake_client_hears_nothing(&ann);
}

static void new_epoch_that_continues_the_old_one_costs_nothing(void **state) {
    (void)state;
    struct entry boundary = {
        .kind = ENTRY_BOUNDARY,
        .has_id = true,
        .id = {8, 0},
        .has_previous = true,
        .previous = {EPOCH, 3},
        .published_ms = fake_node_wall_ms(),
    };
    struct entry next = message_at(1);
    next.id.epoch = 8;
    begin_with_three();
    fake_broker_bring_entry(&node->broker, "kept:a", &boundary);
    fake_broker_bring_entry(&node->broker, "kept:a", &next);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"channel\":\"kept:a\",\"id\":\"8-1\",\"data\":1}");
    fake_client_hears_nothing(&ann);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-2\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"8-1\",\"recovered\":true}");
    hears_message(&bob, 3);
    fake_client_hears(&bob, "{\"channel\":\"kept:a\",\"id\":\"8-1\",\"data\":1}");
    fake_client_hears_nothing(&bob);
}

/* Redis came back from an older state, somebody published, and then this node's read proved the loss. */
static void loss_that_the_node_finds_itself_is_told_once(void **state) {
    (void)state;
    struct entry entries[] = {
        {.kind = ENTRY_BOUNDARY, .id = {8, 0}, .has_previous = true, .previous = {EPOCH, 2}},
        message_at(1),
        {.kind = ENTRY_GAP, .id = {8, 2}},
    };
    for (int i = 0; i < 3; i++) {
        entries[i].has_id = true;
        entries[i].id.epoch = 8;
        entries[i].published_ms = fake_node_wall_ms();
    }
    begin_with_three();
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    answer_with(entries, 3, (struct position){8, 2});
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"8-0\"}");
    fake_client_hears(&ann, "{\"channel\":\"kept:a\",\"id\":\"8-1\",\"data\":1}");
    fake_client_hears_nothing(&ann);
    /* Who was not here then has not been told. */
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"8-1\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"8-2\",\"recovered\":false}");
}

/* The node is behind, and the stream has let go of what it misses; a client from another node is not. */
static void hole_before_a_boundary_is_none_for_who_has_seen_what_is_before_it(void **state) {
    (void)state;
    struct entry boundary = {
        .kind = ENTRY_BOUNDARY,
        .has_id = true,
        .id = {8, 0},
        .has_previous = true,
        .previous = {EPOCH, 9},
        .published_ms = fake_node_wall_ms(),
    };
    begin_with_three();
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-9\"}");
    answer_with(&boundary, 1, (struct position){8, 0});
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-9\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"8-0\",\"recovered\":true}");
}

static void last_few_messages_tell_of_the_gap_among_them(void **state) {
    (void)state;
    struct entry mark = {
        .kind = ENTRY_GAP, .has_id = true, .id = {EPOCH, 4}, .published_ms = fake_node_wall_ms()};
    begin_with_three();
    fake_broker_bring_entry(&node->broker, "kept:a", &mark);
    bring(5);
    fake_node_turn(node);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"last\":2}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-5\"}");
    hears_message(&bob, 3);
    fake_client_hears(&bob, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-4\"}");
    hears_message(&bob, 5);
    fake_client_hears_nothing(&bob);
}

static void gap_mark_is_told_where_it_stands(void **state) {
    (void)state;
    struct entry mark = {
        .kind = ENTRY_GAP, .has_id = true, .id = {EPOCH, 5}, .published_ms = fake_node_wall_ms()};
    begin_with_three();
    bring(4);
    fake_broker_bring_entry(&node->broker, "kept:a", &mark);
    bring(6);
    fake_node_turn(node);
    hears_message(&ann, 4);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-5\"}");
    hears_message(&ann, 6);
    fake_client_hears_nothing(&ann);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-4\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-6\",\"recovered\":false}");
}

static void message_that_is_too_large_leaves_a_gap_in_its_place(void **state) {
    (void)state;
    struct entry large = message_at(4);
    char payload[101];
    memset(payload, 'x', sizeof payload);
    large.payload = bytes_make(payload, sizeof payload);
    node->config.limits.message_bytes = 100;
    begin_with_three();
    fake_broker_bring_entry(&node->broker, "kept:a", &large);
    bring(5);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-4\"}");
    hears_message(&ann, 5);
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->metrics.drops[DROP_TOO_LARGE], 1);
}

static void bare_message_is_live_and_not_kept(void **state) {
    (void)state;
    begin_with_three();
    fake_broker_bring(&node->broker, "kept:a", "\"bare\"");
    bring(4);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"channel\":\"kept:a\",\"data\":\"bare\"}");
    hears_message(&ann, 4);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-3\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-4\",\"recovered\":true}");
    hears_message(&bob, 4);
    fake_client_hears_nothing(&bob);
}

/* What the stream never had cannot be read from it. */
static void lost_link_is_a_gap_where_bare_messages_came(void **state) {
    (void)state;
    begin_with_three();
    fake_broker_bring(&node->broker, "kept:a", "\"bare\"");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"channel\":\"kept:a\",\"data\":\"bare\"}");
    for (uint64_t offset = 4; offset <= 5; offset++) {
        fake_broker_lose_link(&node->broker);
        fake_broker_restore_link(&node->broker);
        fake_node_turn(node);
        fake_broker_bring(&node->broker, "kept:a", "\"after\"");
        fake_node_turn(node);
        fake_client_hears_nothing(&ann);
        answer_range(offset, offset);
        hears_message(&ann, offset);
        fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\"}");
        fake_client_hears(&ann, "{\"channel\":\"kept:a\",\"data\":\"after\"}");
        fake_client_hears_nothing(&ann);
    }
    /* What is in the stream is still served from memory. */
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\",\"since\":\"7-3\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-5\",\"recovered\":true}");
    hears_message(&bob, 4);
    hears_message(&bob, 5);
    fake_client_hears_nothing(&bob);
}

/* It was sent to a subscription that this node has given up meanwhile; others that came between the two were not. */
static void bare_message_of_an_earlier_subscription_is_nobodys(void **state) {
    (void)state;
    node->broker.confirms = false;
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    fake_broker_bring(&node->broker, "kept:a", "\"before\"");
    fake_broker_confirm(&node->broker, "kept:a");
    answer_range(1, 3);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    fake_client_hears_nothing(&ann);
    fake_broker_bring(&node->broker, "kept:a", "\"after\"");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"channel\":\"kept:a\",\"data\":\"after\"}");
}

static void lost_bare_message_is_a_gap_also_where_the_stream_may_not_be_read(void **state) {
    (void)state;
    begin_with_three();
    fake_broker_bring(&node->broker, "kept:a", "\"bare\"");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"channel\":\"kept:a\",\"data\":\"bare\"}");
    for (int time = 0; time < 2; time++) {
        fake_broker_lose_link(&node->broker);
        fake_broker_restore_link(&node->broker);
        fake_node_turn(node);
        fake_broker_answer_sync(&node->broker, ERR_BROKER_REFUSED, NULL);
        fake_node_turn(node);
        fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\"}");
        fake_client_hears_nothing(&ann);
    }
}

static void more_than_may_wait_is_read_once_more(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    for (uint64_t offset = 4; offset < COUNT; offset++)
        bring(offset);
    fake_node_turn(node);
    answer_range(1, 3);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    assert_int_equal(node->broker.syncs.count, 1);
    assert_int_equal(node->broker.syncs.items[0].seen.offset, 3);
    answer_range(COUNT - 2, COUNT - 1);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-4997\"}");
    hears_message(&ann, COUNT - 2);
    hears_message(&ann, COUNT - 1);
    fake_client_hears_nothing(&ann);
    /* What waited meanwhile became too much as well. */
    answer_with(NULL, 0, (struct position){EPOCH, COUNT - 1});
    bring(COUNT);
    fake_node_turn(node);
    hears_message(&ann, COUNT);
}

/* --- Streams that cannot be read ------------------------------------------------------------------ */

static void redis_that_is_away_is_waited_for(void **state) {
    (void)state;
    say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    fake_broker_answer_sync(&node->broker, ERR_BROKER_UNAVAILABLE, NULL);
    fake_broker_lose_link(&node->broker);
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    say(&bob, "{\"ref\":2,\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    fake_client_hears_nothing(&bob);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    answer_range(1, 3);
    fake_client_hears(&ann, "{\"ref\":1,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    fake_client_hears(&bob, "{\"ref\":2,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    fake_client_hears_nothing(&bob);
}

static void link_that_comes_back_during_a_read_has_it_read_again(void **state) {
    (void)state;
    begin_with_three();
    bring(5);
    fake_node_turn(node);
    assert_int_equal(node->broker.syncs.count, 1);
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    answer_range(4, 5);
    hears_message(&ann, 4);
    hears_message(&ann, 5);
    assert_int_equal(node->broker.syncs.count, 1);
    answer_range(6, 7);
    hears_message(&ann, 6);
    hears_message(&ann, 7);
    fake_client_hears_nothing(&ann);
}

static void refused_read_is_the_error_of_who_asked(void **state) {
    (void)state;
    struct bytes line;
    say(&ann, "{\"ref\":1,\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    fake_broker_answer_sync(&node->broker, ERR_BROKER_REFUSED, NULL);
    fake_node_turn(node);
    assert_true(fake_client_read(&ann, &line));
    assert_true(bytes_start_with(line, BYTES_LITERAL("{\"ref\":1,\"error\":{\"code\":\"broker_refused\"")));
    assert_int_equal(node->metrics.subscriptions, 0);
    assert_false(ann.is_closed);
}

/* The channel is still there, and its subscription at the broker stands. */
static void refused_read_is_tried_again_for_who_asks_again(void **state) {
    (void)state;
    struct bytes line;
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    fake_broker_answer_sync(&node->broker, ERR_BROKER_REFUSED, NULL);
    fake_node_turn(node);
    assert_true(fake_client_read(&ann, &line));
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    say(&bob, "{\"op\":\"history\",\"channel\":\"kept:a\",\"last\":1}");
    fake_client_hears_nothing(&ann);
    assert_int_equal(node->broker.subscribed, 1);
    assert_int_equal(node->broker.syncs.count, 1);
    answer_range(1, 3);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\",\"messages\":["
                            "{\"channel\":\"kept:a\",\"id\":\"7-3\",\"data\":3}]}");
    bring(4);
    fake_node_turn(node);
    hears_message(&ann, 4);
}

static void hole_that_may_not_be_read_is_told_and_live_goes_on(void **state) {
    (void)state;
    begin_with_three();
    bring(6);
    fake_broker_answer_sync(&node->broker, ERR_BROKER_REFUSED, NULL);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-5\"}");
    hears_message(&ann, 6);
    bring(9);
    bring(5);
    fake_broker_answer_sync(&node->broker, ERR_BROKER_REFUSED, NULL);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-8\"}");
    hears_message(&ann, 9);
    fake_client_hears_nothing(&ann);
}

static void channel_may_go_while_its_stream_is_read(void **state) {
    (void)state;
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    bring(4);
    say(&ann, "{\"op\":\"unsubscribe\",\"channel\":\"kept:a\"}");
    fake_node_pass(node, 6000);
    assert_int_equal(node->metrics.channels, 0);
    ann.read = ann.heard.len;
    answer_range(1, 3);
    fake_client_hears_nothing(&ann);
}

/* --- Asking for messages -------------------------------------------------------------------------- */

static void history_is_told_without_a_subscription(void **state) {
    (void)state;
    say(&ann, "{\"ref\":1,\"op\":\"history\",\"channel\":\"kept:a\",\"last\":2}");
    fake_client_hears_nothing(&ann);
    answer_range(1, 3);
    fake_client_hears(&ann,
                      "{\"ref\":1,\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\",\"messages\":["
                      "{\"channel\":\"kept:a\",\"id\":\"7-2\",\"data\":2},"
                      "{\"channel\":\"kept:a\",\"id\":\"7-3\",\"data\":3}]}");
    say(&ann, "{\"op\":\"history\",\"channel\":\"kept:a\",\"since\":\"7-2\"}");
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\",\"recovered\":true,"
                            "\"messages\":[{\"channel\":\"kept:a\",\"id\":\"7-3\",\"data\":3}]}");
    say(&ann, "{\"op\":\"history\",\"channel\":\"kept:a\",\"since\":\"6-2\"}");
    fake_client_hears(
        &ann,
        "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\",\"recovered\":false,\"messages\":[]}");
    bring(4);
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    /* The channel goes as if its last subscriber had left. */
    fake_node_pass(node, 6000);
    assert_int_equal(node->metrics.channels, 0);
}

static void channel_that_history_opened_goes_with_the_answer(void **state) {
    (void)state;
    say(&ann, "{\"op\":\"history\",\"channel\":\"kept:a\"}");
    say(&bob, "{\"op\":\"history\",\"channel\":\"kept:a\"}");
    fake_node_pass(node, WHEEL_TICK_MS);
    assert_int_equal(node->metrics.channels, 1);
    answer_range(1, 1);
    fake_node_pass(node, WHEEL_TICK_MS);
    assert_int_equal(node->metrics.channels, 0);
    assert_int_equal(node->broker.unsubscribed, 1);
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    answer_range(1, 3);
    say(&bob, "{\"op\":\"unsubscribe\",\"channel\":\"kept:a\"}");
    say(&bob, "{\"op\":\"history\",\"channel\":\"kept:a\"}");
    fake_node_pass(node, WHEEL_TICK_MS);
    assert_int_equal(node->metrics.channels, 1); /* It lingers. */
}

static void history_of_which_nothing_is_left_is_empty(void **state) {
    (void)state;
    say(&ann, "{\"op\":\"history\",\"channel\":\"kept:a\"}");
    answer_with(NULL, 0, (struct position){EPOCH, 3});
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\",\"messages\":[]}");
    say(&ann, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    bring(4);
    fake_node_turn(node);
    hears_message(&ann, 4);
    fake_node_pass(node, FAKE_HISTORY_TTL_SECONDS * 1000 + 1);
    say(&bob, "{\"op\":\"history\",\"channel\":\"kept:a\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-4\",\"messages\":[]}");
}

static void history_of_a_channel_without_one_is_an_error(void **state) {
    (void)state;
    struct bytes line;
    say(&ann, "{\"ref\":1,\"op\":\"history\",\"channel\":\"a\"}");
    assert_true(fake_client_read(&ann, &line));
    assert_true(bytes_start_with(line, BYTES_LITERAL("{\"ref\":1,\"error\":{\"code\":\"no_history\"")));
    say(&ann, "{\"ref\":2,\"op\":\"history\",\"channel\":\"\"}");
    assert_true(fake_client_read(&ann, &line));
    assert_true(bytes_start_with(line, BYTES_LITERAL("{\"ref\":2,\"error\":{\"code\":\"channel_invalid\"")));
    assert_int_equal(node->metrics.channels, 0);
}

static void history_that_fits_no_outbox_is_cut_to_the_newest(void **state) {
    (void)state;
    node->config.limits.outbox_bytes = 2000; /* Half of it is for messages, each with 400 bytes around it. */
    say(&ann, "{\"op\":\"history\",\"channel\":\"kept:a\",\"last\":5}");
    answer_range(1, 5);
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-5\",\"messages\":["
                            "{\"channel\":\"kept:a\",\"id\":\"7-4\",\"data\":4},"
                            "{\"channel\":\"kept:a\",\"id\":\"7-5\",\"data\":5}]}");
    say(&ann, "{\"op\":\"history\",\"channel\":\"kept:a\",\"since\":\"7-1\"}");
    fake_client_hears(&ann, "{\"ok\":true,\"channel\":\"kept:a\",\"position\":\"7-5\",\"recovered\":false,"
                            "\"messages\":[{\"channel\":\"kept:a\",\"id\":\"7-4\",\"data\":4},"
                            "{\"channel\":\"kept:a\",\"id\":\"7-5\",\"data\":5}]}");
}

/* --- A configuration read again --------------------------------------------------------------------- */

static void reload_that_takes_the_history_leaves_the_channel_live(void **state) {
    (void)state;
    struct config fresh = node->config;
    begin_with_three();
    fresh.namespace_count = 1; /* Everything is "default" now. */
    hub_set_config(node->hub, &fresh);
    bring(9);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"channel\":\"kept:a\",\"data\":9}");
    say(&bob, "{\"op\":\"subscribe\",\"channel\":\"kept:a\"}");
    fake_client_hears(&bob, "{\"ok\":true,\"channel\":\"kept:a\"}");
    hub_set_config(node->hub, &node->config);
    answer_range(1, 3);
}

/* `ann` hears of a gap when her channel's history is taken while the link is away, or while the stream is read. */
static void take_history_after_a_lost_link(bool is_back) {
    struct config fresh = node->config;
    fresh.namespace_count = 1;
    begin_with_three();
    fake_broker_lose_link(&node->broker);
    if (is_back) {
        fake_broker_restore_link(&node->broker);
        fake_node_turn(node);
    }
    hub_set_config(node->hub, &fresh);
    if (!is_back)
        fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\"}");
    fake_client_hears_nothing(&ann);
    hub_set_config(node->hub, &node->config);
}

static void reload_that_takes_the_history_while_redis_is_away_is_a_gap(void **state) {
    (void)state;
    take_history_after_a_lost_link(false);
}

static void reload_that_takes_the_history_while_it_is_read_is_a_gap(void **state) {
    (void)state;
    take_history_after_a_lost_link(true);
}

static void reload_that_gives_a_history_tells_who_was_there_of_what_it_may_have_cost(void **state) {
    (void)state;
    struct config bare = node->config;
    bare.namespace_count = 1;
    hub_set_config(node->hub, &bare);
    fake_node_subscribe(node, &ann, "kept:a");
    hub_set_config(node->hub, &node->config);
    assert_int_equal(node->broker.syncs.count, 1);
    bring(3); /* Live, and in the stream that is being read. */
    bring(4);
    fake_node_turn(node);
    answer_range(1, 3);
    fake_client_hears(&ann, "{\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    hears_message(&ann, 4);
    fake_client_hears_nothing(&ann);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(subscribe_is_answered_when_the_stream_has_been_read),
        TEST(nothing_goes_on_with_the_first_message),
        TEST(nothing_of_a_life_that_is_over_is_a_gap),
        TEST(nothing_that_has_become_something_while_the_link_was_away_is_made_good),
        TEST(nothing_that_is_still_nothing_is_not_heard_of),
        TEST(second_subscriber_is_served_from_memory),
        TEST(client_that_comes_back_gets_what_it_missed),
        TEST(client_that_is_ahead_of_the_node_is_answered_after_a_read),
        TEST(read_under_way_may_be_older_than_what_the_client_has_seen),
        TEST(loss_that_the_node_finds_itself_is_told_once),
        TEST(hole_before_a_boundary_is_none_for_who_has_seen_what_is_before_it),
        TEST(last_few_messages_tell_of_the_gap_among_them),
        TEST(ring_holds_as_many_as_the_namespace_says),
        TEST(old_messages_are_not_replayed),
        TEST(replay_comes_before_what_is_live),
        TEST(replay_on_a_full_node_is_for_who_reads),
        TEST(replay_may_be_asked_for_again),
        TEST(replay_asked_for_again_stands_between_what_was_live_and_what_is),
        TEST(history_asked_for_during_a_pass_comes_after_what_it_holds),
        TEST(each_of_two_that_wait_for_the_stream_gets_its_own),
        TEST(replay_asked_for_again_waits_for_the_command_before_it),
        TEST(replays_asked_for_without_end_are_held_against_the_client),
        TEST(what_comes_while_the_stream_is_read_is_spliced_to_it),
        TEST(hole_is_read_from_the_stream_before_anything_later),
        TEST(message_that_comes_twice_is_delivered_once),
        TEST(what_the_stream_does_not_hold_any_more_is_a_gap),
        TEST(lost_link_that_missed_nothing_is_not_heard_of),
        TEST(lost_link_that_missed_something_is_made_good),
        TEST(stream_that_went_on_and_expired_is_a_gap),
        TEST(new_epoch_that_continues_the_old_one_costs_nothing),
        TEST(gap_mark_is_told_where_it_stands),
        TEST(message_that_is_too_large_leaves_a_gap_in_its_place),
        TEST(bare_message_is_live_and_not_kept),
        TEST(lost_link_is_a_gap_where_bare_messages_came),
        TEST(bare_message_of_an_earlier_subscription_is_nobodys),
        TEST(lost_bare_message_is_a_gap_also_where_the_stream_may_not_be_read),
        TEST(more_than_may_wait_is_read_once_more),
        TEST(redis_that_is_away_is_waited_for),
        TEST(link_that_comes_back_during_a_read_has_it_read_again),
        TEST(refused_read_is_the_error_of_who_asked),
        TEST(refused_read_is_tried_again_for_who_asks_again),
        TEST(hole_that_may_not_be_read_is_told_and_live_goes_on),
        TEST(channel_may_go_while_its_stream_is_read),
        TEST(history_is_told_without_a_subscription),
        TEST(channel_that_history_opened_goes_with_the_answer),
        TEST(history_of_which_nothing_is_left_is_empty),
        TEST(history_of_a_channel_without_one_is_an_error),
        TEST(history_that_fits_no_outbox_is_cut_to_the_newest),
        TEST(reload_that_takes_the_history_leaves_the_channel_live),
        TEST(reload_that_takes_the_history_while_redis_is_away_is_a_gap),
        TEST(reload_that_takes_the_history_while_it_is_read_is_a_gap),
        TEST(reload_that_gives_a_history_tells_who_was_there_of_what_it_may_have_cost),
    };
    return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}

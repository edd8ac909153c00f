/* Clients that only listen and come back with a cursor: streams, and polls. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/core/cursor.h"
#include "tests/fake/fake_node.h"

enum { EPOCH = 7, INTERVAL_MS = 25000 };

static struct fake_node *node;
static struct fake_client ann;

static int setup(void **state) {
    (void)state;
    node = fake_node_create();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fake_client_finish(&ann);
    fake_node_destroy(node);
    return 0;
}

/* --- The channels "kept:a" with history, and others without ------------------------------------------ */

static struct entry message_at(uint64_t offset) {
    static char payloads[32][4];
    static unsigned next;
    char *payload = payloads[next++ % 32];
    snprintf(payload, sizeof payloads[0], "%u", (unsigned)offset);
    return (struct entry){
        .kind = ENTRY_MESSAGE,
        .has_id = true,
        .id = {EPOCH, offset},
        .published_ms = fake_node_wall_ms(),
        .payload = bytes_of(payload),
    };
}

static void bring_kept(uint64_t offset) {
    struct entry entry = message_at(offset);
    fake_broker_bring_entry(&node->broker, "kept:a", &entry);
    fake_node_turn(node);
}

static void bring(const char *channel, unsigned number) {
    fake_broker_bring_number(&node->broker, channel, number);
    fake_node_turn(node);
}

/* The stream of "kept:a" holds messages 1 to 3. */
static void answer_sync(void) {
    struct entry entries[] = {message_at(1), message_at(2), message_at(3)};
    struct sync_result result = {.head = {EPOCH, 3}, .entries = entries, .count = 3};
    fake_broker_answer_sync(&node->broker, ERR_OK, &result);
    fake_node_turn(node);
}

/* --- Clients ------------------------------------------------------------------------------------------- */

/* As a request does that names channels, each followed by what comes after it: "a", "kept:a". `cursor` may be
 * NULL. Ends with the turn. */
static void listen_to_all(struct fake_client *client, const struct transport *transport,
                          const char *const *channels, size_t count, const char *cursor) {
    fake_client_open(client, node->hub, transport);
    session_hold(client->session);
    for (size_t i = 0; i < count; i++) {
        struct command command = {.kind = COMMAND_SUBSCRIBE, .channel = bytes_of(channels[i])};
        if (cursor != NULL &&
            cursor_find(bytes_of(cursor), command.channel, count == 1, &command.start.since))
            command.start.kind = START_SINCE;
        session_execute(client->session, &command);
    }
    session_release(client->session);
    fake_node_turn(node);
}

static void listen_to(struct fake_client *client, const struct transport *transport, const char *channel,
                      const char *cursor) {
    listen_to_all(client, transport, &channel, 1, cursor);
}

/* Takes the next line apart at its first space. `*cursor` is good until the test ends. */
static char *read_cursor(struct fake_client *client, const char *text) {
    static char cursors[64][256];
    static unsigned next;
    char *cursor = cursors[next++ % 64];
    struct bytes line;
    assert_true(fake_client_read(client, &line));
    const char *space = memchr(line.data, ' ', line.len);
    assert_non_null(space);
    size_t len = (size_t)(space - line.data);
    assert_true(len < sizeof cursors[0]);
    memcpy(cursor, line.data, len);
    cursor[len] = '\0';
    if (!bytes_equal_text(bytes_skip(line, len + 1), text))
        fail_msg("%.*s does not end with %s", BYTES_FMT(line), text);
    return cursor;
}

/* Takes "open CURSOR". */
static char *read_open(struct fake_client *client) {
    static char cursor[256];
    struct bytes line;
    assert_true(fake_client_read(client, &line));
    assert_true(bytes_start_with(line, BYTES_LITERAL("open ")));
    snprintf(cursor, sizeof cursor, "%.*s", BYTES_FMT(bytes_skip(line, 5)));
    return cursor;
}

static struct position position_in(const char *cursor, const char *channel, bool is_only) {
    struct position position;
    assert_true(cursor_find(bytes_of(cursor), bytes_of(channel), is_only, &position));
    return position;
}

/* --- One channel --------------------------------------------------------------------------------------- */

static void stream_opens_where_it_begins(void **state) {
    (void)state;
    listen_to(&ann, &fake_feed, "kept:a", NULL);
    fake_client_hears_nothing(&ann);
    answer_sync();
    fake_client_hears(&ann, "open 7-3");
    bring_kept(4);
    fake_client_hears(&ann, "7-4 {\"channel\":\"kept:a\",\"id\":\"7-4\",\"data\":4}");
    fake_client_hears_nothing(&ann);
}

static void stream_goes_on_from_its_cursor(void **state) {
    (void)state;
    listen_to(&ann, &fake_feed, "kept:a", "7-1");
    answer_sync();
    fake_client_hears(&ann, "open 7-1");
    fake_client_hears(&ann, "7-2 {\"channel\":\"kept:a\",\"id\":\"7-2\",\"data\":2}");
    fake_client_hears(&ann, "7-3 {\"channel\":\"kept:a\",\"id\":\"7-3\",\"data\":3}");
    fake_client_hears_nothing(&ann);
}

static void stream_that_wants_the_last_opens_before_them(void **state) {
    (void)state;
    static const struct {
        uint32_t last;
        const char *open;
        uint64_t first;
    } rows[] = {
        {0, "open 7-3", 4}, {1, "open 7-2", 3}, {2, "open 7-1", 2}, {3, "open 7-0", 1}, {9, "open 7-0", 1}};
    listen_to(&ann, &fake_feed, "kept:a", NULL);
    answer_sync();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fake_client bob;
        struct command command = {
            .kind = COMMAND_SUBSCRIBE,
            .channel = BYTES_LITERAL("kept:a"),
            .start = {.kind = START_LAST, .last = rows[i].last},
        };
        fake_client_open(&bob, node->hub, &fake_feed);
        session_execute(bob.session, &command);
        fake_node_turn(node);
        fake_client_hears(&bob, rows[i].open);
        for (uint64_t offset = rows[i].first; offset <= 3; offset++) {
            char line[128];
            snprintf(line, sizeof line, "7-%u {\"channel\":\"kept:a\",\"id\":\"7-%u\",\"data\":%u}",
                     (unsigned)offset, (unsigned)offset, (unsigned)offset);
            fake_client_hears(&bob, line);
        }
        fake_client_hears_nothing(&bob);
        fake_client_finish(&bob);
    }
}

static void stream_that_cannot_go_on_begins_with_a_gap(void **state) {
    (void)state;
    listen_to(&ann, &fake_feed, "kept:a", "6-1");
    answer_sync();
    /* Cut off between the two, it must not come back as if it had been told. */
    fake_client_hears(&ann, "open 6-1");
    fake_client_hears(&ann, "7-3 {\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-3\"}");
    fake_client_hears_nothing(&ann);
}

static void stream_whose_channel_cannot_be_read_is_closed(void **state) {
    (void)state;
    listen_to(&ann, &fake_feed, "kept:a", NULL);
    fake_broker_answer_sync(&node->broker, ERR_BROKER_REFUSED, NULL);
    fake_node_turn(node);
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_UNAVAILABLE);
}

/* Without history at the broker the node itself counts, and keeps the latest. */
static void channel_without_history_goes_on_from_this_nodes_memory(void **state) {
    (void)state;
    struct fake_client bob;
    listen_to(&ann, &fake_feed, "a", NULL);
    struct position begin = position_in(read_open(&ann), "a", true);
    bring("a", 1);
    char *first = read_cursor(&ann, "{\"channel\":\"a\",\"data\":1}");
    bring("a", 2);
    bring("a", 3);
    struct position at = position_in(first, "a", true);
    assert_int_equal(at.epoch, begin.epoch);
    assert_int_equal(at.offset, begin.offset + 1);

    listen_to(&bob, &fake_feed, "a", first);
    assert_string_equal(read_open(&bob), first);
    read_cursor(&bob, "{\"channel\":\"a\",\"data\":2}");
    read_cursor(&bob, "{\"channel\":\"a\",\"data\":3}");
    fake_client_hears_nothing(&bob);
    fake_client_finish(&bob);

    /* Up to a point. */
    for (unsigned i = 4; i < 80; i++)
        bring("a", i);
    listen_to(&bob, &fake_feed, "a", first);
    read_open(&bob);
    struct bytes line;
    assert_true(fake_client_read(&bob, &line));
    assert_non_null(memmem(line.data, line.len, "{\"event\":\"gap\",\"channel\":\"a\"", 28));
    fake_client_hears_nothing(&bob);
    fake_client_finish(&bob);
}

static void memory_begins_before_what_waits_for_its_batch(void **state) {
    (void)state;
    struct fake_client bob;
    fake_node_join(node, &bob, "batch:a");
    bring("batch:a", 1);
    listen_to(&ann, &fake_feed, "batch:a", NULL);
    char *begin = read_open(&ann);
    fake_client_hears_nothing(&ann);
    fake_node_pass(node, 110);
    struct position at =
        position_in(read_cursor(&ann, "{\"channel\":\"batch:a\",\"data\":1}"), "batch:a", true);
    assert_int_equal(at.offset, position_in(begin, "batch:a", true).offset + 1);
    fake_client_hears(&bob, "{\"channel\":\"batch:a\",\"data\":1}");
    fake_client_finish(&bob);
    listen_to(&bob, &fake_feed, "batch:a", begin);
    read_open(&bob);
    read_cursor(&bob, "{\"channel\":\"batch:a\",\"data\":1}");
    fake_client_hears_nothing(&bob);
    fake_client_finish(&bob);
}

static void lost_link_is_a_gap_with_a_place(void **state) {
    (void)state;
    listen_to(&ann, &fake_feed, "a", NULL);
    read_open(&ann);
    bring("a", 1);
    struct position before = position_in(read_cursor(&ann, "{\"channel\":\"a\",\"data\":1}"), "a", true);
    fake_broker_lose_link(&node->broker);
    fake_broker_restore_link(&node->broker);
    fake_node_turn(node);
    struct bytes line;
    struct position after;
    assert_true(fake_client_read(&ann, &line));
    const char *space = memchr(line.data, ' ', line.len);
    assert_non_null(space);
    assert_true(position_parse(bytes_make(line.data, (size_t)(space - line.data)), &after));
    assert_true(position_compare(&after, &before) > 0);
    /* Who comes back from before it is told as well. */
    struct fake_client bob;
    char cursor[64];
    snprintf(cursor, sizeof cursor, "%llu-%llu", (unsigned long long)before.epoch,
             (unsigned long long)before.offset);
    listen_to(&bob, &fake_feed, "a", cursor);
    read_open(&bob);
    assert_true(fake_client_read(&bob, &line));
    assert_non_null(memmem(line.data, line.len, "\"event\":\"gap\"", 13));
    fake_client_finish(&bob);
}

/* --- Several channels ------------------------------------------------------------------------------------ */

static const char *const two[] = {"a", "kept:a"};

static void nothing_is_sent_before_every_channel_is_known(void **state) {
    (void)state;
    listen_to_all(&ann, &fake_feeds, two, 2, NULL);
    bring("a", 1);
    fake_client_hears_nothing(&ann);
    answer_sync();
    char *cursor = read_open(&ann);
    assert_int_equal(position_in(cursor, "kept:a", false).offset, 3);
    cursor = read_cursor(&ann, "{\"channel\":\"a\",\"data\":1}");
    assert_int_equal(position_in(cursor, "kept:a", false).offset, 3);
    assert_int_equal(position_in(cursor, "a", false).offset, 1);
    fake_client_hears_nothing(&ann);
}

static void each_text_says_where_the_session_is_in_all_its_channels(void **state) {
    (void)state;
    listen_to_all(&ann, &fake_feeds, two, 2, NULL);
    answer_sync();
    read_open(&ann);
    bring("a", 1);
    bring_kept(4);
    bring("a", 2);
    char *cursor = read_cursor(&ann, "{\"channel\":\"a\",\"data\":1}");
    assert_int_equal(position_in(cursor, "a", false).offset, 1);
    assert_int_equal(position_in(cursor, "kept:a", false).offset, 3);
    char *middle = read_cursor(&ann, "{\"channel\":\"kept:a\",\"id\":\"7-4\",\"data\":4}");
    assert_int_equal(position_in(middle, "a", false).offset, 1);
    assert_int_equal(position_in(middle, "kept:a", false).offset, 4);
    cursor = read_cursor(&ann, "{\"channel\":\"a\",\"data\":2}");
    assert_int_equal(position_in(cursor, "a", false).offset, 2);
    assert_int_equal(position_in(cursor, "kept:a", false).offset, 4);

    /* From the one in the middle only what came after it, in whatever order the channels are asked for. */
    static const char *const other_order[] = {"kept:a", "a"};
    struct fake_client bob;
    listen_to_all(&bob, &fake_feeds, other_order, 2, middle);
    read_open(&bob);
    read_cursor(&bob, "{\"channel\":\"a\",\"data\":2}");
    fake_client_hears_nothing(&bob);
    fake_client_finish(&bob);
}

/* What waits in the outbox has not been sent: the cursor is that of the text it goes with. */
static void cursor_follows_what_is_sent_however_slowly(void **state) {
    (void)state;
    for (size_t takes = 1; takes < 200; takes += 3) {
        unsigned sent_a = 0, sent_b = 0, seen_a = 0, seen_b = 0;
        static const char *const channels[] = {"x", "y"};
        struct bytes line;
        fake_client_finish(&ann);
        listen_to_all(&ann, &fake_feeds, channels, 2, NULL);
        struct position base_a, base_b;
        char *open = read_open(&ann);
        base_a = position_in(open, "x", false);
        base_b = position_in(open, "y", false);
        ann.takes = takes;
        srand((unsigned)takes);
        for (int i = 0; i < 40; i++) {
            if (rand() % 2)
                bring("x", ++sent_a);
            else
                bring("y", ++sent_b);
            if (rand() % 3 == 0)
                fake_client_pump(&ann);
        }
        while (fake_client_pump(&ann))
            continue;
        while (fake_client_read(&ann, &line)) {
            char text[256], cursor[128];
            char channel;
            unsigned number;
            snprintf(text, sizeof text, "%.*s", BYTES_FMT(line));
            assert_int_equal(
                sscanf(text, "%127s {\"channel\":\"%c\",\"data\":%u}", cursor, &channel, &number), 3);
            if (channel == 'x')
                assert_int_equal(number, ++seen_a);
            else
                assert_int_equal(number, ++seen_b);
            assert_int_equal(position_in(cursor, "x", false).offset, base_a.offset + seen_a);
            assert_int_equal(position_in(cursor, "y", false).offset, base_b.offset + seen_b);
        }
        assert_int_equal(seen_a, sent_a);
        assert_int_equal(seen_b, sent_b);
    }
}

static void dropped_messages_leave_a_gap_in_the_list_too(void **state) {
    (void)state;
    static const char *const channels[] = {"oldest:a", "a"};
    node->config.limits.outbox_messages = 2;
    listen_to_all(&ann, &fake_feeds, channels, 2, NULL);
    read_open(&ann);
    ann.takes = 0;
    for (unsigned i = 1; i <= 5; i++)
        bring("oldest:a", i);
    ann.takes = SIZE_MAX;
    fake_client_pump(&ann);
    read_cursor(&ann, "{\"channel\":\"oldest:a\",\"data\":1}");
    char *cursor = read_cursor(&ann, "{\"event\":\"gap\",\"channel\":\"oldest:a\"}");
    assert_int_equal(position_in(cursor, "oldest:a", false).offset, 1);
    read_cursor(&ann, "{\"channel\":\"oldest:a\",\"data\":4}");
    cursor = read_cursor(&ann, "{\"channel\":\"oldest:a\",\"data\":5}");
    assert_int_equal(position_in(cursor, "oldest:a", false).offset, 5);
    fake_client_hears_nothing(&ann);
}

static void cursor_is_found_by_the_channels_name(void **state) {
    (void)state;
    struct position position = {0, 0};
    listen_to_all(&ann, &fake_feeds, two, 2, NULL);
    answer_sync();
    char *cursor = read_open(&ann);
    assert_true(cursor_find(bytes_of(cursor), BYTES_LITERAL("kept:a"), false, &position));
    assert_int_equal(position.epoch, EPOCH);
    assert_false(cursor_find(bytes_of(cursor), BYTES_LITERAL("other"), false, &position));
    /* The cursor of several channels serves when one of them is left. */
    assert_true(cursor_find(bytes_of(cursor), BYTES_LITERAL("kept:a"), true, &position));
    static const char *const broken[] = {"", ",", ":", "x", "7-", "00000000", "00000000:", ",,,:::", "7-3"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_false(cursor_find(bytes_of(broken[i]), BYTES_LITERAL("a"), false, &position));
    assert_true(cursor_find(BYTES_LITERAL("7-3"), BYTES_LITERAL("a"), true, &position));
    assert_int_equal(position.offset, 3);
}

/* --- Polls ------------------------------------------------------------------------------------------------ */

static void poll_is_answered_when_there_is_news(void **state) {
    (void)state;
    listen_to(&ann, &fake_poll, "kept:a", "7-3");
    answer_sync();
    fake_client_hears_nothing(&ann);
    assert_non_null(ann.session);
    fake_broker_bring(&node->broker, "kept:a", "\"bare\"");
    struct entry entry = message_at(4);
    fake_broker_bring_entry(&node->broker, "kept:a", &entry);
    fake_node_turn(node);
    fake_client_hears(&ann, "7-4 {\"channel\":\"kept:a\",\"data\":\"bare\"},"
                            "{\"channel\":\"kept:a\",\"id\":\"7-4\",\"data\":4},");
    assert_null(ann.session);
    assert_int_equal(node->metrics.sessions[TRANSPORT_POLL], 0);
    assert_int_equal(node->metrics.deliveries, 2);
}

static void poll_gets_what_came_between_its_requests(void **state) {
    (void)state;
    listen_to(&ann, &fake_poll, "a", NULL);
    bring("a", 1);
    char *cursor = read_cursor(&ann, "{\"channel\":\"a\",\"data\":1},");
    bring("a", 2);
    bring("a", 3);
    fake_client_finish(&ann);
    listen_to(&ann, &fake_poll, "a", cursor);
    cursor = read_cursor(&ann, "{\"channel\":\"a\",\"data\":2},{\"channel\":\"a\",\"data\":3},");
    fake_client_finish(&ann);
    listen_to(&ann, &fake_poll, "a", cursor);
    fake_client_hears_nothing(&ann);
    bring("a", 4);
    read_cursor(&ann, "{\"channel\":\"a\",\"data\":4},");
}

static void poll_that_does_not_wait_is_answered_with_its_place(void **state) {
    (void)state;
    fake_client_open(&ann, node->hub, &fake_poll);
    ann.wants_answer = true;
    struct command command = {.kind = COMMAND_SUBSCRIBE, .channel = BYTES_LITERAL("kept:a")};
    session_execute(ann.session, &command);
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
    answer_sync();
    fake_client_hears(&ann, "7-3 ");
}

static void poll_of_an_unknown_place_is_answered_with_a_gap(void **state) {
    (void)state;
    listen_to(&ann, &fake_poll, "kept:a", "6-1");
    answer_sync();
    fake_client_hears(&ann, "7-3 {\"event\":\"gap\",\"channel\":\"kept:a\",\"position\":\"7-3\"},");
}

static void poll_on_a_full_node_is_told_of_what_it_cannot_have(void **state) {
    (void)state;
    listen_to(&ann, &fake_poll, "oldest:a", NULL);
    node->config.limits.outbox_total_bytes = 10;
    bring("oldest:a", 1);
    read_cursor(&ann, "{\"event\":\"gap\",\"channel\":\"oldest:a\"},");
}

/* --- Time -------------------------------------------------------------------------------------------------- */

static void silence_of_who_cannot_speak_means_nothing(void **state) {
    (void)state;
    struct bytes line;
    int pings = 0;
    node->config.ping.interval_seconds = INTERVAL_MS / 1000;
    node->config.ping.timeout_seconds = 10;
    node->config.limits.idle_seconds = 60;
    listen_to(&ann, &fake_feed, "a", NULL);
    read_open(&ann);
    fake_node_pass(node, 20 * INTERVAL_MS);
    assert_false(ann.is_closed);
    while (fake_client_read(&ann, &line)) {
        assert_true(bytes_equal_text(line, FAKE_PING));
        pings++;
    }
    assert_in_range(pings, 19, 20);
}

static void drain_reaches_who_only_listens(void **state) {
    (void)state;
    struct bytes line;
    listen_to(&ann, &fake_feed, "a", NULL);
    read_open(&ann);
    hub_drain(node->hub, 4);
    fake_node_turn(node);
    assert_true(fake_client_read(&ann, &line));
    assert_true(bytes_start_with(line, BYTES_LITERAL("{\"event\":\"drain\"")));
    fake_node_pass(node, 4100);
    assert_int_equal(ann.reason, CLOSE_DRAIN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(stream_opens_where_it_begins),
        TEST(stream_goes_on_from_its_cursor),
        TEST(stream_that_wants_the_last_opens_before_them),
        TEST(stream_that_cannot_go_on_begins_with_a_gap),
        TEST(stream_whose_channel_cannot_be_read_is_closed),
        TEST(channel_without_history_goes_on_from_this_nodes_memory),
        TEST(memory_begins_before_what_waits_for_its_batch),
        TEST(lost_link_is_a_gap_with_a_place),
        TEST(nothing_is_sent_before_every_channel_is_known),
        TEST(each_text_says_where_the_session_is_in_all_its_channels),
        TEST(cursor_follows_what_is_sent_however_slowly),
        TEST(dropped_messages_leave_a_gap_in_the_list_too),
        TEST(cursor_is_found_by_the_channels_name),
        TEST(poll_is_answered_when_there_is_news),
        TEST(poll_gets_what_came_between_its_requests),
        TEST(poll_that_does_not_wait_is_answered_with_its_place),
        TEST(poll_of_an_unknown_place_is_answered_with_a_gap),
        TEST(poll_on_a_full_node_is_told_of_what_it_cannot_have),
        TEST(silence_of_who_cannot_speak_means_nothing),
        TEST(drain_reaches_who_only_listens),
    };
    return cmocka_run_group_tests_name("positions", tests, NULL, NULL);
}

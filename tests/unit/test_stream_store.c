/* Entries are written down as "m1000-2:payload", marks as "b2000-0<1000-7" and "g2000-3", an urgent message
 * as "M..."; separated by spaces. The clock starts at 1000, so the first epoch is 1000. */
#include "gateway/broker/stream_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

struct test {
    struct stream_store *store;
    struct namespace_config options;
    uint64_t run;
    uint64_t now_ms;
    struct buf live; /* What went out since it was last looked at. */
    struct buf synced;
    uint64_t calm;
    /* Of the last sync; 0: none. */ /* What the last sync returned: its head, a bar, the entries. */
};

static void write_entry(struct buf *out, const struct entry *entry) {
    assert_true(entry->has_id);
    buf_append_char(out, entry->kind == ENTRY_BOUNDARY ? 'b'
                         : entry->kind == ENTRY_GAP    ? 'g'
                         : entry->is_urgent            ? 'M'
                                                       : 'm');
    position_append(&entry->id, out);
    if (entry->has_previous) {
        buf_append_char(out, '<');
        position_append(&entry->previous, out);
    }
    if (entry->kind == ENTRY_MESSAGE) {
        buf_append_char(out, ':');
        buf_append_bytes(out, entry->payload);
    }
}

static void on_entry(void *context, struct bytes channel, const struct entry *entry) {
    struct test *test = context;
    assert_true(bytes_equal_text(channel, "chat:a"));
    if (test->live.len > 0)
        buf_append_char(&test->live, ' ');
    write_entry(&test->live, entry);
}

static const char *text_of(struct buf *buf) {
    buf_append_char(buf, '\0');
    buf->len--;
    return buf->data;
}

static int set_up(void **state) {
    struct test *test = calloc(1, sizeof *test);
    test->store = stream_store_create();
    test->options = (struct namespace_config){
        .history_size = 100, .history_ttl_seconds = 300, .position_ttl_seconds = 7200};
    test->run = 1;
    test->now_ms = 1000;
    buf_init(&test->live, 0);
    buf_init(&test->synced, 0);
    *state = test;
    return 0;
}

static int tear_down(void **state) {
    struct test *test = *state;
    stream_store_destroy(test->store);
    buf_finish(&test->live);
    buf_finish(&test->synced);
    free(test);
    return 0;
}

static struct position publish_request(struct test *test, struct publish_request request) {
    request.channel = BYTES_LITERAL("chat:a");
    request.options = &test->options;
    return stream_store_append(test->store, test->run, test->now_ms, &request, on_entry, test);
}

static struct position publish(struct test *test, const char *payload) {
    return publish_request(test, (struct publish_request){.payload = bytes_of(payload)});
}

static struct position publish_once(struct test *test, const char *payload, const char *key) {
    return publish_request(
        test, (struct publish_request){.payload = bytes_of(payload), .idempotency_key = bytes_of(key)});
}

/* `seen` "": nothing. */
static const char *sync(struct test *test, const char *seen) {
    struct position position;
    struct sync_result result;
    bool has_seen = position_parse(bytes_of(seen), &position);
    assert_true(has_seen || seen[0] == '\0');
    stream_store_sync(test->store, test->run, test->now_ms, BYTES_LITERAL("chat:a"), &test->options,
                      has_seen ? &position : NULL, on_entry, test, &result);
    buf_clear(&test->synced);
    position_append(&result.head, &test->synced);
    test->calm = result.has_calm ? result.calm : 0;
    buf_append_text(&test->synced, " |");
    for (size_t i = 0; i < result.count; i++) {
        buf_append_char(&test->synced, ' ');
        write_entry(&test->synced, &result.entries[i]);
    }
    return text_of(&test->synced);
}

static void assert_live(struct test *test, const char *expected) {
    assert_string_equal(text_of(&test->live), expected);
    buf_clear(&test->live);
}

static void messages_are_numbered_without_holes(void **state) {
    struct test *test = *state;
    struct position id = publish(test, "a");
    assert_true(id.epoch == 1000 && id.offset == 0);
    test->now_ms = 5000;
    publish_request(test, (struct publish_request){.payload = BYTES_LITERAL("b"), .is_urgent = true});
    id = publish(test, "");
    assert_true(id.epoch == 1000 && id.offset == 2);
    assert_live(test, "m1000-0:a M1000-1:b m1000-2:");
    assert_string_equal(sync(test, ""), "1000-2 | m1000-0:a M1000-1:b m1000-2:");
    assert_live(test, "");
}

static void sync_gives_what_came_after(void **state) {
    struct test *test = *state;
    publish(test, "a");
    publish(test, "b");
    publish(test, "c");
    assert_string_equal(sync(test, "1000-0"), "1000-2 | m1000-1:b m1000-2:c");
    assert_string_equal(sync(test, "1000-2"), "1000-2 |");
}

#define NOTHING "18446744073709551615"

static void read_of_nothing_has_a_place_and_keeps_nothing(void **state) {
    struct test *test = *state;
    assert_string_equal(sync(test, ""), "1000-" NOTHING " |");
    assert_true(test->calm == 1000);
    test->now_ms = 2000;
    assert_string_equal(sync(test, "1000-" NOTHING), "2000-" NOTHING " |");
    assert_true(test->calm == 1000);
    assert_live(test, "");
    publish(test, "a");
    assert_live(test, "m2001-0:a"); /* After it, in the same millisecond. */
    assert_string_equal(sync(test, "1000-" NOTHING), "2001-0 | m2001-0:a");
    publish(test, "b");
    assert_string_equal(sync(test, "2001-0"), "2001-1 | m2001-1:b");
    assert_string_equal(sync(test, "999-7"), "2001-1 | m2001-0:a m2001-1:b");
}

/* Nothing is known of what came and went before. */
static void calm_begins_with_the_life_the_run_and_what_a_stream_may_live(void **state) {
    struct test *test = *state;
    sync(test, "");
    test->now_ms = 5000;
    stream_store_clear(test->store);
    assert_string_equal(sync(test, ""), "5000-" NOTHING " |");
    assert_true(test->calm == 5000);
    test->now_ms = 6000;
    test->run++;
    assert_string_equal(sync(test, ""), "6000-" NOTHING " |");
    assert_true(test->calm == 6000);
    test->now_ms = 10000000;
    assert_string_equal(sync(test, ""), "10000000-" NOTHING " |");
    assert_true(test->calm == 2800000);
}

static void position_outlives_its_messages(void **state) {
    struct test *test = *state;
    publish(test, "a");
    publish(test, "b");
    test->now_ms += 300 * 1000;
    assert_string_equal(sync(test, "1000-1"), "1000-1 |");
    assert_string_equal(sync(test, "1000-0"), "1000-1 |");
    test->now_ms = 1000 + 7200 * 1000;
    publish(test, "c");
    assert_string_equal(sync(test, "1000-1"), "7201000-0 | m7201000-0:c");
}

static void size_is_kept(void **state) {
    struct test *test = *state;
    test->options.history_size = 2;
    for (int i = 0; i < 40; i++)
        publish(test, "x");
    assert_string_equal(sync(test, "1000-36"), "1000-39 | m1000-38:x m1000-39:x");
    assert_string_equal(sync(test, "1000-37"), "1000-39 | m1000-38:x m1000-39:x");
    assert_string_equal(sync(test, "1000-38"), "1000-39 | m1000-39:x");
}

static void age_is_kept(void **state) {
    struct test *test = *state;
    publish(test, "a");
    test->now_ms += 200 * 1000;
    publish(test, "b");
    test->now_ms += 99999;
    assert_string_equal(sync(test, ""), "1000-1 | m1000-0:a m1000-1:b");
    test->now_ms += 1;
    assert_string_equal(sync(test, ""), "1000-1 | m1000-1:b");
    publish(test, "c");
    test->options.history_ttl_seconds = 100000;
    assert_string_equal(sync(test, ""), "1000-2 | m1000-1:b m1000-2:c");
}

static void repeated_key_is_the_same_message(void **state) {
    struct test *test = *state;
    struct position first = publish_once(test, "a", "k");
    struct position other = publish_once(test, "b", "other");
    test->now_ms += STREAM_ONCE_SECONDS * 1000 - 1;
    struct position again = publish_once(test, "c", "k");
    assert_int_equal(position_compare(&first, &again), 0);
    assert_true(position_follows(&other, &first));
    assert_live(test, "m1000-0:a m1000-1:b");
    test->now_ms += 1;
    publish_once(test, "d", "k");
    assert_live(test, "m1000-2:d");
    test->now_ms += 1;
    publish_once(test, "e", "k");
    assert_live(test, "");
}

static void another_run_begins_an_epoch(void **state) {
    struct test *test = *state;
    publish(test, "a");
    test->run = 2;
    test->now_ms = 2000;
    assert_string_equal(sync(test, "1000-0"), "1000-0 |");
    publish(test, "b");
    assert_live(test, "m1000-0:a b2000-0<1000-0 m2000-1:b");
    publish(test, "c");
    assert_string_equal(sync(test, "1000-0"), "2000-2 | b2000-0<1000-0 m2000-1:b m2000-2:c");
}

/* The clock of the machine that takes over may be behind. */
static void epochs_grow_though_the_clock_goes_back(void **state) {
    struct test *test = *state;
    publish(test, "a");
    test->run = 2;
    test->now_ms = 500;
    publish(test, "b");
    assert_live(test, "m1000-0:a b1001-0<1000-0 m1001-1:b");
    stream_store_clear(test->store);
    publish(test, "c");
    assert_live(test, "m1002-0:c");
}

/* Publishes a to c, of which the store forgets c, as does a Redis that comes back from an older dump. */
static void lose_c(struct test *test) {
    publish(test, "a");
    publish(test, "b");
    struct stream_store *dump = stream_store_copy(test->store);
    publish(test, "c");
    stream_store_restore(test->store, dump);
    stream_store_destroy(dump);
    test->run++;
    test->now_ms = 2000;
    buf_clear(&test->live);
}

static void loss_told_before_the_next_publish_is_marked_once(void **state) {
    struct test *test = *state;
    lose_c(test);
    assert_string_equal(sync(test, "1000-1"), "1000-1 |");
    assert_string_equal(sync(test, "1000-2"), "2000-0 | m1000-0:a m1000-1:b g2000-0<1000-1");
    assert_live(test, "g2000-0<1000-1");
    sync(test, "1000-2");
    assert_string_equal(sync(test, "1000-1"), "2000-0 | g2000-0<1000-1");
    publish(test, "d");
    assert_live(test, "m2000-1:d");
}

static void loss_told_after_the_next_publish_is_marked_once(void **state) {
    struct test *test = *state;
    lose_c(test);
    publish(test, "d");
    assert_live(test, "b2000-0<1000-1 m2000-1:d");
    assert_string_equal(sync(test, "1000-1"), "2000-1 | b2000-0<1000-1 m2000-1:d");
    assert_live(test, "");
    assert_string_equal(sync(test, "1000-2"),
                        "2000-2 | m1000-0:a m1000-1:b b2000-0<1000-1 m2000-1:d g2000-2");
    assert_live(test, "g2000-2");
    sync(test, "1000-2");
    assert_live(test, "");
}

static void loss_told_after_yet_another_restart_is_marked_once(void **state) {
    struct test *test = *state;
    lose_c(test);
    publish(test, "d");
    test->run++;
    test->now_ms = 3000;
    buf_clear(&test->live);
    sync(test, "1000-2");
    assert_live(test, "g3000-0<2000-1");
    sync(test, "1000-2");
    sync(test, "2000-9");
    assert_live(test, "");
}

static void each_restart_has_a_mark_of_its_own(void **state) {
    struct test *test = *state;
    lose_c(test);
    sync(test, "1000-2");
    lose_c(test);
    test->now_ms = 3000;
    buf_clear(&test->live);
    sync(test, "2000-3");
    assert_live(test, "g3000-0<2000-2");
}

/* A failover forth and back: the same process, without what another one issued meanwhile. */
static void later_epoch_that_is_lost_is_marked(void **state) {
    struct test *test = *state;
    publish(test, "a");
    assert_string_equal(sync(test, "1500-3"), "1501-0 | m1000-0:a g1501-0<1000-0");
    sync(test, "1500-3");
    publish(test, "b");
    assert_live(test, "m1000-0:a g1501-0<1000-0 m1501-1:b");
}

static void later_position_in_the_same_run_ends_the_epoch(void **state) {
    struct test *test = *state;
    publish(test, "a");
    test->now_ms = 2000;
    sync(test, "1000-5");
    publish(test, "b");
    assert_live(test, "m1000-0:a g2000-0<1000-0 m2000-1:b");
}

static void position_that_no_clock_has_issued_changes_nothing(void **state) {
    struct test *test = *state;
    publish(test, "a");
    assert_string_equal(sync(test, "18446744073709551615-0"), "1000-0 | m1000-0:a");
    assert_live(test, "m1000-0:a");
}

static void position_of_an_unknown_epoch_gets_everything(void **state) {
    struct test *test = *state;
    publish(test, "a");
    assert_string_equal(sync(test, "999-7"), "1000-0 | m1000-0:a");
    stream_store_clear(test->store);
    test->now_ms = 2000;
    assert_string_equal(sync(test, "1000-0"), "2000-" NOTHING " |");
}

static void old_marks_stay_while_they_tie_what_is_left(void **state) {
    struct test *test = *state;
    publish(test, "a");
    test->run = 2;
    test->now_ms = 2000;
    publish(test, "b");
    sync(test, "1000-7");
    test->now_ms = 2000 + 299 * 1000;
    publish(test, "c");
    test->now_ms = 2000 + 300 * 1000;
    /* Old are a, the boundary, b, the mark. */
    assert_string_equal(sync(test, "2000-1"), "2000-3 | g2000-2 m2000-3:c");
    publish(test, "d");
    assert_string_equal(sync(test, "2000-1"), "2000-4 | g2000-2 m2000-3:c m2000-4:d");
    assert_string_equal(sync(test, "1000-0"), "2000-4 | g2000-2 m2000-3:c m2000-4:d");
}

static void sweep_frees_what_has_expired(void **state) {
    struct test *test = *state;
    publish_once(test, "a", "k");
    test->now_ms += 299 * 1000;
    publish(test, "b");
    buf_clear(&test->live);
    test->now_ms += 1000;
    stream_store_sweep(test->store, test->now_ms);
    test->options.history_ttl_seconds = 10000;
    assert_string_equal(sync(test, ""), "1000-1 | m1000-1:b");
    test->now_ms += 7200 * 1000;
    stream_store_sweep(test->store, test->now_ms);
    publish_once(test, "c", "k");
    assert_live(test, "m7501000-0:c");
}

static void forgotten_stream_begins_anew(void **state) {
    struct test *test = *state;
    publish(test, "a");
    stream_store_forget(test->store, BYTES_LITERAL("chat:a"));
    stream_store_forget(test->store, BYTES_LITERAL("chat:none"));
    publish(test, "b");
    assert_live(test, "m1000-0:a m1001-0:b");
}

static void on_any_entry(void *context, struct bytes channel, const struct entry *entry) {
    (void)context;
    (void)channel;
    (void)entry;
}

/* What clients can make grow has an end. */
static void streams_longest_without_a_publish_make_room(void **state) {
    struct test *test = *state;
    char name[32];
    publish(test, "first");
    for (int i = 0; i < STREAM_STREAMS_MAX; i++) {
        snprintf(name, sizeof name, "chat:%d", i);
        struct publish_request request = {
            .channel = bytes_of(name), .payload = BYTES_LITERAL("x"), .options = &test->options};
        stream_store_append(test->store, test->run, 2000, &request, on_any_entry, NULL);
        if (i == 10)
            publish(test, "again");
    }
    buf_clear(&test->live);
    publish(test, "still there");
    assert_live(test, "m1000-2:still there");
    struct publish_request request = {
        .channel = BYTES_LITERAL("chat:0"), .payload = BYTES_LITERAL("x"), .options = &test->options};
    struct position id = stream_store_append(test->store, test->run, 2000, &request, on_any_entry, NULL);
    assert_int_equal(id.offset, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(messages_are_numbered_without_holes),
        TEST(sync_gives_what_came_after),
        TEST(read_of_nothing_has_a_place_and_keeps_nothing),
        TEST(calm_begins_with_the_life_the_run_and_what_a_stream_may_live),
        TEST(position_outlives_its_messages),
        TEST(size_is_kept),
        TEST(age_is_kept),
        TEST(repeated_key_is_the_same_message),
        TEST(another_run_begins_an_epoch),
        TEST(epochs_grow_though_the_clock_goes_back),
        TEST(loss_told_before_the_next_publish_is_marked_once),
        TEST(loss_told_after_the_next_publish_is_marked_once),
        TEST(loss_told_after_yet_another_restart_is_marked_once),
        TEST(each_restart_has_a_mark_of_its_own),
        TEST(later_epoch_that_is_lost_is_marked),
        TEST(later_position_in_the_same_run_ends_the_epoch),
        TEST(position_that_no_clock_has_issued_changes_nothing),
        TEST(position_of_an_unknown_epoch_gets_everything),
        TEST(old_marks_stay_while_they_tie_what_is_left),
        TEST(sweep_frees_what_has_expired),
        TEST(forgotten_stream_begins_anew),
        TEST(streams_longest_without_a_publish_make_room),
    };
    return cmocka_run_group_tests_name("stream_store", tests, NULL, NULL);
}

/* Positions, how entries go on from one another, and the ring of the latest. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/core/history.h"

static struct message *make(enum entry_kind kind, uint64_t epoch, uint64_t offset, uint64_t published_ms) {
    struct entry entry = {
        .kind = kind,
        .has_id = true,
        .id = {epoch, offset},
        .published_ms = published_ms,
        .payload = BYTES_LITERAL("1"),
    };
    return message_create(BYTES_LITERAL("a"), &entry, 0);
}

static struct message *make_after(enum entry_kind kind, struct position id, struct position previous) {
    struct message *message = make(kind, id.epoch, id.offset, 0);
    message->has_previous = true;
    message->previous = previous;
    return message;
}

/* Appends, and gives the reference up. */
static void append(struct history *history, struct message *message, uint32_t count_max) {
    history_append(history, message, count_max);
    message_unref(message);
}

static void append_range(struct history *history, uint64_t epoch, uint64_t first, uint64_t last,
                         uint32_t count_max) {
    for (uint64_t offset = first; offset <= last; offset++)
        append(history, make(ENTRY_MESSAGE, epoch, offset, offset), count_max);
}

static int64_t find(const struct history *history, uint64_t epoch, uint64_t offset) {
    struct position position = {epoch, offset};
    return history_find(history, &position);
}

static void position_is_read_and_printed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is_valid;
        struct position position;
    } rows[] = {
        {"0-0", true, {0, 0}},
        {"1763680000123-42", true, {1763680000123, 42}},
        {"18446744073709551615-18446744073709551615", true, {UINT64_MAX, UINT64_MAX}},
        {"18446744073709551616-0", false, {0, 0}},
        {"1-18446744073709551616", false, {0, 0}},
        {"", false, {0, 0}},
        {"-", false, {0, 0}},
        {"1", false, {0, 0}},
        {"1-", false, {0, 0}},
        {"-1", false, {0, 0}},
        {"1-2-3", false, {0, 0}},
        {"01-2", false, {0, 0}},
        {"1-02", false, {0, 0}},
        {" 1-2", false, {0, 0}},
        {"1-2 ", false, {0, 0}},
        {"+1-2", false, {0, 0}},
        {"a-b", false, {0, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct position position = {99, 99};
        if (position_parse(bytes_of(rows[i].text), &position) != rows[i].is_valid)
            fail_msg("%s", rows[i].text);
        if (!rows[i].is_valid) {
            assert_int_equal(position.epoch, 99);
            continue;
        }
        assert_int_equal(position_compare(&position, &rows[i].position), 0);
        struct buf out;
        buf_init(&out, 0);
        position_append(&position, &out);
        assert_true(bytes_equal_text(buf_bytes(&out), rows[i].text));
        buf_finish(&out);
    }
}

static void positions_have_an_order(void **state) {
    (void)state;
    static const struct position rising[] = {{1, 0}, {1, 1}, {1, 9}, {2, 0}, {2, 7}, {UINT64_MAX, 5}};
    enum { COUNT = sizeof rising / sizeof *rising };
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < COUNT; j++) {
            int order = position_compare(&rising[i], &rising[j]);
            assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
            assert_int_equal(position_follows(&rising[i], &rising[j]), i == 1 && j == 0);
        }
}

static void entry_goes_on_where_it_says(void **state) {
    (void)state;
    const struct position seen = {7, 5};
    static const struct {
        enum entry_kind kind;
        struct position id;
        bool has_previous;
        struct position previous;
        enum splice splice;
    } rows[] = {
        {ENTRY_MESSAGE, {7, 6}, false, {0, 0}, SPLICE_NEXT},
        {ENTRY_MESSAGE, {7, 5}, false, {0, 0}, SPLICE_OLD},
        {ENTRY_MESSAGE, {6, 9}, false, {0, 0}, SPLICE_OLD},
        {ENTRY_MESSAGE, {7, 7}, false, {0, 0}, SPLICE_HOLE},
        {ENTRY_MESSAGE, {8, 0}, false, {0, 0}, SPLICE_HOLE},
        {ENTRY_BOUNDARY, {8, 0}, true, {7, 5}, SPLICE_NEXT},
        {ENTRY_BOUNDARY, {8, 0}, true, {7, 4}, SPLICE_HOLE}, /* What we have seen is not in it. */
        {ENTRY_BOUNDARY, {8, 0}, true, {7, 6}, SPLICE_HOLE},
        {ENTRY_BOUNDARY, {8, 0}, false, {0, 0}, SPLICE_HOLE},
        {ENTRY_GAP, {8, 1}, true, {7, 5}, SPLICE_NEXT},
        {ENTRY_GAP, {8, 1}, true, {7, 3}, SPLICE_NEXT}, /* True for who has seen that much or more. */
        {ENTRY_GAP, {8, 1}, true, {7, 6}, SPLICE_HOLE},
        {ENTRY_GAP, {7, 6}, false, {0, 0}, SPLICE_NEXT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct message *message = make_after(rows[i].kind, rows[i].id, rows[i].previous);
        message->has_previous = rows[i].has_previous;
        assert_int_equal(splice_check(&seen, message), rows[i].splice);
        assert_int_equal(splice_check(NULL, message), SPLICE_HOLE);
        message_unref(message);
    }
}

static void ring_continues_whoever_has_seen_an_entry_or_the_one_before_its_first(void **state) {
    (void)state;
    struct history history = {0};
    assert_int_equal(find(&history, 7, 0), -1);
    append_range(&history, 7, 3, 20, 5);
    assert_int_equal(history.count, 5);
    assert_int_equal(history_at(&history, 0)->id.offset, 16);
    assert_int_equal(history_at(&history, 4)->id.offset, 20);
    assert_int_equal(find(&history, 7, 14), -1);
    assert_int_equal(find(&history, 7, 15), 0);
    assert_int_equal(find(&history, 7, 16), 1);
    assert_int_equal(find(&history, 7, 19), 4);
    assert_int_equal(find(&history, 7, 20), 5);
    assert_int_equal(find(&history, 7, 21), -1);
    assert_int_equal(find(&history, 6, 16), -1);
    assert_int_equal(find(&history, 8, 16), -1);
    history_finish(&history);
}

static void stream_that_begins_has_a_place_before_it(void **state) {
    (void)state;
    struct history history = {0};
    append_range(&history, 7, 0, 2, 5);
    assert_int_equal(find(&history, 7, 0), 1);
    assert_int_equal(find(&history, 6, UINT64_MAX), 0);
    assert_int_equal(find(&history, 7, UINT64_MAX), -1);
    assert_int_equal(find(&history, 6, 9), -1);
    history_finish(&history);

    /* A boundary continues where the epoch before ended. */
    append(&history, make_after(ENTRY_BOUNDARY, (struct position){8, 0}, (struct position){7, 9}), 5);
    append_range(&history, 8, 1, 2, 5);
    assert_int_equal(find(&history, 7, 9), 0);
    assert_int_equal(find(&history, 7, 8), -1);
    assert_int_equal(find(&history, 8, 0), 1);
    history_finish(&history);
}

static void reset_ring_knows_where_the_channel_is(void **state) {
    (void)state;
    struct history history = {0};
    struct position head = {7, 9};
    append_range(&history, 7, 0, 2, 5);
    history_reset(&history, &head);
    assert_int_equal(history.count, 0);
    assert_int_equal(find(&history, 7, 9), 0);
    assert_int_equal(find(&history, 7, 2), -1);
    append_range(&history, 7, 10, 11, 5);
    assert_int_equal(find(&history, 7, 9), 0);
    assert_int_equal(find(&history, 7, 10), 1);
    history_finish(&history);
}

static void what_does_not_continue_the_ring_begins_another(void **state) {
    (void)state;
    struct history history = {0};
    append_range(&history, 7, 1, 3, 5);
    append_range(&history, 7, 5, 6, 5);
    assert_int_equal(history.count, 2);
    assert_int_equal(find(&history, 7, 3), -1);
    assert_int_equal(find(&history, 7, 4), 0);
    assert_int_equal(find(&history, 7, 5), 1);
    history_finish(&history);
}

static void nobody_from_before_a_gap_has_everything(void **state) {
    (void)state;
    struct history history = {0};
    append_range(&history, 7, 1, 3, 10);
    append(&history, make(ENTRY_GAP, 7, 4, 4), 10);
    append_range(&history, 7, 5, 6, 10);
    assert_int_equal(find(&history, 7, 2), -1);
    assert_int_equal(find(&history, 7, 3), -1);
    assert_int_equal(find(&history, 7, 4), 4);
    assert_int_equal(find(&history, 7, 5), 5);
    /* The mark is no message. */
    assert_int_equal(history_find_last(&history, 2), 4);
    assert_int_equal(history_find_last(&history, 3), 2);
    history_finish(&history);
}

static void old_messages_expire(void **state) {
    (void)state;
    struct history history = {0};
    append_range(&history, 7, 1, 5, 10); /* Published at the millisecond of their offset. */
    history_expire(&history, 4);
    assert_int_equal(history.count, 2);
    assert_int_equal(find(&history, 7, 2), -1);
    assert_int_equal(find(&history, 7, 3), 0);
    history_expire(&history, 100);
    assert_int_equal(history.count, 0);
    /* All gone, and yet a client that has seen the last one has missed nothing. */
    assert_int_equal(find(&history, 7, 5), 0);
    assert_int_equal(find(&history, 7, 4), -1);
    append_range(&history, 7, 6, 6, 10);
    assert_int_equal(find(&history, 7, 5), 0);
    history_finish(&history);
}

static void last_messages_are_counted_from_the_end(void **state) {
    (void)state;
    struct history history = {0};
    assert_int_equal(history_find_last(&history, 3), 0);
    append_range(&history, 7, 1, 4, 10);
    assert_int_equal(history_find_last(&history, 0), 4);
    assert_int_equal(history_find_last(&history, 1), 3);
    assert_int_equal(history_find_last(&history, 4), 0);
    assert_int_equal(history_find_last(&history, 1000), 0);
    history_finish(&history);
}

static void ring_has_a_maximum_of_bytes(void **state) {
    (void)state;
    enum { BYTES = 1 << 20 };
    struct history history = {0};
    char *payload = calloc(1, BYTES);
    for (uint64_t offset = 0; offset < 20; offset++) {
        struct entry entry = {.has_id = true, .id = {7, offset}, .payload = bytes_make(payload, BYTES)};
        append(&history, message_create(BYTES_LITERAL("a"), &entry, 0), 100);
    }
    assert_int_equal(history.count, 8);
    assert_int_equal(history.bytes, 8u << 20);
    assert_int_equal(find(&history, 7, 11), 0);
    history_finish(&history);
    assert_int_equal(history.bytes, 0);
    free(payload);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(position_is_read_and_printed),
        cmocka_unit_test(positions_have_an_order),
        cmocka_unit_test(entry_goes_on_where_it_says),
        cmocka_unit_test(ring_continues_whoever_has_seen_an_entry_or_the_one_before_its_first),
        cmocka_unit_test(stream_that_begins_has_a_place_before_it),
        cmocka_unit_test(reset_ring_knows_where_the_channel_is),
        cmocka_unit_test(what_does_not_continue_the_ring_begins_another),
        cmocka_unit_test(nobody_from_before_a_gap_has_everything),
        cmocka_unit_test(old_messages_expire),
        cmocka_unit_test(last_messages_are_counted_from_the_end),
        cmocka_unit_test(ring_has_a_maximum_of_bytes),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}

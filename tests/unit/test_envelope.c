#include "gateway/broker/envelope.h"

#include "tests/unit/unit.h"

static struct entry parsed(struct bytes in) {
    struct entry entry;
    assert_true(envelope_parse(in, &entry));
    return entry;
}

static void assert_payload(const struct entry *entry, struct bytes expected) {
    assert_int_equal(entry->payload.len, expected.len);
    assert_memory_equal(entry->payload.data, expected.data, expected.len);
}

static void message_is_read(void **state) {
    (void)state;
    struct entry entry = parsed(BYTES_LITERAL("\0\1m1763680000123-42 - 1763680000999 -\nhi there\n\0"));
    assert_int_equal(entry.kind, ENTRY_MESSAGE);
    assert_true(entry.has_id);
    assert_true(entry.id.epoch == 1763680000123 && entry.id.offset == 42);
    assert_false(entry.has_previous);
    assert_false(entry.is_urgent);
    assert_true(entry.published_ms == 1763680000999);
    assert_payload(&entry, BYTES_LITERAL("hi there\n\0"));
}

static void message_may_be_empty_and_urgent(void **state) {
    (void)state;
    struct entry entry = parsed(BYTES_LITERAL("\0\1m1-0 - 5 h\n"));
    assert_true(entry.is_urgent);
    assert_int_equal(entry.payload.len, 0);
}

static void marks_name_what_was_before(void **state) {
    (void)state;
    struct entry boundary = parsed(BYTES_LITERAL("\0\1b8-0 7-12 5 -\n"));
    assert_int_equal(boundary.kind, ENTRY_BOUNDARY);
    assert_true(boundary.has_previous);
    assert_true(boundary.previous.epoch == 7 && boundary.previous.offset == 12);
    struct entry gap = parsed(BYTES_LITERAL("\0\1g8-3 - 5 -\n"));
    assert_int_equal(gap.kind, ENTRY_GAP);
    assert_false(gap.has_previous);
}

static void other_payloads_are_bare_messages(void **state) {
    (void)state;
    const struct bytes payloads[] = {BYTES_LITERAL("hello"), BYTES_LITERAL(""),
                                     BYTES_LITERAL("\1m1-0 - 5 -\n")};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct entry entry = parsed(payloads[i]);
        assert_false(entry.has_id);
        assert_int_equal(entry.kind, ENTRY_MESSAGE);
        assert_payload(&entry, payloads[i]);
    }
}

static void what_only_begins_like_an_envelope_is_bare_and_said_to_be_wrong(void **state) {
    (void)state;
    const struct bytes payloads[] = {
        BYTES_LITERAL("\0"),
        BYTES_LITERAL("\0\1"),
        BYTES_LITERAL("\0\1m"),
        BYTES_LITERAL("\0\2m1-0 - 5 -\nx"),
        BYTES_LITERAL("\0\1z1-0 - 5 -\nx"),
        BYTES_LITERAL("\0\1\0001-0 - 5 -\nx"),
        BYTES_LITERAL("\0\1m1-0 - 5 -"),
        BYTES_LITERAL("\0\1m1 - 5 -\nx"),
        BYTES_LITERAL("\0\1m01-0 - 5 -\nx"),
        BYTES_LITERAL("\0\1m1-0  5 -\nx"),
        BYTES_LITERAL("\0\1m1-0 -5 -\nx"),
        BYTES_LITERAL("\0\1m1-0 - now -\nx"),
        BYTES_LITERAL("\0\1m1-0 - 5 l\nx"),
        BYTES_LITERAL("\0\1m1-18446744073709551616 - 5 -\nx"),
    };
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct entry entry;
        assert_false(envelope_parse(payloads[i], &entry));
        assert_false(entry.has_id);
        assert_false(entry.has_previous);
        assert_int_equal(entry.kind, ENTRY_MESSAGE);
        assert_payload(&entry, payloads[i]);
    }
}

static void what_is_written_is_what_the_functions_write(void **state) {
    (void)state;
    const struct bytes texts[] = {
        BYTES_LITERAL("\0\1m1763680000123-42 - 1763680000999 h\nhi\0"),
        BYTES_LITERAL("\0\1b1763680000124-0 1763680000123-43 1763680001000 -\n"),
        BYTES_LITERAL("\0\1g1763680000124-9 - 1763680001000 -\n"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct entry entry = parsed(texts[i]);
        struct buf out;
        buf_init(&out, 0);
        envelope_append(&entry, &out);
        assert_int_equal(out.len, texts[i].len);
        assert_memory_equal(out.data, texts[i].data, out.len);
        buf_finish(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_read),
        cmocka_unit_test(message_may_be_empty_and_urgent),
        cmocka_unit_test(marks_name_what_was_before),
        cmocka_unit_test(other_payloads_are_bare_messages),
        cmocka_unit_test(what_only_begins_like_an_envelope_is_bare_and_said_to_be_wrong),
        cmocka_unit_test(what_is_written_is_what_the_functions_write),
    };
    return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}

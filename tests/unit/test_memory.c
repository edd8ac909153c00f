#include "gateway/broker/memory.h"

#include <stdlib.h>

#include "gateway/config/config.h"
#include "tests/unit/unit.h"

/* What the broker told, written down: "subscribed chat:a", "live OFFSET payload", "synced HEAD COUNT", each
 * with a line end. Offsets only: the epoch is the wall clock's. */
struct test {
    struct broker *broker;
    struct buf told;
    struct position last;
    bool asks_again;
};

static const struct namespace_config with_history = {
    .history_size = 10, .history_ttl_seconds = 300, .position_ttl_seconds = 3600};
static const struct namespace_config without_history = {0};

static void on_entry(void *context, struct bytes channel, const struct entry *entry) {
    struct test *test = context;
    (void)channel;
    buf_append_text(&test->told, "live ");
    if (entry->has_id)
        buf_append_u64(&test->told, entry->id.offset);
    else
        buf_append_text(&test->told, "bare");
    buf_printf(&test->told, " %.*s%s\n", BYTES_FMT(entry->payload), entry->is_urgent ? "!" : "");
}

static void on_subscribed(void *context, struct bytes channel) {
    struct test *test = context;
    buf_printf(&test->told, "subscribed %.*s\n", BYTES_FMT(channel));
}

static void on_published(void *arg, enum error error, const struct position *id) {
    struct test *test = arg;
    assert_int_equal(error, ERR_OK);
    buf_append_text(&test->told, id != NULL ? "published with an id\n" : "published\n");
    if (id != NULL)
        test->last = *id;
}

static void on_synced(void *arg, enum error error, const struct sync_result *result) {
    struct test *test = arg;
    if (error != ERR_OK) {
        assert_null(result);
        buf_append_text(&test->told, "not synced\n");
        return;
    }
    if (position_is_nothing(&result->head))
        buf_append_text(&test->told, "synced nothing\n");
    else
        buf_printf(&test->told, "synced %u %zu\n", (unsigned)result->head.offset, result->count);
    if (test->asks_again) {
        test->asks_again = false;
        test->broker->ops->sync(test->broker, BYTES_LITERAL("chat:b"), &with_history, NULL, on_synced, test);
    }
}

static int set_up(void **state) {
    static const struct broker_events events = {.on_entry = on_entry, .on_subscribed = on_subscribed};
    struct test *test = calloc(1, sizeof *test);
    buf_init(&test->told, 0);
    test->broker = memory_broker_create(&events, test);
    *state = test;
    return 0;
}

static int tear_down(void **state) {
    struct test *test = *state;
    memory_broker_destroy(test->broker);
    buf_finish(&test->told);
    free(test);
    return 0;
}

static void assert_told(struct test *test, const char *expected) {
    buf_append_char(&test->told, '\0');
    assert_string_equal(test->told.data, expected);
    buf_clear(&test->told);
}

static void publish(struct test *test, const struct namespace_config *options, const char *payload) {
    struct publish_request request = {.channel = BYTES_LITERAL("chat:a"),
                                      .payload = bytes_of(payload),
                                      .options = options,
                                      .is_urgent = payload[0] == 'u'};
    test->broker->ops->publish(test->broker, &request, on_published, test);
}

static void sync(struct test *test, const struct position *seen) {
    test->broker->ops->sync(test->broker, BYTES_LITERAL("chat:a"), &with_history, seen, on_synced, test);
}

static void messages_without_history_are_bare(void **state) {
    struct test *test = *state;
    publish(test, &without_history, "a");
    publish(test, NULL, "urgent");
    assert_told(test, "live bare a\npublished\nlive bare urgent!\npublished\n");
}

static void messages_with_history_have_ids_and_are_kept(void **state) {
    struct test *test = *state;
    publish(test, &with_history, "a");
    publish(test, &with_history, "urgent");
    assert_told(test, "live 0 a\npublished with an id\nlive 1 urgent!\npublished with an id\n");
    sync(test, NULL);
    sync(test, &test->last);
    assert_told(test, "");
    test->broker->ops->flush(test->broker);
    assert_told(test, "synced 1 2\nsynced 1 0\n");
}

static void sync_of_nothing_keeps_nothing(void **state) {
    struct test *test = *state;
    test->broker->ops->subscribe(test->broker, BYTES_LITERAL("chat:a"));
    sync(test, NULL);
    assert_told(test, "");
    test->broker->ops->flush(test->broker);
    assert_told(test, "subscribed chat:a\nsynced nothing\n");
    test->broker->ops->flush(test->broker);
    assert_told(test, "");
}

static void question_from_an_answer_is_answered_in_the_same_turn(void **state) {
    struct test *test = *state;
    test->asks_again = true;
    publish(test, &with_history, "a");
    buf_clear(&test->told);
    sync(test, NULL);
    test->broker->ops->flush(test->broker);
    assert_told(test, "synced 0 1\nsynced nothing\n");
}

static void open_questions_are_answered_at_the_end(void **state) {
    struct test *test = *state;
    static const struct broker_events none = {0};
    struct broker *broker = memory_broker_create(&none, NULL);
    broker->ops->sync(broker, BYTES_LITERAL("chat:a"), &with_history, NULL, on_synced, test);
    memory_broker_destroy(broker);
    assert_told(test, "not synced\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(messages_without_history_are_bare),
        TEST(messages_with_history_have_ids_and_are_kept),
        TEST(sync_of_nothing_keeps_nothing),
        TEST(question_from_an_answer_is_answered_in_the_same_turn),
        TEST(open_questions_are_answered_at_the_end),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}

#include "tests/unit/unit.h"

#include <string.h>

#include "common/log.h"
#include "gateway/master/calls.h"

enum { WORKERS = 3, NOW_MS = 1000, LATE_MS = NOW_MS + 60000 };

/* A master with workers that reply when the test says so. */
struct fixture {
    struct wheel wheel;
    struct calls calls;
    json_t *asked[WORKERS]; /* What each was asked last. */
    bool is_serving[WORKERS];
    bool is_hanging[WORKERS];
    bool is_full[WORKERS]; /* Takes no more questions. */
    char *reply;
    unsigned replies;
};

static uint64_t now_ms(void *context) {
    (void)context;
    return NOW_MS;
}

static bool may_ask(void *context, unsigned worker, bool any_will_do) {
    const struct fixture *fixture = context;
    return fixture->is_serving[worker] && !(any_will_do && fixture->is_hanging[worker]);
}

static bool ask(void *context, unsigned worker, json_t *message) {
    struct fixture *fixture = context;
    json_decref(fixture->asked[worker]);
    fixture->asked[worker] = message;
    return !fixture->is_full[worker];
}

static void on_done(void *arg, json_t *reply) {
    struct fixture *fixture = arg;
    free(fixture->reply);
    fixture->reply = json_dumps(reply, JSON_COMPACT | JSON_SORT_KEYS);
    fixture->replies++;
    json_decref(reply);
}

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const struct calls_options options = {
        .wheel = &fixture->wheel,
        .now_ms = now_ms,
        .worker_count = WORKERS,
        .may_ask = may_ask,
        .ask = ask,
        .context = fixture,
    };
    wheel_init(&fixture->wheel, NOW_MS);
    calls_init(&fixture->calls, &options);
    for (unsigned i = 0; i < WORKERS; i++)
        fixture->is_serving[i] = true;
    *state = fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < WORKERS; i++) {
        calls_forget_worker(&fixture->calls, i);
        json_decref(fixture->asked[i]);
    }
    free(fixture->reply);
    free(fixture);
    return 0;
}

static void call(struct fixture *fixture, const char *name) {
    calls_begin(&fixture->calls, name, BYTES_LITERAL("{}"), on_done, fixture);
}

static unsigned count_asked(const struct fixture *fixture) {
    unsigned count = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        count += fixture->asked[i] != NULL;
    return count;
}

/* As if `worker` answered what it was asked last. */
static void reply(struct fixture *fixture, unsigned worker, const char *text) {
    json_t *message = json_pack("{s:O,s:o}", "id", json_object_get(fixture->asked[worker], "id"), "reply",
                                json_loads(text, 0, NULL));
    calls_on_message(&fixture->calls, worker, message);
    json_decref(message);
}

static void assert_reply(const struct fixture *fixture, const char *expected) {
    assert_int_equal(fixture->replies, 1);
    assert_string_equal(fixture->reply, expected);
}

static void assert_error(const struct fixture *fixture, enum error error) {
    assert_int_equal(fixture->replies, 1);
    assert_non_null(strstr(fixture->reply, error_code(error)));
}

static void what_all_workers_reply_adds_up(void **state) {
    struct fixture *fixture = *state;
    call(fixture, "channels");
    reply(fixture, 2, "{\"channels\":{\"a\":1},\"names\":[\"x\"],\"truncated\":false}");
    reply(fixture, 0, "{\"channels\":{\"a\":2,\"b\":3},\"names\":[\"y\"],\"truncated\":true}");
    assert_int_equal(fixture->replies, 0);
    reply(fixture, 1, "{\"channels\":{},\"names\":[],\"truncated\":false}");
    assert_reply(fixture, "{\"channels\":{\"a\":3,\"b\":3},\"names\":[\"x\",\"y\"],\"truncated\":true}");
}

static void what_any_worker_can_do_is_asked_of_one_and_then_of_another(void **state) {
    struct fixture *fixture = *state;
    for (unsigned i = 1; i <= WORKERS; i++) {
        call(fixture, "publish");
        assert_int_equal(count_asked(fixture), i);
    }
}

static void hanging_worker_is_asked_only_what_all_are_asked(void **state) {
    struct fixture *fixture = *state;
    fixture->is_hanging[1] = true;
    for (unsigned i = 0; i < WORKERS; i++)
        call(fixture, "publish");
    assert_null(fixture->asked[1]);
    call(fixture, "clients");
    assert_non_null(fixture->asked[1]);
}

static void worker_that_dies_is_not_waited_for(void **state) {
    struct fixture *fixture = *state;
    call(fixture, "disconnect");
    reply(fixture, 0, "{\"disconnected\":1}");
    reply(fixture, 1, "{\"disconnected\":1}");
    calls_forget_worker(&fixture->calls, 2);
    assert_reply(fixture, "{\"disconnected\":2}");
}

static void call_whose_only_worker_dies_fails(void **state) {
    struct fixture *fixture = *state;
    call(fixture, "publish");
    for (unsigned i = 0; i < WORKERS; i++)
        calls_forget_worker(&fixture->calls, i);
    assert_error(fixture, ERR_BROKER_UNAVAILABLE);
}

static void worker_counts_once(void **state) {
    struct fixture *fixture = *state;
    call(fixture, "disconnect");
    for (unsigned i = 0; i < WORKERS; i++)
        reply(fixture, 0, "{\"disconnected\":1}");
    assert_int_equal(fixture->replies, 0);
    calls_forget_worker(&fixture->calls, 1);
    calls_forget_worker(&fixture->calls, 2);
    assert_reply(fixture, "{\"disconnected\":1}");
}

static void call_that_takes_too_long_fails_and_late_replies_change_nothing(void **state) {
    struct fixture *fixture = *state;
    call(fixture, "clients");
    reply(fixture, 0, "{\"clients\":[]}");
    wheel_advance(&fixture->wheel, LATE_MS);
    assert_error(fixture, ERR_INTERNAL);
    reply(fixture, 1, "{\"clients\":[]}");
    assert_error(fixture, ERR_INTERNAL);
}

static void call_without_workers_fails_at_once(void **state) {
    struct fixture *fixture = *state;
    memset(fixture->is_serving, 0, sizeof fixture->is_serving);
    call(fixture, "publish");
    assert_error(fixture, ERR_BROKER_UNAVAILABLE);
}

static void what_one_of_all_cannot_be_asked_fails(void **state) {
    struct fixture *fixture = *state;
    fixture->is_full[1] = true;
    call(fixture, "clients");
    assert_error(fixture, ERR_INTERNAL);
}

static void body_that_is_no_text_fails(void **state) {
    struct fixture *fixture = *state;
    calls_begin(&fixture->calls, "clients", BYTES_LITERAL("{\"channel\":\"\xff\"}"), on_done, fixture);
    assert_error(fixture, ERR_BAD_JSON);
    assert_int_equal(count_asked(fixture), 0);
}

static void reply_is_that_of_one_call(void **state) {
    struct fixture *fixture = *state;
    fixture->is_serving[1] = fixture->is_serving[2] = false;
    call(fixture, "clients");
    call(fixture, "channels");
    reply(fixture, 0, "{\"channels\":[]}");
    assert_reply(fixture, "{\"channels\":[]}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_all_workers_reply_adds_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_any_worker_can_do_is_asked_of_one_and_then_of_another, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(hanging_worker_is_asked_only_what_all_are_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(worker_that_dies_is_not_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(call_whose_only_worker_dies_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(worker_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(call_that_takes_too_long_fails_and_late_replies_change_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(call_without_workers_fails_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_one_of_all_cannot_be_asked_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(body_that_is_no_text_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reply_is_that_of_one_call, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

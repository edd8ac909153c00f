/* What a session does as time passes: pings, idleness, draining. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/fake_node.h"

enum { INTERVAL_MS = 25000, TIMEOUT_MS = 10000 };

static struct fake_node *node;
static struct fake_client ann;

static int setup(void **state) {
    (void)state;
    node = fake_node_create();
    node->config.ping.interval_seconds = INTERVAL_MS / 1000;
    node->config.ping.timeout_seconds = TIMEOUT_MS / 1000;
    fake_node_join(node, &ann, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fake_client_finish(&ann);
    fake_node_destroy(node);
    return 0;
}

/* A client made now, under the configuration as the test has changed it. */
static void renew(struct fake_client *client) {
    fake_client_finish(client);
    fake_node_join(node, client, NULL);
}

/* Lets time pass until something is heard or the client is closed; returns how much did. */
static uint64_t wait_for_news(struct fake_client *client, uint64_t max_ms) {
    uint64_t start_ms = node->clock.now_ms;
    while (client->read == client->heard.len && !client->is_closed && node->clock.now_ms - start_ms < max_ms)
        fake_node_pass(node, WHEEL_TICK_MS);
    return node->clock.now_ms - start_ms;
}

/* --- Pings ---------------------------------------------------------------------------------- */

static void client_that_answers_is_pinged_at_every_interval(void **state) {
    (void)state;
    uint64_t first_ms = wait_for_news(&ann, 2 * INTERVAL_MS);
    assert_in_range(first_ms, INTERVAL_MS / 2, INTERVAL_MS + WHEEL_TICK_MS);
    for (int i = 0; i < 50; i++) {
        fake_client_hears(&ann, FAKE_PING);
        fake_node_pass(node, 500);
        session_on_pong(ann.session);
        uint64_t next_ms = 500 + wait_for_news(&ann, 2 * INTERVAL_MS);
        assert_in_range(next_ms, INTERVAL_MS - WHEEL_TICK_MS, INTERVAL_MS + 2 * WHEEL_TICK_MS);
    }
    assert_false(ann.is_closed);
}

static void client_that_does_not_answer_is_closed(void **state) {
    (void)state;
    wait_for_news(&ann, 2 * INTERVAL_MS);
    fake_client_hears(&ann, FAKE_PING);
    uint64_t silent_ms = wait_for_news(&ann, 2 * INTERVAL_MS);
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_PING_TIMEOUT);
    assert_in_range(silent_ms, TIMEOUT_MS, TIMEOUT_MS + 2 * WHEEL_TICK_MS);
    assert_int_equal(node->metrics.closes[CLOSE_PING_TIMEOUT], 1);
}

static void timeout_longer_than_the_interval_is_waited_for(void **state) {
    (void)state;
    node->config.ping.interval_seconds = 5;
    node->config.ping.timeout_seconds = 12;
    renew(&ann);
    wait_for_news(&ann, 10000);
    fake_client_hears(&ann, FAKE_PING);
    fake_node_pass(node, 11000);
    assert_false(ann.is_closed);
    session_on_pong(ann.session);
    wait_for_news(&ann, 10000);
    fake_client_hears(&ann, FAKE_PING);
    uint64_t silent_ms = wait_for_news(&ann, 60000);
    assert_int_equal(ann.reason, CLOSE_PING_TIMEOUT);
    assert_in_range(silent_ms, 12000, 12000 + 2 * WHEEL_TICK_MS);
}

static void anything_that_is_said_is_a_sign_of_life(void **state) {
    (void)state;
    static const char *const signs[] = {"{\"op\":\"pong\"}", "{\"op\":\"ping\"}", "nonsense", ""};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        wait_for_news(&ann, 2 * INTERVAL_MS);
        fake_client_hears(&ann, FAKE_PING);
        fake_node_pass(node, TIMEOUT_MS - 100);
        fake_client_say(&ann, signs[i]);
        fake_node_pass(node, 1000);
        assert_false(ann.is_closed);
        ann.read = ann.heard.len;
    }
}

static void visible_pings_are_for_who_asked(void **state) {
    (void)state;
    fake_client_say(&ann, "{\"op\":\"connect\",\"ping\":true}");
    fake_node_turn(node);
    ann.read = ann.heard.len;
    wait_for_news(&ann, 2 * INTERVAL_MS);
    fake_client_hears(&ann, FAKE_PING);
    fake_client_hears(&ann, FAKE_VISIBLE_PING);
    fake_client_hears_nothing(&ann);
    fake_client_say(&ann, "{\"op\":\"pong\"}");
    wait_for_news(&ann, 2 * INTERVAL_MS);
    fake_client_hears(&ann, FAKE_PING);
    fake_client_hears(&ann, FAKE_VISIBLE_PING);
}

static void no_interval_means_no_pings(void **state) {
    (void)state;
    node->config.ping.interval_seconds = 0;
    renew(&ann);
    fake_node_pass(node, 10 * INTERVAL_MS);
    assert_int_equal(ann.writes, 0);
    assert_false(ann.is_closed);
}

static void clients_that_came_together_are_pinged_apart(void **state) {
    (void)state;
    enum { CLIENTS = 400, SLICES = 10 };
    static struct fake_client clients[CLIENTS];
    int before = 0;
    for (int i = 0; i < CLIENTS; i++)
        fake_node_join(node, &clients[i], NULL);
    fake_node_pass(node, INTERVAL_MS / 2 - WHEEL_TICK_MS);
    for (int slice = 0; slice < SLICES; slice++) {
        int pinged = 0;
        fake_node_pass(node, INTERVAL_MS / 2 / SLICES);
        for (int i = 0; i < CLIENTS; i++) {
            pinged += clients[i].heard.len > 0;
            session_on_pong(clients[i].session);
        }
        assert_in_range(pinged - before, CLIENTS / SLICES / 3, CLIENTS / SLICES * 3);
        before = pinged;
    }
    for (int i = 0; i < CLIENTS; i++)
        fake_client_finish(&clients[i]);
}

/* A ping would wait behind what the client does not read; that it reads shows by its socket. */
static void congested_client_that_reads_slowly_stays(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    ann.takes = 1;
    fake_broker_bring(&node->broker, "a", "1");
    fake_node_turn(node);
    for (int i = 0; i < 20; i++) {
        fake_node_pass(node, TIMEOUT_MS - 1000);
        ann.takes = SIZE_MAX;
        fake_client_pump(&ann);
        ann.takes = 0;
        fake_broker_bring(&node->broker, "a", "1");
        fake_node_turn(node);
    }
    assert_false(ann.is_closed);
    fake_node_pass(node, INTERVAL_MS + TIMEOUT_MS + 1000);
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_PING_TIMEOUT);
}

/* The ping is due in a turn in which something else waits to be sent. */
static void ping_follows_what_the_turn_has_to_say(void **state) {
    (void)state;
    enum { ANSWERS = INTERVAL_MS / 2 / WHEEL_TICK_MS + 10 };
    for (int i = 0; i < ANSWERS; i++)
        fake_client_say(&ann, "{\"op\":\"publish\",\"channel\":\"a\",\"data\":1}");
    fake_clock_pass(&node->clock, INTERVAL_MS / 2 - WHEEL_TICK_MS);
    for (int i = 0; ann.writes < 2 && i < ANSWERS; i++) {
        ann.writes = 0;
        ann.read = ann.heard.len;
        fake_broker_answer_publish(&node->broker, ERR_OK, NULL);
        fake_clock_pass(&node->clock, WHEEL_TICK_MS);
        fake_node_turn(node);
    }
    fake_client_hears(&ann, "{\"ok\":true}");
    fake_client_hears(&ann, FAKE_PING);
    fake_client_hears_nothing(&ann);
    session_on_pong(ann.session);
    fake_node_pass(node, TIMEOUT_MS + 1000);
    assert_false(ann.is_closed);
}

static void ping_that_finds_the_connection_dead_ends_it(void **state) {
    (void)state;
    fake_client_say(&ann, "{\"op\":\"connect\",\"ping\":true}");
    fake_node_turn(node);
    ann.read = ann.heard.len;
    ann.fails_at = ann.writes + 1;
    wait_for_news(&ann, 2 * INTERVAL_MS);
    assert_int_equal(ann.reason, CLOSE_LOST);
}

/* --- Idleness ------------------------------------------------------------------------------- */

static void client_that_asks_for_nothing_is_closed(void **state) {
    (void)state;
    node->config.ping.interval_seconds = 0;
    node->config.limits.idle_seconds = 60;
    renew(&ann);
    fake_node_pass(node, 59000);
    fake_client_say(&ann, "{\"op\":\"ping\"}");
    fake_node_pass(node, 59000);
    assert_false(ann.is_closed);
    fake_node_pass(node, 1100);
    assert_true(ann.is_closed);
    assert_int_equal(ann.reason, CLOSE_IDLE);
}

static void answering_pings_is_not_asking_for_something(void **state) {
    (void)state;
    node->config.limits.idle_seconds = 60;
    renew(&ann);
    for (int i = 0; i < 59; i++) {
        fake_node_pass(node, 1000);
        session_on_pong(ann.session);
        fake_client_say(&ann, "{\"op\":\"pong\"}");
        fake_client_say(&ann, "nonsense");
        if (i % 10 == 0)
            fake_client_say(&ann, "{\"op\":\"pong\"}");
        fake_node_turn(node);
    }
    assert_false(ann.is_closed);
    fake_node_pass(node, 1100);
    assert_int_equal(ann.reason, CLOSE_IDLE);
}

/* The deadline for idleness wakes the session up between its pings. */
static void client_that_is_busy_is_not_pinged_more_often(void **state) {
    (void)state;
    enum { MINUTES = 30 };
    int pings = 0;
    node->config.limits.idle_seconds = 4;
    renew(&ann);
    for (int i = 0; i < MINUTES * 30; i++) {
        struct bytes line;
        fake_node_pass(node, 2000);
        session_on_pong(ann.session);
        fake_client_say(&ann, "{\"op\":\"ping\"}");
        fake_node_turn(node);
        while (fake_client_read(&ann, &line))
            pings += bytes_equal_text(line, FAKE_PING);
    }
    assert_false(ann.is_closed);
    assert_in_range(pings, MINUTES * 60000 / INTERVAL_MS - 2, MINUTES * 60000 / INTERVAL_MS + 2);
}

/* --- Draining ------------------------------------------------------------------------------- */

static unsigned read_drain(struct fake_client *client) {
    struct bytes line;
    char text[80];
    unsigned retry_ms;
    assert_true(fake_client_read(client, &line));
    snprintf(text, sizeof text, "%.*s", BYTES_FMT(line));
    assert_int_equal(sscanf(text, "{\"event\":\"drain\",\"retry_ms\":%u}", &retry_ms), 1);
    return retry_ms;
}

static void drain_tells_each_client_its_moment_and_closes_it_then(void **state) {
    (void)state;
    enum { CLIENTS = 300, SECONDS = 30 };
    static struct fake_client clients[CLIENTS];
    unsigned retry_ms[CLIENTS];
    int early = 0;
    for (int i = 0; i < CLIENTS; i++)
        fake_node_join(node, &clients[i], NULL);
    hub_drain(node->hub, SECONDS);
    fake_node_turn(node);
    assert_int_equal(node->metrics.draining, 1);
    for (int i = 0; i < CLIENTS; i++) {
        retry_ms[i] = read_drain(&clients[i]);
        /* The first second belongs to the balancer. */
        assert_in_range(retry_ms[i], 1000, SECONDS * 1000);
        early += retry_ms[i] < SECONDS * 500;
    }
    assert_in_range(early, CLIENTS / 3, CLIENTS * 2 / 3);
    for (unsigned passed = 0; passed < SECONDS * 1000; passed += 500) {
        for (int i = 0; i < CLIENTS; i++) {
            if (!clients[i].is_closed)
                session_on_pong(clients[i].session);
            if (passed > retry_ms[i] + WHEEL_TICK_MS)
                assert_true(clients[i].is_closed);
            if (passed < retry_ms[i])
                assert_false(clients[i].is_closed);
        }
        fake_node_pass(node, 500);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(clients[i].reason, CLOSE_DRAIN);
        fake_client_finish(&clients[i]);
    }
}

static void who_comes_during_a_drain_is_sent_on_too(void **state) {
    (void)state;
    struct fake_client late;
    hub_drain(node->hub, 30);
    fake_node_pass(node, 2000);
    fake_client_open(&late, node->hub, &fake_lines);
    fake_node_turn(node);
    unsigned retry_ms = read_drain(&late);
    assert_in_range(retry_ms, 1000, node->config.drain_seconds * 1000);
    fake_node_pass(node, retry_ms + 2 * WHEEL_TICK_MS);
    assert_int_equal(late.reason, CLOSE_DRAIN);
    fake_client_finish(&late);
}

static void drain_in_no_time_closes_at_once(void **state) {
    (void)state;
    hub_drain(node->hub, 0);
    fake_node_pass(node, 2 * WHEEL_TICK_MS);
    assert_int_equal(read_drain(&ann), 0);
    assert_int_equal(ann.reason, CLOSE_DRAIN);
}

static void draining_session_works_until_its_moment(void **state) {
    (void)state;
    fake_node_subscribe(node, &ann, "a");
    hub_drain(node->hub, 30);
    fake_node_turn(node);
    read_drain(&ann);
    fake_broker_bring(&node->broker, "a", "1");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"channel\":\"a\",\"data\":1}");
    fake_client_say(&ann, "{\"op\":\"ping\"}");
    fake_node_turn(node);
    fake_client_hears(&ann, "{\"ok\":true}");
    /* Told twice, it goes at the second moment; closed ones are left alone. */
    session_close(ann.session, CLOSE_OPERATOR);
    hub_drain(node->hub, 30);
    fake_node_turn(node);
    fake_client_hears_nothing(&ann);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(client_that_answers_is_pinged_at_every_interval),
        TEST(client_that_does_not_answer_is_closed),
        TEST(timeout_longer_than_the_interval_is_waited_for),
        TEST(anything_that_is_said_is_a_sign_of_life),
        TEST(visible_pings_are_for_who_asked),
        TEST(no_interval_means_no_pings),
        TEST(clients_that_came_together_are_pinged_apart),
        TEST(congested_client_that_reads_slowly_stays),
        TEST(ping_follows_what_the_turn_has_to_say),
        TEST(ping_that_finds_the_connection_dead_ends_it),
        TEST(client_that_asks_for_nothing_is_closed),
        TEST(answering_pings_is_not_asking_for_something),
        TEST(client_that_is_busy_is_not_pinged_more_often),
        TEST(drain_tells_each_client_its_moment_and_closes_it_then),
        TEST(who_comes_during_a_drain_is_sent_on_too),
        TEST(drain_in_no_time_closes_at_once),
        TEST(draining_session_works_until_its_moment),
    };
    return cmocka_run_group_tests_name("session_time", tests, NULL, NULL);
}

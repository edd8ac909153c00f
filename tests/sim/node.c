#include "tests/sim/node.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "tests/sim/fail.h"
#include "tests/sim/socket.h"

enum { CLOCK_SKEW_MAX_MS = 200 };

/* The node whose code runs: the hub asks for the wall clock without saying who it is. */
static const struct node *running;

static uint64_t now_ms(void *context) {
    return ((const struct node *)context)->timeline->now_ms;
}

static uint64_t wall_ms(void) {
    return redis_model_wall_ms(running->broker.redis) + (uint64_t)running->clock_skew_ms;
}

static void on_turn(void *arg);

static void set_wake(struct node *node);

static void on_wake(void *arg) {
    struct node *node = arg;
    if (node->timeline->now_ms < node->wake_ms)
        return;
    node->wake_ms = TIME_NEVER;
    if (!node->has_turn)
        on_turn(node);
}

static void set_wake(struct node *node) {
    uint64_t next_ms = wheel_next_ms(&node->wheel);
    if (next_ms == TIME_NEVER || next_ms >= node->wake_ms)
        return;
    node->wake_ms = next_ms;
    timeline_at(node->timeline, next_ms, on_wake, node);
}

static void on_turn(void *arg) {
    struct node *node = arg;
    running = node;
    node->has_turn = false;
    if (node->hub == NULL)
        return;
    wheel_advance(&node->wheel, node->timeline->now_ms);
    if (hub_end_turn(node->hub))
        node_touch(node);
    set_wake(node);
}

void node_touch(struct node *node) {
    running = node;
    if (node->has_turn)
        return;
    node->has_turn = true;
    timeline_after(node->timeline, dice_below(node->dice, 3), on_turn, node);
}

static void on_broker_event(void *context) {
    node_touch(context);
}

static void make_hub(struct node *node, unsigned number, const struct config *config) {
    struct hub_options options = {
        .config = config,
        .metrics = &node->metrics,
        .wheel = &node->wheel,
        .node = bytes_of(node->name),
        .generation = number,
        .now_ms = now_ms,
        .now_context = node,
        .wall_ms = wall_ms,
        .pass_writes_max = node->pass_writes_max,
    };
    node->hub = hub_create(&options);
    hub_set_broker(node->hub, &node->broker.base);
    node->broker.base.events = &hub_broker_events;
    node->broker.base.context = node->hub;
}

void node_init(struct node *node, unsigned number, struct redis_model *redis, const struct config *config) {
    struct dice *dice = redis->dice;
    *node = (struct node){.timeline = redis->timeline, .dice = dice, .wake_ms = TIME_NEVER};
    snprintf(node->name, sizeof node->name, "n%u", number);
    node->clock_skew_ms = (int64_t)dice_below(dice, 2 * CLOCK_SKEW_MAX_MS) - CLOCK_SKEW_MAX_MS;
    list_init(&node->sockets);
    wheel_init(&node->wheel, node->timeline->now_ms);
    model_broker_init(&node->broker, redis, node->name);
    node->broker.delay_max_ms = dice_percent(dice, 30) ? dice_between(dice, 10, 300) : 5;
    node->broker.on_event = on_broker_event;
    node->broker.context = node;
    node->pass_writes_max = dice_percent(dice, 50) ? (uint32_t)dice_between(dice, 1, 4) : 0;
    make_hub(node, number, config);
    model_broker_start(&node->broker);
}

static void expect_zero(const struct node *node, const char *what, uint64_t value) {
    if (value != 0)
        sim_fail("%s: %" PRIu64 " %s left at the end", node->name, value, what);
}

/* Ends the hub, and checks the accounts. */
static void unmake_hub(struct node *node) {
    hub_destroy(node->hub);
    node->hub = NULL;
    expect_zero(node, "channels", node->metrics.channels);
    expect_zero(node, "bytes in outboxes", node->metrics.outbox_bytes);
    expect_zero(node, "subscriptions", node->metrics.subscriptions);
    for (int i = 0; i < TRANSPORT_COUNT; i++)
        expect_zero(node, "sessions", node->metrics.sessions[i]);
    for (int i = 0; i < WHEEL_SLOTS; i++)
        if (!list_is_empty(&node->wheel.slots[i]))
            sim_fail("%s: a timer is left at the end", node->name);
}

void node_kill(struct node *node, unsigned number, const struct config *config) {
    running = node;
    sim_note("%s: dies", node->name);
    while (!list_is_empty(&node->sockets))
        socket_kill(list_entry(node->sockets.next, struct socket, in_node));
    model_broker_finish(&node->broker);
    unmake_hub(node);
    snprintf(node->name, sizeof node->name, "n%u", number);
    model_broker_restart(&node->broker);
    make_hub(node, number, config);
}

void node_finish(struct node *node) {
    running = node;
    model_broker_finish(&node->broker);
    unmake_hub(node);
}

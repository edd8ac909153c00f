#include "tests/fake/fake_node.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/xalloc.h"
#include "tests/unit/unit.h"

static struct fake_node *latest;

uint64_t fake_node_wall_ms(void) {
    return 1763680000000 + latest->clock.now_ms;
}

struct fake_node *fake_node_create(void) {
    static char names[FAKE_NAMESPACES][8] = {"default", "closed", "oldest", "latest", "kept", "batch"};
    struct fake_node *node = xcalloc(1, sizeof *node);
    log_set_level(LOG_LEVEL_ERROR);
    srandom(1);
    latest = node;
    fake_clock_init(&node->clock, 1000000);
    fake_broker_init(&node->broker);
    node->namespaces[0] = (struct namespace_config){.name = names[0], .client_publish = true};
    node->namespaces[1] = (struct namespace_config){.name = names[1]};
    node->namespaces[2] = (struct namespace_config){
        .name = names[2],
        .client_publish = true,
        .slow_consumer = SLOW_DROP_OLDEST,
    };
    node->namespaces[3] = (struct namespace_config){
        .name = names[3],
        .client_publish = true,
        .slow_consumer = SLOW_CONFLATE,
    };
    node->namespaces[4] = (struct namespace_config){
        .name = names[4],
        .client_publish = true,
        .history_size = FAKE_HISTORY_SIZE,
        .history_ttl_seconds = FAKE_HISTORY_TTL_SECONDS,
    };
    node->namespaces[5] = (struct namespace_config){
        .name = names[5],
        .client_publish = true,
        .batch_count = 3,
        .batch_bytes = 50,
        .batch_delay_ms = 100,
    };
    node->config = (struct config){
        .drain_seconds = 10,
        .redis = {.linger_ms = 5000},
        .limits =
            {
                .channels_per_session = 128,
                .message_bytes = 65536,
                .outbox_bytes = 1 << 20,
                .outbox_messages = 10000,
                .outbox_total_bytes = 1 << 30,
            },
        .namespaces = node->namespaces,
        .namespace_count = FAKE_NAMESPACES,
    };
    struct hub_options options = {
        .config = &node->config,
        .metrics = &node->metrics,
        .wheel = &node->clock.wheel,
        .node = BYTES_LITERAL("n1"),
        .generation = 0xABC,
        .now_ms = fake_clock_now,
        .wall_ms = fake_node_wall_ms,
        .now_context = &node->clock,
    };
    node->hub = hub_create(&options);
    hub_set_broker(node->hub, &node->broker.base);
    fake_broker_attach(&node->broker, &hub_broker_events, node->hub);
    return node;
}

void fake_node_destroy(struct fake_node *node) {
    hub_destroy(node->hub);
    /* Whatever happened, the accounts are settled in the end. */
    assert_int_equal(node->metrics.outbox_bytes, 0);
    assert_int_equal(node->metrics.subscriptions, 0);
    assert_int_equal(node->metrics.channels, 0);
    for (int i = 0; i < TRANSPORT_COUNT; i++)
        assert_int_equal(node->metrics.sessions[i], 0);
    /* A timer that was left behind would now look for its owner. */
    wheel_advance(&node->clock.wheel, node->clock.now_ms + (1u << 30));
    fake_broker_finish(&node->broker);
    free(node);
}

void fake_node_turn(struct fake_node *node) {
    while (hub_end_turn(node->hub))
        continue;
}

void fake_node_pass(struct fake_node *node, uint64_t ms) {
    fake_clock_pass(&node->clock, ms);
    fake_node_turn(node);
}

void fake_node_join(struct fake_node *node, struct fake_client *client, const char *channel) {
    fake_client_open(client, node->hub, &fake_lines);
    if (channel != NULL)
        fake_node_subscribe(node, client, channel);
}

void fake_node_subscribe(struct fake_node *node, struct fake_client *client, const char *channel) {
    char text[512];
    snprintf(text, sizeof text, "{\"op\":\"subscribe\",\"channel\":\"%s\"}", channel);
    fake_client_say(client, text);
    fake_node_turn(node);
    client->read = client->heard.len;
    client->writes = 0;
}

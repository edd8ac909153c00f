#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/xalloc.h"
#include "tests/sim/fail.h"
#include "tests/sim/faults.h"

enum {
    START_MS = 1000,
    LINGER_MS = 1500,
    RUN_MS = 12000,   /* While things go wrong. */
    CALM_MS = 9000,   /* Until every link is back, and every client. */
    SETTLE_MS = 6000, /* Until the last messages have arrived. */
    LEAVE_MS = 8000,  /* Until every end has noticed, and no channel lingers. */
    REPEAT_MS = 3000, /* Within which a publisher says the same again. */
    PADDING_MAX = 400,
};

/* --- Settings -------------------------------------------------------------------------------------------- */

enum { FOR_LONG = 604800 };

static char names[WORLD_NAMESPACES][8] = {"default", "plain", "chat", "short",
                                          "brief",   "dying", "drop", "latest"};

static const struct namespace_config kinds[WORLD_NAMESPACES] = {
    [2] = {.history_size = 50, .history_ttl_seconds = 300, .position_ttl_seconds = FOR_LONG},
    [3] = {.history_size = 6, .history_ttl_seconds = 300, .position_ttl_seconds = FOR_LONG},
    [4] = {.history_size = 30, .history_ttl_seconds = 2, .position_ttl_seconds = FOR_LONG},
    [5] = {.history_size = 30, .history_ttl_seconds = 2, .position_ttl_seconds = 3},
    [6] = {.history_size = 30,
           .history_ttl_seconds = 300,
           .position_ttl_seconds = FOR_LONG,
           .slow_consumer = SLOW_DROP_OLDEST},
    [7] = {.history_size = 30,
           .history_ttl_seconds = 300,
           .position_ttl_seconds = FOR_LONG,
           .slow_consumer = SLOW_CONFLATE},
};

static void set_batching(struct world *world, struct namespace_config *options) {
    struct dice *dice = &world->dice;
    options->batch_delay_ms = dice_percent(dice, 40) ? (uint32_t)dice_between(dice, 20, 600) : 0;
    options->batch_count = dice_percent(dice, 50) ? (uint32_t)dice_between(dice, 1, 8) : 0;
    options->batch_bytes = dice_percent(dice, 30) ? (uint32_t)dice_between(dice, 1, 500) : 0;
}

static void make_settings(struct world *world) {
    struct settings *settings = xcalloc(1, sizeof *settings);
    struct dice *dice = &world->dice;
    bool is_tight = dice_percent(dice, 30);
    memcpy(settings->namespaces, kinds, sizeof kinds);
    for (unsigned i = 0; i < WORLD_NAMESPACES; i++) {
        settings->namespaces[i].name = names[i];
        settings->namespaces[i].client_publish = true;
        set_batching(world, &settings->namespaces[i]);
    }
    settings->config = (struct config){
        .drain_seconds = 1,
        .redis = {.linger_ms = LINGER_MS},
        .ping = {.interval_seconds = dice_percent(dice, 30) ? 2 : 0, .timeout_seconds = 1},
        .limits =
            {
                .channels_per_session = 8,
                .message_bytes = dice_percent(dice, 15) ? PADDING_MAX / 2 : 65536,
                .outbox_bytes = is_tight ? dice_between(dice, 600, 4000) : 1 << 20,
                .outbox_messages = is_tight ? (uint32_t)dice_between(dice, 3, 30) : 10000,
                .outbox_total_bytes = dice_percent(dice, 10) ? 20000 : 1 << 30,
            },
        .namespaces = settings->namespaces,
        .namespace_count = WORLD_NAMESPACES,
    };
    world->settings[world->settings_count++] = settings;
}

static void add_channels(struct world *world) {
    struct dice *dice = &world->dice;
    unsigned used = 0;
    for (unsigned wanted = (unsigned)dice_between(dice, 1, 4); wanted > 0; wanted--) {
        unsigned kind = (unsigned)dice_below(dice, WORLD_NAMESPACES);
        char name[32];
        if (used & 1u << kind)
            continue;
        used |= 1u << kind;
        snprintf(name, sizeof name, "%s:a", names[kind]);
        truth_add_channel(&world->truth, name, &world->settings[0]->namespaces[kind])->was_cut =
            world->settings[0]->config.limits.message_bytes < PADDING_MAX;
    }
}

/* --- Publishing ------------------------------------------------------------------------------------------ */

void world_append_payload(struct world *world, struct truth_channel *channel, struct buf *out) {
    size_t padding = dice_percent(&world->dice, 20) ? dice_below(&world->dice, PADDING_MAX) : 0;
    bool is_bare = !truth_has_history(channel);
    payload_make(out, is_bare ? 'b' : 'm', is_bare ? 0 : ++world->truth.last_number, padding);
}

void world_on_published(struct world *world, const struct position *id) {
    if (id == NULL)
        return;
    for (unsigned i = 0; i < world->truth.count; i++)
        if (truth_find(&world->truth.channels[i], id) != NULL)
            return;
    sim_fail("a publisher was told an id that no stream has issued: %" PRIu64 "-%" PRIu64, id->epoch,
             id->offset);
}

/* A publish with an idempotency key, to be repeated. */
struct repeat {
    struct world *world;
    struct truth_channel *channel;
    struct position id;
    uint64_t lives;
    char key[24];
    struct buf payload;
};

static struct publish_request request_of(const struct truth_channel *channel, struct bytes payload) {
    return (struct publish_request){
        .channel = bytes_of(channel->name),
        .payload = payload,
        .options = channel->options,
    };
}

static void on_repeat(void *arg) {
    struct repeat *repeat = arg;
    struct publish_request request = request_of(repeat->channel, buf_bytes(&repeat->payload));
    struct position id;
    request.idempotency_key = bytes_of(repeat->key);
    if (redis_model_publish(&repeat->world->redis, &request, &id) &&
        repeat->lives == repeat->world->redis.lives && position_compare(&id, &repeat->id) != 0)
        sim_fail("the same key got two ids");
    buf_finish(&repeat->payload);
    free(repeat);
}

static void publish_once(struct world *world, struct truth_channel *channel,
                         const struct publish_request *plain) {
    struct publish_request request = *plain;
    struct repeat *repeat = xcalloc(1, sizeof *repeat);
    *repeat = (struct repeat){.world = world, .channel = channel, .lives = world->redis.lives};
    snprintf(repeat->key, sizeof repeat->key, "k%" PRIu64, ++world->last_key);
    buf_init(&repeat->payload, 0);
    buf_append_bytes(&repeat->payload, plain->payload);
    request.idempotency_key = bytes_of(repeat->key);
    redis_model_publish(&world->redis, &request, &repeat->id);
    timeline_after(&world->timeline, dice_below(&world->dice, REPEAT_MS), on_repeat, repeat);
}

static void publish(struct world *world, struct truth_channel *channel) {
    struct buf payload;
    struct position id;
    if (!world->redis.is_up)
        return;
    buf_init(&payload, 0);
    world_append_payload(world, channel, &payload);
    struct publish_request request = request_of(channel, buf_bytes(&payload));
    request.is_urgent = dice_percent(&world->dice, 20);
    if (truth_has_history(channel) && dice_percent(&world->dice, 20))
        publish_once(world, channel, &request);
    else
        redis_model_publish(&world->redis, &request, &id);
    if (truth_has_history(channel) && dice_percent(&world->dice, 5)) {
        struct publish_request bare = {.channel = request.channel, .payload = BYTES_LITERAL("\"b0\"")};
        redis_model_publish(&world->redis, &bare, &id);
    }
    buf_finish(&payload);
}

static void on_publish(void *arg) {
    struct world *world = arg;
    if (world->is_calm)
        return;
    /* Often several at once, to be joined. */
    unsigned count = dice_percent(&world->dice, 20) ? (unsigned)dice_between(&world->dice, 2, 12) : 1;
    struct truth_channel *channel = &world->truth.channels[dice_below(&world->dice, world->truth.count)];
    while (count-- > 0)
        publish(world, channel);
    timeline_after(&world->timeline, dice_between(&world->dice, 1, 2 * world->publish_pause_ms), on_publish,
                   world);
}

/* --- A run ----------------------------------------------------------------------------------------------- */

static void begin(struct world *world, uint64_t seed) {
    struct dice *dice = &world->dice;
    dice->state = seed;
    srandom((unsigned)seed); /* The core spreads pings and drains by it. */
    timeline_init(&world->timeline, START_MS);
    redis_model_init(&world->redis, &world->timeline, dice, &world->truth);
    make_settings(world);
    add_channels(world);
    world->node_count = (unsigned)dice_between(dice, 1, WORLD_NODES_MAX);
    for (unsigned i = 0; i < world->node_count; i++) {
        world->nodes[i] = xmalloc(sizeof *world->nodes[i]);
        node_init(world->nodes[i], ++world->node_lives, &world->redis, &world->settings[0]->config);
    }
    world->client_count = (unsigned)dice_between(dice, 2, WORLD_CLIENTS_MAX);
    for (unsigned i = 0; i < world->client_count; i++)
        client_init(&world->clients[i], world, i + 1);
    world->publish_pause_ms = (unsigned)dice_between(dice, 30, 400);
    world->breaks_percent = dice_percent(dice, 30) ? (unsigned)dice_below(dice, 5) : 0;
    timeline_after(&world->timeline, 0, on_publish, world);
    faults_begin(world);
}

static void let(struct world *world, uint64_t ms) {
    timeline_run(&world->timeline, world->timeline.now_ms + ms);
}

static void calm_down(struct world *world) {
    sim_note("calm");
    world->is_calm = true;
    faults_end(world);
    for (unsigned i = 0; i < world->client_count; i++) {
        struct client *client = &world->clients[i];
        client->room = SIZE_MAX;
        client->delay_max_ms = 10;
        if (client->socket != NULL) {
            client->socket->options.room = SIZE_MAX;
            client->socket->options.delay_max_ms = 10;
            client->socket->options.breaks_percent = 0;
        }
    }
}

static void check_settled(struct world *world) {
    for (unsigned i = 0; i < world->truth.count; i++)
        publish(world, &world->truth.channels[i]);
    let(world, SETTLE_MS);
    for (unsigned i = 0; i < world->client_count; i++)
        client_settled(&world->clients[i]);
}

static void end(struct world *world) {
    world->is_over = true;
    for (unsigned i = 0; i < world->client_count; i++)
        client_leave(&world->clients[i]);
    let(world, LEAVE_MS);
    for (unsigned i = 0; i < world->node_count; i++) {
        if (world->nodes[i]->metrics.channels != 0)
            sim_fail("%s: channels are left at the end", world->nodes[i]->name);
        node_finish(world->nodes[i]);
    }
    timeline_drain(&world->timeline);
    for (unsigned i = 0; i < world->node_count; i++)
        free(world->nodes[i]);
    for (unsigned i = 0; i < world->client_count; i++)
        client_finish(&world->clients[i]);
    for (unsigned i = 0; i < world->settings_count; i++)
        free(world->settings[i]);
    redis_model_finish(&world->redis);
    truth_finish(&world->truth);
    timeline_finish(&world->timeline);
}

void world_run(uint64_t seed, bool is_verbose) {
    struct world *world = xcalloc(1, sizeof *world);
    log_set_level(LOG_LEVEL_ERROR);
    sim_begin(seed, &world->timeline.now_ms, is_verbose);
    begin(world, seed);
    let(world, RUN_MS);
    calm_down(world);
    let(world, CALM_MS);
    check_settled(world);
    end(world);
    free(world);
}

#include "tests/sim/faults.h"

#include <stdlib.h>

#include "common/xalloc.h"
#include "tests/sim/fail.h"
#include "tests/sim/world.h"

enum {
    STALL_MAX_MS = 2000,
    DOWN_MAX_MS = 3000,
    RELOAD_MAX_MS = 500,
};

static struct node *any_node(struct world *world) {
    return world->nodes[dice_below(&world->dice, world->node_count)];
}

/* --- Links ----------------------------------------------------------------------------------------------- */

static void break_link(struct world *world) {
    struct node *node = any_node(world);
    if (node->broker.link != NULL && !list_is_empty(&node->broker.link->in_redis))
        link_break(node->broker.link);
}

static void deafen(struct world *world) {
    model_broker_go_deaf(&any_node(world)->broker);
}

static void stall(struct world *world) {
    struct node *node = any_node(world);
    if (node->broker.link != NULL)
        link_stall(node->broker.link, dice_below(&world->dice, STALL_MAX_MS));
}

/* --- Redis ----------------------------------------------------------------------------------------------- */

struct restart {
    struct world *world;
    enum survival survival;
};

static void on_restart(void *arg) {
    struct restart *restart = arg;
    redis_model_start(&restart->world->redis, restart->survival);
    free(restart);
}

static void restart_redis(struct world *world, enum survival survival) {
    struct restart *restart = xmalloc(sizeof *restart);
    *restart = (struct restart){world, survival};
    redis_model_stop(&world->redis);
    timeline_after(&world->timeline, dice_between(&world->dice, 1, DOWN_MAX_MS), on_restart, restart);
}

static void restart_whole(struct world *world) {
    restart_redis(world, SURVIVES_ALL);
}

static void restart_older(struct world *world) {
    restart_redis(world, SURVIVES_DUMP);
}

static void restart_empty(struct world *world) {
    restart_redis(world, SURVIVES_NOTHING);
}

static void flush_all(struct world *world) {
    redis_model_flush_all(&world->redis);
}

static void dump(struct world *world) {
    redis_model_dump(&world->redis);
}

/* Redis answers, but does not do what it is asked: for want of memory, say. */
static void refuse(struct world *world) {
    struct redis_model *redis = &world->redis;
    redis->refuses_percent = redis->refuses_percent ? 0 : (unsigned)dice_between(&world->dice, 1, 50);
    for (unsigned i = 0; i < world->truth.count; i++)
        world->truth.channels[i].was_refused = true;
}

/* --- Nodes ----------------------------------------------------------------------------------------------- */

static void kill_node(struct world *world) {
    unsigned i = (unsigned)dice_below(&world->dice, world->node_count);
    node_kill(world->nodes[i], ++world->node_lives, &world->settings[world->settings_count - 1]->config);
}

struct reload {
    struct node *node;
    const struct config *config;
};

static void on_reload(void *arg) {
    struct reload *reload = arg;
    node_touch(reload->node);
    if (reload->node->hub != NULL)
        hub_set_config(reload->node->hub, reload->config);
    free(reload);
}

static void reload(struct world *world) {
    struct dice *dice = &world->dice;
    if (world->settings_count == WORLD_SETTINGS_MAX)
        return;
    struct settings *fresh = xmalloc(sizeof *fresh);
    *fresh = *world->settings[world->settings_count - 1];
    fresh->config.namespaces = fresh->namespaces;
    for (unsigned i = 0; i < WORLD_NAMESPACES; i++) {
        struct namespace_config *options = &fresh->namespaces[i];
        if (options->history_size > 0) {
            options->history_size = (uint32_t)dice_between(dice, 3, 60);
            options->history_ttl_seconds = (uint32_t)dice_between(dice, 1, 60);
        }
        options->batch_delay_ms = dice_percent(dice, 50) ? (uint32_t)dice_between(dice, 20, 600) : 0;
    }
    for (unsigned i = 0; i < world->truth.count; i++) {
        struct truth_channel *channel = &world->truth.channels[i];
        size_t index = (size_t)(channel->options - world->settings[world->settings_count - 1]->namespaces);
        channel->options = &fresh->namespaces[index];
    }
    world->settings[world->settings_count++] = fresh;
    sim_note("reload");
    for (unsigned i = 0; i < world->node_count; i++) {
        struct reload *each = xmalloc(sizeof *each);
        *each = (struct reload){world->nodes[i], &fresh->config};
        timeline_after(&world->timeline, dice_below(dice, RELOAD_MAX_MS), on_reload, each);
    }
}

/* --- All of it ------------------------------------------------------------------------------------------- */

static const struct {
    void (*happen)(struct world *world);
    unsigned percent; /* Of the runs in which it may happen. */
} faults[] = {
    {break_link, 50},    {deafen, 50},       {stall, 50},     {restart_whole, 40},
    {restart_older, 35}, {restart_empty, 8}, {flush_all, 10}, {dump, 60},
    {kill_node, 30},     {reload, 20},       {refuse, 10},
};

enum { FAULT_COUNT = sizeof faults / sizeof *faults };

static void on_fault(void *arg) {
    struct world *world = arg;
    if (world->is_calm)
        return;
    unsigned which = (unsigned)dice_below(&world->dice, FAULT_COUNT);
    if (world->faults & 1u << which)
        faults[which].happen(world);
    timeline_after(&world->timeline, dice_between(&world->dice, 1, 2 * world->fault_pause_ms), on_fault,
                   world);
}

void faults_begin(struct world *world) {
    if (dice_percent(&world->dice, 10))
        return; /* A run in which nothing does. */
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        if (dice_percent(&world->dice, faults[i].percent))
            world->faults |= 1u << i;
    world->fault_pause_ms = (unsigned)dice_between(&world->dice, 50, 800);
    timeline_after(&world->timeline, 0, on_fault, world);
}

void faults_end(struct world *world) {
    redis_model_start(&world->redis, SURVIVES_ALL);
    world->redis.refuses_percent = 0;
}

/* The scenarios: each is a set of defaults, and a way of running that run.c knows by its kind. */
#include <string.h>

#include "loadtest/options.h"
#include "loadtest/scenario.h"

static const struct scenario scenarios[SCENARIO_COUNT] = {
    [SCENARIO_FANOUT] = {.name = "fanout",
                         .summary = "one channel, many subscribers, a steady rate: what a delivery costs",
                         .subscribers = 1000,
                         .channels = 1,
                         .rate = 20,
                         .duration_seconds = 10},
    [SCENARIO_ROOMS] = {.name = "rooms",
                        .summary = "many small channels, messages to random ones: a chat",
                        .subscribers = 10000,
                        .channels = 1000,
                        .rate = 1000,
                        .duration_seconds = 10},
    [SCENARIO_IDLE] = {.name = "idle",
                       .summary =
                           "connections that do nothing: memory and CPU of each; then one message to all",
                       .subscribers = 10000,
                       .channels = 1,
                       .rate = 0,
                       .duration_seconds = 30},
    [SCENARIO_CONNECT] = {.name = "connect",
                          .summary = "connect storm: how fast, and at what cost, clients get in",
                          .subscribers = 10000,
                          .channels = 1,
                          .rate = 0,
                          .duration_seconds = 0},
    [SCENARIO_RECONNECT] = {.name = "reconnect",
                            .summary =
                                "all clients lose their connection at once and come back while messages flow",
                            .subscribers = 5000,
                            .channels = 10,
                            .rate = 50,
                            .duration_seconds = 15},
    [SCENARIO_SLOW] = {.name = "slow",
                       .summary = "some subscribers stop reading: do the others notice?",
                       .subscribers = 1000,
                       .channels = 1,
                       .rate = 100,
                       .slow = 64,
                       .duration_seconds = 15},
    [SCENARIO_MIXED] = {.name = "mixed",
                        .summary = "WebSocket, SSE, stream and long-poll subscribers of the same channel",
                        .subscribers = 1000,
                        .channels = 1,
                        .rate = 20,
                        .weights = {1, 1, 1, 1},
                        .duration_seconds = 10},
    [SCENARIO_BUSY] = {.name = "busy",
                       .summary = "several busy channels, as fast as it goes: how much does a write carry?",
                       .subscribers = 2000,
                       .channels = 4,
                       .window = 64,
                       .duration_seconds = 10},
};

const struct scenario *scenario_of(enum scenario_kind kind) {
    return &scenarios[kind];
}

const char *scenario_name(enum scenario_kind kind) {
    return scenarios[kind].name;
}

bool scenario_by_name(const char *name, enum scenario_kind *kind) {
    for (int i = 0; i < SCENARIO_COUNT; i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            *kind = (enum scenario_kind)i;
            return true;
        }
    }
    return false;
}

void scenario_defaults(struct options *options, enum scenario_kind kind) {
    const struct scenario *scenario = &scenarios[kind];
    options->scenario = kind;
    options->subscribers = scenario->subscribers;
    options->channels = scenario->channels;
    options->rate = scenario->rate;
    options->slow = scenario->slow;
    options->duration_seconds = scenario->duration_seconds;
    options->window = scenario->window;
    options->random_channel = kind == SCENARIO_ROOMS || kind == SCENARIO_BUSY;
    options->final_message = kind == SCENARIO_IDLE;
    options->recover = kind == SCENARIO_RECONNECT;
    if (scenario->weights[TRANSPORT_WS] != 0)
        memcpy(options->weights, scenario->weights, sizeof options->weights);
}

/* What a scenario sets where the user says nothing. */
#ifndef LOADTEST_SCENARIO_H
#define LOADTEST_SCENARIO_H

#include "loadtest/options.h"

struct scenario {
    const char *name;
    const char *summary;
    uint32_t subscribers;
    uint32_t channels;
    double rate;
    uint32_t window; /* 0: the open loop, at `rate`. */
    uint32_t slow;
    uint32_t weights[TRANSPORT_COUNT]; /* All 0: WebSocket alone. */
    double duration_seconds;
};

const struct scenario *scenario_of(enum scenario_kind kind);

#endif

/* What the user asked for: the command line, checked as a whole, over the defaults of the scenario. */
#ifndef LOADTEST_OPTIONS_H
#define LOADTEST_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "loadtest/endpoint.h"

enum scenario_kind {
    SCENARIO_FANOUT,
    SCENARIO_ROOMS,
    SCENARIO_IDLE,
    SCENARIO_CONNECT,
    SCENARIO_RECONNECT,
    SCENARIO_SLOW,
    SCENARIO_MIXED,
    SCENARIO_BUSY,
    SCENARIO_COUNT,
};

enum transport { TRANSPORT_WS, TRANSPORT_SSE, TRANSPORT_STREAM, TRANSPORT_LONGPOLL, TRANSPORT_COUNT };

enum publish_via { VIA_REDIS, VIA_FCALL, VIA_HTTP, VIA_WS };

enum { SERVER_PIDS_MAX = 32 };

struct peer;

struct options {
    enum scenario_kind scenario;
    const struct peer *peer;
    struct endpoint server; /* Where subscribers connect. */
    struct endpoint redis;
    struct endpoint admin; /* Where VIA_HTTP posts. */
    const char *api_key;   /* "": none. */

    uint32_t subscribers;
    uint32_t channels;
    uint32_t channels_per_subscriber;
    const char *prefix; /* A channel's name is the prefix and its number. */
    uint32_t weights[TRANSPORT_COUNT];
    bool deflate;
    bool browser_headers; /* Requests as long as a browser's. */

    enum publish_via via;
    uint32_t publishers;
    double rate;     /* Messages a second over all channels; 0: none. */
    uint32_t window; /* Closed loop: messages in flight; 0: open loop at `rate`. */
    uint32_t payload_bytes;
    bool random_channel; /* Else round robin. */

    uint32_t connecting;       /* Connects under way at once, over all processes. */
    uint32_t processes;        /* Of clients. */
    uint32_t source_addresses; /* 127.0.0.1, 127.0.0.2, ...; 1 leaves the choice to the kernel. */

    double settle_seconds;
    double warmup_seconds;
    double duration_seconds;
    double drain_seconds;

    uint32_t cut_percent; /* Reconnect: how many lose their connection. */
    bool recover;         /* Reconnect with the last position. */
    uint32_t slow;        /* How many subscribers read slowly. */
    uint32_t slow_bytes_per_second;
    bool final_message; /* Idle: one message to every channel at the end. */

    bool find_rate;
    double p99_ms;
    double step_seconds;

    int32_t server_pids[SERVER_PIDS_MAX];
    uint32_t server_pid_count;

    const char *json; /* File names; "-" is standard output; NULL: none. */
    const char *html;
    const char *title;
    bool quiet;
};

/* Parses the command line. False, with a message on standard error, when it is refused; --help and --version
 * print and end the process. The strings borrow from `argv`. */
bool options_parse(struct options *options, int argc, char **argv);

const char *scenario_name(enum scenario_kind kind);
const char *transport_name(enum transport transport);
const char *via_name(enum publish_via via);

/* The scenario's own values, as if the user had written them first. */
void scenario_defaults(struct options *options, enum scenario_kind kind);
bool scenario_by_name(const char *name, enum scenario_kind *kind);

/* Which transport subscriber `index` uses: spread by the weights. */
enum transport options_transport(const struct options *options, uint32_t index);

/* How many of the first `subscribers` listen to `channel`. */
uint64_t options_listeners(const struct options *options, uint32_t subscribers, uint32_t channel);

static inline uint32_t options_channel(const struct options *options, uint32_t subscriber, uint32_t which) {
    uint64_t at = (uint64_t)subscriber * options->channels_per_subscriber + which;
    return (uint32_t)(at % options->channels);
}

#endif

/* What a run found, as plain numbers: run.c fills it, the reports print it. */
#ifndef LOADTEST_RESULT_H
#define LOADTEST_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "loadtest/board.h"
#include "loadtest/options.h"

enum phase {
    PHASE_START,
    PHASE_CONNECT,
    PHASE_SETTLE,
    PHASE_WARMUP,
    PHASE_MEASURE,
    PHASE_FINAL, /* Idle: the one message at the end. */
    PHASE_DRAIN,
    PHASE_COUNT,
};

const char *phase_name(enum phase phase);

/* What happened in a fraction of a second. */
struct sample {
    double at; /* Seconds since the run began, at its end. */
    double seconds;
    enum phase phase;
    uint32_t live;
    double published_per_second;
    double delivered_per_second;
    double connects_per_second;
    double server_cpu; /* Cores. */
    double own_cpu;
    double rss_bytes;
    uint64_t p50_ns, p99_ns; /* 0: nothing measured meanwhile. */
};

/* One rate that the search tried. */
struct step {
    double rate;
    double published_per_second;
    double delivered_per_second;
    double server_cpu;
    uint64_t p50_ns, p99_ns, max_ns;
    bool is_good;
    const char *reason; /* Static; why not. */
};

enum { SAMPLES_MAX = 20000, STEPS_MAX = 40, WARNINGS_MAX = 16, WARNING_BYTES = 240 };

/* From one moment to another. */
struct span {
    double seconds;
    uint64_t published;
    uint64_t delivered;
    uint64_t bytes;
    uint64_t reads;
    uint64_t server_cpu_ns;
    uint64_t own_cpu_ns;
};

struct result {
    const struct options *options;
    uint64_t started_wall_ms;
    bool is_interrupted;
    bool is_impossible; /* Ended before anything was measured. */
    bool has_server;    /* Server pids were given and alive. */
    uint32_t server_processes;

    struct span connect;
    uint32_t live_after_connect;
    uint64_t rss_before, rss_after; /* Bytes, before connecting and after settling. */
    uint64_t pss_before, pss_after;
    struct span measure; /* In which latencies, CPU and throughput were taken. */
    struct span final;
    uint64_t final_expected;
    double cut_at_seconds; /* Reconnect: since the run began; 0: not. */
    double back_seconds;   /* From the cut until all were back; 0: they were not. */
    uint32_t cut_count;

    struct client_counts totals; /* Of the whole run, with what is missing at the end. */
    struct publisher_counts publisher;
    struct histogram latency[TRANSPORT_COUNT]; /* Of the measured span. */
    struct histogram latency_all;
    uint64_t expected; /* Deliveries, of all that was published. */

    struct step steps[STEPS_MAX];
    uint32_t step_count;
    double best_rate; /* 0: none was good. */

    struct sample samples[SAMPLES_MAX];
    uint32_t sample_count;
    char warnings[WARNINGS_MAX][WARNING_BYTES];
    uint32_t warning_count;
};

void result_warn(struct result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether all arrived, once and in order, and all could connect. */
bool result_is_clean(const struct result *result);

/* Microseconds of server CPU per delivery and per connect; 0 when not known. */
double result_cpu_per_delivery_us(const struct result *result);
double result_cpu_per_connect_us(const struct result *result);
double result_rss_per_connection(const struct result *result); /* Bytes. */
double result_pss_per_connection(const struct result *result);

#endif

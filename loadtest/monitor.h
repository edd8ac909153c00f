/* Samples what happens while the run goes on, for the progress line, the charts and the spans. */
#ifndef LOADTEST_MONITOR_H
#define LOADTEST_MONITOR_H

#include "loadtest/board.h"
#include "loadtest/process.h"
#include "loadtest/result.h"

/* All counters at one moment. */
struct reading {
    uint64_t at_ns;
    uint64_t published;
    uint64_t delivered;
    uint64_t connects;
    uint64_t bytes;
    uint64_t reads;
    uint64_t own_cpu_ns;
    struct process_usage server;
};

struct monitor {
    const struct options *options;
    struct board *board;
    struct result *result;
    struct process_set server;
    uint64_t began_ns;
    enum phase phase;
    uint64_t phase_from_ns;
    double phase_seconds; /* How long it is meant to last; 0: open. */
    struct reading last;
    uint64_t next_print_ns;
    bool is_terminal;
    struct client_counts sum; /* Of the latest sample. */
    struct histogram latency; /* All transports, at the latest sample. */
    struct histogram recent;  /* Between the last two. */
};

void monitor_start(struct monitor *monitor, const struct options *options, struct board *board,
                   struct result *result);

/* `seconds` is for the progress line. */
void monitor_enter(struct monitor *monitor, enum phase phase, double seconds);

/* Takes a sample; to be called a few times a second. */
void monitor_sample(struct monitor *monitor);

/* `exactly` as in process_measure(). */
void monitor_read(struct monitor *monitor, bool exactly, struct reading *reading);

struct span monitor_span(const struct reading *from, const struct reading *to);

/* Leaves the progress line, so that other output may follow. */
void monitor_end_line(const struct monitor *monitor);

#endif

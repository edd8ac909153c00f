/* Leads a run: starts the processes, takes them through the phases of the scenario, samples meanwhile. */
#ifndef LOADTEST_RUN_H
#define LOADTEST_RUN_H

#include <sys/types.h>

#include "loadtest/monitor.h"
#include "loadtest/result.h"

struct run {
    const struct options *options;
    struct board *board;
    struct result *result;
    struct monitor monitor;
    pid_t *children; /* 0: ended. */
    uint32_t child_count;
    bool publishes;
    bool is_broken;
    uint64_t next_sample_ns;
    uint64_t cut_ns;
    uint64_t drain_expected;
    uint64_t drain_delivered;
    uint64_t drain_change_ns;
};

/* Fills `result`, which is zeroed. False, with a message on standard error, when nothing could be measured.
 */
bool run_scenario(const struct options *options, struct result *result);

/* For search.c. */

/* Waits, sampling. With `is_done`: true as soon as it says so, false when the time was up. Without: true when
 * the time was up. False also when the run shall end. */
bool run_wait(struct run *run, double seconds, bool (*is_done)(struct run *));

/* The user interrupted, or something broke. */
bool run_should_stop(struct run *run);

/* Begins to publish at `rate`, at most `messages` of them. */
void run_publish(struct run *run, double rate, uint64_t messages);

/* Stops publishing, and waits until all has arrived or nothing more comes. */
void run_drain(struct run *run);

/* Deliveries that all that was published so far comes to. */
uint64_t run_expected(const struct run *run);

#endif

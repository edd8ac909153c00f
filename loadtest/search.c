#include "loadtest/search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/xalloc.h"

/* Doubling to find the size of it, then halving the interval until its ends are this close. */
static const double precision = 1.05;
static const double rate_max = 1e6;

/* A step's first part fills queues and caches, and is not judged. */
static const double unjudged_part = 0.25;

static void snapshot(struct run *run, struct histogram *all, uint64_t *lost) {
    struct client_counts *sum = xmalloc(sizeof *sum);
    board_sum(run->board, sum);
    memset(all, 0, sizeof *all);
    for (int i = 0; i < TRANSPORT_COUNT; i++)
        histogram_merge(all, &sum->latency[i]);
    *lost = sum->sequences.lost + sum->sequences.told;
    free(sum);
}

static void judge(struct run *run, struct step *step, const struct span *span) {
    uint64_t limit_ns = (uint64_t)(run->options->p99_ms * 1e6);
    double due = step->rate * span->seconds;
    step->is_good = false;
    /* Both ends of the span may fall beside a message: two are nothing. */
    if ((double)span->published < due * 0.98 - 2)
        step->reason = "not published in time";
    else if (step->p99_ns > limit_ns)
        step->reason = "p99 too high";
    else if (step->p99_ns == 0)
        step->reason = "nothing arrived";
    else
        step->is_good = true;
}

static void try_rate(struct run *run, double rate, struct step *step) {
    double seconds = run->options->step_seconds;
    struct reading from, to;
    struct histogram before, after, between;
    uint64_t lost_before, lost_after;
    *step = (struct step){.rate = rate, .reason = ""};
    run_publish(run, rate, UINT64_MAX);
    run_wait(run, seconds * unjudged_part, NULL);
    atomic_store(&run->board->orders.measure_from_ns, clock_monotonic_ns());
    monitor_read(&run->monitor, false, &from);
    snapshot(run, &before, &lost_before);
    run_wait(run, seconds * (1 - unjudged_part), NULL);
    monitor_read(&run->monitor, false, &to);
    /* What was sent in the step counts, however late it comes: else the slowest would be left out. */
    run_drain(run);
    snapshot(run, &after, &lost_after);
    struct span span = monitor_span(&from, &to);
    histogram_difference(&between, &after, &before);
    step->published_per_second = (double)span.published / span.seconds;
    step->delivered_per_second = (double)span.delivered / span.seconds;
    step->server_cpu = (double)span.server_cpu_ns / 1e9 / span.seconds;
    step->p50_ns = histogram_percentile(&between, 50);
    step->p99_ns = histogram_percentile(&between, 99);
    step->max_ns = between.max;
    judge(run, step, &span);
    if (lost_after > lost_before || run->drain_delivered < run->drain_expected) {
        step->is_good = false;
        step->reason = "messages were lost";
    }
}

static bool take_step(struct run *run, double rate) {
    struct result *result = run->result;
    if (result->step_count == STEPS_MAX || run_should_stop(run))
        return false;
    struct step *step = &result->steps[result->step_count];
    monitor_enter(&run->monitor, PHASE_MEASURE, run->options->step_seconds);
    try_rate(run, rate, step);
    if (run_should_stop(run))
        return false;
    result->step_count++;
    if (step->is_good && rate > result->best_rate)
        result->best_rate = rate;
    if (!run->options->quiet) {
        monitor_end_line(&run->monitor);
        fprintf(stderr, "  %8.0f msg/s  p99 %7.2f ms  %s%s\n", rate, (double)step->p99_ns / 1e6,
                step->is_good ? "good" : "too much: ", step->reason);
    }
    return step->is_good;
}

void search_rate(struct run *run) {
    double low = 0;
    double high = 0;
    struct reading from, to;
    monitor_read(&run->monitor, false, &from);
    atomic_store(&run->board->orders.measure_until_ns, UINT64_MAX);
    for (double rate = run->options->rate > 0 ? run->options->rate : 10; rate <= rate_max; rate *= 2) {
        if (!take_step(run, rate)) {
            high = rate;
            break;
        }
        low = rate;
    }
    /* Not even the first was good: go down to find one that is. */
    while (low == 0 && high > 1 && !run_should_stop(run) && run->result->step_count < STEPS_MAX) {
        if (take_step(run, high / 2))
            low = high / 2;
        else
            high /= 2;
    }
    while (low > 0 && high / low > precision && !run_should_stop(run) &&
           run->result->step_count < STEPS_MAX) {
        double middle = (low + high) / 2;
        if (take_step(run, middle))
            low = middle;
        else
            high = middle;
    }
    monitor_read(&run->monitor, false, &to);
    run->result->measure = monitor_span(&from, &to);
}

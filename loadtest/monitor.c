#include "loadtest/monitor.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "loadtest/format.h"

/* Of a shorter time no rate says anything. */
#define SPAN_SECONDS_MIN 0.05

enum { PRINT_TERMINAL_MS = 250, PRINT_PLAIN_MS = 2000, BAR_CELLS = 20 };

void monitor_start(struct monitor *monitor, const struct options *options, struct board *board,
                   struct result *result) {
    memset(monitor, 0, sizeof *monitor);
    monitor->options = options;
    monitor->board = board;
    monitor->result = result;
    monitor->began_ns = clock_monotonic_ns();
    monitor->is_terminal = isatty(STDERR_FILENO);
    monitor_read(monitor, false, &monitor->last);
    result->server_processes = monitor->server.count;
    result->has_server = monitor->server.count > monitor->last.server.gone;
}

void monitor_enter(struct monitor *monitor, enum phase phase, double seconds) {
    monitor->phase = phase;
    monitor->phase_seconds = seconds;
    monitor->phase_from_ns = clock_monotonic_ns();
    if (!monitor->is_terminal)
        monitor->next_print_ns = 0; /* Each phase has at least one line. */
}

static uint64_t own_cpu_ns(const struct board *board) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    uint64_t total = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec + board->publisher.cpu_ns;
    for (uint32_t i = 0; i < board->client_count; i++)
        total += board->clients[i].cpu_ns;
    return total;
}

void monitor_read(struct monitor *monitor, bool exactly, struct reading *reading) {
    const struct board *board = monitor->board;
    *reading = (struct reading){.at_ns = clock_monotonic_ns(), .published = board->publisher.published};
    /* The few counters that are needed, not the histograms: this is done often, beside the run. */
    for (uint32_t i = 0; i < board->client_count; i++) {
        reading->delivered += board_delivered(&board->clients[i]);
        reading->connects += board->clients[i].connects;
        reading->bytes += board->clients[i].bytes;
        reading->reads += board->clients[i].reads;
    }
    reading->own_cpu_ns = own_cpu_ns(board);
    process_set_find(&monitor->server, monitor->options->server_pids, monitor->options->server_pid_count);
    process_measure(&monitor->server, exactly, &reading->server);
}

struct span monitor_span(const struct reading *from, const struct reading *to) {
    return (struct span){
        .seconds = (double)(to->at_ns - from->at_ns) / 1e9,
        .published = to->published - from->published,
        .delivered = to->delivered - from->delivered,
        .bytes = to->bytes - from->bytes,
        .reads = to->reads - from->reads,
        /* A worker that ended took its time with it. */
        .server_cpu_ns =
            to->server.cpu_ns > from->server.cpu_ns ? to->server.cpu_ns - from->server.cpu_ns : 0,
        .own_cpu_ns = to->own_cpu_ns - from->own_cpu_ns,
    };
}

static void print_bar(FILE *out, double part) {
    int full = part >= 1 ? BAR_CELLS : (int)(part * BAR_CELLS);
    fputs("[", out);
    for (int i = 0; i < BAR_CELLS; i++)
        fputc(i < full ? '=' : i == full ? '>' : ' ', out);
    fputs("] ", out);
}

static void print_progress(struct monitor *monitor, const struct sample *sample) {
    const struct client_counts *sum = &monitor->sum;
    FILE *out = stderr;
    double elapsed = (double)(monitor->last.at_ns - monitor->phase_from_ns) / 1e9;
    char text[32];
    fputs(monitor->is_terminal ? "\r\033[K" : "", out);
    fprintf(out, "%-8s", phase_name(monitor->phase));
    if (monitor->phase == PHASE_CONNECT) {
        if (monitor->is_terminal)
            print_bar(out, (double)sum->live / monitor->options->subscribers);
        fprintf(out, "%s", format_count(text, sum->live));
        fprintf(out, " of %s connected", format_count(text, monitor->options->subscribers));
        fprintf(out, ", %s/s", format_count(text, (uint64_t)sample->connects_per_second));
    } else {
        if (monitor->is_terminal && monitor->phase_seconds > 0)
            print_bar(out, elapsed / monitor->phase_seconds);
        fprintf(out, "%5.1f", elapsed);
        if (monitor->phase_seconds > 0)
            fprintf(out, "/%g", monitor->phase_seconds);
        fprintf(out, " s  %s live", format_count(text, sum->live));
        fprintf(out, "  %s msg/s in", format_rate(text, sample->published_per_second));
        fprintf(out, "  %s/s out", format_count(text, (uint64_t)sample->delivered_per_second));
        if (sample->p99_ns > 0) {
            fprintf(out, "  p50 %s", format_ns(text, sample->p50_ns));
            fprintf(out, "  p99 %s", format_ns(text, sample->p99_ns));
        }
    }
    if (sum->sequences.lost > 0)
        fprintf(out, "  LOST %s", format_count(text, sum->sequences.lost));
    if (monitor->result->has_server) {
        fprintf(out, "  server %.0f %%", sample->server_cpu * 100);
        fprintf(out, " %s", format_bytes(text, sample->rss_bytes));
    }
    fprintf(out, "  own %.0f %%", sample->own_cpu * 100);
    fputs(monitor->is_terminal ? "" : "\n", out);
    fflush(out);
}

static void keep(struct result *result, const struct sample *sample) {
    if (result->sample_count < SAMPLES_MAX)
        result->samples[result->sample_count++] = *sample;
}

/* What came since the last time, as a histogram of its own. */
static void update_latency(struct monitor *monitor) {
    struct histogram merged = {0};
    for (int i = 0; i < TRANSPORT_COUNT; i++)
        histogram_merge(&merged, &monitor->sum.latency[i]);
    histogram_difference(&monitor->recent, &merged, &monitor->latency);
    monitor->latency = merged;
}

void monitor_sample(struct monitor *monitor) {
    struct reading now;
    monitor_read(monitor, false, &now);
    struct span span = monitor_span(&monitor->last, &now);
    if (span.seconds < SPAN_SECONDS_MIN)
        return;
    board_sum(monitor->board, &monitor->sum);
    update_latency(monitor);
    struct sample sample = {
        .at = (double)(now.at_ns - monitor->began_ns) / 1e9,
        .seconds = span.seconds,
        .phase = monitor->phase,
        .live = monitor->sum.live,
        .published_per_second = (double)span.published / span.seconds,
        .delivered_per_second = (double)span.delivered / span.seconds,
        .connects_per_second = (double)(now.connects - monitor->last.connects) / span.seconds,
        .server_cpu = (double)span.server_cpu_ns / 1e9 / span.seconds,
        .own_cpu = (double)span.own_cpu_ns / 1e9 / span.seconds,
        .rss_bytes = (double)now.server.rss_bytes,
        .p50_ns = histogram_percentile(&monitor->recent, 50),
        .p99_ns = histogram_percentile(&monitor->recent, 99),
    };
    monitor->last = now;
    keep(monitor->result, &sample);
    if (monitor->options->quiet || monitor->phase == PHASE_START || now.at_ns < monitor->next_print_ns)
        return;
    uint64_t pause_ms = monitor->is_terminal ? PRINT_TERMINAL_MS : PRINT_PLAIN_MS;
    monitor->next_print_ns = now.at_ns + pause_ms * 1000000 - 50000000;
    print_progress(monitor, &sample);
}

void monitor_end_line(const struct monitor *monitor) {
    if (monitor->is_terminal && !monitor->options->quiet)
        fputs("\r\033[K", stderr);
}

#include "loadtest/monitor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "loadtest/format.h"

/* Of a shorter time no rate says anything. */
#define SPAN_SECONDS_MIN 0.05

enum { PRINT_MS = 250, BAR_CELLS = 20, BAR_COLUMNS_MIN = 70 };

void monitor_start(struct monitor *monitor, const struct options *options, struct board *board,
                   struct result *result) {
    memset(monitor, 0, sizeof *monitor);
    monitor->options = options;
    monitor->board = board;
    monitor->result = result;
    monitor->began_ns = clock_monotonic_ns();
    monitor->shows_progress = !options->quiet && isatty(STDERR_FILENO);
    monitor_read(monitor, false, &monitor->last);
    result->server_processes = monitor->server.count;
    result->has_server = monitor->server.count > monitor->last.server.gone;
}

void monitor_enter(struct monitor *monitor, enum phase phase, double seconds) {
    monitor->phase = phase;
    monitor->phase_seconds = seconds;
    monitor->phase_from_ns = clock_monotonic_ns();
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

/* A line that would wrap could not be written over. Asked each time: windows change. */
static size_t terminal_width(void) {
    struct winsize size;
    bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return (is_known ? size.ws_col : 80) - 1u;
}

/* Appends where there is room for all of it. */
__attribute__((format(printf, 3, 4))) static void add(struct buf *line, size_t width, const char *format,
                                                      ...) {
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len >= 0 && line->len + (size_t)len <= width)
        buf_append_text(line, text);
}

static void add_bar(struct buf *line, size_t width, double part) {
    char cells[BAR_CELLS + 1];
    int full = part >= 1 ? BAR_CELLS : (int)(part * BAR_CELLS);
    if (width < BAR_COLUMNS_MIN)
        return;
    for (int i = 0; i < BAR_CELLS; i++)
        cells[i] = i < full ? '=' : i == full ? '>' : ' ';
    cells[BAR_CELLS] = '\0';
    add(line, width, "[%s] ", cells);
}

static void add_connects(struct monitor *monitor, const struct sample *sample, struct buf *line,
                         size_t width) {
    char live[32], wanted[32], rate[32];
    add_bar(line, width, (double)monitor->sum.live / monitor->options->subscribers);
    add(line, width, "%s of %s connected", format_count(live, monitor->sum.live),
        format_count(wanted, monitor->options->subscribers));
    add(line, width, ", %s/s", format_count(rate, (uint64_t)sample->connects_per_second));
}

static void add_deliveries(struct monitor *monitor, const struct sample *sample, struct buf *line,
                           size_t width) {
    double elapsed = (double)(monitor->last.at_ns - monitor->phase_from_ns) / 1e9;
    char text[32];
    if (monitor->phase_seconds > 0)
        add_bar(line, width, elapsed / monitor->phase_seconds);
    add(line, width, "%5.1f", elapsed);
    if (monitor->phase_seconds > 0)
        add(line, width, "/%g", monitor->phase_seconds);
    add(line, width, " s  %s live", format_count(text, monitor->sum.live));
    if (monitor->sum.sequences.lost > 0)
        add(line, width, "  LOST %s", format_count(text, monitor->sum.sequences.lost));
    add(line, width, "  %s/s out", format_count(text, (uint64_t)sample->delivered_per_second));
    add(line, width, "  %s msg/s in", format_rate(text, sample->published_per_second));
    if (sample->p99_ns > 0) {
        add(line, width, "  p99 %s", format_ns(text, sample->p99_ns));
        add(line, width, "  p50 %s", format_ns(text, sample->p50_ns));
    }
}

/* As much as the terminal has room for, what matters most first. */
static void print_progress(struct monitor *monitor, const struct sample *sample) {
    struct buf line;
    size_t width = terminal_width();
    char text[32];
    buf_init(&line, 0);
    add(&line, width, "%-8s", phase_name(monitor->phase));
    if (monitor->phase == PHASE_CONNECT)
        add_connects(monitor, sample, &line, width);
    else
        add_deliveries(monitor, sample, &line, width);
    if (monitor->result->has_server)
        add(&line, width, "  server %.0f %% %s", sample->server_cpu * 100,
            format_bytes(text, sample->rss_bytes));
    add(&line, width, "  own %.0f %%", sample->own_cpu * 100);
    fprintf(stderr, "\r\033[K%.*s", BYTES_FMT(buf_bytes(&line)));
    fflush(stderr);
    buf_finish(&line);
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
    if (!monitor->shows_progress || monitor->phase == PHASE_START || now.at_ns < monitor->next_print_ns)
        return;
    monitor->next_print_ns = now.at_ns + PRINT_MS * 1000000ull - 50000000;
    print_progress(monitor, &sample);
}

void monitor_end_line(const struct monitor *monitor) {
    if (monitor->shows_progress)
        fputs("\r\033[K", stderr);
}

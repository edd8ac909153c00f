#include "gateway/core/metrics.h"

#include <inttypes.h>
#include <stdio.h>

_Static_assert(sizeof(struct metrics) % sizeof(uint64_t) == 0, "metrics are summed as an array of uint64_t");

const uint32_t metrics_bounds_us[HISTOGRAM_BUCKETS] = {50,     100,     250,     500,     1000,     2500,
                                                       5000,   10000,   25000,   50000,   100000,   250000,
                                                       500000, 1000000, 2500000, 5000000, 10000000, 30000000};

static const char *const transport_labels[TRANSPORT_COUNT] = {"websocket", "sse", "stream", "longpoll",
                                                              "poll"};
static const char *const drop_labels[DROP_REASON_COUNT] = {"oldest", "conflated", "disconnected",
                                                           "too_large"};
static const char *const refusal_labels[REFUSAL_COUNT] = {"full",      "per_ip", "rate", "proxy_header",
                                                          "handshake", "origin", "host", "http"};

void metrics_observe(struct metrics_histogram *histogram, uint64_t value_us) {
    int bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS && value_us > metrics_bounds_us[bucket])
        bucket++;
    histogram->buckets[bucket]++;
    histogram->sum_us += value_us;
}

void metrics_add(struct metrics *sum, const struct metrics *block) {
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)block;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

void metrics_clear_gauges(struct metrics *block) {
#define COUNTER(field, name, help)
#define GAUGE(field, name, help) block->field = 0;
#include "gateway/core/metrics.def"
#undef COUNTER
#undef GAUGE
    memset(block->sessions, 0, sizeof block->sessions);
}

static void print_value(struct buf *out, const char *name, const char *type, const char *help,
                        uint64_t value) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name, value);
}

static void print_family(struct buf *out, const char *name, const char *type, const char *help,
                         const char *label, const char *const *values, const uint64_t *counts, size_t count) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, values[i], counts[i]);
}

static void print_histogram(struct buf *out, const char *name, const char *help,
                            const struct metrics_histogram *histogram) {
    uint64_t count = 0;
    buf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += histogram->buckets[i];
        buf_printf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, metrics_bounds_us[i] / 1e6, count);
    }
    count += histogram->buckets[HISTOGRAM_BUCKETS];
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.6f\n%s_count %" PRIu64 "\n", name, count,
               name, (double)histogram->sum_us / 1e6, name, count);
}

void metrics_print(const struct metrics *block, const char *node, struct buf *out) {
    const char *close_labels[CLOSE_REASON_COUNT];
    for (int i = 0; i < CLOSE_REASON_COUNT; i++)
        close_labels[i] = close_label((enum close_reason)i);

    buf_printf(out,
               "# HELP fantail_build_info Version and node name; always 1.\n"
               "# TYPE fantail_build_info gauge\n"
               "fantail_build_info{version=\"%s\",node=",
               FANTAIL_VERSION);
    buf_append_json_string(out, bytes_of(node));
    buf_append_text(out, "} 1\n");
#define COUNTER(field, name, help) print_value(out, name, "counter", help, block->field);
#define GAUGE(field, name, help) print_value(out, name, "gauge", help, block->field);
#include "gateway/core/metrics.def"
#undef COUNTER
#undef GAUGE
    print_family(out, "fantail_sessions", "gauge", "Open sessions by transport.", "transport",
                 transport_labels, block->sessions, TRANSPORT_COUNT);
    print_family(out, "fantail_closes_total", "counter", "Ended sessions by reason.", "reason", close_labels,
                 block->closes, CLOSE_REASON_COUNT);
    print_family(out, "fantail_drops_total", "counter", "Messages that slow sessions did not get, by reason.",
                 "reason", drop_labels, block->drops, DROP_REASON_COUNT);
    print_family(out, "fantail_refusals_total", "counter", "Connections refused, by reason.", "reason",
                 refusal_labels, block->refusals, REFUSAL_COUNT);
    print_histogram(out, "fantail_delivery_seconds",
                    "From a message's arrival at the node to its last write.", &block->delivery);
    print_histogram(out, "fantail_loop_lag_seconds", "How late the event loop serves its timers.",
                    &block->loop_lag);
}

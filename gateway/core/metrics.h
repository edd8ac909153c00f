/* What a worker counts. The block lies in memory shared with the master, which sums the workers' blocks; only
 * its own worker writes one. Every field is a uint64_t, so that a sum is a loop. */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include <stdint.h>

#include "common/buf.h"
#include "gateway/core/close.h"

enum transport_kind {
    TRANSPORT_WEBSOCKET,
    TRANSPORT_SSE,
    TRANSPORT_STREAM,
    TRANSPORT_LONGPOLL,
    TRANSPORT_POLL,
    TRANSPORT_COUNT
};

/* Why a message was not delivered to a session. */
enum drop_reason { DROP_OLDEST, DROP_CONFLATED, DROP_DISCONNECTED, DROP_TOO_LARGE, DROP_REASON_COUNT };

/* Why a connection was refused before it became one. */
enum refusal {
    REFUSED_FULL,
    REFUSED_PER_IP,
    REFUSED_RATE,
    REFUSED_PROXY,
    REFUSED_HANDSHAKE,
    REFUSED_ORIGIN,
    REFUSED_HOST,
    REFUSED_HTTP,
    REFUSAL_COUNT
};

enum { HISTOGRAM_BUCKETS = 18 };

/* Bucket i counts values up to metrics_bounds_us[i]; the last one has no bound. */
struct metrics_histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS + 1];
    uint64_t sum_us;
};

extern const uint32_t metrics_bounds_us[HISTOGRAM_BUCKETS];

struct metrics {
#define COUNTER(field, name, help) uint64_t field;
#define GAUGE(field, name, help) uint64_t field;
#include "gateway/core/metrics.def"
#undef COUNTER
#undef GAUGE
    uint64_t sessions[TRANSPORT_COUNT];
    uint64_t closes[CLOSE_REASON_COUNT];
    uint64_t drops[DROP_REASON_COUNT];
    uint64_t refusals[REFUSAL_COUNT];
    struct metrics_histogram delivery; /* From the broker's message to its last write. */
    struct metrics_histogram loop_lag; /* How late timers fire. */
};

void metrics_observe(struct metrics_histogram *histogram, uint64_t value_us);

void metrics_add(struct metrics *sum, const struct metrics *block);

/* Zeroes what describes the present, not the past: for the block of a worker that died. */
void metrics_clear_gauges(struct metrics *block);

/* Appends the block in Prometheus' text format (version 0.0.4). */
void metrics_print(const struct metrics *block, const char *node, struct buf *out);

#endif

/* Counts of durations in log-linear buckets, like HdrHistogram: every power of two is cut into 128 equal
 * parts, so a value is known to better than 1 %, from a nanosecond to over an hour, in a fixed 38 KiB. Adding
 * is a few instructions and needs no memory; histograms of several processes are merged by adding counts. A
 * zeroed struct is an empty histogram. */
#ifndef LOADTEST_HISTOGRAM_H
#define LOADTEST_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_PART_BITS = 7,
    HISTOGRAM_PARTS = 1 << HISTOGRAM_PART_BITS,
    HISTOGRAM_VALUE_BITS = 42, /* 2^42 ns are 73 minutes; more counts as that. */
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS,
};

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Which bucket `value` falls into; the index grows with the value. */
static inline uint32_t histogram_bucket(uint64_t value) {
    if (value >= UINT64_C(1) << HISTOGRAM_VALUE_BITS)
        return HISTOGRAM_BUCKETS - 1;
    if (value < HISTOGRAM_PARTS)
        return (uint32_t)value;
    uint32_t shift = 63 - HISTOGRAM_PART_BITS - (uint32_t)__builtin_clzll(value);
    return (shift << HISTOGRAM_PART_BITS) + (uint32_t)(value >> shift);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value) {
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[histogram_bucket(value)]++;
}

/* The largest value that falls into `bucket`. */
uint64_t histogram_bucket_top(uint32_t bucket);

void histogram_merge(struct histogram *into, const struct histogram *from);

/* What was added to `now` since the copy `before` was taken of it. The maximum is then that of the topmost
 * bucket in use, as the true one is not known. */
void histogram_difference(struct histogram *out, const struct histogram *now, const struct histogram *before);

/* The value that `percent` (0..100) of all do not exceed, at most 1 % too high; 0 when empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* How many are greater than `value`, within the width of its bucket. */
uint64_t histogram_count_above(const struct histogram *histogram, uint64_t value);

double histogram_mean(const struct histogram *histogram); /* 0 when empty. */

#endif

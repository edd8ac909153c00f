#include "loadtest/histogram.h"

#include <math.h>

uint64_t histogram_bucket_top(uint32_t bucket) {
    if (bucket < 2 * HISTOGRAM_PARTS)
        return bucket;
    uint32_t shift = (bucket >> HISTOGRAM_PART_BITS) - 1;
    uint64_t part = HISTOGRAM_PARTS + (bucket & (HISTOGRAM_PARTS - 1));
    return ((part + 1) << shift) - 1;
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

void histogram_difference(struct histogram *out, const struct histogram *now,
                          const struct histogram *before) {
    out->count = 0;
    out->sum = now->sum - before->sum;
    out->max = 0;
    /* The count is taken from the buckets: a process that goes on adding while we read leaves the two apart.
     */
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        out->buckets[i] = now->buckets[i] - before->buckets[i];
        out->count += out->buckets[i];
        if (out->buckets[i] != 0)
            out->max = histogram_bucket_top(i);
    }
    if (out->max > now->max)
        out->max = now->max;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent) {
    if (histogram->count == 0)
        return 0;
    double exact = ceil((double)histogram->count * percent / 100.0);
    uint64_t rank = exact < 1 ? 1 : (uint64_t)exact;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            uint64_t top = histogram_bucket_top(i);
            return top < histogram->max ? top : histogram->max;
        }
    }
    return histogram->max;
}

uint64_t histogram_count_above(const struct histogram *histogram, uint64_t value) {
    uint64_t above = 0;
    for (uint32_t i = histogram_bucket(value) + 1; i < HISTOGRAM_BUCKETS; i++)
        above += histogram->buckets[i];
    return above;
}

double histogram_mean(const struct histogram *histogram) {
    return histogram->count == 0 ? 0 : (double)histogram->sum / (double)histogram->count;
}

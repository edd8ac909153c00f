#include "gateway/core/limits.h"

/* A millisecond brings `rate` thousandths. More than `used_max` is there only if more was allowed until now. */
static void refill(struct token_bucket *bucket, uint32_t rate, uint64_t used_max, uint64_t now_ms) {
    uint64_t used = bucket->used_milli < used_max ? bucket->used_milli : used_max;
    uint64_t refilled = (uint64_t)((uint32_t)now_ms - bucket->updated_ms) * rate;
    bucket->used_milli = (uint32_t)(used > refilled ? used - refilled : 0);
    bucket->updated_ms = (uint32_t)now_ms;
}

bool token_bucket_take(struct token_bucket *bucket, uint32_t rate, uint64_t now_ms) {
    if (rate == 0)
        return true;
    refill(bucket, rate, rate * 1000ull, now_ms);
    if (bucket->used_milli + 1000ull > rate * 1000ull)
        return false;
    bucket->used_milli += 1000;
    return true;
}

bool token_bucket_has_some(struct token_bucket *bucket, const struct allowance *allowance, uint64_t now_ms) {
    refill(bucket, allowance->per_second, 2ull * allowance->burst_milli, now_ms);
    return bucket->used_milli < allowance->burst_milli;
}

void token_bucket_spend(struct token_bucket *bucket, const struct allowance *allowance, uint64_t milli,
                        uint32_t used_max, uint64_t now_ms) {
    refill(bucket, allowance->per_second, 2ull * allowance->burst_milli, now_ms);
    if (bucket->used_milli < used_max)
        bucket->used_milli =
            milli < used_max - bucket->used_milli ? bucket->used_milli + (uint32_t)milli : used_max;
}

#include "gateway/core/limits.h"

bool token_bucket_take(struct token_bucket *bucket, uint32_t rate, uint64_t now_ms) {
    if (rate == 0)
        return true;
    uint32_t elapsed_ms = (uint32_t)now_ms - bucket->updated_ms;
    /* A millisecond brings `rate` thousandths; more than a second refills the bucket whatever the rate. */
    uint64_t refilled = elapsed_ms > 1000 ? UINT64_MAX : (uint64_t)elapsed_ms * rate;
    bucket->used_milli = bucket->used_milli > refilled ? bucket->used_milli - (uint32_t)refilled : 0;
    bucket->updated_ms = (uint32_t)now_ms;
    if (bucket->used_milli + 1000ull > rate * 1000ull)
        return false;
    bucket->used_milli += 1000;
    return true;
}

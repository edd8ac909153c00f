/* How much a client may do per second. */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* A token bucket; zeroed it is full. */
struct token_bucket {
    uint32_t updated_ms; /* The low half of the time: what matters is how much has passed since. */
    uint32_t used_milli; /* Thousandths of tokens taken and not yet refilled. */
};

/* Takes a token, of `rate` per second, where as many are there at once as come in a second; 0 stands for no limit. False
 * when there is none. */
bool token_bucket_take(struct token_bucket *bucket, uint32_t rate, uint64_t now_ms);

/* --- For what is paid when it is done, because only then it is known what it costs ----------- */

struct allowance {
    uint32_t per_second;
    uint32_t burst_milli; /* Thousandths of tokens that are there at once; at most ALLOWANCE_BURST_MAX. */
};

/* Twice as much fits the bucket's counter. */
enum { ALLOWANCE_BURST_MAX = INT32_MAX };

/* Whether there is anything left; if not, nothing is until what was spent too much is refilled. */
bool token_bucket_has_some(struct token_bucket *bucket, const struct allowance *allowance, uint64_t now_ms);

/* Spends as much, or as leaves `used_milli` at `used_max`. */
void token_bucket_spend(struct token_bucket *bucket, const struct allowance *allowance, uint64_t milli,
                        uint32_t used_max, uint64_t now_ms);

#endif

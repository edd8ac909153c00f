/* How much a client may do per second. */
#ifndef CORE_LIMITS_H
#define CORE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* A token bucket; zeroed it is full. It holds as many tokens as come in a second. */
struct token_bucket {
    uint32_t updated_ms; /* The low half of the time: what matters is how much has passed since. */
    uint32_t used_milli; /* Thousandths of tokens taken and not yet refilled. */
};

/* Takes a token, of `rate` per second; 0 stands for no limit. False when there is none. */
bool token_bucket_take(struct token_bucket *bucket, uint32_t rate, uint64_t now_ms);

#endif

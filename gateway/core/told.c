#include "gateway/core/told.h"

#include <xxhash.h>

bool told_is_new(struct told *told, struct bytes what, uint64_t now_ms) {
    uint64_t hash = XXH64(what.data, what.len, 0);
    for (uint32_t i = 0; i < TOLD_MAX; i++)
        if (told->hashes[i] == hash)
            return false;
    if (!token_bucket_take(&told->lines, 1, now_ms))
        return false;
    told->hashes[told->next++ % TOLD_MAX] = hash;
    return true;
}

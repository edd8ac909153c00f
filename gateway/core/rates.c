#include "gateway/core/rates.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/xalloc.h"

enum {
    /* 16,384 addresses in half a MiB, in sets of which each is looked through. */
    SETS = 2048,
    PLACES = 8,
    V6_PREFIX_BYTES = 8,
};

struct place {
    uint64_t client; /* 0: nobody. */
    uint32_t used_ms;
    struct token_bucket buckets[RATE_COUNT];
};

struct rates {
    uint64_t seed;
    struct place places[SETS][PLACES];
};

struct rates *rates_create(uint64_t seed) {
    struct rates *rates = xcalloc(1, sizeof *rates);
    rates->seed = seed;
    return rates;
}

void rates_destroy(struct rates *rates) {
    free(rates);
}

uint64_t rates_client(const struct rates *rates, const uint8_t address[ADDRESS_BYTES]) {
    uint64_t client = XXH64(address, address_is_v4(address) ? ADDRESS_BYTES : V6_PREFIX_BYTES, rates->seed);
    return client != 0 ? client : 1;
}

/* The client's place, or that of the one who was silent for longest. */
static struct place *find(struct place places[PLACES], uint64_t client, uint32_t now_ms) {
    struct place *oldest = &places[0];
    for (int i = 0; i < PLACES; i++) {
        struct place *place = &places[i];
        if (place->client == client)
            return place;
        if (oldest->client != 0 && (place->client == 0 || now_ms - place->used_ms > now_ms - oldest->used_ms))
            oldest = place;
    }
    *oldest = (struct place){.client = client};
    return oldest;
}

struct token_bucket *rates_bucket(struct rates *rates, uint64_t client, enum rate rate, uint64_t now_ms) {
    struct place *place = find(rates->places[client % SETS], client, (uint32_t)now_ms);
    place->used_ms = (uint32_t)now_ms;
    return &place->buckets[rate];
}

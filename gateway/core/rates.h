/* What the clients of each address did of late. For requests over HTTP, whose connections say little of who the client
 * is: a proxy shares one between clients, and a client may open as many as it likes.
 *
 * The memory is fixed. With more addresses at a time than there are places for, those longest silent are forgotten, which
 * is in their favour. */
#ifndef CORE_RATES_H
#define CORE_RATES_H

#include "common/address.h"
#include "gateway/core/limits.h"

enum rate { RATE_PUBLISHES, RATE_REPLAYS, RATE_COUNT };

struct rates;

/* `seed` is not to be known to clients, who could crowd each other out otherwise. */
struct rates *rates_create(uint64_t seed);
void rates_destroy(struct rates *rates); /* NULL is fine. */

/* Stands for the client at `address`, and is never 0: an IPv4 address, or the /64 that is one subscriber's in IPv6. */
uint64_t rates_client(const struct rates *rates, const uint8_t address[ADDRESS_BYTES]);

/* The client's bucket, full when nothing is known of it. Good until the next call. */
struct token_bucket *rates_bucket(struct rates *rates, uint64_t client, enum rate rate, uint64_t now_ms);

#endif

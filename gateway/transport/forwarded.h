/* Whose request it is when proxies pass it on over HTTP: the client's address from X-Forwarded-For. */
#ifndef TRANSPORT_FORWARDED_H
#define TRANSPORT_FORWARDED_H

#include <stdint.h>

#include "common/address.h"
#include "common/bytes.h"
#include "gateway/config/config.h"

/* Writes to `client` the address nearest to us that is not a trusted proxy's. `peer` is who sent the request,
 * and `header` the value of X-Forwarded-For, where each proxy appended whom it had it from ("" for none;
 * several headers joined by commas in their order). It is read from its right end, because what is left of an
 * address that nobody vouches for is the client's own invention. An entry that is no address ends the walk at
 * the proxy that passed it on. Ports behind addresses are allowed and dropped. `client` may be `peer`. */
void forwarded_client(struct bytes header, const uint8_t peer[ADDRESS_BYTES], const struct network *trusted,
                      uint32_t trusted_count, uint8_t client[ADDRESS_BYTES]);

#endif

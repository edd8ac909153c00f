/* Which pages may connect. A browser names the page's origin in every WebSocket handshake and cross-origin
 * request; nothing else does, and nothing else is held back by this. */
#ifndef CORE_ORIGIN_H
#define CORE_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

/* "*" (any origin), "https://example.com" or "https://example.com:8443". A host that begins with "*." stands
 * for the subdomains, of any depth, of what follows, and not for that itself. No path, not even "/". */
bool origin_pattern_is_valid(struct bytes pattern);

/* Whether a request may proceed. `origin` and `host` are the values of the headers of these names, empty
 * where the request has none. A request without an Origin passes: it comes from no page. With `count` of 0
 * the origin must be the one that served the page: same host and port as `host`, the scheme's default port
 * understood. The schemes are not compared then, because a proxy that ends TLS leaves us with plain HTTP.
 * Patterns are valid ones. */
bool origin_may_connect(struct bytes origin, struct bytes host, char *const *patterns, uint32_t count);

#endif

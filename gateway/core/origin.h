/* Which pages may connect, and under which names the gateway answers. A browser names the page's origin in every WebSocket handshake and cross-origin
 * request; nothing else does, and nothing else is held back by this. */
#ifndef CORE_ORIGIN_H
#define CORE_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

/* "*" (any origin), "https://example.com" or "https://example.com:8443". A host that begins with "*." stands
 * for the subdomains, of any depth, of what follows, and not for that itself. No path, not even "/". */
bool origin_pattern_is_valid(struct bytes pattern);

enum page {
    PAGE_REFUSED,
    PAGE_NONE,  /* A request without an Origin comes from no page, and passes. */
    PAGE_ANY,   /* Let in by "*" alone, as a stranger: without its visitor's cookies. */
    PAGE_KNOWN, /* Served by the host it asks, or listed. */
};

/* `origin` and `host` are the values of the headers of these names, empty where the request has none. The page was
 * served by the host it asks when host and port are the same, the scheme's default port understood. The schemes
 * are not compared then, because a proxy that ends TLS leaves us with plain HTTP. Patterns are valid ones. */
enum page origin_judge(struct bytes origin, struct bytes host, char *const *patterns, uint32_t count);
bool origin_may_connect(struct bytes origin, struct bytes host, char *const *patterns, uint32_t count);

/* A host without a port: "chat.example.com", "192.0.2.1", "[::1]"; "*.example.com" stands for subdomains. */
bool host_name_is_valid(struct bytes name);

/* Whether the header Host says one of the names, with whatever port. Without names it may say anything: then a page
 * whose name somebody has turned to this gateway's address passes for its own (DNS rebinding). */
bool host_is_own(struct bytes host, char *const *names, uint32_t count);

#endif

/* The PROXY protocol, versions 1 and 2: how a load balancer tells whose connection it passes on
 * (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). Looks at bytes only. */
#ifndef TRANSPORT_PROXY_HEADER_H
#define TRANSPORT_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/address.h"
#include "common/bytes.h"
#include "common/error.h"

enum {
    PROXY_HEADER_V1_MAX = 107, /* With its CR LF: the specification's worst case. */
    PROXY_HEADER_V2_MAX = 536, /* What every sender gets through in one piece; longer ones are refused. */
};

struct proxy_header {
    size_t len;      /* Bytes of the header; what follows is the client's. */
    bool has_source; /* False for the proxy's own health checks and unknown origins: the socket's address
                        holds. */
    uint8_t source[ADDRESS_BYTES];
    uint16_t source_port;
};

/* `in` is what arrived so far. ERR_MORE: it is the beginning of a header and nothing speaks against it yet;
 * with PROXY_HEADER_V2_MAX bytes it never is. ERR_BAD_REQUEST: it is no header, and the connection must not
 * be used, because anybody could be behind it. */
enum error proxy_header_parse(struct bytes in, struct proxy_header *header);

#endif

/* Which WebSocket extensions a client and we agree on: permessage-deflate (RFC 7692), or none. */
#ifndef TRANSPORT_EXTENSIONS_H
#define TRANSPORT_EXTENSIONS_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/bytes.h"

/* Goes through a Sec-WebSocket-Extensions header for the first offer of permessage-deflate that we can take, and
 * appends the parameters of the answer to `parameters`, e.g. "; server_no_context_takeover". False, with nothing
 * appended, when there is none: another extension, parameters we do not know, a window smaller than ours, or a
 * header that is not what RFC 6455 says. */
bool extensions_accept_deflate(struct bytes header, struct buf *parameters);

#endif

/* permessage-deflate (RFC 7692), receiving side, without context takeover. A server that shares one
 * compressed frame among all its clients sends us the same bytes again and again, so the latest result is
 * kept. */
#ifndef LOADTEST_INFLATE_H
#define LOADTEST_INFLATE_H

#include <stdbool.h>

#include "common/bytes.h"

struct inflater;

struct inflater *inflater_create(void);
void inflater_destroy(struct inflater *inflater);

/* `*out` stays valid until the next call. False: not deflate, or beyond 16 MiB. */
bool inflater_run(struct inflater *inflater, struct bytes in, struct bytes *out);

#endif

/* permessage-deflate (RFC 7692), receiving side. A server that shares one compressed frame among all its clients
 * sends us the same bytes again and again, so the latest result is kept. */
#ifndef LOADTEST_INFLATE_H
#define LOADTEST_INFLATE_H

#include <stdbool.h>

#include "common/bytes.h"

struct inflate_memo;

struct inflate_memo *inflate_memo_create(void);
void inflate_memo_destroy(struct inflate_memo *memo);

/* `*out` stays valid until the next call. False: not deflate, or beyond 16 MiB. */
bool inflate_memo_run(struct inflate_memo *memo, struct bytes in, struct bytes *out);

#endif

/* Where a client is in its channels, as one text that any node understands: with one channel the id itself, with
 * several "HASH:ID,HASH:ID", so that they may be asked for in another order, or with others. */
#ifndef CORE_CURSOR_H
#define CORE_CURSOR_H

#include "gateway/core/session.h"

/* Of a session that keeps positions. */
void cursor_print(const struct session *session, struct buf *out);

/* The position of `channel` in such a text; false when there is none. `is_only`: it is the only channel. */
bool cursor_find(struct bytes cursor, struct bytes channel, bool is_only, struct position *position);

#endif

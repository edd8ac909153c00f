/* What fantail_sync replies, read. Pure. */
#ifndef BROKER_SYNC_REPLY_H
#define BROKER_SYNC_REPLY_H

#include <hiredis/hiredis.h>

#include "gateway/broker/broker.h"

struct sync_reply {
    struct sync_result result; /* Borrows payloads from the reply. */
    size_t unknown;            /* Entries left out, of kinds that we do not know: holes for whoever looks. */
    struct entry *entries;     /* Owned. */
};

/* False, with `*parsed` untouched, for what is no such reply, errors included. */
bool sync_reply_parse(const redisReply *reply, struct sync_reply *parsed);
void sync_reply_finish(struct sync_reply *parsed);

#endif

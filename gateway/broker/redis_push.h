/* What Redis pushes on a link that listens, read without a tree of replies: the payload of a message is
 * handed on where it lies in the reader's buffer. Pure but for hiredis' reader. */
#ifndef BROKER_REDIS_PUSH_H
#define BROKER_REDIS_PUSH_H

#include <stdbool.h>

#include <hiredis/hiredis.h>

#include "common/buf.h"
#include "common/bytes.h"

/* Slices are borrowed for the time of the call. */
struct redis_push_events {
    void (*on_message)(void *context, struct bytes channel, struct bytes payload);
    void (*on_subscribed)(void *context, struct bytes channel);
    void (*on_unsubscribed)(void *context);
    void (*on_status)(void *context, struct bytes text); /* "+OK" and the like, without the sign. */
    void (*on_error)(void *context, struct bytes text);  /* "-ERR ...", likewise. */
};

struct redis_push {
    const struct redis_push_events *events;
    void *context;
    int kind;           /* Of the reply being read. */
    struct buf channel; /* Copied: the rest of the reply may come with a later piece. */
};

/* `reader` becomes one that reports to `push`; both have to live as long. Its private data is ours. */
void redis_push_init(struct redis_push *push, redisReader *reader, const struct redis_push_events *events,
                     void *context);
void redis_push_finish(struct redis_push *push);

/* Reports all that is complete. False when what came is not Redis' protocol; the reader is of no more use. */
bool redis_push_feed(redisReader *reader, struct bytes piece);

#endif

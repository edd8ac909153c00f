/* Whose the replies of Redis are: they come in the order of the commands, and nothing else comes. A peer that says
 * more than it was asked is of no use, whatever it says. Pure but for hiredis' reader. */
#ifndef BROKER_REDIS_REPLIES_H
#define BROKER_REDIS_REPLIES_H

#include <hiredis/hiredis.h>

#include "common/bytes.h"
#include "common/list.h"

/* `reply` is borrowed, and NULL when the connection was lost before it came. Called exactly once. */
typedef void redis_on_reply(void *arg, const redisReply *reply);

struct redis_replies {
    redisReader *reader; /* Borrowed. */
    struct list waiting;
    uint32_t count;
    size_t bytes; /* Of the commands that wait. */
};

void redis_replies_init(struct redis_replies *replies, redisReader *reader);
/* Answers what waits with NULL, in order. */
void redis_replies_finish(struct redis_replies *replies);

/* A command of so many bytes was sent; `on_reply` may be NULL. */
void redis_replies_expect(struct redis_replies *replies, size_t bytes, redis_on_reply *on_reply, void *arg);

/* Hands out what is complete. Returns NULL, or what is wrong with what came: then no more is to be read. */
const char *redis_replies_feed(struct redis_replies *replies, struct bytes piece);

#endif

/* The Redis connection that only listens. It logs in, subscribes, reads in large pieces; it never comes back
 * by itself: when it is lost, its owner makes another. */
#ifndef BROKER_REDIS_LINK_H
#define BROKER_REDIS_LINK_H

#include "gateway/broker/redis_push.h"
#include "gateway/config/redis_url.h"
#include "gateway/loop.h"

struct redis_link;

struct redis_link_options {
    struct loop *loop;
    const struct redis_url *url;
    const char *ip;   /* The resolved host; NULL for a socket. */
    const char *name; /* For CLIENT SETNAME. */
    void *context;
    void (*on_message)(void *context, struct bytes channel, struct bytes payload);
    void (*on_subscribed)(void *context, struct bytes channel);
    /* Redis does not let us hear this channel; the link is as good as before. */
    void (*on_refused)(void *context, struct bytes channel, const char *why);
    /* The link is of no more use; the owner destroys it, but not from within this call. `why` is borrowed. */
    void (*on_lost)(void *context, const char *why);
};

/* NULL when the system refuses even to try. */
struct redis_link *redis_link_create(const struct redis_link_options *options);
void redis_link_destroy(struct redis_link *link); /* NULL is fine. */

/* Collected, and sent as few commands by redis_link_flush. */
void redis_link_subscribe(struct redis_link *link, struct bytes prefix, struct bytes channel);
void redis_link_unsubscribe(struct redis_link *link, struct bytes prefix, struct bytes channel);
void redis_link_flush(struct redis_link *link);

/* While held, nothing is read. */
void redis_link_hold(struct redis_link *link, bool is_held);

#endif

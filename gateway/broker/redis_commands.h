/* The Redis connection for commands: hiredis' async client on our loop. Like the link it never comes back by
 * itself. */
#ifndef BROKER_REDIS_COMMANDS_H
#define BROKER_REDIS_COMMANDS_H

#include <hiredis/hiredis.h>

#include "common/bytes.h"
#include "gateway/broker/redis_url.h"
#include "gateway/loop.h"

struct redis_commands;

struct redis_commands_options {
    struct loop *loop;
    const struct redis_url *url;
    const char *ip;   /* The resolved host; NULL for a socket. */
    const char *name; /* For CLIENT SETNAME. */
    void *context;
    void (*on_ready)(void *context); /* Logged in: Redis has answered. */
    /* The connection is of no more use; the owner destroys it, but not from within this call. */
    void (*on_lost)(void *context, const char *why);
};

/* `reply` is borrowed, and NULL when the connection was lost before it came. Called exactly once. */
typedef void redis_on_reply(void *arg, const redisReply *reply);

/* NULL when the system refuses even to try. */
struct redis_commands *redis_commands_create(const struct redis_commands_options *options);

/* Every command that has no reply yet gets NULL for one. NULL is fine. */
void redis_commands_destroy(struct redis_commands *commands);

/* `callback` may be NULL. */
void redis_commands_send(struct redis_commands *commands, const struct bytes *words, size_t count,
                         redis_on_reply *callback, void *arg);

/* Commands without a reply yet. */
uint32_t redis_commands_in_flight(const struct redis_commands *commands);

#endif

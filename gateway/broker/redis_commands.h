/* The Redis connection for commands. Like the link it never comes back by itself. */
#ifndef BROKER_REDIS_COMMANDS_H
#define BROKER_REDIS_COMMANDS_H

#include "common/bytes.h"
#include "gateway/broker/redis_replies.h"
#include "gateway/config/redis_url.h"
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

/* NULL when the system refuses even to try. */
struct redis_commands *redis_commands_create(const struct redis_commands_options *options);

/* Every command that has no reply yet gets NULL for one. NULL is fine. */
void redis_commands_destroy(struct redis_commands *commands);

/* Collected, and sent by redis_commands_flush. `callback` may be NULL. */
void redis_commands_send(struct redis_commands *commands, const struct bytes *words, size_t count,
                         redis_on_reply *callback, void *arg);

void redis_commands_flush(struct redis_commands *commands);

/* Commands without a reply yet, and their bytes. */
uint32_t redis_commands_in_flight(const struct redis_commands *commands);
size_t redis_commands_bytes_in_flight(const struct redis_commands *commands);

#endif

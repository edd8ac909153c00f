/* A connection to Redis on the loop: opened, read, written to, lost once. What the bytes mean is its owner's business. It
 * never comes back by itself: when it is lost, its owner makes another. */
#ifndef BROKER_REDIS_SOCKET_H
#define BROKER_REDIS_SOCKET_H

#include <hiredis/hiredis.h>

#include "common/buf.h"
#include "gateway/config/redis_url.h"
#include "gateway/loop.h"

struct redis_socket;

struct redis_socket_options {
    struct loop *loop;
    const struct redis_url *url;
    const char *ip; /* The resolved host; NULL for a socket. */
    void *context;
    /* Takes what has come. Returns NULL, or why the connection is of no more use. */
    const char *(*on_bytes)(void *context, struct bytes piece);
    /* The owner destroys it, but not from within this call. `why` is borrowed. */
    void (*on_lost)(void *context, const char *why);
};

/* NULL when the system refuses even to try. */
struct redis_socket *redis_socket_create(const struct redis_socket_options *options);
void redis_socket_destroy(struct redis_socket *socket);

/* The connection's reader of replies. */
redisReader *redis_socket_reader(struct redis_socket *socket);

/* Where bytes to be sent are appended, for redis_socket_flush to send. */
struct buf *redis_socket_out(struct redis_socket *socket);
void redis_socket_flush(struct redis_socket *socket);

/* "AUTH", "SELECT" and the like: words that need no escapes. */
void redis_socket_append_command(struct redis_socket *socket, const struct bytes *words, size_t count);

/* While held, nothing is read. */
void redis_socket_hold(struct redis_socket *socket, bool is_held);

/* Reports it as lost, once. */
void redis_socket_lose(struct redis_socket *socket, const char *why);
/* The same without a report, for an owner who knows. */
void redis_socket_stop(struct redis_socket *socket);
bool redis_socket_is_lost(const struct redis_socket *socket);

#endif

/* The function library in Redis (fantail.lua): loads it where it is missing or older than ours, and calls it.
 * Lives as long as the broker; the connection for commands comes and goes. */
#ifndef BROKER_REDIS_FUNCTIONS_H
#define BROKER_REDIS_FUNCTIONS_H

#include "gateway/broker/broker.h"
#include "gateway/broker/redis_commands.h"
#include "gateway/core/metrics.h"
#include "gateway/loop.h"

struct redis_functions;

/* All are borrowed. `prefix` stands before every channel's name. */
struct redis_functions *redis_functions_create(struct loop *loop, struct metrics *metrics,
                                               struct bytes prefix);
/* The connection is gone by then. Answers what still waits. NULL is fine. */
void redis_functions_destroy(struct redis_functions *functions);

/* Tells Redis the namespaces' settings, for publishers who only know the function: now, and whenever they are
 * missing there. Nothing of `config` is kept. */
void redis_functions_set_config(struct redis_functions *functions, const struct config *config);

/* A new connection. `on_ready` is called once the library is there, or cannot be: what needs it will then be
 * refused. It is not called when the connection is lost before. */
void redis_functions_start(struct redis_functions *functions, struct redis_commands *commands,
                           void (*on_ready)(void *context), void *context);

/* The connection is about to be destroyed. */
void redis_functions_stop(struct redis_functions *functions);

/* Now and then while the connection is there: notices that Redis was flushed. */
void redis_functions_check(struct redis_functions *functions);

/* As in broker.h, for channels with history, while a connection is there or not. */
void redis_functions_publish(struct redis_functions *functions, const struct publish_request *request,
                             publish_done *on_done, void *arg);
void redis_functions_sync(struct redis_functions *functions, struct bytes channel,
                          const struct namespace_config *options, const struct position *seen,
                          sync_done *on_done, void *arg);

/* At the end of a turn: answers syncs that failed within their call. */
void redis_functions_flush(struct redis_functions *functions);

/* Logs what Redis answered instead of doing it; at most a line a second. */
void redis_functions_complain(struct redis_functions *functions, const char *what, const char *error);

#endif

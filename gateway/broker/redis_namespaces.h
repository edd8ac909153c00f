/* Keeps the namespaces' history settings in Redis, in the hash fantail:namespaces, where fantail.lua finds
 * them for publishers who give none. A namespace is the field "<prefix>NAME:", the default one "<prefix>". */
#ifndef BROKER_REDIS_NAMESPACES_H
#define BROKER_REDIS_NAMESPACES_H

#include "gateway/broker/redis_commands.h"
#include "gateway/config/config.h"

struct redis_namespaces;

/* `prefix` is borrowed. */
struct redis_namespaces *redis_namespaces_create(struct bytes prefix);
void redis_namespaces_destroy(struct redis_namespaces *namespaces);

/* Writes, where there is a connection, and takes away what an earlier configuration wrote. Nothing of
 * `config` is kept. */
void redis_namespaces_set_config(struct redis_namespaces *namespaces, const struct config *config);

/* Writes to a new connection; NULL: there is none any more. */
void redis_namespaces_start(struct redis_namespaces *namespaces, struct redis_commands *commands);

/* Writes again if nothing is there: somebody has flushed Redis. Not if something is, so that nodes with
 * different configurations do not overwrite each other for ever. */
void redis_namespaces_check(struct redis_namespaces *namespaces);

#endif

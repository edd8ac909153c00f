/* What a channel may be called, and which namespace's rules it follows. */
#ifndef CORE_CHANNEL_H
#define CORE_CHANNEL_H

#include <stdbool.h>

#include "common/bytes.h"
#include "gateway/config/config.h"

enum { CHANNEL_NAME_BYTES_MAX = 255 };

/* Whether anybody may subscribe or publish to it, the admin API included. Names that begin with "__" are Redis'
 * own, e.g. its keyspace events; those that begin with "fantail:" are ours. */
bool channel_name_is_valid(struct bytes name);

/* What may stand before the first ':' of a name. */
bool channel_namespace_name_is_valid(struct bytes name);

/* What may stand before every name in Redis; "" is fine. */
bool channel_prefix_is_valid(struct bytes prefix);

/* Whether names with this prefix could be Redis' own after all: "_" and "_keyspace@0__:a" are. */
bool channel_prefix_is_of_redis(struct bytes prefix);

/* The options of the namespace that the name's part before the first ':' selects, else those of "default".
 * Borrowed from `config`. */
const struct namespace_config *channel_namespace(const struct config *config, struct bytes name);

#endif

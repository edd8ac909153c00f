/* What a channel may be called, and which namespace's rules it follows. */
#ifndef CORE_CHANNEL_H
#define CORE_CHANNEL_H

#include <stdbool.h>

#include "common/bytes.h"
#include "gateway/config.h"

enum { CHANNEL_NAME_BYTES_MAX = 255 };

bool channel_name_is_valid(struct bytes name);

/* The options of the namespace that the name's part before the first ':' selects, else those of "default".
 * Borrowed from `config`. */
const struct namespace_config *channel_namespace(const struct config *config, struct bytes name);

#endif

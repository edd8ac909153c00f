/* What a client may ask. Every protocol decodes into this. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "gateway/core/position.h"

enum command_kind {
    COMMAND_CONNECT,
    COMMAND_SUBSCRIBE,
    COMMAND_UNSUBSCRIBE,
    COMMAND_PUBLISH,
    COMMAND_PING,
    COMMAND_PONG,
    COMMAND_HISTORY,
};

/* Where a subscription begins. */
struct start {
    enum { START_LIVE, START_SINCE, START_LAST } kind;
    struct position since; /* The last entry that the client has seen. */
    uint32_t last;         /* How many messages it wants of those before. */
};

/* All slices are borrowed: from the input, or from what the codec keeps until it decodes the next. */
struct command {
    enum command_kind kind;
    bool has_ref; /* The client wants the reply to carry `ref`. */
    int64_t ref;
    struct bytes channel;
    struct bytes payload;         /* COMMAND_PUBLISH */
    struct bytes idempotency_key; /* likewise; empty: none */
    bool is_urgent;               /* likewise */
    struct start start;           /* COMMAND_SUBSCRIBE, COMMAND_HISTORY */
    bool visible_ping;            /* COMMAND_CONNECT */
    bool has_token;               /* likewise */
};

#endif

/* What a client may ask. Every protocol decodes into this. */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

enum command_kind {
    COMMAND_CONNECT,
    COMMAND_SUBSCRIBE,
    COMMAND_UNSUBSCRIBE,
    COMMAND_PUBLISH,
    COMMAND_PING,
    COMMAND_PONG,
};

/* All slices are borrowed: from the input, or from what the codec keeps until its next call. */
struct command {
    enum command_kind kind;
    bool has_ref; /* The client wants the reply to carry `ref`. */
    int64_t ref;
    struct bytes channel;
    struct bytes payload; /* COMMAND_PUBLISH */
    bool visible_ping;    /* COMMAND_CONNECT */
};

#endif

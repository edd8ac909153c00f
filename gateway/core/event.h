/* What a client may be told, messages aside. Every protocol encodes from this. */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "gateway/core/message.h"

enum event_kind {
    EVENT_CONNECTED,
    EVENT_SUBSCRIBED,
    EVENT_UNSUBSCRIBED,
    EVENT_PUBLISHED,
    EVENT_PONG,
    EVENT_HISTORY,
    EVENT_ERROR, /* Answers the command that `ref` names, if it had one. */
    EVENT_GAP,   /* Messages of `channel` may be lost here. */
    EVENT_DRAIN, /* Reconnect after `retry_ms`. */
};

/* Slices are borrowed for the time of the call. */
struct event {
    enum event_kind kind;
    bool has_ref;
    int64_t ref;
    enum error error;
    struct bytes channel;
    struct bytes session;
    struct bytes node;
    uint32_t ping_seconds;
    uint32_t retry_ms;
    bool has_id; /* EVENT_PUBLISHED: the id that the message got. */
    struct position id;
    bool has_position; /* EVENT_SUBSCRIBED, EVENT_HISTORY, EVENT_GAP: where the channel is now. */
    struct position position;
    bool has_recovered; /* EVENT_SUBSCRIBED, EVENT_HISTORY: the client said what it has seen. */
    bool recovered;
    struct bytes messages; /* EVENT_HISTORY: as encode_message wrote them, with commas between. */
};

#endif

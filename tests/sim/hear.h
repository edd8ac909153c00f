/* What a client makes of the bytes it receives: just enough to know what was said of which message. */
#ifndef SIM_HEAR_H
#define SIM_HEAR_H

#include "common/buf.h"
#include "gateway/core/position.h"

enum framing { FRAMING_WEBSOCKET, FRAMING_SSE, FRAMING_CHUNK, FRAMING_LINE, FRAMING_POLL };

enum heard_kind {
    HEARD_MESSAGE,
    HEARD_GAP,
    HEARD_OPEN,  /* A place, and nothing else. */
    HEARD_REPLY, /* To a command. */
    HEARD_ERROR,
    HEARD_REST, /* A poll's reply is over. */
    HEARD_OTHER,
};

/* Borrowed for the time of the call. */
struct heard {
    enum heard_kind kind;
    struct bytes channel;
    struct bytes data;
    struct bytes cursor; /* Empty: none was said. */
    bool has_id;
    struct position id;
    bool has_position;
    struct position position;
    bool has_recovered;
    bool recovered;
    uint64_t ref;
};

struct hearing {
    enum framing framing;
    struct buf bytes; /* What is not complete yet. */
    struct buf line;  /* Of a stream in chunks. */
    void (*on_heard)(void *context, const struct heard *heard);
    void (*on_ping)(struct hearing *hearing);
    void *context;
};

void hearing_init(struct hearing *hearing, enum framing framing);
void hearing_finish(struct hearing *hearing);
void hearing_feed(struct hearing *hearing, struct bytes bytes);

#endif

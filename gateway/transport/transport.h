/* How bytes travel to one client. The carrier is the transport's own object, e.g. a WebSocket connection. */
#ifndef GATEWAY_TRANSPORT_H
#define GATEWAY_TRANSPORT_H

#include "common/bytes.h"
#include "gateway/core/close.h"
#include "gateway/core/metrics.h"
#include "gateway/core/wire.h"

enum write_result {
    WRITE_DONE,      /* Taken; more may follow at once. */
    WRITE_CONGESTED, /* Taken; nothing more until session_on_writable is called. */
    WRITE_FAILED,    /* The connection is dead. session_on_closed follows, never from within the call. */
};

struct transport {
    const char *name;
    enum transport_kind kind;
    const struct form *form;

    /* Takes all of `bytes`, which are whole frames, and keeps no pointer to them. Never calls back. */
    enum write_result (*write)(void *carrier, struct bytes bytes);

    /* Ends the connection, after what was written, telling the client why if there is still a way.
     * session_on_closed follows, never from within the call. */
    void (*close)(void *carrier, enum close_reason reason);

    /* For transports that answer requests instead of writing: called at the end of a turn in which the
     * session has something for session_collect, or asked for it with session_stage. NULL for the others. */
    void (*collect)(void *carrier);

    /* "address:port" of the client, for people. */
    void (*describe_peer)(void *carrier, struct buf *out);
};

#endif

/* Bytes ready to be sent, immutable and shared: encoded once, referenced by every outbox that holds them.
 * Belongs to one thread. */
#ifndef CORE_WIRE_H
#define CORE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/bytes.h"

struct message;
struct protocol;

struct wire {
    uint32_t refs;
    uint32_t queued; /* Outboxes that hold it: its bytes are counted once, however many there are. */
    size_t len;
    char data[];
};

/* Returns with one reference, which belongs to the caller. */
struct wire *wire_create(struct bytes head, struct bytes body);
struct wire *wire_ref(struct wire *wire);
void wire_unref(struct wire *wire); /* NULL is fine. */

static inline struct bytes wire_bytes(const struct wire *wire) {
    return (struct bytes){wire->data, wire->len};
}

/* One per way in which messages look on the wire: a protocol within a transport's framing. Subscribers of the
 * same form share one encoding of a message. */
enum { FORM_COUNT = 6 };

struct form {
    unsigned index; /* Below FORM_COUNT; its place in a message's cache. */
    const struct protocol *protocol;

    /* The message as this form's subscribers get it, which may be what those of another form get. The reference
     * belongs to the caller. */
    struct wire *(*encode)(struct message *message);

    /* Whether what `encode` makes is to be framed for each session, because its place in several channels
     * goes with it. Otherwise it is complete, and the same for all. */
    bool is_framed_per_session;

    /* Appends one text of the protocol (a reply, an event, and a message if framed per session), framed.
     * `cursor` is where the session is after it; empty where there is nothing to say about that. */
    void (*frame)(struct bytes text, struct bytes cursor, struct buf *out);

    /* Appends what a session gets first, as soon as it is known where it begins; NULL: nothing. */
    void (*open)(struct bytes cursor, struct buf *out);

    /* What keeps the connection alive: the transport's own ping, and one that scripts see as well. */
    struct bytes ping;
    struct bytes visible_ping;
    bool has_pong; /* The client answers pings, so that its silence means something. */
};

#endif

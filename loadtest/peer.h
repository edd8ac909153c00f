/* What differs between the servers that we can talk to: the path, what a client says to subscribe, what the
 * answers look like, and how a message gets in. One struct peer each, in peer.c. No I/O. */
#ifndef LOADTEST_PEER_H
#define LOADTEST_PEER_H

#include "common/buf.h"
#include "common/bytes.h"
#include "loadtest/options.h"

/* What something without a message in it means. */
enum verdict {
    VERDICT_NONE,
    VERDICT_SUBSCRIBED, /* One more subscription took hold. */
    VERDICT_RECOVERED,  /* The same, and nothing was missed. */
    VERDICT_NOT_RECOVERED,
    VERDICT_REFUSED,
    VERDICT_GAP,
    VERDICT_DRAIN,
};

struct deflater;

/* One subscriber's side of the talk. */
struct dialogue {
    const struct options *options;
    uint32_t subscriber;
    /* The position to subscribe from, per subscription, POSITION_BYTES apart; NULL or "": none. */
    const char *positions;
    /* Where permessage-deflate is agreed on: what the client says is compressed, as browsers do. */
    struct deflater *deflater;
};

enum { POSITION_BYTES = 48 };

struct peer {
    const char *name;
    const char *summary;
    const char *subprotocol; /* "": none. */
    enum publish_via via;    /* How messages get in, unless the user says otherwise. */
    bool has_transports;     /* Others than WebSocket, and several channels per connection. */
    bool is_live_at_once;    /* The path subscribes: nothing is awaited after the handshake. */

    /* Appends the WebSocket path. */
    void (*path)(struct buf *out, const struct dialogue *dialogue);

    /* Appends the frames that subscribe, after the handshake. */
    void (*greet)(struct buf *out, const struct dialogue *dialogue);

    /* `text` is a line of a frame that holds no message. May append frames to answer with. */
    enum verdict (*hear)(struct buf *out, const struct dialogue *dialogue, struct bytes text);

    /* Appends the Redis channel and the payload that make the server deliver `payload` in `channel`. NULL: as
     * they are. */
    void (*redis_channel)(struct buf *out, struct bytes channel);
    void (*redis_payload)(struct buf *out, struct bytes channel, struct bytes payload);

    /* Appends a whole HTTP request that publishes. NULL: it cannot. */
    void (*http_publish)(struct buf *out, const struct options *options, struct bytes channel,
                         struct bytes payload);
};

/* NULL when there is none of that name. */
const struct peer *peer_by_name(const char *name);
const struct peer *peer_at(uint32_t index); /* NULL behind the last. */

/* Appends the name of a channel. */
void peer_channel(struct buf *out, const struct options *options, uint32_t channel);

#endif

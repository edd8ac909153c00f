/* How nodes hear each other. A broker carries payloads between publishers and hubs; who subscribes to what on
 * this node is the hub's business.
 *
 * Events come from the loop, never from within a call of the broker's functions, but for `on_done`. */
#ifndef GATEWAY_BROKER_H
#define GATEWAY_BROKER_H

#include <stdbool.h>

#include "common/bytes.h"
#include "common/error.h"
#include "gateway/config/config.h"
#include "gateway/core/message.h"

struct broker;

/* What stands in a channel's stream, and comes live: mostly messages. */
enum entry_kind {
    ENTRY_MESSAGE,
    /* A new epoch begins here. It goes on where `previous` ended, if it has one; without one, nothing is
     * known of what was before. */
    ENTRY_BOUNDARY,
    /* Messages were lost here, somewhere: told to clients as a gap. */
    ENTRY_GAP,
};

struct entry {
    enum entry_kind kind;
    bool has_id; /* False for a bare message, of a channel without history. The rest then is empty. */
    struct position id;
    bool has_previous;
    struct position previous;
    bool is_urgent;        /* Not to be held back for a batch. */
    uint64_t published_ms; /* Wall clock of the broker. */
    struct bytes payload;
};

/* What a broker tells the hub. Slices are borrowed for the time of the call. */
struct broker_events {
    /* A message of a subscribed channel, or a mark between messages; in the broker's order. */
    void (*on_entry)(void *context, struct bytes channel, const struct entry *entry);

    /* From here on, everything of the channel arrives. */
    void (*on_subscribed)(void *context, struct bytes channel);

    /* The broker does not let us hear the channel. It may later: to subscribe again is to ask again. */
    void (*on_refused)(void *context, struct bytes channel);

    /* The link is there; every channel has to be subscribed again. */
    void (*on_link_up)(void *context);

    /* The link is gone; messages may be lost from now on (or already) until on_subscribed. */
    void (*on_link_lost)(void *context);
};

struct publish_request {
    struct bytes channel;
    struct bytes payload;
    const struct namespace_config
        *options; /* With a history_size the message gets an id and is kept; NULL: none. */
    bool is_urgent;
    struct bytes
        idempotency_key; /* Empty: none. Publishes of the same key within its window are one message. */
};

/* Called exactly once per publish, possibly from within it. `id` is NULL where there is no history. */
typedef void publish_done(void *arg, enum error error, const struct position *id);

/* What a stream holds. */
struct sync_result {
    struct position head;        /* Its newest entry, or a place of nothing. */
    const struct entry *entries; /* In order: those after the position asked from if the stream holds that
                                    one or continues it, else all there are. */
    size_t count;
    /* Whoever was at a place of nothing from this epoch on has missed nothing before these entries, or before
     * the head where there are none. */
    bool has_calm;
    uint64_t calm;
};

/* Called exactly once per sync, never from within it. `result` is NULL on an error. Borrowed. */
typedef void sync_done(void *arg, enum error error, const struct sync_result *result);

struct broker_ops {
    const char *name;
    /* While the link is away these two do nothing: on_link_up asks for all channels again. */
    void (*subscribe)(struct broker *broker, struct bytes channel);
    void (*unsubscribe)(struct broker *broker, struct bytes channel);
    void (*publish)(struct broker *broker, const struct publish_request *request, publish_done *on_done,
                    void *arg);
    /* Reads the stream of a channel with history. `seen` is the newest id that this node has seen of it, or
     * NULL. A stream that has lost what was seen gets a gap mark. Otherwise nothing is written: one that does not exist
     * is at a place of nothing. */
    void (*sync)(struct broker *broker, struct bytes channel, const struct namespace_config *options,
                 const struct position *seen, sync_done *on_done, void *arg);
    /* Whether messages flow, as far as is known. */
    bool (*is_up)(const struct broker *broker);
    /* Sends what the others collected; called once at the end of a turn of the loop. */
    void (*flush)(struct broker *broker);
    /* While held, a broker brings no messages: the hub has more to send than a turn allows, and what waits had
     * better do so at Redis, which bounds it. */
    void (*hold)(struct broker *broker, bool is_held);
};

/* The first member of every broker. */
struct broker {
    const struct broker_ops *ops;
    const struct broker_events *events;
    void *context; /* For the events. */
};

#endif

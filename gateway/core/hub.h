/* Who is subscribed to what on this node, and the fan-out of what the broker brings. One hub is one worker's
 * core: it owns the channels and the sessions, and is driven by one loop.
 *
 * What arrives within one turn of the loop is collected; hub_end_turn then sends each touched session what it
 * is due, joined into one write where possible. */
#ifndef CORE_HUB_H
#define CORE_HUB_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "common/list.h"
#include "common/wheel.h"
#include "gateway/broker/broker.h"
#include "gateway/config/config.h"
#include "gateway/core/command.h"
#include "gateway/core/message.h"
#include "gateway/core/metrics.h"

struct session;
struct rates;

/* One session in one channel. */
struct subscription {
    struct session *session;
    struct channel *channel;
    struct subscription *next; /* In the session. */
    uint32_t index;            /* Its place in the channel's array. */
    bool gap_owed;             /* Messages were dropped; the session has not been told yet. */
    bool is_waiting;  /* For the broker: where it begins is not known yet, and nothing is delivered. */
    bool is_gap_told; /* Since the channel's epoch began. */
    uint64_t taken;   /* What the channel's `batched` was when it was served last. */
    struct position position[]; /* What the session has taken; one if it keeps positions, else none. */
};

/* A command whose reply waits for the broker. Outlives its session, which it then no longer points to. */
struct pending_reply {
    struct pending_reply *prev; /* In the session. */
    struct pending_reply *next;
    struct list in_channel;
    struct session *session;
    bool has_ref;
    bool is_history; /* It asks for messages without a subscription. */
    bool is_waiting; /* For a channel; counted in the session. */
    bool is_behind;  /* An earlier command of the session begins the subscription. */
    uint8_t reads;   /* Of the stream, that have ended since; one more if none was under way. */
    uint32_t bytes;  /* Of a publish; counted in the session. */
    int64_t ref;
    struct start start;
};

/* The messages of one channel that one pass of the fan-out delivers. */
struct batch {
    struct message *first; /* Linked by `next_in_batch`. */
    struct message *last;
    uint32_t count;
    size_t bytes;
    int64_t served;                  /* Subscribers, by the pass so far: those served twice count twice. */
    struct wire *joined[FORM_COUNT]; /* All of them in one piece; made when a subscriber needs it. */
};

struct channel {
    UT_hash_handle hh;
    const struct namespace_config *options;
    struct subscription **subscribers;
    uint32_t subscriber_count;
    uint32_t subscriber_capacity;
    struct message *pending_first; /* Accepted, and in no batch yet. */
    struct message *pending_last;
    uint32_t pending_count;
    uint32_t pending_bytes;
    uint64_t pending_since_ms;   /* When the first of them came. */
    struct batch *batch;         /* While a pass carries the channel. */
    uint64_t batched;            /* Messages that were ever put into a batch. */
    struct list dirty;           /* In hub.dirty, while what is pending is to be sent. */
    struct list in_pass;         /* In hub.pass, while there is a batch. */
    uint32_t pass_number;        /* Of the cycle for which its sessions were counted. */
    struct list pending_replies; /* Commands that wait for the broker. */
    struct list idle;            /* In hub.idle, while it has no subscriber. */
    struct wheel_timer timer;    /* Without subscribers: the linger time. With: messages wait for a batch. */
    struct hub *hub;
    struct history *history;   /* NULL: nobody comes back for messages. */
    struct recovery *recovery; /* While the stream is being read; see recovery.c. */
    struct position seen;      /* The newest entry accepted. */
    bool has_seen;
    bool is_subscribed; /* The broker has confirmed it. */
    bool is_refused;    /* That was the broker's last word, */
    bool is_retried;    /* and it has been asked again since. */
    bool gap_owed;      /* The link was lost since; subscribers are told once it is back. */
    bool carries_bare;  /* With history, and has had messages that are in no stream. */
    bool lingers;       /* It has had subscribers, who may come back. */
    bool is_failing;    /* The stream could not be read, and subscribers know. */
    uint8_t name_len;
    char name[];
};

/* Whether the namespace keeps messages at the broker. */
static inline bool channel_has_history(const struct channel *channel) {
    return channel->options->history_size > 0;
}

static inline struct bytes channel_name(const struct channel *channel) {
    return (struct bytes){channel->name, channel->name_len};
}

struct hub_options {
    const struct config *config; /* Borrowed until hub_set_config gives another. */
    struct metrics *metrics;     /* Borrowed. */
    struct wheel *wheel;         /* Borrowed. */
    struct bytes node;           /* Borrowed. */
    uint32_t generation;         /* Differs for every start of a worker: makes session ids unique. */
    uint64_t seed;               /* Of what no client is to foresee. */
    uint64_t (*now_ms)(void *context);
    void *now_context;
    uint64_t (*wall_ms)(void); /* Milliseconds since 1970, to know what has expired. */
    uint32_t pass_writes_max;  /* After which a pass yields; 0: what suits a worker. */
};

struct hub {
    struct hub_options options;
    struct broker *broker;
    struct channel *channels;
    struct list sessions;
    struct list staged;  /* Sessions with replies to send at the end of the turn. */
    struct list closing; /* Sessions to be freed at the end of the turn. */
    struct list dirty;   /* Channels with messages to be sent. */
    struct list pass;    /* Channels of the pass under way. */
    uint32_t pass_number;
    struct list *pass_at; /* The channel being served, and how many of its subscribers were in this cycle. */
    uint32_t pass_cursor;
    bool is_in_broker; /* A function of the broker is being called; it tells of nothing meanwhile. */
    bool is_holding;   /* The broker is held: there is more to send than the pass can take. */
    struct list idle;  /* Channels without subscribers; those that became so first are first. */
    uint32_t idle_count;
    struct wheel_timer retry; /* While subscribers are in channels that the broker has refused. */
    uint32_t last_session_id;
    uint64_t last_local_epoch; /* Of channels without history: larger than any that Redis gives. */
    struct rates *rates;       /* Of clients, by address. */
    bool is_draining;
    uint64_t drain_end_ms; /* Everybody is to be gone by then. */
};

struct hub *hub_create(const struct hub_options *options);
/* Ends what is left without telling anyone. Every session's carrier must be gone. NULL is fine. */
void hub_destroy(struct hub *hub);

/* The broker is borrowed; its events are hub_broker_events with the hub as context. */
void hub_set_broker(struct hub *hub, struct broker *broker);
extern const struct broker_events hub_broker_events;

/* Takes over namespaces and limits of a configuration read again. */
void hub_set_config(struct hub *hub, const struct config *config);

uint64_t hub_now_ms(const struct hub *hub);

/* Around calls of the broker's functions; not of publish, from within which a broker may tell of its message, nor of
 * flush, which is the loop's. */
static inline void hub_enter_broker(struct hub *hub) {
    assert(!hub->is_in_broker);
    hub->is_in_broker = true;
}

static inline void hub_leave_broker(struct hub *hub) {
    hub->is_in_broker = false;
}

/* Sends what the turn has collected, yielding after a number of writes. Returns whether there is more to
 * send: then it wants to be called again soon, after other events had their chance. */
bool hub_end_turn(struct hub *hub);

/* Whether the client (of rates_client; 0: nobody knows whose) may have messages replayed; counted if not. In
 * session_limits.c. */
bool hub_may_replay(struct hub *hub, uint64_t client);

/* The channel called `name`, made and subscribed at the broker if need be, again if that was refused. The name is
 * valid. */
struct channel *hub_open_channel(struct hub *hub, struct bytes name);
struct channel *hub_find_channel(const struct hub *hub, struct bytes name); /* NULL: not on this node. */

/* For session.c: puts the subscription in the channel's list, takes it out. */
void channel_add_subscriber(struct channel *channel, struct subscription *subscription);
void channel_remove_subscriber(struct channel *channel, struct subscription *subscription);

/* For hub.c: the same as for the list alone. A pass may be under way: who is there gets what it is due, who comes gets
 * what follows. There is room in the list. */
void channel_list_subscriber(struct channel *channel, struct subscription *subscription);
void channel_unlist_subscriber(struct channel *channel, struct subscription *subscription);

/* Has the channel hold its latest messages, history or not, for clients that come back to this node. */
void channel_keep_history(struct channel *channel);

/* Whether it is known where a subscription begins. */
bool channel_is_ready(const struct channel *channel);

/* For recovery.c: what the broker has, live or in the stream, as a message; a gap mark in the place of one that is
 * larger than limits.message_bytes. */
struct message *channel_make_message(struct channel *channel, const struct entry *entry);

/* For recovery.c: takes over the reference to a message or mark that is the next one, or a mark of ours. */
void channel_accept(struct channel *channel, struct message *message);
/* Queues a mark that tells subscribers of a gap. `position`: where they are after it; NULL: not known. */
void channel_accept_gap(struct channel *channel, const struct position *position);
void channel_answer_pending(struct channel *channel, enum error error);

/* Whether the client has seen entries that this node has not: another node is ahead of us, or they are gone. The
 * stream has to be read to know. */
bool pending_is_ahead(const struct pending_reply *reply, const struct channel *channel);

/* For session_subscribe.c: whether a command before it, for the same subscription, waits still. */
bool pending_is_behind(const struct pending_reply *reply, const struct channel *channel);

/* Delivers what the pass carries of the channel. */
void channel_finish_batch(struct channel *channel);
/* The same for one subscriber, before it is told that the channel is at such a place. */
void subscription_catch_up(struct subscription *subscription);

/* Delivers also what waits for the end of the turn, or for its batch. */
void channel_flush(struct channel *channel);

/* Counts, and hands over to the broker. */
void hub_publish(struct hub *hub, const struct publish_request *request, publish_done *on_done, void *arg);

/* Tells every session to go, each at a moment of its own within `seconds`, and closes it then. */
void hub_drain(struct hub *hub, uint32_t seconds);

#endif

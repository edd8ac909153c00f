/* One client, whatever carries it: its subscriptions, what it has yet to take, and when it is to be heard of
 * again. Made by a transport, ended by whoever comes first: the client, the network, or us. */
#ifndef CORE_SESSION_H
#define CORE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "gateway/core/hub.h"
#include "gateway/core/limits.h"
#include "gateway/core/outbox.h"
#include "gateway/protocol/protocol.h"
#include "gateway/transport/transport.h"

enum session_state {
    SESSION_OPEN,
    SESSION_CLOSING, /* We ended it; the carrier is about to go. */
    SESSION_CLOSED,  /* The carrier is gone; freed at the end of the turn. */
};

struct session {
    /* What the fan-out looks at comes first, to be in one line of the cache. */
    struct outbox *outbox; /* NULL while there is nothing to take. */
    const struct transport *transport;
    void *carrier;
    uint32_t pass_number;
    uint16_t pass_channels;
    uint8_t state;
    bool is_congested : 1;
    bool is_ping_pending : 1; /* Nothing has been heard since the ping. */
    bool is_open_due : 1;     /* Until the transport takes something again. */
    bool wants_visible_ping : 1;
    bool gap_owed : 1;        /* One of its subscriptions owes it a gap. */
    bool keeps_positions : 1; /* What it is sent says where it is. */
    bool is_collected : 1;    /* The transport takes from the outbox when it sees fit; nothing is written. */
    bool is_draining : 1;     /* It has been told to go. */
    struct subscription *subscriptions;
    struct hub *hub;
    struct list link;   /* In hub.sessions. */
    struct list staged; /* In hub.staged or hub.closing. */
    struct pending_reply *pending_replies;
    struct wheel_timer timer;
    /* Moments as the low 32 bits of the hub's clock, of which only differences are of use. */
    uint32_t command_ms; /* When it last asked for something. */
    uint32_t pinged_ms;  /* When it was pinged, or would have been for the first ping to come when it does. */
    uint32_t drain_ms;   /* When it is to go, once it has been told. */
    struct token_bucket publishes;
    struct token_bucket asked;
    uint64_t client; /* At its address; see rates.h. */
    uint32_t id;     /* Of the sessions since the worker's start. */
    uint16_t channel_count;
    uint16_t waiting_count;    /* Subscriptions of which it is not known where they begin. */
    uint16_t waiting_commands; /* Those that are answered once a channel is ready. */
    uint16_t publish_count;    /* Publishes without an answer, */
    uint32_t publish_bytes;    /* and what they carry. */
    uint8_t strikes;           /* Commands in a row that were not understood. */
};

static inline struct session *session_of_link(struct list *link) {
    return list_entry(link, struct session, link);
}

static inline struct session *session_of_staged(struct list *staged) {
    return list_entry(staged, struct session, staged);
}

static inline const struct protocol *session_protocol(const struct session *session) {
    return session->transport->form->protocol;
}

static inline bool session_is_open(const struct session *session) {
    return session->state == SESSION_OPEN;
}

/* Whether a message may go straight to the transport: the order is kept and the socket takes it. */
static inline bool session_may_write(const struct session *session) {
    return session->state == SESSION_OPEN && !session->is_congested && session->outbox == NULL;
}

/* --- For transports -------------------------------------------------------------------------- */

struct session_options {
    const struct transport *transport;
    void *carrier;
    bool keeps_positions;
    uint64_t client; /* Of rates_client; 0: not known. */
};

struct session *session_create(struct hub *hub, const struct session_options *options);

/* A session that keeps positions is sent nothing between these two, while it is given its channels. */
void session_hold(struct session *session);
void session_release(struct session *session);

/* For sessions that are collected: takes what is in the outbox as a comma-separated list of texts. Returns
 * how many messages there were. */
uint32_t session_collect(struct session *session, struct buf *out);

/* The transport of a collected session wants to be asked again at the end of the turn. */
void session_stage(struct session *session);

/* One whole text frame or request body. */
void session_receive(struct session *session, struct bytes text);

void session_on_pong(struct session *session); /* Or any other sign of life below the protocol. */
void session_on_writable(struct session *session);

/* The carrier is gone: the session ends and must not be used any more. `reason` counts only when the session
 * was still open. */
void session_on_closed(struct session *session, enum close_reason reason);

/* --- For everybody --------------------------------------------------------------------------- */

/* Ends the session from our side. */
void session_close(struct session *session, enum close_reason reason);

/* Does what the client asked for, or what its URL asked for, and answers. */
void session_execute(struct session *session, const struct command *command);

/* "NODE-START-NUMBER": unique among all sessions of all nodes. */
void session_print_id(const struct session *session, struct buf *out);

struct subscription *session_find_subscription(const struct session *session, const struct channel *channel);

/* --- For the hub ----------------------------------------------------------------------------- */

/* Sends now; `count` messages are counted. The session may write. */
void session_write(struct session *session, struct bytes bytes, uint32_t count);

/* Puts a message into the outbox, or does what the channel's namespace wants for a slow consumer. */
void session_queue_message(struct subscription *subscription, struct message *message);

/* `position`: where the subscription is after it; NULL where there is nothing to say about that. */
void session_send_gap(struct subscription *subscription, const struct position *position);

/* Sends what is in the outbox as far as the transport takes it. */
void session_flush(struct session *session);

/* Answers a command that waited for the channel to be ready, or for `error`; frees `reply`. */
void session_subscribe_done(struct pending_reply *reply, struct channel *channel, enum error error);

/* Tells the client to move before hub.drain_end_ms, and closes the session when its moment has come. */
void session_drain(struct session *session);

/* Gives back subscriptions and outbox, and the session itself once its carrier is gone. */
void session_reap(struct session *session);

/* A buffer for one use within one function, empty or to be cleared. */
struct buf *session_scratch(void);

#endif

/* One connection, between accept and close, as the files of this folder share it.
 *
 * libwebsockets has the socket (in its role "raw-skt"): it watches it, reads from it and closes it. What the bytes mean
 * is read here, strictly and in one way (docs/decisions/0023). */
#ifndef TRANSPORT_CONNECTION_H
#define TRANSPORT_CONNECTION_H

#include <libwebsockets.h>

#include "common/deflate.h"
#include "gateway/core/session.h"
#include "gateway/transport/acceptor.h"
#include "gateway/transport/http/head.h"
#include "gateway/transport/peer.h"
#include "gateway/transport/server.h"

struct server {
    struct server_options options;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct acceptor *acceptor;
    struct peer_book *book;
    struct file_cache *files;
    struct inflater *inflater; /* Of all connections; NULL until one of them needs it. */
    uint32_t fds_aside;        /* File descriptors that are not for connections. */
    uint32_t files_open;
    uint64_t refusal_logged_ms;
    void *foreign_loops[1];
};

enum connection_state {
    CONNECTION_RECEIVES,  /* The next request is awaited, or has come in part. */
    CONNECTION_ANSWERS,   /* A request is being answered; what comes behind it waits. */
    CONNECTION_STREAMS,   /* A response without end. */
    CONNECTION_WEBSOCKET, /* Frames, both ways. */
    CONNECTION_CLOSES, /* By our side: what is still to be sent is on its way, and what comes is ignored. */
};

struct exchange;
struct frame_reader;

/* What a connection has only while it is more than a WebSocket or a stream that waits for messages. */
struct transient {
    struct connection *connection;
    struct exchange *exchange;   /* The request being received or answered. */
    struct frame_reader *reader; /* Of a WebSocket, while something has come in part. */
    void *data;                  /* Whoever has use for it; ends with free(). */
    struct wheel_timer deadline; /* When the connection is ended unless something happens before. */
    struct buf input;            /* What has come and could not be used yet. */
    struct buf unsent;     /* What the socket has not taken yet; the connection is congested meanwhile. */
    struct buf pong;       /* To be sent then: the answer to the last ping. */
    struct http_head head; /* Of the request that `input` begins with, or that is being handled. */
    struct peer proxy;     /* Who told us of the client; with has_proxy. */
    bool has_proxy;
    bool is_late_armed; /* The deadline is that of a request that has begun. */
};

/* Small, for this is what an idle client costs. */
struct connection {
    struct server *server;
    struct lws *wsi;
    struct session *session;     /* Of a WebSocket or a stream, until either side ends it. */
    struct transient *transient; /* NULL: there is nothing of the kind. */
    struct peer from;
    uint8_t state;           /* enum connection_state */
    bool is_established : 1; /* A request has come in whole. */
    bool is_counted : 1;     /* `from` is in the book. */
    bool is_chunked : 1;     /* A stream that goes out in chunks. */
    bool is_deflated : 1;    /* A WebSocket with permessage-deflate. */
    bool is_paused : 1;      /* Nothing is read: more has come than is wanted now. */
};

/* Made when there is none yet. */
struct transient *connection_transient(struct connection *connection);

/* Frees it when nothing in it matters any more. The connection will have no further request. */
void connection_shrink(struct connection *connection);

static inline struct exchange *connection_exchange(const struct connection *connection) {
    return connection->transient ? connection->transient->exchange : NULL;
}

/* Ends the connection in so many seconds unless a later call sets another deadline. */
void connection_set_deadline(struct connection *connection, uint32_t seconds);
void connection_clear_deadline(struct connection *connection);

/* The connection is its proxy's again, whose next request may be another client's. */
void connection_forget_client(struct connection *connection);

/* Keeps bytes for which the time has not come. */
void connection_keep(struct connection *connection, struct bytes bytes);

static inline bool connection_is_congested(const struct connection *connection) {
    return connection->transient != NULL && connection->transient->unsent.len > 0;
}

/* Whether to read on. That the client has left is not noticed while nothing is read. */
void connection_set_paused(struct connection *connection, bool is_paused);

/* For transports: sends shared, framed bytes as they are. What the socket does not take is copied. */
enum write_result connection_write(void *carrier, struct bytes bytes);
void connection_describe_peer(void *carrier, struct buf *out);

/* Says that we are done, after what is on its way, and waits for the client to close as well, so that what it has
 * still sent does not reset the connection under the last answer. Ends it in so many seconds at the latest. */
void connection_finish(struct connection *connection, uint32_t seconds);

/* Ends the connection as soon as the loop turns, without a word. */
void connection_kill(struct connection *connection);

/* The session, if there is one, has lost its connection. */
void connection_end_session(struct connection *connection, enum close_reason reason);

struct connection *connection_create(struct server *server, struct lws *wsi, const struct peer *from);
void connection_free(struct connection *connection);

/* What libwebsockets tells of it. `data` may be written to. */
void connection_on_received(struct connection *connection, char *data, size_t len);
void connection_on_writable(struct connection *connection);
void connection_on_closed(struct connection *connection);

/* http/exchange.c: bytes of requests; those that come before the answer to an earlier one is given; the socket takes
 * more; the client has left. */
void http_on_received(struct connection *connection, struct bytes part);
void http_on_received_early(struct connection *connection, struct bytes part);
void http_on_writable(struct connection *connection);
void http_on_closed(struct connection *connection);

/* Sends the head of a response without end in answer to the connection's exchange, which ends with it. False
 * when the connection is dead. */
bool http_become_stream(struct connection *connection, struct bytes head);

/* http/upgrade.c: answers a WebSocket handshake, and makes a WebSocket of the connection if it is one. ERR_OK: it
 * has. `may_upgrade` is the route's; NULL: there are no WebSockets at that path. */
enum error http_upgrade(const struct request *request,
                        enum error (*may_upgrade)(const struct request *request, void *context));

/* websocket.c */
void websocket_on_open(struct connection *connection);
void websocket_on_received(struct connection *connection, char *data, size_t len);
void websocket_send_pong(struct connection *connection, struct bytes payload);
void websocket_free_reader(struct frame_reader *reader); /* NULL is fine. */

#endif

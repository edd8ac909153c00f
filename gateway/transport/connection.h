/* One connection, between accept and close, as the files of this folder share it. */
#ifndef TRANSPORT_CONNECTION_H
#define TRANSPORT_CONNECTION_H

#include <libwebsockets.h>

#include "common/deflate.h"
#include "gateway/core/session.h"
#include "gateway/transport/acceptor.h"
#include "gateway/transport/hangup.h"
#include "gateway/transport/peer.h"
#include "gateway/transport/server.h"

struct server {
    struct server_options options;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct acceptor *acceptor;
    struct peer_book *book;
    struct hangup_watch *hangups;
    struct connection *serviced; /* By stream_on_writable; NULL once it has ended. */
    struct inflater *inflater;   /* Of all connections; NULL until one of them needs it. */
    unsigned deflate_mentions;   /* See compression_on_upgrade; of the handshake that is under way. */
    void *foreign_loops[1];
};

/* What a connection has only while it is more than a WebSocket or a stream that waits for messages. */
struct transient {
    struct connection *connection;
    struct exchange *exchange;   /* The request being answered. */
    void *data;                  /* Whoever has use for it; ends with free(). */
    struct wheel_timer deadline; /* When the connection is ended unless something happens before. */
    struct peer proxy;           /* Who told us of the client; with has_proxy. */
    bool has_proxy;
};

/* Small, for this is what an idle client costs. */
struct connection {
    struct server *server;
    struct lws *wsi;
    struct session *session;     /* Of a WebSocket or a stream, until either side ends it. */
    struct transient *transient; /* NULL: there is nothing of the kind. */
    struct peer from;
    bool is_established : 1; /* A request has come in whole. */
    bool is_counted : 1;     /* `from` is in the book. */
    bool is_stream : 1;      /* A response without end, instead of requests. */
    bool is_chunked : 1;
    bool is_deflated : 1;     /* A WebSocket with permessage-deflate. */
    bool is_parked : 1;       /* Nothing is read: a request is being answered. In hangups. */
    bool awaits_writable : 1; /* A stream, whose socket has not taken all of it. */
    bool is_closing : 1;      /* By our side: what is still to be sent is on its way. */
};

/* Made when there is none yet. */
struct transient *connection_transient(struct connection *connection);

/* Frees it when nothing in it matters any more. The connection will have no further request. */
void connection_shrink(struct connection *connection);

static inline struct exchange *connection_exchange(const struct connection *connection) {
    return connection->transient ? connection->transient->exchange : NULL;
}

/* How long a connection may wait for its next request. */
enum { KEEPALIVE_SECONDS = 30 };

/* Ends the connection in so many seconds unless a later call sets another deadline. */
void connection_set_deadline(struct connection *connection, uint32_t seconds);
void connection_clear_deadline(struct connection *connection);

/* Deadlines are ours. Those of libwebsockets lie in one sorted list, which it walks from the head for each new
 * one: this takes the connection's out as soon as it has been set, so that the list stays short. */
void connection_clear_lws_timeout(struct connection *connection);

/* The connection is its proxy's again, whose next request may be another client's. */
void connection_forget_client(struct connection *connection);

/* http.c: the callbacks of libwebsockets that concern requests; they return what libwebsockets is to be told.
 */
int http_on_request(struct connection *connection);
int http_on_body(struct connection *connection, struct bytes part);
int http_on_body_end(struct connection *connection);
int http_on_writable(struct connection *connection);
int http_on_file_sent(struct connection *connection);
void http_on_closed(struct connection *connection);
int http_on_upgrade(struct connection *connection);

/* An answer has been given: nothing more is read until the socket takes more, unless it does already. */
void http_await_room(struct connection *connection);

/* Sends the head of a response without end in answer to the connection's exchange, which ends with it. False
 * when the connection is dead. */
bool http_become_stream(struct connection *connection, struct bytes head);

/* stream.c: the socket can take more. */
void stream_await_writable(struct connection *connection);
void stream_on_writable(struct connection *connection);

/* websocket.c, likewise. */
void websocket_on_open(struct connection *connection);
void websocket_on_received(struct connection *connection, struct bytes part);
int websocket_on_writable(struct connection *connection);
int websocket_on_peer_close(struct connection *connection);

/* compression.c: the callbacks of libwebsockets that concern permessage-deflate, in the order of a handshake. */
extern const struct lws_extension websocket_extensions[];
void compression_on_upgrade(struct connection *connection);
int compression_on_offer(struct connection *connection);
int compression_on_headers(struct connection *connection, struct lws_process_html_args *headers);

/* --- connection.c: what all carriers share --- */

/* For transports: sends shared, framed bytes as they are (in libwebsockets' terms raw, which is the same for
 * WebSockets and HTTP/1). What the socket does not take, libwebsockets copies. */
enum write_result connection_write(void *carrier, struct bytes bytes);
void connection_describe_peer(void *carrier, struct buf *out);

/* Ends the connection as soon as the loop turns, without a word. */
void connection_kill(struct connection *connection);

/* The session, if there is one, has lost its connection. */
void connection_end_session(struct connection *connection, enum close_reason reason);

struct connection *connection_create(struct server *server, struct lws *wsi, const struct peer *from);
void connection_free(struct connection *connection);

#endif

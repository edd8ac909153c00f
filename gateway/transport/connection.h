/* One connection, between accept and close, as the files of this folder share it. */
#ifndef TRANSPORT_CONNECTION_H
#define TRANSPORT_CONNECTION_H

#include <libwebsockets.h>

#include "gateway/core/session.h"
#include "gateway/transport/acceptor.h"
#include "gateway/transport/peer.h"
#include "gateway/transport/server.h"

struct server {
    struct server_options options;
    struct lws_context *lws;
    struct lws_vhost *vhost;
    struct acceptor *acceptor;
    struct peer_book *book;
    void *foreign_loops[1];
};

struct connection {
    struct server *server;
    struct lws *wsi;
    struct session *session;   /* Of a WebSocket, until either side ends it. */
    struct exchange *exchange; /* The request being answered. */
    struct buf *received;      /* The parts so far of a message that comes in parts. */
    void *data;
    struct peer from;
    bool is_counted; /* `from` is in the book. */
    bool is_closing; /* WebSocket: our close frame is out, the client's is due. */
};

/* http.c: the callbacks of libwebsockets that concern requests; they return what libwebsockets is to be told.
 */
int http_on_request(struct connection *connection);
int http_on_body(struct connection *connection, struct bytes part);
int http_on_body_end(struct connection *connection);
int http_on_writable(struct connection *connection);
int http_on_file_sent(struct connection *connection);
void http_on_closed(struct connection *connection);
int http_on_upgrade(struct connection *connection);

/* websocket.c, likewise. */
void websocket_on_open(struct connection *connection);
void websocket_on_received(struct connection *connection, struct bytes part);
int websocket_on_writable(struct connection *connection);
int websocket_on_peer_close(struct connection *connection);
void websocket_on_closed(struct connection *connection, enum close_reason reason);

#endif

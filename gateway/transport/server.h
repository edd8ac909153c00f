/* An HTTP and WebSocket server on the loop: libwebsockets, with connections that we accept ourselves. The
 * gateway's public port and the master's admin port are one each.
 *
 * A request is answered by the route that its path names; what a handler does not answer at once it answers
 * later, through the exchange it was given. */
#ifndef TRANSPORT_SERVER_H
#define TRANSPORT_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/config/config.h"
#include "gateway/core/metrics.h"
#include "gateway/loop.h"
#include "gateway/transport/http/exchange.h"

struct server;

struct route {
    const char *path; /* Whole, or ending with "*": everything that begins so. The first match counts. */
    unsigned methods; /* What the route takes: http_method bits. */

    /* Answers with one of exchange_reply*, now or later. A body has arrived as a whole. */
    void (*handle)(struct exchange *exchange, void *context);

    /* Asked when the head has come, before any of the body is taken; anything but ERR_OK refuses the request. NULL:
     * there is nothing to ask. */
    enum error (*may_begin)(const struct request *request, void *context);

    /* For WebSocket handshakes; NULL: there are none at this path. Anything but ERR_OK refuses. What it
     * stores with connection_set_data is there in on_websocket. */
    enum error (*may_upgrade)(const struct request *request, void *context);
};

struct server_options {
    struct loop *loop;
    const struct config *config; /* Borrowed until server_set_config. */
    struct metrics *metrics;
    const char *address;
    uint16_t port;
    bool is_public;             /* The limits for clients, the PROXY header and trusted proxies apply. */
    const struct route *routes; /* Ends with an entry without path. */
    void *context;              /* For the routes, append_refusal_headers and on_websocket. */
    size_t body_bytes_max;
    /* Appends header lines to answers that no handler gives, so that pages may read these, too. NULL: none. */
    void (*append_refusal_headers)(const struct request *request, void *context, struct buf *lines);
    /* A WebSocket is open: make a session for it, with `connection` as its carrier. NULL: none can come. */
    void (*on_websocket)(struct connection *connection, void *context);
};

/* NULL, with the reason logged, when it cannot listen. */
struct server *server_create(const struct server_options *options);
void server_set_config(struct server *server, const struct config *config);

/* Stops accepting. */
void server_stop(struct server *server);

/* Stops, and ends every connection; runs the loop for a few turns. */
void server_destroy(struct server *server);

/* --- Connections ----------------------------------------------------------------------------- */

/* Something of the caller's, freed with free() when the connection ends. */
void connection_set_data(struct connection *connection, void *data);
void *connection_data(const struct connection *connection);

/* 16 bytes, as common/address.h has them: the client's own, where a trusted proxy told it. */
const uint8_t *connection_address(const struct connection *connection);

#endif

/* An HTTP and WebSocket server on the loop: libwebsockets, with connections that we accept ourselves. The
 * gateway's public port and the master's admin port are one each.
 *
 * A request is answered by the route that its path names; what a handler does not answer at once it answers
 * later, through the exchange it was given. */
#ifndef TRANSPORT_SERVER_H
#define TRANSPORT_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/error.h"
#include "gateway/config.h"
#include "gateway/core/metrics.h"
#include "gateway/loop.h"

struct server;
struct connection;
struct exchange;
struct request;

enum http_method {
    METHOD_GET = 1 << 0,
    METHOD_HEAD = 1 << 1,
    METHOD_POST = 1 << 2,
    METHOD_OPTIONS = 1 << 3,
    METHOD_OTHER = 1 << 4,
};

struct route {
    const char *path; /* Whole, or ending with "*": everything that begins so. The first match counts. */
    unsigned methods; /* What the route takes: http_method bits. */

    /* Answers with one of exchange_reply*, now or later. A body has arrived as a whole. */
    void (*handle)(struct exchange *exchange, void *context);

    /* For WebSocket handshakes; NULL: there are none at this path. Anything but ERR_OK refuses. What it
     * stores with connection_set_data is there in on_websocket. */
    enum error (*may_upgrade)(struct request *request, void *context);
};

struct server_options {
    struct loop *loop;
    const struct config *config; /* Borrowed until server_set_config. */
    struct metrics *metrics;
    const char *address;
    uint16_t port;
    bool is_public;             /* The limits for clients, the PROXY header and trusted proxies apply. */
    const struct route *routes; /* Ends with an entry without path. */
    void *context;              /* For the routes and on_websocket. */
    size_t body_bytes_max;
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

/* --- Requests: valid within the handler ------------------------------------------------------ */

struct request {
    struct connection *connection;
    enum http_method method;
    struct bytes path;
};

enum request_header {
    HEADER_ORIGIN,
    HEADER_HOST,
    HEADER_AUTHORIZATION,
    HEADER_CONTENT_TYPE,
    HEADER_IF_NONE_MATCH,
    HEADER_ACCEPT,
};

/* Appends the header's value and returns whether there was one. */
bool request_header(const struct request *request, enum request_header header, struct buf *out);
bool request_custom_header(const struct request *request, const char *name, struct buf *out); /* "x-name:" */

/* Appends the `index`th value of the query's parameter `name`, decoded; false when there are not so many. */
bool request_query(const struct request *request, const char *name, unsigned index, struct buf *out);

/* --- Exchanges: a request and its answer ----------------------------------------------------- */

const struct request *exchange_request(const struct exchange *exchange);
/* Whether the client takes what came after HTTP/1.0, chunks above all. */
bool exchange_is_http_1_1(const struct exchange *exchange);
struct bytes exchange_body(const struct exchange *exchange);

/* Calls `on_gone` when the client leaves before the answer; the exchange is then gone as well. */
void exchange_set_on_gone(struct exchange *exchange, void (*on_gone)(void *arg), void *arg);

/* Each answers; the exchange must not be used after that. `headers` are whole lines ending with CRLF, or "".
 */
void exchange_reply(struct exchange *exchange, int status, const char *content_type, const char *headers,
                    struct bytes body);
void exchange_reply_error(struct exchange *exchange, enum error error, const char *headers);
void exchange_reply_file(struct exchange *exchange, const char *file, const char *content_type,
                         const char *headers);

/* --- Connections ----------------------------------------------------------------------------- */

/* Something of the caller's, freed with free() when the connection ends. */
void connection_set_data(struct connection *connection, void *data);
void *connection_data(const struct connection *connection);

/* 16 bytes, as common/address.h has them: the client's own, where a trusted proxy told it. */
const uint8_t *connection_address(const struct connection *connection);

#endif

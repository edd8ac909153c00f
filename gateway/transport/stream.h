/* Server-sent events and NDJSON streams: an HTTP response without end. The carrier is a struct connection. */
#ifndef TRANSPORT_STREAM_H
#define TRANSPORT_STREAM_H

#include <stdbool.h>

#include "gateway/transport/transport.h"

struct exchange;
struct connection;
struct session;

/* `is_list`: of several channels. */
const struct transport *sse_transport(bool is_list);
const struct transport *stream_transport(bool is_list, bool is_chunked);

/* Answers with the head of the response and makes a stream of the connection; the exchange is gone then. NULL
 * when the client is. `headers` are whole lines. */
struct connection *stream_begin(struct exchange *exchange, const struct transport *transport,
                                const char *headers);

/* The session writes to the connection from now on. */
void stream_attach(struct connection *connection, struct session *session);

#endif

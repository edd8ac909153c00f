/* Frames both ways over a WebSocket (RFC 6455). The carrier is a struct connection. */
#ifndef TRANSPORT_WEBSOCKET_H
#define TRANSPORT_WEBSOCKET_H

#include "gateway/transport/transport.h"

struct connection;
struct session;

/* How the connection is written to: what it agreed on in its handshake decides. */
const struct transport *websocket_transport(const struct connection *connection);

/* The session gets what the connection receives from now on. */
void websocket_attach(struct connection *connection, struct session *session);

#endif

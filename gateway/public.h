/* What clients find at the public port: the paths of design and what happens there. */
#ifndef GATEWAY_PUBLIC_H
#define GATEWAY_PUBLIC_H

#include "gateway/core/hub.h"
#include "gateway/pages.h"
#include "gateway/transport/server.h"

struct public_site {
    const struct config *config;
    struct hub *hub;
    struct loop *loop;
    struct metrics *metrics;
    struct told refusals_told;
};

/* Their context is a struct public_site. */
extern const struct route public_routes[];
/* For server_options. */
void public_append_refusal_headers(const struct request *request, void *context, struct buf *lines);
void public_on_websocket(struct connection *connection, void *context);

#endif

/* The admin port: health, readiness, metrics and the operators' API. Request in, reply out; who knows the
 * answers is behind the backend. */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stdbool.h>

#include "gateway/admin/api.h"
#include "gateway/transport/server.h"

struct admin_backend {
    void *context;
    /* NULL when the node takes clients, else what keeps it from that, for people. */
    const char *(*why_not_ready)(void *context);
    void (*print_metrics)(void *context, struct buf *out);
    /* Has the workers do an API call; `body` is the text of a JSON object. */
    void (*call)(void *context, const char *call, struct bytes body, api_done *on_done, void *arg);
};

struct admin {
    struct admin_backend backend;
    const char *api_key; /* "": no API. Borrowed. */
};

/* Their context is a struct admin. */
extern const struct route admin_routes[];

#endif

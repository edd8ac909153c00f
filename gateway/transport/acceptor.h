/* The listening socket. It is ours and not libwebsockets', for three reasons: workers share the port by
 * SO_REUSEPORT, which version 4.1.6 cannot; a connection that is refused must cost nothing of libwebsockets';
 * and the PROXY header comes before HTTP. */
#ifndef TRANSPORT_ACCEPTOR_H
#define TRANSPORT_ACCEPTOR_H

#include "gateway/core/metrics.h"
#include "gateway/loop.h"
#include "gateway/transport/peer.h"

struct acceptor;

struct acceptor_options {
    struct loop *loop;
    const struct config *config; /* Borrowed until acceptor_set_config. */
    struct metrics *metrics;
    const char *address;
    uint16_t port;
    bool is_public; /* Limits, trusted proxies and the PROXY header apply; workers share the port. */
    struct peer_book *book;
    uint32_t connections_max;
    uint32_t lingering_max; /* Refused connections that are given time to read why; others are reset. */

    /* The connection is let in. The callee owns the socket, and, with `is_counted`, has to take the address
     * out of the book when the connection ends. */
    void (*on_accept)(void *context, int fd, const struct peer *from, bool is_counted);
    void *context;
};

/* Whether nobody listens there, not even one who would share the port as workers do; logs the reason. */
bool acceptor_may_listen(const char *address, uint16_t port);

/* NULL, with the reason logged, when it cannot listen. */
struct acceptor *acceptor_create(const struct acceptor_options *options);
void acceptor_set_config(struct acceptor *acceptor, const struct config *config, uint32_t connections_max);
void acceptor_stop(struct acceptor *acceptor); /* Closes the listening socket. */

/* Stops if need be, and drops who has not been let in yet. NULL is fine. */
void acceptor_destroy(struct acceptor *acceptor);

#endif

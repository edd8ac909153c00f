/* Long polling and polling: a request that waits for news, or does not, and is answered with all there is.
 * The carrier is a struct poll: a session lives as long as its request. */
#ifndef TRANSPORT_POLL_H
#define TRANSPORT_POLL_H

#include <stdint.h>

#include "gateway/loop.h"
#include "gateway/transport/transport.h"

struct exchange;
struct poll;
struct session;

const struct transport *poll_transport(bool may_wait);

/* `wait_ms` of 0: what is there now. `headers` (whole lines) go with the answer. Takes over the exchange. */
struct poll *poll_create(struct exchange *exchange, struct loop *loop, uint64_t wait_ms, const char *headers);

/* The session whose news the poll waits for. */
void poll_attach(struct poll *poll, struct session *session);

#endif

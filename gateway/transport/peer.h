/* Who is at the other end of a connection, and how many connections each address has. */
#ifndef TRANSPORT_PEER_H
#define TRANSPORT_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/address.h"
#include "common/buf.h"
#include "gateway/config/config.h"

struct peer {
    uint8_t ip[ADDRESS_BYTES];
    uint16_t port;
};

/* All zeroes for what is not an internet socket. */
void peer_of_socket(const struct sockaddr_storage *from, struct peer *peer);

/* "1.2.3.4:5678" or "[2001:db8::1]:5678". */
void peer_print(const struct peer *peer, struct buf *out);

bool peer_is_in(const struct peer *peer, const struct network *networks, uint32_t count);

/* How many connections each address has. */
struct peer_book;
struct peer_book *peer_book_create(void);
void peer_book_destroy(struct peer_book *book);

/* Counts one more, unless the address then had more than `max`. */
bool peer_book_add(struct peer_book *book, const struct peer *peer, uint32_t max);
void peer_book_remove(struct peer_book *book, const struct peer *peer);

#endif

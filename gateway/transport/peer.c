#include "gateway/transport/peer.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <uthash.h>

#include "common/xalloc.h"

void peer_of_socket(const struct sockaddr_storage *from, struct peer *peer) {
    *peer = (struct peer){0};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        address_from_v4((const uint8_t *)&in->sin_addr, peer->ip);
        peer->port = ntohs(in->sin_port);
    } else if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)from;
        memcpy(peer->ip, &in->sin6_addr, ADDRESS_BYTES);
        peer->port = ntohs(in->sin6_port);
    }
}

void peer_print(const struct peer *peer, struct buf *out) {
    char text[ADDRESS_TEXT_BYTES];
    address_format(peer->ip, text);
    buf_printf(out, address_is_v4(peer->ip) ? "%s:%u" : "[%s]:%u", text, (unsigned)peer->port);
}

bool peer_is_in(const struct peer *peer, const struct network *networks, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (network_contains(&networks[i], peer->ip))
            return true;
    return false;
}

struct entry {
    UT_hash_handle hh;
    uint8_t ip[ADDRESS_BYTES];
    uint32_t count;
};

struct peer_book {
    struct entry *entries;
};

struct peer_book *peer_book_create(void) {
    return xcalloc(1, sizeof(struct peer_book));
}

void peer_book_destroy(struct peer_book *book) {
    struct entry *entry, *next;
    if (book == NULL)
        return;
    HASH_ITER(hh, book->entries, entry, next) {
        HASH_DEL(book->entries, entry);
        free(entry);
    }
    free(book);
}

bool peer_book_add(struct peer_book *book, const struct peer *peer, uint32_t max) {
    struct entry *entry;
    HASH_FIND(hh, book->entries, peer->ip, sizeof peer->ip, entry);
    if (entry == NULL) {
        entry = xcalloc(1, sizeof *entry);
        memcpy(entry->ip, peer->ip, sizeof entry->ip);
        HASH_ADD(hh, book->entries, ip, sizeof entry->ip, entry);
    }
    if (entry->count >= max)
        return false;
    entry->count++;
    return true;
}

void peer_book_remove(struct peer_book *book, const struct peer *peer) {
    struct entry *entry;
    HASH_FIND(hh, book->entries, peer->ip, sizeof peer->ip, entry);
    if (entry != NULL && --entry->count == 0) {
        HASH_DEL(book->entries, entry);
        free(entry);
    }
}

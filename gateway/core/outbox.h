/* What a session has yet to take, as references to shared bytes, oldest first. A session owns one only while
 * it has something to take.
 *
 * The bytes of a wire that many outboxes hold are counted once against the node, and in full against each of
 * the sessions. */
#ifndef CORE_OUTBOX_H
#define CORE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/core/position.h"
#include "gateway/core/wire.h"

struct subscription;

struct outbox_entry {
    struct wire *wire;
    struct subscription *subscription; /* Whose channel it is about; NULL for other replies and events. */
    struct position position;          /* Where it takes the subscription; epoch 0: nowhere. */
    bool is_message;
    bool is_replay; /* The client missed it before, so it is not held against it now. */
};

struct outbox {
    struct outbox_entry *entries; /* A ring: `count` of them from `head` on. */
    uint32_t head;
    uint32_t count;
    uint32_t capacity; /* A power of two. */
    uint32_t messages; /* Entries that are messages. */
    uint32_t replays;  /* Entries of a replay. */
    size_t bytes;
    size_t replay_bytes;          /* Of these. */
    struct outbox_entry first[4]; /* What most ever need. */
};

struct outbox *outbox_create(void);

/* Drops what is left. `*held_bytes` is the node's count. NULL is fine. */
void outbox_destroy(struct outbox *outbox, uint64_t *held_bytes);

/* Copies the entry, and takes a reference of its own to its wire. */
void outbox_push(struct outbox *outbox, const struct outbox_entry *entry, uint64_t *held_bytes);

/* Takes the oldest entry out; false when there is none. The reference goes to the caller. */
bool outbox_pop(struct outbox *outbox, struct outbox_entry *entry, uint64_t *held_bytes);

/* The oldest entry without taking it. The outbox is not empty. */
const struct outbox_entry *outbox_peek(const struct outbox *outbox);

/* Drops the oldest message for which `may_drop` says yes, and returns its subscription; NULL when there is
 * none. */
struct subscription *outbox_drop_oldest(struct outbox *outbox, bool (*may_drop)(const struct subscription *),
                                        uint64_t *held_bytes);

/* Drops every entry of `subscription`, or, with `only_messages`, leaves the events, and returns how many
 * there were. */
uint32_t outbox_drop_all(struct outbox *outbox, const struct subscription *subscription, bool only_messages,
                         uint64_t *held_bytes);

#endif

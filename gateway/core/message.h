/* One published message: immutable, reference-counted, encoded once per form. */
#ifndef CORE_MESSAGE_H
#define CORE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "gateway/core/position.h"
#include "gateway/core/wire.h"

struct entry;

struct message {
    uint32_t refs;
    uint32_t channel_len;
    size_t payload_len;
    uint8_t kind; /* enum entry_kind: marks between messages travel the same way. */
    bool has_id;  /* Clients are told the id: the channel has history. Without, the id counts on this node
                     only. */
    bool is_urgent;
    bool has_previous;
    struct position id;
    struct position previous;
    uint64_t published_ms;
    uint64_t arrived_ns; /* Monotonic. */
    struct message *next_in_batch;
    int64_t round_end; /* What the batch's `served` is when all have it. */
    struct wire *wires[FORM_COUNT];
    char data[]; /* The channel's name, then the payload. */
};

/* Copies the channel's name and the entry. Returns with one reference, which belongs to the caller. */
struct message *message_create(struct bytes channel, const struct entry *entry, uint64_t arrived_ns);
struct message *message_ref(struct message *message);
void message_unref(struct message *message);

static inline struct bytes message_channel(const struct message *message) {
    return (struct bytes){message->data, message->channel_len};
}

static inline struct bytes message_payload(const struct message *message) {
    return (struct bytes){message->data + message->channel_len, message->payload_len};
}

/* The message in `form`, encoded at the first call. Borrowed: good while the message lives. */
struct wire *message_wire(struct message *message, const struct form *form);

#endif

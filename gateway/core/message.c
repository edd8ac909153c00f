#include "gateway/core/message.h"

#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/broker/broker.h"

struct message *message_create(struct bytes channel, const struct entry *entry, uint64_t arrived_ns) {
    struct bytes payload = entry->payload;
    struct message *message = xmalloc(sizeof *message + channel.len + payload.len);
    *message = (struct message){
        .refs = 1,
        .channel_len = (uint32_t)channel.len,
        .payload_len = payload.len,
        .kind = (uint8_t)entry->kind,
        .has_id = entry->has_id,
        .is_urgent = entry->is_urgent,
        .has_previous = entry->has_previous,
        .id = entry->id,
        .previous = entry->previous,
        .published_ms = entry->published_ms,
        .arrived_ns = arrived_ns,
    };
    memcpy(message->data, channel.data, channel.len);
    if (payload.len > 0)
        memcpy(message->data + channel.len, payload.data, payload.len);
    return message;
}

struct message *message_ref(struct message *message) {
    message->refs++;
    return message;
}

void message_unref(struct message *message) {
    if (--message->refs > 0)
        return;
    for (int i = 0; i < FORM_COUNT; i++)
        wire_unref(message->wires[i]);
    free(message);
}

struct wire *message_wire(struct message *message, const struct form *form) {
    if (message->wires[form->index] == NULL)
        message->wires[form->index] = form->encode(message);
    return message->wires[form->index];
}

#include "gateway/core/message.h"

#include <stdlib.h>

#include "common/xalloc.h"

struct message *message_create(struct bytes channel, struct bytes payload, const struct position *id,
                               uint64_t arrived_ns) {
    struct message *message = xmalloc(sizeof *message + channel.len + payload.len);
    *message = (struct message){
        .refs = 1,
        .channel_len = (uint32_t)channel.len,
        .payload_len = payload.len,
        .has_id = id != NULL,
        .arrived_ns = arrived_ns,
    };
    if (id != NULL)
        message->id = *id;
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

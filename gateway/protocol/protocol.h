/* A wire dialect: bytes to commands, events and messages to bytes. Codecs see no socket, read no clock and
 * never block. */
#ifndef GATEWAY_PROTOCOL_H
#define GATEWAY_PROTOCOL_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/error.h"
#include "gateway/core/command.h"
#include "gateway/core/event.h"
#include "gateway/core/message.h"

struct protocol {
    const char *name;

    /* Decodes the next command of `in`, a whole text frame or request body, and sets `*used` to the bytes it
     * took, more than 0. ERR_MORE: nothing is left but separators. On another error `*used` covers the
     * command that was refused, and `out` has its ref if that could be read. `*out` borrows from `in` and
     * from the codec: good until the next call of this function. */
    enum error (*decode)(struct bytes in, size_t *used, struct command *out);

    /* Appends the text of `event`, unframed. */
    void (*encode_event)(const struct event *event, struct buf *out);

    /* Appends the text of `message`, unframed. Called once per message and form. */
    void (*encode_message)(const struct message *message, struct buf *out);
};

#endif

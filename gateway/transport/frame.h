/* WebSocket framing (RFC 6455, section 5.2). What a server sends: unmasked, one frame per message. What it receives:
 * masked, in any number of frames. */
#ifndef TRANSPORT_FRAME_H
#define TRANSPORT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"

enum frame_opcode {
    FRAME_CONTINUATION = 0,
    FRAME_TEXT = 1,
    FRAME_BINARY = 2,
    FRAME_CLOSE = 8, /* From here on: control frames. */
    FRAME_PING = 9,
    FRAME_PONG = 10,
};

/* To be combined with the opcode of a message compressed with permessage-deflate (RFC 7692, section 6: RSV1). */
enum { FRAME_COMPRESSED = 0x40 };

enum {
    FRAME_HEADER_BYTES_MAX = 10,
    FRAME_CONTROL_BYTES_MAX = 125, /* Payload of a control frame (section 5.5). */
};

/* Writes the header of a final frame with `len` bytes of payload and returns its size. */
size_t frame_header(unsigned opcode, uint64_t len, char header[FRAME_HEADER_BYTES_MAX]);

/* The header of a frame from a client. */
struct frame {
    enum frame_opcode opcode;
    bool is_final;
    bool is_compressed; /* RSV1; whether that was agreed on is not looked at. */
    uint64_t len;       /* Of the payload. */
    size_t header_len;
    uint8_t mask[4];
};

/* Reads the header that `in` begins with. ERR_MORE: it is not whole. ERR_BAD_REQUEST: no client may send that
 * (sections 5.1, 5.2, 5.5): not masked, an opcode or a bit that is reserved, a length in more bytes than it needs, a
 * control frame that is long or in parts. */
enum error frame_read(struct bytes in, struct frame *frame);

/* Section 5.3. `payload` begins where the frame's does. */
void frame_unmask(char *payload, size_t len, const uint8_t mask[4]);

#endif

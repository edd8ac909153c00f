/* RFC 6455, as far as a client needs it; no I/O. Frames to the server are masked with a key of zeros: legal
 * on the wire, and it costs nothing. */
#ifndef LOADTEST_WS_H
#define LOADTEST_WS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/bytes.h"

enum {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
    WS_COMPRESSED = 0x40, /* RSV1, with WS_TEXT and WS_BINARY. */
};

/* The key that every handshake of ours sends, and the answer it must get. */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

struct ws_frame {
    struct bytes payload; /* Borrows from what was parsed. */
    uint8_t opcode;
    bool is_final;
    bool is_compressed; /* RSV1. */
};

enum ws_result { WS_FRAME, WS_MORE, WS_BROKEN };

/* Parses the frame that `in` begins with. WS_FRAME: `*used` bytes were it. WS_MORE: `in` ends inside it.
 * WS_BROKEN: no server may send this. */
enum ws_result ws_parse(struct bytes in, struct ws_frame *frame, size_t *used);

/* Appends a whole masked frame; `opcode` with WS_COMPRESSED for a payload that is compressed. */
void ws_append_frame(struct buf *out, uint8_t opcode, struct bytes payload);

/* The status of a close frame's payload; 1005 when it has none. */
uint32_t ws_close_code(struct bytes payload);

#endif

/* WebSocket framing of what a server sends (RFC 6455, section 5.2): unmasked, one frame per message. */
#ifndef TRANSPORT_FRAME_H
#define TRANSPORT_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum frame_opcode { FRAME_TEXT = 1, FRAME_BINARY = 2, FRAME_CLOSE = 8, FRAME_PING = 9 };

/* To be combined with the opcode of a message compressed with permessage-deflate (RFC 7692, section 6: RSV1). */
enum { FRAME_COMPRESSED = 0x40 };

enum { FRAME_HEADER_BYTES_MAX = 10 };

/* Writes the header of a final frame with `len` bytes of payload and returns its size. */
size_t frame_header(unsigned opcode, uint64_t len, char header[FRAME_HEADER_BYTES_MAX]);

#endif

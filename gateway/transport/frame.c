#include "gateway/transport/frame.h"

#include <string.h>

enum {
    FINAL = 0x80,
    RESERVED_BITS = 0x30, /* RSV2 and RSV3: of no extension that we know. */
    MASKED = 0x80,
};

size_t frame_header(unsigned opcode, uint64_t len, char header[FRAME_HEADER_BYTES_MAX]) {
    header[0] = (char)(FINAL | opcode);
    if (len < 126) {
        header[1] = (char)len;
        return 2;
    }
    int bytes = len <= 0xFFFF ? 2 : 8;
    header[1] = bytes == 2 ? 126 : 127;
    for (int i = 0; i < bytes; i++)
        header[2 + i] = (char)(len >> (8 * (bytes - 1 - i)));
    return 2 + (size_t)bytes;
}

static bool is_opcode(unsigned opcode) {
    return opcode <= FRAME_BINARY || (opcode >= FRAME_CLOSE && opcode <= FRAME_PONG);
}

/* Both bytes that every frame has. */
static bool may_begin(unsigned first, unsigned second) {
    unsigned opcode = first & 0x0F;
    bool is_control = opcode >= FRAME_CLOSE;
    return is_opcode(opcode) && (first & RESERVED_BITS) == 0 && (second & MASKED) != 0 &&
           (!is_control || ((first & FINAL) != 0 && (second & 0x7F) <= FRAME_CONTROL_BYTES_MAX));
}

enum error frame_read(struct bytes in, struct frame *frame) {
    const unsigned char *at = (const unsigned char *)in.data;
    if (in.len < 2)
        return ERR_MORE;
    if (!may_begin(at[0], at[1]))
        return ERR_BAD_REQUEST;
    uint64_t len = at[1] & 0x7F;
    size_t extra = len == 126 ? 2 : len == 127 ? 8 : 0;
    size_t header_len = 2 + extra + sizeof frame->mask;
    if (in.len < header_len)
        return ERR_MORE;
    if (extra > 0) {
        len = 0;
        for (size_t i = 0; i < extra; i++)
            len = len << 8 | at[2 + i];
        if (len < 126 || (extra == 8 && (len <= 0xFFFF || len > INT64_MAX)))
            return ERR_BAD_REQUEST;
    }
    *frame = (struct frame){
        .opcode = (enum frame_opcode)(at[0] & 0x0F),
        .is_final = (at[0] & FINAL) != 0,
        .is_compressed = (at[0] & FRAME_COMPRESSED) != 0,
        .len = len,
        .header_len = header_len,
    };
    memcpy(frame->mask, at + 2 + extra, sizeof frame->mask);
    return ERR_OK;
}

void frame_unmask(char *payload, size_t len, const uint8_t mask[4]) {
    uint64_t wide, eight;
    memcpy(&wide, mask, 4);
    memcpy((char *)&wide + 4, mask, 4);
    size_t i = 0;
    for (; len - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, payload + i, sizeof eight);
        eight ^= wide;
        memcpy(payload + i, &eight, sizeof eight);
    }
    for (; i < len; i++)
        payload[i] = (char)(payload[i] ^ mask[i % 4]);
}

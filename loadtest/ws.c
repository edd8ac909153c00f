#include "loadtest/ws.h"

enum { CONTROL_BYTES_MAX = 125 };

static uint64_t big_endian(const char *data, size_t len) {
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | (uint8_t)data[i];
    return value;
}

enum ws_result ws_parse(struct bytes in, struct ws_frame *frame, size_t *used) {
    if (in.len < 2)
        return WS_MORE;
    uint8_t first = (uint8_t)in.data[0];
    uint8_t second = (uint8_t)in.data[1];
    /* RSV2 and RSV3 belong to no extension of ours, and a server never masks (RFC 6455, section 5.1). */
    if ((first & 0x30) != 0 || (second & 0x80) != 0)
        return WS_BROKEN;
    size_t head = 2;
    uint64_t len = second;
    if (second >= 126) {
        size_t width = second == 126 ? 2 : 8;
        if (in.len < head + width)
            return WS_MORE;
        len = big_endian(in.data + head, width);
        head += width;
        if (len >> 63 != 0)
            return WS_BROKEN;
    }
    uint8_t opcode = first & 0x0f;
    if (opcode >= WS_CLOSE && (len > CONTROL_BYTES_MAX || (first & 0x80) == 0))
        return WS_BROKEN;
    if (in.len - head < len)
        return WS_MORE;
    frame->payload = bytes_make(in.data + head, len);
    frame->opcode = opcode;
    frame->is_final = (first & 0x80) != 0;
    frame->is_compressed = (first & 0x40) != 0;
    *used = head + len;
    return WS_FRAME;
}

void ws_append_frame(struct buf *out, uint8_t opcode, struct bytes payload) {
    unsigned char head[14] = {(unsigned char)(0x80 | opcode)};
    size_t len = 2;
    if (payload.len < 126) {
        head[1] = (unsigned char)(0x80 | payload.len);
    } else {
        size_t width = payload.len < 65536 ? 2 : 8;
        head[1] = width == 2 ? 0x80 | 126 : 0x80 | 127;
        for (size_t i = 0; i < width; i++)
            head[len++] = (unsigned char)(payload.len >> 8 * (width - 1 - i));
    }
    len += 4; /* The mask, all zeros. */
    buf_append(out, head, len);
    buf_append_bytes(out, payload);
}

uint32_t ws_close_code(struct bytes payload) {
    return payload.len < 2 ? 1005 : (uint32_t)big_endian(payload.data, 2);
}

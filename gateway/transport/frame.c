#include "gateway/transport/frame.h"

size_t frame_header(unsigned opcode, uint64_t len, char header[FRAME_HEADER_BYTES_MAX]) {
    header[0] = (char)(0x80 | opcode);
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

/* A client's frames, cut at the places that the input says: the same comes out as of the whole. The first byte is how
 * long the pieces are and whether compression was agreed on. */
#include <stdlib.h>
#include <string.h>

#include "gateway/transport/frame_reader.h"
#include "tests/fuzz/fuzz.h"

enum { MESSAGE_BYTES_MAX = 512 };

static void read_all(struct bytes in, size_t piece, bool may_compress, struct buf *story) {
    struct frame_rules rules = {.message_bytes_max = MESSAGE_BYTES_MAX, .may_compress = may_compress};
    struct frame_reader reader;
    frame_reader_init(&reader);
    bool is_over = false;
    for (size_t at = 0; at < in.len && !is_over; at += piece) {
        size_t len = in.len - at < piece ? in.len - at : piece;
        char *data = malloc(len);
        struct received received;
        memcpy(data, in.data + at, len);
        frame_reader_feed(&reader, data, len);
        while (!is_over && frame_reader_next(&reader, &rules, &received)) {
            FUZZ_CHECK(received.payload.len <= MESSAGE_BYTES_MAX);
            FUZZ_CHECK(may_compress || !received.is_compressed);
            is_over = received.kind >= RECEIVED_CLOSE;
            buf_printf(story, "%d %d ", received.kind,
                       received.kind == RECEIVED_REFUSED ? (int)received.reason : 0);
            buf_append_bytes(story, received.payload);
        }
        if (!is_over) {
            frame_reader_keep(&reader);
            /* What is kept is no more than a frame that is still allowed, and the parts before it. */
            FUZZ_CHECK(reader.input.len < MESSAGE_BYTES_MAX + 14 &&
                       reader.fragments.len <= MESSAGE_BYTES_MAX);
        }
        free(data);
    }
    frame_reader_finish(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf whole, pieces;
    if (size < 2)
        return 0;
    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    struct bytes in = bytes_make(data + 1, size - 1);
    read_all(in, in.len, data[0] & 1, &whole);
    read_all(in, (size_t)(data[0] >> 1) + 1, data[0] & 1, &pieces);
    FUZZ_CHECK(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    buf_finish(&whole);
    buf_finish(&pieces);
    return 0;
}

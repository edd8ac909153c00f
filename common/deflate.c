#include "common/deflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "common/xalloc.h"

enum {
    /* 1 KB of JSON takes 9 us and becomes 350 bytes; with level 1 it is 8 us and 380 bytes. Once per message, that
     * is nothing beside the sends it makes smaller. */
    LEVEL = 6,
    MEM_LEVEL = 8,
    WINDOW_BITS_MAX = 15,
    /* Room for output is added in pieces of this size, or a bomb would have all that it claims. */
    INFLATE_STEP_BYTES = 16 * 1024,
    /* What the inflater's buffer may keep between messages. */
    INFLATE_BYTES_KEPT = 256 * 1024,
};

/* RFC 7692, section 7.2.1: the empty block at the end of every message, which the sender takes away. */
static const unsigned char tail[4] = {0x00, 0x00, 0xff, 0xff};

/* --- Compressing ----------------------------------------------------------------------------- */

struct deflater {
    z_stream stream;
};

struct deflater *deflater_create(void) {
    struct deflater *deflater = xcalloc(1, sizeof *deflater);
    /* Negative: without zlib's header and checksum. */
    if (deflateInit2(&deflater->stream, LEVEL, Z_DEFLATED, -DEFLATE_WINDOW_BITS, MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    return deflater;
}

void deflater_destroy(struct deflater *deflater) {
    if (deflater == NULL)
        return;
    deflateEnd(&deflater->stream);
    free(deflater);
}

void deflater_run(struct deflater *deflater, struct bytes message, struct buf *out) {
    z_stream *stream = &deflater->stream;
    deflateReset(stream);
    stream->next_in = (Bytef *)(uintptr_t)message.data;
    stream->avail_in = (uInt)message.len;
    do {
        /* A flush is complete when it leaves room. The bound is for a stream that ends; ours has a longer tail. */
        size_t room = deflateBound(stream, stream->avail_in) + 16;
        stream->next_out = (Bytef *)buf_reserve(out, room);
        stream->avail_out = (uInt)room;
        deflate(stream, Z_SYNC_FLUSH);
        out->len += room - stream->avail_out;
    } while (stream->avail_out == 0);
    out->len -= sizeof tail;
}

/* --- Decompressing --------------------------------------------------------------------------- */

struct inflater {
    z_stream stream;
    struct buf out;
};

struct inflater *inflater_create(void) {
    struct inflater *inflater = xcalloc(1, sizeof *inflater);
    buf_init(&inflater->out, 0);
    if (inflateInit2(&inflater->stream, -WINDOW_BITS_MAX) != Z_OK)
        abort();
    return inflater;
}

void inflater_destroy(struct inflater *inflater) {
    if (inflater == NULL)
        return;
    inflateEnd(&inflater->stream);
    buf_finish(&inflater->out);
    free(inflater);
}

/* One byte more than allowed has room, so that what is too large shows. */
static size_t room_for_step(const struct inflater *inflater, size_t bytes_max) {
    size_t left = bytes_max + 1 - inflater->out.len;
    return left < INFLATE_STEP_BYTES ? left : INFLATE_STEP_BYTES;
}

/* `*is_ended`: the last byte ended a stream. */
static enum inflate_result feed(struct inflater *inflater, struct bytes data, size_t bytes_max,
                                bool *is_ended) {
    z_stream *stream = &inflater->stream;
    stream->next_in = (Bytef *)(uintptr_t)data.data;
    stream->avail_in = (uInt)data.len;
    *is_ended = false;
    do {
        size_t room = room_for_step(inflater, bytes_max);
        stream->next_out = (Bytef *)buf_reserve(&inflater->out, room);
        stream->avail_out = (uInt)room;
        int result = inflate(stream, Z_SYNC_FLUSH);
        inflater->out.len += room - stream->avail_out;
        if (inflater->out.len > bytes_max)
            return INFLATE_TOO_LARGE;
        if (result == Z_STREAM_END) {
            /* Section 7.2.3.4: a sender may end its stream within a message; what follows is another. */
            *is_ended = stream->avail_in == 0;
            inflateReset(stream);
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            return INFLATE_INVALID;
        }
    } while (!*is_ended && (stream->avail_in > 0 || stream->avail_out == 0));
    return INFLATE_DONE;
}

/* Whether what came with the tail was an empty block and nothing else: what is cut off would take it for data. The
 * type says that inflate() has just seen the end of a block that is not the last one, and of a byte (zlib.h). */
static bool is_tail_fitting(const struct inflater *inflater, size_t len_before) {
    return inflater->out.len == len_before && inflater->stream.data_type == 128;
}

enum inflate_result inflater_run(struct inflater *inflater, struct bytes compressed, size_t bytes_max,
                                 struct bytes *message) {
    enum inflate_result result;
    bool is_ended;
    if (inflater->out.capacity > INFLATE_BYTES_KEPT)
        buf_finish(&inflater->out);
    buf_clear(&inflater->out);
    inflateReset(&inflater->stream);
    result = feed(inflater, compressed, bytes_max, &is_ended);
    if (result == INFLATE_DONE && !is_ended) {
        size_t len = inflater->out.len;
        result = feed(inflater, bytes_make(tail, sizeof tail), bytes_max, &is_ended);
        if (result == INFLATE_DONE && !is_tail_fitting(inflater, len))
            result = INFLATE_INVALID;
    }
    if (result == INFLATE_DONE)
        *message = buf_bytes(&inflater->out);
    return result;
}

#include "loadtest/inflate.h"

#include <stdlib.h>
#include <zlib.h>

#include "common/buf.h"
#include "common/xalloc.h"

enum { MESSAGE_BYTES_MAX = 16 << 20 };

struct inflater {
    z_stream stream;
    struct buf in; /* What `out` was made from. */
    struct buf out;
    bool is_kept;
};

struct inflater *inflater_create(void) {
    struct inflater *inflater = xcalloc(1, sizeof *inflater);
    buf_init(&inflater->in, 0);
    buf_init(&inflater->out, MESSAGE_BYTES_MAX);
    if (inflateInit2(&inflater->stream, -15) != Z_OK)
        abort();
    return inflater;
}

void inflater_destroy(struct inflater *inflater) {
    inflateEnd(&inflater->stream);
    buf_finish(&inflater->in);
    buf_finish(&inflater->out);
    free(inflater);
}

static bool feed(struct inflater *inflater, const void *data, size_t len) {
    z_stream *stream = &inflater->stream;
    stream->next_in = (Bytef *)(uintptr_t)data;
    stream->avail_in = (uInt)len;
    do {
        char *room = buf_reserve(&inflater->out, 4096);
        if (room == NULL)
            return false;
        stream->next_out = (Bytef *)room;
        stream->avail_out = 4096;
        int result = inflate(stream, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return false;
        inflater->out.len += 4096 - stream->avail_out;
    } while (stream->avail_out == 0);
    return true;
}

bool inflater_run(struct inflater *inflater, struct bytes in, struct bytes *out) {
    if (!inflater->is_kept || !bytes_equal(in, buf_bytes(&inflater->in))) {
        /* RFC 7692, section 7.2.2: the sender took these four bytes away. */
        static const unsigned char tail[4] = {0x00, 0x00, 0xff, 0xff};
        buf_clear(&inflater->in);
        buf_append_bytes(&inflater->in, in);
        buf_clear(&inflater->out);
        inflateReset(&inflater->stream);
        inflater->is_kept = feed(inflater, in.data, in.len) && feed(inflater, tail, sizeof tail);
        if (!inflater->is_kept)
            return false;
    }
    *out = buf_bytes(&inflater->out);
    return true;
}

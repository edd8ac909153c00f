/* What a client sends over a WebSocket: messages out of frames, however they are cut (RFC 6455, sections 5.4 and 5.5).
 * Looks at bytes only. An idle connection has no reader: it is there while something has come in part. */
#ifndef TRANSPORT_FRAME_READER_H
#define TRANSPORT_FRAME_READER_H

#include "common/buf.h"
#include "gateway/core/close.h"
#include "gateway/transport/frame.h"

struct frame_reader {
    char *data; /* What is read now: borrowed from the caller, or `input`. */
    size_t len;
    size_t used;
    struct buf input;     /* Of earlier calls: a frame that is not whole. */
    struct buf fragments; /* The message so far. */
    bool is_in_message;   /* More of it must come. */
    bool is_compressed;   /* The message. */
};

struct frame_rules {
    size_t message_bytes_max; /* As it comes, compressed or not. */
    bool may_compress;        /* permessage-deflate was agreed on. */
};

enum received_kind { RECEIVED_MESSAGE, RECEIVED_PING, RECEIVED_PONG, RECEIVED_CLOSE, RECEIVED_REFUSED };

struct received {
    enum received_kind kind;
    struct bytes payload;     /* Until the next call. */
    bool is_compressed;       /* The message's payload still is. */
    enum close_reason reason; /* Of RECEIVED_REFUSED: how the connection is to be closed. */
};

void frame_reader_init(struct frame_reader *reader); /* Nothing has come yet. */

/* Begins to read `data`, which follows what came before, and which is written to: frames are unmasked in place. It must
 * stay until frame_reader_keep or frame_reader_finish. */
void frame_reader_feed(struct frame_reader *reader, char *data, size_t len);

/* False: more must come. After RECEIVED_REFUSED or RECEIVED_CLOSE there is nothing more to read. */
bool frame_reader_next(struct frame_reader *reader, const struct frame_rules *rules,
                       struct received *received);

/* Copies what could not be used yet; false when there is nothing, and the reader not needed any more. */
bool frame_reader_keep(struct frame_reader *reader);
void frame_reader_finish(struct frame_reader *reader);

#endif

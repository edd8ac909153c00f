#include "gateway/transport/frame_reader.h"

#include "common/text.h"

void frame_reader_init(struct frame_reader *reader) {
    *reader = (struct frame_reader){0};
    buf_init(&reader->input, 0);
    buf_init(&reader->fragments, 0);
}

void frame_reader_feed(struct frame_reader *reader, char *data, size_t len) {
    bool is_kept = reader->input.len > 0;
    if (is_kept)
        buf_append(&reader->input, data, len);
    reader->data = is_kept ? reader->input.data : data;
    reader->len = is_kept ? reader->input.len : len;
    reader->used = 0;
}

bool frame_reader_keep(struct frame_reader *reader) {
    struct bytes rest = bytes_make(reader->data + reader->used, reader->len - reader->used);
    if (reader->input.len > 0)
        buf_consume(&reader->input, reader->used);
    else if (rest.len > 0)
        buf_append_bytes(&reader->input, rest);
    if (reader->input.len == 0)
        buf_finish(&reader->input);
    reader->data = NULL;
    return reader->input.len > 0 || reader->is_in_message;
}

void frame_reader_finish(struct frame_reader *reader) {
    buf_finish(&reader->input);
    buf_finish(&reader->fragments);
}

/* --- What may come --------------------------------------------------------------------------- */

/* RFC 6455, section 5.4, and RFC 7692, section 6: which frames may come now. */
static bool is_in_place(const struct frame_reader *reader, const struct frame *frame, bool may_compress) {
    if (frame->opcode >= FRAME_CLOSE)
        return !frame->is_compressed;
    if (frame->opcode == FRAME_CONTINUATION)
        return reader->is_in_message && !frame->is_compressed;
    return !reader->is_in_message && (may_compress || !frame->is_compressed);
}

/* What speaks against a frame, whose payload need not have come; CLOSE_REASON_COUNT: nothing. */
static enum close_reason check_frame(const struct frame_reader *reader, const struct frame *frame,
                                     const struct frame_rules *rules) {
    size_t have = frame->opcode < FRAME_CLOSE ? reader->fragments.len : 0;
    if (!is_in_place(reader, frame, rules->may_compress))
        return CLOSE_BAD_FRAME;
    if (frame->opcode == FRAME_BINARY)
        return CLOSE_NOT_TEXT;
    if (frame->len > rules->message_bytes_max || have > rules->message_bytes_max - frame->len)
        return CLOSE_TOO_LARGE;
    return CLOSE_REASON_COUNT;
}

/* RFC 6455, section 7.4: what may stand in a close frame. */
static bool is_close_code(unsigned code) {
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static enum close_reason check_close(struct bytes payload) {
    const unsigned char *at = (const unsigned char *)payload.data;
    if (payload.len == 0)
        return CLOSE_REASON_COUNT;
    if (payload.len == 1 || !is_close_code((unsigned)at[0] << 8 | at[1]))
        return CLOSE_BAD_FRAME;
    return text_is_utf8(bytes_skip(payload, 2)) ? CLOSE_REASON_COUNT : CLOSE_BAD_UTF8;
}

/* --- What has come --------------------------------------------------------------------------- */

static bool refuse(struct received *received, enum close_reason reason) {
    *received = (struct received){.kind = RECEIVED_REFUSED, .reason = reason};
    return true;
}

static bool take_control(const struct frame *frame, struct bytes payload, struct received *received) {
    if (frame->opcode == FRAME_CLOSE && check_close(payload) != CLOSE_REASON_COUNT)
        return refuse(received, check_close(payload));
    *received = (struct received){
        .kind = frame->opcode == FRAME_CLOSE  ? RECEIVED_CLOSE
                : frame->opcode == FRAME_PING ? RECEIVED_PING
                                              : RECEIVED_PONG,
        .payload = payload,
    };
    return true;
}

/* False while the message goes on. */
static bool take_part(struct frame_reader *reader, const struct frame *frame, struct bytes payload,
                      struct received *received) {
    if (frame->opcode != FRAME_CONTINUATION) {
        buf_finish(&reader->fragments);
        reader->is_compressed = frame->is_compressed;
    }
    reader->is_in_message = !frame->is_final;
    bool is_whole = frame->opcode != FRAME_CONTINUATION && frame->is_final;
    if (!is_whole)
        buf_append_bytes(&reader->fragments, payload);
    if (!frame->is_final)
        return false;
    *received = (struct received){
        .kind = RECEIVED_MESSAGE,
        .payload = is_whole ? payload : buf_bytes(&reader->fragments),
        .is_compressed = reader->is_compressed,
    };
    return true;
}

bool frame_reader_next(struct frame_reader *reader, const struct frame_rules *rules,
                       struct received *received) {
    for (;;) {
        struct frame frame;
        struct bytes rest = bytes_make(reader->data + reader->used, reader->len - reader->used);
        enum error error = frame_read(rest, &frame);
        if (error == ERR_MORE)
            return false;
        enum close_reason reason = error == ERR_OK ? check_frame(reader, &frame, rules) : CLOSE_BAD_FRAME;
        if (reason != CLOSE_REASON_COUNT)
            return refuse(received, reason);
        if (rest.len - frame.header_len < frame.len)
            return false;
        char *payload = reader->data + reader->used + frame.header_len;
        frame_unmask(payload, (size_t)frame.len, frame.mask);
        reader->used += frame.header_len + (size_t)frame.len;
        struct bytes unmasked = bytes_make(payload, (size_t)frame.len);
        if (frame.opcode >= FRAME_CLOSE ? take_control(&frame, unmasked, received)
                                        : take_part(reader, &frame, unmasked, received))
            return true;
    }
}

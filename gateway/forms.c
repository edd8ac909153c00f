#include "gateway/forms.h"

#include "common/deflate.h"
#include "gateway/core/message.h"
#include "gateway/core/metrics.h"
#include "gateway/protocol/native.h"
#include "gateway/transport/frame.h"

/* Scratch buffers for all encoding: a message is encoded once, and then copied into its wire. */
static struct buf text = {.max = SIZE_MAX};
static struct buf framed = {.max = SIZE_MAX};

static struct bytes encode_native(const struct message *message) {
    buf_clear(&text);
    native_protocol.encode_message(message, &text);
    return buf_bytes(&text);
}

static struct wire *wire_of(struct bytes bytes) {
    return wire_create(bytes, BYTES_LITERAL(""));
}

/* --- WebSocket ------------------------------------------------------------------------------- */

static void frame_websocket(struct bytes payload, struct bytes cursor, struct buf *out) {
    char header[FRAME_HEADER_BYTES_MAX];
    (void)cursor;
    buf_append(out, header, frame_header(FRAME_TEXT, payload.len, header));
    buf_append_bytes(out, payload);
}

static struct wire *frame_message(unsigned opcode, struct bytes payload) {
    char header[FRAME_HEADER_BYTES_MAX];
    size_t header_len = frame_header(opcode, payload.len, header);
    return wire_create(bytes_make(header, header_len), payload);
}

static struct wire *encode_websocket(struct message *message) {
    return frame_message(FRAME_TEXT, encode_native(message));
}

const struct form native_websocket_form = {
    .index = FORM_NATIVE_WEBSOCKET,
    .protocol = &native_protocol,
    .encode = encode_websocket,
    .frame = frame_websocket,
    /* With a payload, which the pong repeats: libwebsockets 4.1.6 does not tell of an empty pong. */
    .ping = {"\x89\x01\x70", 3},
    .visible_ping = {"\x81\x10{\"event\":\"ping\"}", 18},
    .has_pong = true,
};

/* --- WebSocket with permessage-deflate ------------------------------------------------------- */

static struct {
    struct deflater *deflater;
    struct metrics *metrics;
    uint32_t min_bytes;
} compression = {.min_bytes = UINT32_MAX};

void forms_set_compression(uint32_t min_bytes, struct metrics *metrics) {
    compression.min_bytes = min_bytes;
    compression.metrics = metrics;
}

void forms_finish_compression(void) {
    deflater_destroy(compression.deflater);
    compression.deflater = NULL;
    buf_finish(&framed);
    buf_finish(&text);
}

/* What `payload` is compressed, good until the next call; without bytes where it is not worth it. */
static struct bytes compress(struct bytes payload) {
    if (payload.len < compression.min_bytes)
        return BYTES_LITERAL("");
    if (compression.deflater == NULL)
        compression.deflater = deflater_create();
    buf_clear(&framed);
    deflater_run(compression.deflater, payload, &framed);
    if (compression.metrics != NULL) {
        compression.metrics->bytes_compressible += payload.len;
        compression.metrics->bytes_compressed += framed.len;
    }
    return framed.len < payload.len ? buf_bytes(&framed) : BYTES_LITERAL("");
}

static struct wire *encode_deflate(struct message *message) {
    struct bytes payload = encode_native(message);
    struct bytes compressed = compress(payload);
    struct wire **plain = &message->wires[FORM_NATIVE_WEBSOCKET];
    if (compressed.len > 0)
        return frame_message(FRAME_TEXT | FRAME_COMPRESSED, compressed);
    /* Not worth it: what the others get is as good. */
    if (*plain == NULL)
        *plain = frame_message(FRAME_TEXT, payload);
    return wire_ref(*plain);
}

/* What is for one session only, replies and events, goes as it is: those are small. */
const struct form native_deflate_form = {
    .index = FORM_NATIVE_DEFLATE,
    .protocol = &native_protocol,
    .encode = encode_deflate,
    .frame = frame_websocket,
    .ping = {"\x89\x01\x70", 3},
    .visible_ping = {"\x81\x10{\"event\":\"ping\"}", 18},
    .has_pong = true,
};

/* --- The place of a message ------------------------------------------------------------------ */

/* With one channel its id, also where the channel has no history and clients are not told of it as an id. */
static struct bytes cursor_of(const struct message *message, struct buf *scratch) {
    buf_clear(scratch);
    if (message->id.epoch != 0)
        position_append(&message->id, scratch);
    return buf_bytes(scratch);
}

static struct wire *encode_framed(const struct message *message,
                                  void (*frame)(struct bytes, struct bytes, struct buf *)) {
    static struct buf cursor = {.max = SIZE_MAX};
    buf_clear(&framed);
    frame(encode_native(message), cursor_of(message, &cursor), &framed);
    return wire_of(buf_bytes(&framed));
}

static struct wire *encode_json(struct message *message) {
    return wire_of(encode_native(message));
}

/* --- Server-sent events (HTML standard, section 9.2) ----------------------------------------- */

static void frame_sse(struct bytes payload, struct bytes cursor, struct buf *out) {
    if (cursor.len > 0) {
        buf_append_text(out, "id: ");
        buf_append_bytes(out, cursor);
        buf_append_char(out, '\n');
    }
    buf_append_text(out, "data: ");
    buf_append_bytes(out, payload);
    buf_append_text(out, "\n\n");
}

/* An event without data is none, but its id counts: a client that is cut off before the first message comes
 * back to where it began. */
static void open_sse(struct bytes cursor, struct buf *out) {
    buf_append_text(out, "id: ");
    buf_append_bytes(out, cursor);
    buf_append_text(out, "\n\n");
}

static struct wire *encode_sse(struct message *message) {
    return encode_framed(message, frame_sse);
}

const struct form native_sse_form = {
    .index = FORM_NATIVE_SSE,
    .protocol = &native_protocol,
    .encode = encode_sse,
    .frame = frame_sse,
    .open = open_sse,
    .ping = {":\n\n", 3},
};

const struct form native_sse_list_form = {
    .index = FORM_NATIVE_JSON,
    .protocol = &native_protocol,
    .encode = encode_json,
    .is_framed_per_session = true,
    .frame = frame_sse,
    .open = open_sse,
    .ping = {":\n\n", 3},
};

/* --- NDJSON ---------------------------------------------------------------------------------- */

/* The cursor becomes the object's first member. */
static void frame_line(struct bytes payload, struct bytes cursor, struct buf *out) {
    if (cursor.len > 0) {
        buf_append_text(out, "{\"cursor\":\"");
        buf_append_bytes(out, cursor);
        buf_append_text(out, "\",");
        payload = bytes_skip(payload, 1);
    }
    buf_append_bytes(out, payload);
    buf_append_char(out, '\n');
}

/* RFC 9112, section 7.1. */
static void append_chunk(struct bytes line, struct buf *out) {
    buf_printf(out, "%zx\r\n", line.len);
    buf_append_bytes(out, line);
    buf_append_text(out, "\r\n");
}

static void frame_chunk(struct bytes payload, struct bytes cursor, struct buf *out) {
    struct buf line;
    buf_init(&line, 0);
    frame_line(payload, cursor, &line);
    append_chunk(buf_bytes(&line), out);
    buf_finish(&line);
}

static void open_line(struct bytes cursor, struct buf *out) {
    frame_line(BYTES_LITERAL("{\"event\":\"open\"}"), cursor, out);
}

static void open_chunk(struct bytes cursor, struct buf *out) {
    frame_chunk(BYTES_LITERAL("{\"event\":\"open\"}"), cursor, out);
}

static struct wire *encode_line(struct message *message) {
    return encode_framed(message, frame_line);
}

static struct wire *encode_chunk(struct message *message) {
    return encode_framed(message, frame_chunk);
}

const struct form native_line_form = {
    .index = FORM_NATIVE_LINE,
    .protocol = &native_protocol,
    .encode = encode_line,
    .frame = frame_line,
    .open = open_line,
    .ping = {"\n", 1},
};

const struct form native_line_list_form = {
    .index = FORM_NATIVE_JSON,
    .protocol = &native_protocol,
    .encode = encode_json,
    .is_framed_per_session = true,
    .frame = frame_line,
    .open = open_line,
    .ping = {"\n", 1},
};

const struct form native_chunk_form = {
    .index = FORM_NATIVE_CHUNK,
    .protocol = &native_protocol,
    .encode = encode_chunk,
    .frame = frame_chunk,
    .open = open_chunk,
    .ping = {"1\r\n\n\r\n", 6},
};

const struct form native_chunk_list_form = {
    .index = FORM_NATIVE_JSON,
    .protocol = &native_protocol,
    .encode = encode_json,
    .is_framed_per_session = true,
    .frame = frame_chunk,
    .open = open_chunk,
    .ping = {"1\r\n\n\r\n", 6},
};

/* --- Polls ----------------------------------------------------------------------------------- */

static void frame_element(struct bytes payload, struct bytes cursor, struct buf *out) {
    (void)cursor; /* The reply as a whole has one. */
    buf_append_bytes(out, payload);
    buf_append_char(out, ',');
}

const struct form native_poll_form = {
    .index = FORM_NATIVE_JSON,
    .protocol = &native_protocol,
    .encode = encode_json,
    .is_framed_per_session = true,
    .frame = frame_element,
};

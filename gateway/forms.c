#include "gateway/forms.h"

#include "gateway/protocol/native.h"
#include "gateway/transport/frame.h"

/* One scratch buffer for all encoding: a message is encoded once, and then copied into its wire. */
static struct buf text = {.max = SIZE_MAX};

static void frame_websocket(struct bytes payload, struct buf *out) {
    char header[FRAME_HEADER_BYTES_MAX];
    buf_append(out, header, frame_header(FRAME_TEXT, payload.len, header));
    buf_append_bytes(out, payload);
}

static struct wire *encode_websocket(const struct message *message) {
    char header[FRAME_HEADER_BYTES_MAX];
    buf_clear(&text);
    native_protocol.encode_message(message, &text);
    size_t header_len = frame_header(FRAME_TEXT, text.len, header);
    return wire_create(bytes_make(header, header_len), buf_bytes(&text));
}

const struct form native_websocket_form = {
    .index = FORM_NATIVE_WEBSOCKET,
    .encode = encode_websocket,
    .frame = frame_websocket,
    .ping = {"\x89\x00", 2},
    .visible_ping = {"\x81\x10{\"event\":\"ping\"}", 18},
};

#include "gateway/transport/websocket.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/forms.h"
#include "gateway/transport/connection.h"
#include "gateway/transport/frame.h"

enum {
    /* Bytes that a command may have around a payload: the op, the ref, a channel all in escapes. */
    COMMAND_OVERHEAD_BYTES = 2048,
    /* How long a client that we close may take to read what is on its way, the close frame at its end. */
    CLOSE_SECONDS = 5,
    CONTROL_PAYLOAD_MAX = 125, /* RFC 6455, section 5.5. */
};

/* Our own frame rather than lws_close_reason(), which works from within a callback only and sends in a later
 * one: Debian's libwebsockets is built with _DEBUG, where service.c closes a connection on libuv a second
 * time at once, "to confirm close has no problem being called again", and so before the frame is sent. */
static bool send_close_frame(struct connection *connection, enum close_reason reason) {
    const char *text = close_text(reason);
    unsigned code = (unsigned)close_code(reason);
    unsigned char frame[2 + CONTROL_PAYLOAD_MAX];
    size_t payload_len = 2 + strnlen(text, CONTROL_PAYLOAD_MAX - 2);
    /* RFC 6455, section 5.5.1: the whole of a message, unmasked, a code and a reason in it. */
    frame[0] = 0x88;
    frame[1] = (unsigned char)payload_len;
    frame[2] = (unsigned char)(code >> 8);
    frame[3] = (unsigned char)code;
    memcpy(frame + 4, text, payload_len - 2);
    return connection_write(connection, bytes_make(frame, 2 + payload_len)) != WRITE_FAILED;
}

static void websocket_close(void *carrier, enum close_reason reason) {
    struct connection *connection = carrier;
    if (reason == CLOSE_LOST || !send_close_frame(connection, reason)) {
        connection_kill(connection);
        return;
    }
    /* The client's own close frame ends the connection; if that does not come in time, the deadline does. Until
     * then what it sends is read and ignored: closing a socket that holds unread bytes would reset it, and the
     * client might never read why. */
    connection->is_closing = true;
    connection_set_deadline(connection, CLOSE_SECONDS);
}

static const struct transport plain_transport = {
    .name = "websocket",
    .kind = TRANSPORT_WEBSOCKET,
    .form = &native_websocket_form,
    .write = connection_write,
    .close = websocket_close,
    .describe_peer = connection_describe_peer,
};

static const struct transport deflate_transport = {
    .name = "websocket",
    .kind = TRANSPORT_WEBSOCKET,
    .form = &native_deflate_form,
    .write = connection_write,
    .close = websocket_close,
    .describe_peer = connection_describe_peer,
};

const struct transport *websocket_transport(const struct connection *connection) {
    return connection->is_deflated ? &deflate_transport : &plain_transport;
}

void websocket_attach(struct connection *connection, struct session *session) {
    connection->session = session;
}

void websocket_on_open(struct connection *connection) {
    connection->is_established = true;
    connection_clear_deadline(connection);
    connection->server->options.on_websocket(connection, connection->server->options.context);
    connection_shrink(connection);
}

/* What holds a message of the largest payload, in base64 if need be. */
static size_t frame_bytes_max(const struct server_options *options) {
    return (size_t)options->config->limits.message_bytes / 3 * 4 + COMMAND_OVERHEAD_BYTES;
}

/* RSV1 of the frame being received. */
static bool is_marked_compressed(const struct connection *connection) {
    return (lws_get_reserved_bits(connection->wsi) & FRAME_COMPRESSED) != 0;
}

/* The parts so far of a message that comes in parts: the connection's data while there are any. */
struct parts {
    size_t len;
    size_t capacity;
    bool is_compressed;
    bool is_between_frames; /* What comes next is a frame that continues the message. */
    char bytes[];
};

/* False when the message would become larger than `bytes_max`. */
static bool append_part(struct connection *connection, struct bytes part, size_t bytes_max) {
    struct transient *transient = connection_transient(connection);
    struct parts *parts = transient->data;
    size_t len = parts ? parts->len : 0;
    if (part.len > bytes_max - len)
        return false;
    if (parts == NULL || len + part.len > parts->capacity) {
        bool is_new = parts == NULL;
        size_t capacity = 2 * (len + part.len);
        parts = xrealloc(parts, sizeof *parts + capacity);
        parts->capacity = capacity;
        if (is_new)
            parts->is_compressed = is_marked_compressed(connection);
        transient->data = parts;
    }
    memcpy(parts->bytes + len, part.data, part.len);
    parts->len = len + part.len;
    parts->is_between_frames = lws_remaining_packet_payload(connection->wsi) == 0;
    return true;
}

static void receive_text(struct connection *connection, struct bytes text) {
    if (text_is_utf8(text))
        session_receive(connection->session, text);
    else
        session_close(connection->session, CLOSE_BAD_UTF8);
}

/* Every message stands by itself, so all connections share an inflater. */
static void receive_compressed(struct connection *connection, struct bytes compressed) {
    struct server *server = connection->server;
    struct bytes text;
    if (server->inflater == NULL)
        server->inflater = inflater_create();
    switch (inflater_run(server->inflater, compressed, frame_bytes_max(&server->options), &text)) {
    case INFLATE_DONE:
        receive_text(connection, text);
        break;
    case INFLATE_INVALID:
        session_close(connection->session, CLOSE_BAD_COMPRESSION);
        break;
    case INFLATE_TOO_LARGE:
        session_close(connection->session, CLOSE_TOO_LARGE);
        break;
    }
}

static void receive_message(struct connection *connection, struct bytes payload, bool is_compressed) {
    if (is_compressed)
        receive_compressed(connection, payload);
    else
        receive_text(connection, payload);
}

/* RFC 7692, section 6.1. libwebsockets refuses the bit where we have agreed on nothing, and tells nobody of the
 * frames that it answers itself. */
static bool is_marked_late(const struct connection *connection) {
    const struct parts *parts = connection_data(connection);
    return parts != NULL && parts->is_between_frames && is_marked_compressed(connection);
}

void websocket_on_received(struct connection *connection, struct bytes part) {
    const struct server_options *options = &connection->server->options;
    bool is_whole = lws_is_final_fragment(connection->wsi);
    options->metrics->bytes_in += part.len;
    if (connection->session == NULL || !session_is_open(connection->session))
        return;
    if (lws_frame_is_binary(connection->wsi)) {
        session_close(connection->session, CLOSE_NOT_TEXT);
        return;
    }
    if (connection_data(connection) == NULL && is_whole && part.len <= frame_bytes_max(options)) {
        receive_message(connection, part, is_marked_compressed(connection));
        return;
    }
    if (is_marked_late(connection)) {
        session_close(connection->session, CLOSE_BAD_FRAME);
        connection_set_data(connection, NULL);
    } else if (!append_part(connection, part, frame_bytes_max(options))) {
        session_close(connection->session, CLOSE_TOO_LARGE);
        connection_set_data(connection, NULL);
    } else if (is_whole) {
        const struct parts *parts = connection_data(connection);
        receive_message(connection, bytes_make(parts->bytes, parts->len), parts->is_compressed);
        connection_set_data(connection, NULL);
        connection_shrink(connection);
    }
}

int websocket_on_writable(struct connection *connection) {
    if (connection->session != NULL && !connection->is_closing && !lws_partial_buffered(connection->wsi))
        session_on_writable(connection->session);
    return 0;
}

int websocket_on_peer_close(struct connection *connection) {
    connection_end_session(connection, CLOSE_PEER);
    /* The answer to our close frame wants no answer. */
    return connection->is_closing ? -1 : 0;
}

#include "gateway/transport/websocket.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/forms.h"
#include "gateway/transport/connection.h"
#include "gateway/transport/frame_reader.h"

enum {
    /* Bytes that a command may have around a payload: the op, the ref, a channel all in escapes. */
    COMMAND_OVERHEAD_BYTES = 2048,
    /* How long a client that we close may take to read what is on its way, the close frame at its end. */
    CLOSE_SECONDS = 5,
};

/* --- Sending --------------------------------------------------------------------------------- */

static enum write_result send_control(struct connection *connection, unsigned opcode, struct bytes payload) {
    char frame[FRAME_HEADER_BYTES_MAX + FRAME_CONTROL_BYTES_MAX];
    size_t len = frame_header(opcode, payload.len, frame);
    memcpy(frame + len, payload.data, payload.len);
    return connection_write(connection, bytes_make(frame, len + payload.len));
}

/* A code and a reason (RFC 6455, section 5.5.1). */
static enum write_result send_close(struct connection *connection, unsigned code, const char *text) {
    char payload[FRAME_CONTROL_BYTES_MAX];
    size_t len = strnlen(text, sizeof payload - 2);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    memcpy(payload + 2, text, len);
    return send_control(connection, FRAME_CLOSE, bytes_make(payload, 2 + len));
}

/* Where the socket takes nothing, the last ping alone is answered (section 5.5.3): they can be many. */
void websocket_send_pong(struct connection *connection, struct bytes payload) {
    if (!connection_is_congested(connection)) {
        send_control(connection, FRAME_PONG, payload);
        return;
    }
    struct buf *pong = &connection->transient->pong;
    buf_clear(pong);
    buf_append_bytes(pong, payload);
}

static void websocket_close(void *carrier, enum close_reason reason) {
    struct connection *connection = carrier;
    if (reason == CLOSE_LOST)
        connection_kill(connection);
    else if (send_close(connection, (unsigned)close_code(reason), close_text(reason)) != WRITE_FAILED)
        connection_finish(connection, CLOSE_SECONDS);
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
    connection->state = CONNECTION_WEBSOCKET;
    connection->is_established = true;
    connection_clear_deadline(connection);
    connection->server->options.on_websocket(connection, connection->server->options.context);
    connection_shrink(connection);
}

/* --- Messages -------------------------------------------------------------------------------- */

/* What holds a message of the largest payload, in base64 if need be. */
static size_t message_bytes_max(const struct connection *connection) {
    return (size_t)connection->server->options.config->limits.message_bytes / 3 * 4 + COMMAND_OVERHEAD_BYTES;
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
    switch (inflater_run(server->inflater, compressed, message_bytes_max(connection), &text)) {
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

static void receive_close(struct connection *connection, struct bytes payload) {
    connection_end_session(connection, CLOSE_PEER);
    if (send_control(connection, FRAME_CLOSE, bytes_make(payload.data, payload.len < 2 ? 0 : 2)) !=
        WRITE_FAILED)
        connection_finish(connection, CLOSE_SECONDS);
}

static void receive(struct connection *connection, const struct received *received) {
    switch (received->kind) {
    case RECEIVED_MESSAGE:
        if (received->is_compressed)
            receive_compressed(connection, received->payload);
        else
            receive_text(connection, received->payload);
        break;
    case RECEIVED_PING:
        websocket_send_pong(connection, received->payload);
        break;
    case RECEIVED_PONG:
        session_on_pong(connection->session);
        break;
    case RECEIVED_CLOSE:
        receive_close(connection, received->payload);
        break;
    case RECEIVED_REFUSED:
        session_close(connection->session, received->reason);
        break;
    }
}

static bool is_open(const struct connection *connection) {
    return connection->state == CONNECTION_WEBSOCKET && connection->session != NULL &&
           session_is_open(connection->session);
}

static void set_reader(struct connection *connection, struct frame_reader *reader) {
    struct transient *transient = connection->transient;
    if (reader == NULL && (transient == NULL || transient->reader == NULL))
        return;
    transient = connection_transient(connection);
    if (reader == NULL) {
        free(transient->reader);
        transient->reader = NULL;
        return;
    }
    if (transient->reader == NULL)
        transient->reader = xmalloc(sizeof *reader);
    *transient->reader = *reader;
}

void websocket_free_reader(struct frame_reader *reader) {
    if (reader != NULL)
        frame_reader_finish(reader);
    free(reader);
}

void websocket_on_received(struct connection *connection, char *data, size_t len) {
    bool is_kept = connection->transient != NULL && connection->transient->reader != NULL;
    struct frame_reader reader;
    struct frame_rules rules = {
        .message_bytes_max = message_bytes_max(connection),
        .may_compress = connection->is_deflated,
    };
    struct received received;
    if (is_kept)
        reader = *connection->transient->reader;
    else
        frame_reader_init(&reader);
    frame_reader_feed(&reader, data, len);
    while (is_open(connection) && frame_reader_next(&reader, &rules, &received))
        receive(connection, &received);
    if (is_open(connection) && frame_reader_keep(&reader)) {
        set_reader(connection, &reader);
    } else {
        frame_reader_finish(&reader);
        set_reader(connection, NULL);
    }
    connection_shrink(connection);
}

#include "gateway/transport/stream.h"

#include "gateway/forms.h"
#include "gateway/transport/connection.h"

/* libwebsockets looks at no event of a connection that it may not read from. So for this one event it may, and the
 * event says nothing but that it can write. */
void stream_on_writable(struct connection *connection) {
    struct server *server = connection->server;
    struct lws *wsi = connection->wsi;
    struct lws_pollfd event = {
        .fd = lws_get_socket_fd(wsi),
        .events = LWS_POLLOUT,
        .revents = LWS_POLLOUT,
    };
    server->serviced = connection;
    if (!connection->is_stream) {
        /* An answer goes out, and then the next request may come in. */
        connection->is_parked = false;
        hangup_watch_remove(server->hangups, event.fd);
    }
    lws_rx_flow_control(wsi, 1);
    lws_service_fd(server->lws, &event);
    if (server->serviced == NULL)
        return; /* It has ended. */
    server->serviced = NULL;
    if (!connection->is_stream) {
        http_await_room(connection);
        return;
    }
    lws_rx_flow_control(wsi, 0);
    hangup_watch_change(server->hangups, event.fd, connection->awaits_writable, connection);
}

void stream_await_writable(struct connection *connection) {
    connection->awaits_writable = true;
    hangup_watch_change(connection->server->hangups, lws_get_socket_fd(connection->wsi), true, connection);
}

static enum write_result stream_write(void *carrier, struct bytes bytes) {
    enum write_result result = connection_write(carrier, bytes);
    if (result == WRITE_CONGESTED)
        stream_await_writable(carrier);
    return result;
}

/* Closes in the writable callback, after what is on its way; what does not get out in time is cut off. */
static void stream_close(void *carrier, enum close_reason reason) {
    enum { CLOSE_SECONDS = 2 };
    struct connection *connection = carrier;
    connection->is_closing = true;
    if (reason == CLOSE_LOST) {
        connection_kill(connection);
        return;
    }
    if (connection->is_chunked && !lws_partial_buffered(connection->wsi))
        connection_write(connection, BYTES_LITERAL("0\r\n\r\n"));
    connection_set_deadline(connection, CLOSE_SECONDS);
    lws_callback_on_writable(connection->wsi);
    stream_await_writable(connection);
}

#define STREAM_TRANSPORT(transport_name, transport_kind, transport_form)                                     \
    {                                                                                                        \
        .name = (transport_name), .kind = (transport_kind), .form = (transport_form), .write = stream_write, \
        .close = stream_close, .describe_peer = connection_describe_peer,                                    \
    }

const struct transport *sse_transport(bool is_list) {
    static const struct transport one = STREAM_TRANSPORT("sse", TRANSPORT_SSE, &native_sse_form);
    static const struct transport list = STREAM_TRANSPORT("sse", TRANSPORT_SSE, &native_sse_list_form);
    return is_list ? &list : &one;
}

const struct transport *stream_transport(bool is_list, bool is_chunked) {
    static const struct transport transports[2][2] = {
        {STREAM_TRANSPORT("stream", TRANSPORT_STREAM, &native_line_form),
         STREAM_TRANSPORT("stream", TRANSPORT_STREAM, &native_chunk_form)},
        {STREAM_TRANSPORT("stream", TRANSPORT_STREAM, &native_line_list_form),
         STREAM_TRANSPORT("stream", TRANSPORT_STREAM, &native_chunk_list_form)},
    };
    return &transports[is_list][is_chunked];
}

struct connection *stream_begin(struct exchange *exchange, const struct transport *transport,
                                const char *headers) {
    struct connection *connection = exchange_request(exchange)->connection;
    bool is_sse = transport->kind == TRANSPORT_SSE;
    bool is_chunked = transport->form == &native_chunk_form || transport->form == &native_chunk_list_form;
    struct buf head;
    buf_init(&head, 0);
    /* The last four keep proxies and browsers from holding back what belongs to now. */
    buf_printf(&head,
               "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s%sX-Content-Type-Options: nosniff\r\n"
               "Cache-Control: no-cache, no-store, no-transform\r\nX-Accel-Buffering: no\r\n\r\n%s",
               is_sse ? "text/event-stream" : "application/x-ndjson",
               is_chunked ? "Transfer-Encoding: chunked\r\n" : "Connection: close\r\n", headers,
               is_sse ? "retry: 1000\n\n" : "");
    bool is_sent = http_become_stream(connection, buf_bytes(&head));
    connection->is_chunked = is_chunked;
    buf_finish(&head);
    return is_sent ? connection : NULL;
}

void stream_attach(struct connection *connection, struct session *session) {
    connection->session = session;
}

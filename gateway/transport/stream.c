#include "gateway/transport/stream.h"

#include "gateway/forms.h"
#include "gateway/transport/connection.h"

/* What does not get out in time is cut off. */
static void stream_close(void *carrier, enum close_reason reason) {
    enum { CLOSE_SECONDS = 2 };
    struct connection *connection = carrier;
    if (reason == CLOSE_LOST) {
        connection_kill(connection);
        return;
    }
    bool is_sent = true;
    if (connection->is_chunked && !connection_is_congested(connection))
        is_sent = connection_write(connection, BYTES_LITERAL("0\r\n\r\n")) != WRITE_FAILED;
    if (is_sent)
        connection_finish(connection, CLOSE_SECONDS);
}

#define STREAM_TRANSPORT(transport_name, transport_kind, transport_form)                                     \
    {                                                                                                        \
        .name = (transport_name), .kind = (transport_kind), .form = (transport_form),                        \
        .write = connection_write, .close = stream_close, .describe_peer = connection_describe_peer,         \
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

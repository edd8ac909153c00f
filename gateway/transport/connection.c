#include "gateway/transport/connection.h"

#include <stdlib.h>

#include "common/xalloc.h"

static void on_deadline(struct wheel_timer *timer, uint64_t now_ms) {
    struct connection *connection = list_entry(timer, struct transient, deadline)->connection;
    (void)now_ms;
    if (!connection->is_established)
        connection->server->options.metrics->refusals[REFUSED_HANDSHAKE]++;
    connection->is_established = true; /* Counted once. */
    connection_kill(connection);
}

struct transient *connection_transient(struct connection *connection) {
    struct transient *transient = connection->transient;
    if (transient == NULL) {
        transient = connection->transient = xcalloc(1, sizeof *transient);
        transient->connection = connection;
        wheel_timer_init(&transient->deadline, on_deadline);
    }
    return transient;
}

static void free_transient(struct connection *connection) {
    struct transient *transient = connection->transient;
    if (transient == NULL)
        return;
    wheel_cancel(&transient->deadline);
    free(transient->data);
    free(transient);
    connection->transient = NULL;
}

void connection_shrink(struct connection *connection) {
    struct transient *transient = connection->transient;
    if (transient != NULL && transient->exchange == NULL && transient->data == NULL &&
        !wheel_timer_is_armed(&transient->deadline))
        free_transient(connection);
}

void connection_set_data(struct connection *connection, void *data) {
    struct transient *transient = connection_transient(connection);
    free(transient->data);
    transient->data = data;
}

void *connection_data(const struct connection *connection) {
    return connection->transient ? connection->transient->data : NULL;
}

const uint8_t *connection_address(const struct connection *connection) {
    return connection->from.ip;
}

void connection_end_session(struct connection *connection, enum close_reason reason) {
    if (connection->session != NULL)
        session_on_closed(connection->session, reason);
    connection->session = NULL;
}

/* --- Deadlines ------------------------------------------------------------------------------- */

/* libwebsockets has timeouts of its own, but some of them begin anew with each byte that drips in. */
void connection_set_deadline(struct connection *connection, uint32_t seconds) {
    struct loop *loop = connection->server->options.loop;
    wheel_arm(&loop->wheel, &connection_transient(connection)->deadline,
              loop_now_ms(loop) + seconds * 1000ull);
}

void connection_clear_deadline(struct connection *connection) {
    if (connection->transient != NULL)
        wheel_cancel(&connection->transient->deadline);
}

void connection_clear_lws_timeout(struct connection *connection) {
    lws_set_timeout(connection->wsi, NO_PENDING_TIMEOUT, 0);
}

void connection_kill(struct connection *connection) {
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    /* It looks at its timeouts after events of its own only, and there may be none. */
    lws_cancel_service(connection->server->lws);
    connection_set_deadline(connection, 1); /* A byte that comes now can undo it. */
}

/* --- Life ------------------------------------------------------------------------------------ */

struct connection *connection_create(struct server *server, struct lws *wsi, const struct peer *from) {
    struct connection *connection = xcalloc(1, sizeof *connection);
    connection->server = server;
    connection->wsi = wsi;
    connection->from = *from;
    connection_set_deadline(connection, server->options.config->limits.handshake_seconds);
    server->options.metrics->connections++;
    return connection;
}

void connection_forget_client(struct connection *connection) {
    struct transient *transient = connection->transient;
    if (transient == NULL || !transient->has_proxy)
        return;
    if (connection->is_counted)
        peer_book_remove(connection->server->book, &connection->from);
    connection->is_counted = false;
    connection->from = transient->proxy;
    transient->has_proxy = false;
}

void connection_free(struct connection *connection) {
    struct server *server = connection->server;
    free_transient(connection);
    if (connection->is_counted)
        peer_book_remove(server->book, &connection->from);
    if (connection->is_deflated)
        server->options.metrics->compressed_connections--;
    server->options.metrics->connections--;
    free(connection);
}

enum write_result connection_write(void *carrier, struct bytes bytes) {
    struct connection *connection = carrier;
    connection->server->options.metrics->bytes_out += bytes.len;
    int written = lws_write(connection->wsi, (unsigned char *)bytes.data, bytes.len, LWS_WRITE_RAW);
    if (written < (int)bytes.len)
        return WRITE_FAILED;
    if (!lws_partial_buffered(connection->wsi))
        return WRITE_DONE;
    lws_callback_on_writable(connection->wsi);
    return WRITE_CONGESTED;
}

void connection_describe_peer(void *carrier, struct buf *out) {
    const struct connection *connection = carrier;
    peer_print(&connection->from, out);
}

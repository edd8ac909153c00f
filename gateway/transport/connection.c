#include "gateway/transport/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

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
        buf_init(&transient->input, 0);
        buf_init(&transient->unsent, 0);
        buf_init(&transient->pong, 0);
        wheel_timer_init(&transient->deadline, on_deadline);
    }
    return transient;
}

static void free_transient(struct connection *connection) {
    struct transient *transient = connection->transient;
    if (transient == NULL)
        return;
    wheel_cancel(&transient->deadline);
    buf_finish(&transient->input);
    buf_finish(&transient->unsent);
    buf_finish(&transient->pong);
    websocket_free_reader(transient->reader);
    free(transient->data);
    free(transient);
    connection->transient = NULL;
}

void connection_shrink(struct connection *connection) {
    struct transient *transient = connection->transient;
    if (transient != NULL && transient->exchange == NULL && transient->reader == NULL &&
        transient->data == NULL && transient->input.len == 0 && transient->unsent.len == 0 &&
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

void connection_set_deadline(struct connection *connection, uint32_t seconds) {
    struct loop *loop = connection->server->options.loop;
    wheel_arm(&loop->wheel, &connection_transient(connection)->deadline,
              loop_now_ms(loop) + seconds * 1000ull);
}

void connection_clear_deadline(struct connection *connection) {
    if (connection->transient != NULL)
        wheel_cancel(&connection->transient->deadline);
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

void connection_kill(struct connection *connection) {
    connection->state = CONNECTION_CLOSES;
    lws_set_timeout(connection->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    /* It looks at its timeouts after events of its own only, and there may be none. */
    lws_cancel_service(connection->server->lws);
    connection_set_deadline(connection, 1); /* A byte that comes now can undo it. */
}

static void say_goodbye(struct connection *connection) {
    shutdown(lws_get_socket_fd(connection->wsi), SHUT_WR);
}

void connection_finish(struct connection *connection, uint32_t seconds) {
    if (connection->state == CONNECTION_CLOSES)
        return;
    connection->state = CONNECTION_CLOSES;
    connection_set_deadline(connection, seconds);
    connection_set_paused(connection, false);
    if (!connection_is_congested(connection))
        say_goodbye(connection);
}

/* --- Reading --------------------------------------------------------------------------------- */

void connection_set_paused(struct connection *connection, bool is_paused) {
    if (is_paused == connection->is_paused)
        return;
    connection->is_paused = is_paused;
    lws_rx_flow_control(connection->wsi, !is_paused);
}

void connection_keep(struct connection *connection, struct bytes bytes) {
    if (bytes.len > 0)
        buf_append_bytes(&connection_transient(connection)->input, bytes);
}

void connection_on_received(struct connection *connection, char *data, size_t len) {
    connection->server->options.metrics->bytes_in += len;
    switch ((enum connection_state)connection->state) {
    case CONNECTION_RECEIVES:
        http_on_received(connection, bytes_make(data, len));
        break;
    case CONNECTION_ANSWERS:
        http_on_received_early(connection, bytes_make(data, len));
        break;
    case CONNECTION_STREAMS: /* Its client has nothing more to say. */
        break;
    case CONNECTION_WEBSOCKET:
        websocket_on_received(connection, data, len);
        break;
    case CONNECTION_CLOSES:
        break;
    }
}

/* --- Writing --------------------------------------------------------------------------------- */

/* How many bytes the socket took; -1: the connection is dead. Not by lws_write(), behind whose unsent rest nothing
 * would be read either, and a client that is always a little late could not say a word. */
static ssize_t send_some(struct connection *connection, struct bytes bytes) {
    ssize_t sent = send(lws_get_socket_fd(connection->wsi), bytes.data, bytes.len, MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return 0;
    connection_kill(connection);
    return -1;
}

static void await_writable(struct connection *connection) {
    lws_callback_on_writable(connection->wsi);
}

enum write_result connection_write(void *carrier, struct bytes bytes) {
    struct connection *connection = carrier;
    connection->server->options.metrics->bytes_out += bytes.len;
    ssize_t sent = connection_is_congested(connection) ? 0 : send_some(connection, bytes);
    if (sent < 0)
        return WRITE_FAILED;
    if ((size_t)sent == bytes.len)
        return WRITE_DONE;
    buf_append_bytes(&connection_transient(connection)->unsent, bytes_skip(bytes, (size_t)sent));
    await_writable(connection);
    return WRITE_CONGESTED;
}

/* Sends what is left of earlier writes; false while some is. */
static bool send_unsent(struct connection *connection) {
    struct transient *transient = connection->transient;
    if (!connection_is_congested(connection))
        return true;
    ssize_t sent = send_some(connection, buf_bytes(&transient->unsent));
    if (sent < 0)
        return false;
    buf_consume(&transient->unsent, (size_t)sent);
    if (transient->unsent.len > 0) {
        await_writable(connection);
        return false;
    }
    buf_finish(&transient->unsent);
    return true;
}

/* A WebSocket or a stream, of a session, takes more. */
static void resume_session(struct connection *connection) {
    struct transient *transient = connection->transient;
    if (transient != NULL && transient->pong.len > 0) {
        struct buf pong = transient->pong;
        buf_init(&transient->pong, 0);
        websocket_send_pong(connection, buf_bytes(&pong));
        buf_finish(&pong);
    }
    connection_shrink(connection);
    if (connection->session != NULL && !connection_is_congested(connection))
        session_on_writable(connection->session);
}

void connection_on_writable(struct connection *connection) {
    if (!send_unsent(connection))
        return;
    switch ((enum connection_state)connection->state) {
    case CONNECTION_RECEIVES:
    case CONNECTION_ANSWERS:
        http_on_writable(connection);
        break;
    case CONNECTION_STREAMS:
    case CONNECTION_WEBSOCKET:
        resume_session(connection);
        break;
    case CONNECTION_CLOSES:
        say_goodbye(connection);
        break;
    }
}

void connection_on_closed(struct connection *connection) {
    http_on_closed(connection);
    connection_end_session(connection, connection->state == CONNECTION_STREAMS ? CLOSE_PEER : CLOSE_LOST);
}

void connection_describe_peer(void *carrier, struct buf *out) {
    const struct connection *connection = carrier;
    peer_print(&connection->from, out);
}

#include "gateway/transport/server.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/transport/connection.h"

enum {
    /* Bytes that a WebSocket holds for reading while it lives, and the largest piece we are handed. Small,
     * because most connections mostly listen; what one recv() brings is handed over in several of these. At
     * least 128, for control frames. */
    RECEIVE_BYTES = 128,
    /* libwebsockets cuts a write at this size: larger than any batch of ours. */
    SEND_BYTES = 1024 * 1024,
    HEADER_BYTES_MAX = 8192,
    DESTROY_TURNS = 8,
    /* File descriptors for what is no client: Redis, the listener, files being served, refusals. */
    FDS_ASIDE = 2048,
};

/* Everything libwebsockets has to say. Anything but 0 closes the connection. */
static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
    struct connection *connection = lws_get_opaque_user_data(wsi);
    (void)user;
    if (connection == NULL)
        return 0; /* Not a connection yet, or none of ours: libwebsockets' own event pipe. */
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return http_on_request(connection);
    case LWS_CALLBACK_HTTP_BODY:
        return http_on_body(connection, bytes_make(in, len));
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return http_on_body_end(connection);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return http_on_writable(connection);
    case LWS_CALLBACK_HTTP_FILE_COMPLETION:
        return http_on_file_sent(connection);
    case LWS_CALLBACK_CLOSED_HTTP:
        http_on_closed(connection);
        connection_end_session(connection, CLOSE_PEER);
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return http_on_upgrade(connection);
    case LWS_CALLBACK_CONFIRM_EXTENSION_OKAY:
        return compression_on_offer(connection);
    case LWS_CALLBACK_ADD_HEADERS:
        return compression_on_headers(connection, in);
    case LWS_CALLBACK_ESTABLISHED:
        websocket_on_open(connection);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        websocket_on_received(connection, bytes_make(in, len));
        return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
        if (connection->session != NULL)
            session_on_pong(connection->session);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return websocket_on_writable(connection);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return websocket_on_peer_close(connection);
    case LWS_CALLBACK_CLOSED:
        connection_end_session(connection, CLOSE_LOST);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        http_on_closed(connection);
        connection_end_session(connection, CLOSE_LOST);
        lws_set_opaque_user_data(wsi, NULL);
        connection_free(connection);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    /* The first serves HTTP, and WebSockets that name no subprotocol. */
    {.name = "http", .callback = on_event, .rx_buffer_size = RECEIVE_BYTES, .tx_packet_size = SEND_BYTES},
    {.name = "fantail.v1",
     .callback = on_event,
     .rx_buffer_size = RECEIVE_BYTES,
     .tx_packet_size = SEND_BYTES},
    {0},
};

static void on_accept(void *context, int fd, const struct peer *from, bool is_counted) {
    struct server *server = context;
    struct lws *wsi = lws_adopt_socket_vhost(server->vhost, fd);
    if (wsi == NULL) { /* It has closed the socket. */
        if (is_counted)
            peer_book_remove(server->book, from);
        return;
    }
    struct connection *connection = connection_create(server, wsi, from);
    connection->is_counted = is_counted;
    connection_clear_lws_timeout(connection);
    lws_set_opaque_user_data(wsi, connection);
}

static void on_hangup(void *who) {
    connection_kill(who);
}

static void on_writable(void *who) {
    stream_on_writable(who);
}

static void on_lws_log(int level, const char *line) {
    size_t len = strcspn(line, "\r\n");
    if (level & LLL_ERR)
        log_warn("lws", "%.*s", (int)len, line);
    else
        log_debug("lws", "%.*s", (int)len, line);
}

/* libwebsockets keeps a table with a place for every file descriptor that could be, and Debian's build of it
 * walks that table at every close, to be sure. So there are no more places than connections may come. Told
 * about a smaller table (fd_limit_per_thread) it would walk it at every accept and event as well. */
static void limit_fds(const struct server_options *options) {
    struct rlimit limit;
    rlim_t needed = FDS_ASIDE + (options->is_public ? options->config->limits.connections : 0);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    /* Also upwards: a worker begins with what the master, which has the admin port only, has left itself. */
    limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* On a loop that is not its own, libwebsockets ends in two steps: it closes its handles, and once the loop has
 * told it that they are closed it frees what is left. */
static void end_lws(struct server *server) {
    lws_context_destroy(server->lws);
    for (int i = 0; i < DESTROY_TURNS; i++)
        uv_run(&server->options.loop->uv, UV_RUN_NOWAIT);
    lws_context_destroy(server->lws);
}

struct server *server_create(const struct server_options *options) {
    /* Heartbeats are ours: libwebsockets' timers lie in one sorted list, which every connection would walk.
     */
    static const lws_retry_bo_t no_retry = {0};
    static const struct hangup_events hangup_events = {.on_hangup = on_hangup, .on_writable = on_writable};
    struct server *server = xcalloc(1, sizeof *server);
    struct lws_context_creation_info info = {0};
    server->options = *options;
    server->book = peer_book_create();
    server->foreign_loops[0] = &options->loop->uv;

    limit_fds(options);
    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.foreign_loops = server->foreign_loops;
    info.pt_serv_buf_size = 32 * 1024;
    info.max_http_header_data = HEADER_BYTES_MAX;
    info.timeout_secs = options->config->limits.handshake_seconds;
    info.retry_and_idle_policy = &no_retry;
    server->lws = lws_create_context(&info);
    if (server->lws == NULL) {
        log_error("server", "libwebsockets did not start: is its libuv plugin installed "
                            "(libwebsockets-evlib-uv)?");
        goto fail_context;
    }
    info.protocols = protocols;
    info.extensions = websocket_extensions;
    info.vhost_name = options->is_public ? "public" : "admin";
    info.alpn = "http/1.1"; /* Shared frames cannot go over HTTP/2. */
    info.keepalive_timeout = KEEPALIVE_SECONDS;
    server->vhost = lws_create_vhost(server->lws, &info);
    if (server->vhost == NULL)
        goto fail_vhost;

    struct acceptor_options acceptor = {
        .loop = options->loop,
        .config = options->config,
        .metrics = options->metrics,
        .address = options->address,
        .port = options->port,
        .is_public = options->is_public,
        .book = server->book,
        .on_accept = on_accept,
        .context = server,
    };
    server->hangups = hangup_watch_create(options->loop, &hangup_events);
    if (server->hangups == NULL)
        goto fail_vhost;
    server->acceptor = acceptor_create(&acceptor);
    if (server->acceptor == NULL)
        goto fail_acceptor;
    return server;
fail_acceptor:
    hangup_watch_destroy(server->hangups);
fail_vhost:
    end_lws(server);
fail_context:
    peer_book_destroy(server->book);
    free(server);
    return NULL;
}

void server_set_config(struct server *server, const struct config *config) {
    server->options.config = config;
    acceptor_set_config(server->acceptor, config);
}

void server_stop(struct server *server) {
    acceptor_stop(server->acceptor);
}

void server_destroy(struct server *server) {
    acceptor_destroy(server->acceptor);
    end_lws(server);
    hangup_watch_destroy(server->hangups);
    peer_book_destroy(server->book);
    inflater_destroy(server->inflater);
    free(server);
}

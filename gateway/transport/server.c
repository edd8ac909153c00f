#include "gateway/transport/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/transport/connection.h"
#include "gateway/transport/http/files.h"

enum {
    /* What one read brings at most; one buffer for all connections. */
    RECEIVE_BYTES = 32 * 1024,
    /* libwebsockets cuts a write at this size: larger than any batch of ours. */
    SEND_BYTES = 1024 * 1024,
    DESTROY_TURNS = 8,
    LOG_INTERVAL_MS = 1000,
    /* File descriptors for what is no client: Redis, the listener, files being served, refusals. */
    FDS_ASIDE = 1024,
    FDS_ASIDE_MIN = 32,
    /* Those who ask for health, metrics and the API. */
    ADMIN_CONNECTIONS_MAX = 512,
};

/* Everything libwebsockets has to say. Anything but 0 closes the connection. */
static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
    struct connection *connection = lws_get_opaque_user_data(wsi);
    (void)user;
    if (connection == NULL)
        return 0; /* Not a connection yet, or none of ours: libwebsockets' own event pipe. */
    switch (reason) {
    case LWS_CALLBACK_RAW_RX:
        connection_on_received(connection, in, len);
        return 0;
    case LWS_CALLBACK_RAW_WRITEABLE:
        connection_on_writable(connection);
        return 0;
    case LWS_CALLBACK_RAW_CLOSE:
        connection_on_closed(connection);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        connection_on_closed(connection);
        lws_set_opaque_user_data(wsi, NULL);
        connection_free(connection);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "fantail", .callback = on_event, .tx_packet_size = SEND_BYTES},
    {0},
};

static void on_accept(void *context, int fd, const struct peer *from, bool is_counted) {
    struct server *server = context;
    lws_sock_file_fd_type socket = {.sockfd = fd};
    struct lws *wsi = lws_adopt_descriptor_vhost(server->vhost, LWS_ADOPT_SOCKET, socket, NULL, NULL);
    if (wsi == NULL) { /* It has closed the socket. */
        if (is_counted)
            peer_book_remove(server->book, from);
        return;
    }
    struct connection *connection = connection_create(server, wsi, from);
    connection->is_counted = is_counted;
    lws_set_opaque_user_data(wsi, connection);
}

/* Strangers can make it talk: one line a second. */
static void on_lws_log(int level, const char *line) {
    static uint64_t logged_ms;
    size_t len = strcspn(line, "\r\n");
    uint64_t now_ms = clock_monotonic_ms();
    if (!(level & LLL_ERR)) {
        log_debug("lws", "%.*s", (int)len, line);
    } else if (logged_ms == 0 || now_ms - logged_ms >= LOG_INTERVAL_MS) {
        logged_ms = now_ms;
        log_warn("lws", "%.*s", (int)len, line);
    }
}

/* libwebsockets keeps a table with a place for every file descriptor that could be, and Debian's build of it
 * walks that table at every close, to be sure. So there are no more places than connections may come. Told
 * about a smaller table (fd_limit_per_thread) it would walk it at every accept and event as well.
 *
 * Returns how many of them are left aside for ourselves: clients never get the last one, or a lost link to Redis
 * could not be made again. */
static uint32_t limit_fds(const struct server_options *options) {
    struct rlimit limit;
    rlim_t needed = FDS_ASIDE + (options->is_public ? options->config->limits.connections : 0);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return FDS_ASIDE_MIN;
    /* Also upwards: a worker begins with what the master, which has the admin port only, has left itself. */
    limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    uint32_t aside = (uint32_t)(limit.rlim_cur / 8 < FDS_ASIDE ? limit.rlim_cur / 8 : FDS_ASIDE);
    return aside > FDS_ASIDE_MIN ? aside : FDS_ASIDE_MIN;
}

/* How many connections there may be. */
static uint32_t count_places(const struct server_options *options, uint32_t aside) {
    struct rlimit limit;
    uint32_t wanted = options->is_public ? options->config->limits.connections : ADMIN_CONNECTIONS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= (rlim_t)wanted + aside)
        return wanted;
    uint32_t places = limit.rlim_cur > aside ? (uint32_t)(limit.rlim_cur - aside) : 1;
    if (options->is_public)
        log_info(
            "server",
            "fewer connections than configured limits.connections=%u possible=%u: raise the limit of file "
            "descriptors (ulimit -n) to %u",
            wanted, places, wanted + FDS_ASIDE);
    return places;
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
    struct server *server = xcalloc(1, sizeof *server);
    struct lws_context_creation_info info = {0};
    server->options = *options;
    server->book = peer_book_create();
    server->foreign_loops[0] = &options->loop->uv;

    uint32_t aside = server->fds_aside = limit_fds(options);
    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.foreign_loops = server->foreign_loops;
    info.pt_serv_buf_size = RECEIVE_BYTES;
    info.retry_and_idle_policy = &no_retry;
    server->lws = lws_create_context(&info);
    if (server->lws == NULL) {
        log_error("server", "libwebsockets did not start: is its libuv plugin installed "
                            "(libwebsockets-evlib-uv)?");
        goto fail_context;
    }
    info.protocols = protocols;
    info.vhost_name = options->is_public ? "public" : "admin";
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
        .connections_max = count_places(options, aside),
        .lingering_max = aside / 4,
        .on_accept = on_accept,
        .context = server,
    };
    server->acceptor = acceptor_create(&acceptor);
    if (server->acceptor == NULL)
        goto fail_vhost;
    server->files = file_cache_create();
    return server;
fail_vhost:
    end_lws(server);
fail_context:
    peer_book_destroy(server->book);
    free(server);
    return NULL;
}

void server_set_config(struct server *server, const struct config *config) {
    server->options.config = config;
    acceptor_set_config(server->acceptor, config, count_places(&server->options, server->fds_aside));
}

void server_stop(struct server *server) {
    acceptor_stop(server->acceptor);
}

void server_destroy(struct server *server) {
    acceptor_destroy(server->acceptor);
    end_lws(server);
    file_cache_destroy(server->files);
    peer_book_destroy(server->book);
    inflater_destroy(server->inflater);
    free(server);
}

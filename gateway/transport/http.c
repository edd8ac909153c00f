#include <ctype.h>
#include <malloc.h>
#include <stdlib.h>

#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/transport/connection.h"
#include "gateway/transport/forwarded.h"
#include "gateway/transport/lws_version.h"

enum {
    PATH_BYTES_MAX = 1024,
    HEADER_VALUE_BYTES_MAX = 4096,
    /* A body that comes with a refusal is read to its end up to this size, so that the client gets to read
     * why; beyond it the connection is closed under it. */
    DISCARD_BYTES_MAX = 16 * 1024 * 1024,
};

struct exchange {
    struct request request;
    char path[PATH_BYTES_MAX];
    const struct route *route;
    enum error refusal; /* What it will be answered, whatever the body; ERR_OK: the route decides. */
    struct buf body;
    uint64_t body_due; /* Bytes of the body that have not come yet. */
    struct buf response;
    bool is_answered;
    bool is_handled;    /* The route has it, or had it. */
    bool is_in_handler; /* An answer now is sent when the handler returns. */
    bool must_close;    /* The connection cannot carry another request. */
    char *file;
    const char *file_type;
    char *file_headers;
    void (*on_gone)(void *arg);
    void *on_gone_arg;
};

/* --- Requests -------------------------------------------------------------------------------- */

static bool copy_header(struct lws *wsi, enum lws_token_indexes token, struct buf *out) {
    int len = lws_hdr_total_length(wsi, token);
    out->overflow = out->overflow || len > HEADER_VALUE_BYTES_MAX; /* Too long is not the same as absent. */
    if (len <= 0 || len > HEADER_VALUE_BYTES_MAX)
        return false;
    char *room = buf_reserve(out, (size_t)len + 1);
    if (room == NULL || lws_hdr_copy(wsi, room, len + 1, token) < 0)
        return false;
    out->len += (size_t)len;
    return true;
}

bool request_header(const struct request *request, enum request_header header, struct buf *out) {
    static const enum lws_token_indexes tokens[] = {
        [HEADER_ORIGIN] = WSI_TOKEN_ORIGIN,
        [HEADER_HOST] = WSI_TOKEN_HOST,
        [HEADER_AUTHORIZATION] = WSI_TOKEN_HTTP_AUTHORIZATION,
        [HEADER_CONTENT_TYPE] = WSI_TOKEN_HTTP_CONTENT_TYPE,
        [HEADER_IF_NONE_MATCH] = WSI_TOKEN_HTTP_IF_NONE_MATCH,
        [HEADER_ACCEPT] = WSI_TOKEN_HTTP_ACCEPT,
    };
    return copy_header(request->connection->wsi, tokens[header], out);
}

bool request_custom_header(const struct request *request, const char *name, struct buf *out) {
    struct lws *wsi = request->connection->wsi;
    int len = lws_hdr_custom_length(wsi, name, (int)strlen(name));
    if (len <= 0 || len > HEADER_VALUE_BYTES_MAX)
        return false;
    char *room = buf_reserve(out, (size_t)len + 1);
    if (room == NULL || lws_hdr_custom_copy(wsi, room, len + 1, name, (int)strlen(name)) < 0)
        return false;
    out->len += (size_t)len;
    return true;
}

bool request_query(const struct request *request, const char *name, unsigned index, struct buf *out) {
    struct lws *wsi = request->connection->wsi;
    size_t name_len = strlen(name);
    char fragment[HEADER_VALUE_BYTES_MAX];
    /* libwebsockets has split the query at '&' and decoded its escapes. */
    for (int i = 0;; i++) {
        int len = lws_hdr_copy_fragment(wsi, fragment, sizeof fragment, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (len < 0)
            return false;
        if ((size_t)len > name_len && fragment[name_len] == '=' && memcmp(fragment, name, name_len) == 0 &&
            index-- == 0)
            return buf_append(out, fragment + name_len + 1, (size_t)len - name_len - 1);
    }
}

static enum http_method read_path(struct lws *wsi, char path[PATH_BYTES_MAX]) {
    char *uri = NULL;
    int len = 0;
    int method = lws_http_get_uri_and_method(wsi, &uri, &len);
    if (method < 0 || uri == NULL || len >= PATH_BYTES_MAX) {
        path[0] = '\0';
        return METHOD_OTHER;
    }
    memcpy(path, uri, (size_t)len);
    path[len] = '\0';
    switch (method) {
    case LWSHUMETH_GET:
        return METHOD_GET;
    case LWSHUMETH_HEAD:
        return METHOD_HEAD;
    case LWSHUMETH_POST:
        return METHOD_POST;
    case LWSHUMETH_OPTIONS:
        return METHOD_OPTIONS;
    default:
        return METHOD_OTHER;
    }
}

static const struct route *find_route(const struct route *routes, struct bytes path) {
    for (const struct route *route = routes; route->path != NULL; route++) {
        struct bytes pattern = bytes_of(route->path);
        bool is_prefix = pattern.len > 0 && pattern.data[pattern.len - 1] == '*';
        if (is_prefix)
            pattern.len--;
        if (is_prefix ? bytes_start_with(path, pattern) : bytes_equal(path, pattern))
            return route;
    }
    return NULL;
}

/* A proxy that we trust tells the client's address in X-Forwarded-For. Returns false when that address has
 * all the connections it may. */
static bool take_forwarded_address(struct connection *connection) {
    struct server *server = connection->server;
    const struct config *config = server->options.config;
    struct buf header;
    connection_forget_client(connection);
    if (!server->options.is_public || connection->is_counted ||
        !peer_is_in(&connection->from, config->trusted_proxies, config->trusted_proxy_count))
        return true;
    struct transient *transient = connection_transient(connection);
    transient->proxy = connection->from;
    transient->has_proxy = true;
    buf_init(&header, HEADER_VALUE_BYTES_MAX + 1);
    if (copy_header(connection->wsi, WSI_TOKEN_X_FORWARDED_FOR, &header))
        forwarded_client(buf_bytes(&header), connection->from.ip, config->trusted_proxies,
                         config->trusted_proxy_count, connection->from.ip);
    buf_finish(&header);
    if (config->limits.connections_per_ip == 0 ||
        peer_is_in(&connection->from, config->trusted_proxies, config->trusted_proxy_count))
        return true;
    connection->is_counted =
        peer_book_add(server->book, &connection->from, config->limits.connections_per_ip);
    if (!connection->is_counted)
        server->options.metrics->refusals[REFUSED_PER_IP]++;
    return connection->is_counted;
}

/* --- Answers --------------------------------------------------------------------------------- */

static const char *status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}

static void append_response(struct buf *out, int status, const char *content_type, const char *headers,
                            struct bytes body, bool with_body, bool must_close) {
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    if (status != 204 && status != 304)
        buf_printf(out, "Content-Type: %s\r\n", content_type);
    /* HEAD may leave the length open, and has to where only GET would find out. */
    if (status != 204 && status != 304 && (with_body || body.len > 0))
        buf_printf(out, "Content-Length: %zu\r\n", body.len);
    if (status >= 200 && status != 304)
        buf_append_text(out, "X-Content-Type-Options: nosniff\r\n");
    buf_printf(out, "%s%s\r\n", headers, must_close ? "Connection: close\r\n" : "");
    if (with_body)
        buf_append_bytes(out, body);
}

static void append_error(struct buf *out, enum error error, const char *headers, bool with_body,
                         bool must_close) {
    struct buf body;
    int status = error_http_status(error);
    buf_init(&body, 0);
    buf_append_text(&body, "{\"error\":{\"code\":");
    buf_append_json_string(&body, bytes_of(error_code(error)));
    buf_append_text(&body, ",\"message\":");
    buf_append_json_string(&body, bytes_of(error_text(error)));
    buf_append_text(&body, "}}\n");
    struct buf lines;
    buf_init(&lines, 0);
    buf_printf(&lines, "%s%s%c", headers, status == 503 || status == 429 ? "Retry-After: 5\r\n" : "", '\0');
    append_response(out, status, "application/json", lines.data, buf_bytes(&body), with_body, must_close);
    buf_finish(&lines);
    buf_finish(&body);
}

const struct request *exchange_request(const struct exchange *exchange) {
    return &exchange->request;
}

bool exchange_is_http_1_1(const struct exchange *exchange) {
    char version[12] = "";
    lws_hdr_copy(exchange->request.connection->wsi, version, sizeof version, WSI_TOKEN_HTTP);
    return strcmp(version, "HTTP/1.1") == 0;
}

struct bytes exchange_body(const struct exchange *exchange) {
    return buf_bytes(&exchange->body);
}

void exchange_set_on_gone(struct exchange *exchange, void (*on_gone)(void *arg), void *arg) {
    exchange->on_gone = on_gone;
    exchange->on_gone_arg = arg;
}

static void exchange_free(struct exchange *exchange) {
    exchange->request.connection->transient->exchange = NULL;
    buf_finish(&exchange->body);
    buf_finish(&exchange->response);
    free(exchange->file);
    free(exchange->file_headers);
    free(exchange);
}

/* libwebsockets reads nothing while a request is being answered, and would be told again and again that it
 * could. So it is not asked, and that the client leaves is noticed otherwise. */
static void park(struct connection *connection) {
    connection->is_parked = true;
    connection_clear_lws_timeout(connection);
    lws_rx_flow_control(connection->wsi, 0);
    hangup_watch_add(connection->server->hangups, lws_get_socket_fd(connection->wsi), connection);
}

static void resume(struct connection *connection) {
    if (!connection->is_parked)
        return;
    connection->is_parked = false;
    lws_rx_flow_control(connection->wsi, 1);
}

/* Nor does it take up a request while the socket has no room for its answer. */
void http_await_room(struct connection *connection) {
    if (connection->is_parked || !lws_send_pipe_choked(connection->wsi))
        return;
    park(connection);
    hangup_watch_change(connection->server->hangups, lws_get_socket_fd(connection->wsi), true, connection);
}

static void answered(struct exchange *exchange) {
    exchange->is_answered = true;
    exchange->on_gone = NULL;
    if (exchange->is_in_handler)
        return;
    struct connection *connection = exchange->request.connection;
    struct hangup_watch *hangups = connection->server->hangups;
    int fd = lws_get_socket_fd(connection->wsi);
    if (LWS_READS_WHILE_ANSWERING) {
        hangup_watch_change(hangups, fd, true, connection);
        return;
    }
    hangup_watch_remove(hangups, fd);
    resume(connection);
    lws_callback_on_writable(connection->wsi);
}

void exchange_reply(struct exchange *exchange, int status, const char *content_type, const char *headers,
                    struct bytes body) {
    append_response(&exchange->response, status, content_type, headers, body,
                    exchange->request.method != METHOD_HEAD, exchange->must_close);
    answered(exchange);
}

void exchange_reply_error(struct exchange *exchange, enum error error, const char *headers) {
    append_error(&exchange->response, error, headers, exchange->request.method != METHOD_HEAD,
                 exchange->must_close);
    answered(exchange);
}

void exchange_reply_file(struct exchange *exchange, const char *file, const char *content_type,
                         const char *headers) {
    exchange->file = xstrdup(file);
    exchange->file_type = content_type;
    exchange->file_headers = xstrdup(headers);
    answered(exchange);
}

/* The connection is ready for its next request, and may wait for it. Returns what libwebsockets is to be told. */
static int await_next_request(struct connection *connection) {
    connection_forget_client(connection);
    connection_set_deadline(connection, KEEPALIVE_SECONDS);
    if (lws_http_transaction_completed(connection->wsi))
        return -1;
    connection_clear_lws_timeout(connection);
    return 0;
}

/* Writes the answer, and readies the connection for the next request. */
static int send_answer(struct exchange *exchange) {
    struct connection *connection = exchange->request.connection;
    struct lws *wsi = connection->wsi;
    connection->server->options.metrics->http_requests++;
    connection_clear_lws_timeout(connection);
    if (exchange->file != NULL) {
        int sent = lws_serve_http_file(wsi, exchange->file, exchange->file_type, exchange->file_headers,
                                       (int)strlen(exchange->file_headers));
        exchange_free(exchange);
        return sent < 0 || (sent > 0 && await_next_request(connection) != 0) ? -1 : 0;
    }
    size_t len = exchange->response.len;
    bool must_close = exchange->must_close;
    int written = lws_write(wsi, (unsigned char *)exchange->response.data, len, LWS_WRITE_HTTP_FINAL);
    connection->server->options.metrics->bytes_out += len;
    exchange_free(exchange);
    if (written < (int)len || (must_close && !lws_partial_buffered(wsi)))
        return -1;
    if (await_next_request(connection) != 0)
        return -1;
    http_await_room(connection);
    return 0;
}

static void refuse_method(struct exchange *exchange) {
    static const struct {
        enum http_method method;
        const char *name;
    } methods[] = {
        {METHOD_GET, "GET"},
        {METHOD_HEAD, "HEAD"},
        {METHOD_POST, "POST"},
        {METHOD_OPTIONS, "OPTIONS"},
    };
    struct buf allow;
    buf_init(&allow, 0);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (exchange->route->methods & methods[i].method)
            buf_printf(&allow, "%s%s", allow.len == 0 ? "Allow: " : ", ", methods[i].name);
    buf_printf(&allow, "\r\n%c", '\0');
    exchange_reply_error(exchange, ERR_METHOD_NOT_ALLOWED, allow.data);
    buf_finish(&allow);
}

/* The request is complete. */
static int handle(struct exchange *exchange) {
    struct connection *connection = exchange->request.connection;
    connection->is_established = true;
    connection_clear_deadline(connection);
    exchange->is_handled = true;
    exchange->is_in_handler = true;
    if (exchange->refusal == ERR_METHOD_NOT_ALLOWED)
        refuse_method(exchange);
    else if (exchange->refusal != ERR_OK)
        exchange_reply_error(exchange, exchange->refusal, "");
    else
        exchange->route->handle(exchange, connection->server->options.context);
    if (connection_exchange(connection) == NULL)
        return connection->is_closing ? -1 : 0; /* It has become a stream. */
    exchange->is_in_handler = false;
    if (exchange->is_answered)
        return send_answer(exchange);
    park(connection);
    return 0;
}

bool http_become_stream(struct connection *connection, struct bytes head) {
    connection->server->options.metrics->http_requests++;
    connection->server->options.metrics->bytes_out += head.len;
    exchange_free(connection_exchange(connection));
    int written = lws_write(connection->wsi, (unsigned char *)head.data, head.len, LWS_WRITE_HTTP);
    if (written < (int)head.len) {
        connection->is_closing = true;
        return false;
    }
    connection->is_stream = true;
    lws_http_headers_detach(connection->wsi);
    park(connection);
    connection_shrink(connection);
    return true;
}

static enum error check_route(const struct exchange *exchange) {
    const struct route *route = exchange->route;
    if (route == NULL)
        return ERR_NOT_FOUND;
    if (route->handle == NULL)
        return ERR_UPGRADE_REQUIRED;
    return route->methods & exchange->request.method ? ERR_OK : ERR_METHOD_NOT_ALLOWED;
}

int http_on_request(struct connection *connection) {
    struct lws *wsi = connection->wsi;
    struct exchange *exchange = xcalloc(1, sizeof *exchange);
    connection_transient(connection)->exchange = exchange;
    buf_init(&exchange->body, connection->server->options.body_bytes_max);
    buf_init(&exchange->response, 0);
    exchange->request.connection = connection;
    exchange->request.method = read_path(wsi, exchange->path);
    exchange->request.path = bytes_of(exchange->path);
    exchange->route = find_route(connection->server->options.routes, exchange->request.path);
    exchange->refusal = check_route(exchange);
    if (!take_forwarded_address(connection))
        exchange->refusal = ERR_TOO_MANY_CONNECTIONS;
    if (exchange->request.method != METHOD_POST) {
        /* libwebsockets reads bodies of POST and its like only; what another method brings would be taken
         * for the next request. */
        exchange->must_close = exchange->request.method == METHOD_OTHER ||
                               lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0;
        return handle(exchange);
    }
    struct buf length;
    uint64_t bytes = 0;
    buf_init(&length, HEADER_VALUE_BYTES_MAX + 1);
    /* Who sends it in pieces as well may mean another end than we do. */
    bool is_known = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) == 0 &&
                    copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, &length) &&
                    text_parse_u64(buf_bytes(&length), &bytes);
    buf_finish(&length);
    if (!is_known) {
        exchange->refusal = ERR_LENGTH_REQUIRED;
        exchange->must_close = true;
        return handle(exchange);
    }
    if (bytes > connection->server->options.body_bytes_max && exchange->refusal == ERR_OK)
        exchange->refusal = ERR_MESSAGE_TOO_LARGE;
    if (exchange->refusal != ERR_OK && bytes > DISCARD_BYTES_MAX) {
        exchange->must_close = true;
        return handle(exchange);
    }
    /* libwebsockets 4.1.6 takes an explicit zero for a length that is not known; nothing more will come. */
    if (bytes == 0)
        return handle(exchange);
    exchange->body_due = bytes;
    return 0;
}

/* Whether the bytes lie in the buffer into which libwebsockets reads, which is part of its context. */
static bool is_just_read(const struct connection *connection, struct bytes part) {
    const char *context = (const char *)connection->server->lws;
    return part.len == 0 ||
           (part.data >= context && part.data < context + malloc_usable_size(connection->server->lws));
}

int http_on_body(struct connection *connection, struct bytes part) {
    struct exchange *exchange = connection_exchange(connection);
    /* A body that came along with an earlier request. libwebsockets (4.1.6, and 4.3.5 as well) takes such a body
     * from where its own request begins, and with more behind it reads on without end, holding up every other
     * client. Requests without a body may come that way. */
    if (!is_just_read(connection, part))
        return -1;
    connection->server->options.metrics->bytes_in += part.len;
    if (exchange == NULL || exchange->is_handled)
        return 0;
    bool is_past_end = LWS_READS_PAST_BODIES && part.len > exchange->body_due;
    if (is_past_end)
        part.len = exchange->body_due;
    exchange->body_due -= part.len;
    if (exchange->refusal == ERR_OK && !buf_append_bytes(&exchange->body, part))
        exchange->refusal = ERR_MESSAGE_TOO_LARGE;
    if (!is_past_end)
        return 0;
    /* The next request is lost with what lies behind this body: this one is answered, and the connection ends. */
    exchange->must_close = true;
    return handle(exchange);
}

int http_on_body_end(struct connection *connection) {
    struct exchange *exchange = connection_exchange(connection);
    /* Bytes that come while the answer is awaited make libwebsockets report the end of the body again. */
    if (exchange == NULL || exchange->is_handled)
        return 0;
    return handle(exchange);
}

int http_on_writable(struct connection *connection) {
    struct exchange *exchange = connection_exchange(connection);
    if (connection->is_stream) {
        connection->awaits_writable = false;
        if (connection->is_closing)
            return -1;
        if (connection->session != NULL && !lws_partial_buffered(connection->wsi))
            session_on_writable(connection->session);
        return 0;
    }
    return exchange != NULL && exchange->is_answered ? send_answer(exchange) : 0;
}

int http_on_file_sent(struct connection *connection) {
    return await_next_request(connection);
}

void http_on_closed(struct connection *connection) {
    struct exchange *exchange = connection_exchange(connection);
    struct server *server = connection->server;
    if (server->serviced == connection)
        server->serviced = NULL;
    if (connection->is_parked)
        hangup_watch_remove(server->hangups, lws_get_socket_fd(connection->wsi));
    connection->is_stream = connection->is_parked = false;
    if (exchange == NULL)
        return;
    if (exchange->on_gone != NULL)
        exchange->on_gone(exchange->on_gone_arg);
    exchange_free(exchange);
}

/* --- WebSocket handshakes -------------------------------------------------------------------- */

static enum error check_subprotocol(struct connection *connection) {
    struct buf offered;
    enum error error = ERR_OK;
    buf_init(&offered, HEADER_VALUE_BYTES_MAX + 1);
    /* A list, e.g. "fantail.v1, other"; libwebsockets picks the one that it knows. */
    if (copy_header(connection->wsi, WSI_TOKEN_PROTOCOL, &offered) && buf_append_char(&offered, '\0')) {
        error = ERR_SUBPROTOCOL_UNKNOWN;
        char *rest = NULL;
        for (char *name = strtok_r(offered.data, ", \t", &rest); name; name = strtok_r(NULL, ", \t", &rest))
            if (strcmp(name, "fantail.v1") == 0)
                error = ERR_OK;
    }
    buf_finish(&offered);
    return error;
}

int http_on_upgrade(struct connection *connection) {
    const struct server_options *options = &connection->server->options;
    char path[PATH_BYTES_MAX];
    char upgrade[16] = "";
    struct request request = {.connection = connection, .method = read_path(connection->wsi, path)};
    request.path = bytes_of(path);
    const struct route *route = find_route(options->routes, request.path);
    enum error error = ERR_OK;
    lws_hdr_copy(connection->wsi, upgrade, sizeof upgrade, WSI_TOKEN_UPGRADE);
    if (route == NULL)
        error = ERR_NOT_FOUND;
    else if (route->may_upgrade == NULL || strcasecmp(upgrade, "websocket") != 0)
        error = ERR_BAD_REQUEST;
    else if (!take_forwarded_address(connection))
        error = ERR_TOO_MANY_CONNECTIONS;
    else if ((error = check_subprotocol(connection)) == ERR_OK)
        error = route->may_upgrade(&request, options->context);
    if (error == ERR_OK) {
        compression_on_upgrade(connection);
        return 0;
    }
    options->metrics->http_requests++;
    struct buf response;
    buf_init(&response, 0);
    append_error(&response, error, "", true, true);
    lws_write(connection->wsi, (unsigned char *)response.data, response.len, LWS_WRITE_HTTP_FINAL);
    buf_finish(&response);
    return -1;
}

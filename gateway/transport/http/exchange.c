/* Requests of a connection, one after the other: their heads, their bodies, and the answers. */
#include "gateway/transport/http/exchange.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/transport/connection.h"
#include "gateway/transport/forwarded.h"
#include "gateway/transport/http/response.h"

enum {
    /* A body that comes with a refusal is read to its end up to this size, so that the connection lasts and the
     * client gets to read why; beyond it the connection is closed under it. */
    DISCARD_BYTES_MAX = 16 * 1024 * 1024,
    /* How long a client whose connection we end may take to read the last answer. */
    FINISH_SECONDS = 2,
    FILE_PIECE_BYTES = 64 * 1024,
    LOG_INTERVAL_MS = 1000,
};

struct exchange {
    struct request request;
    const struct route *route; /* NULL: nothing is served there. */
    enum error refusal;        /* What it will be answered, whatever the body; ERR_OK: the route decides. */
    char *head;                /* A copy of the head's bytes, while the body is awaited. */
    struct buf body;
    uint64_t body_due; /* Bytes of the body that have not come yet. */
    struct buf response;
    int file; /* What follows the response; -1: nothing. */
    uint64_t file_due;
    bool is_answered;
    bool is_in_handler; /* An answer now is sent when the handler returns. */
    bool is_head;       /* The method is HEAD. */
    bool is_http_1_1;
    bool must_close; /* The connection cannot carry another request, or the client wants none. */
    void (*on_gone)(void *arg);
    void *on_gone_arg;
};

const struct request *exchange_request(const struct exchange *exchange) {
    return &exchange->request;
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
    if (exchange->file >= 0) {
        exchange->request.connection->server->files_open--;
        close(exchange->file);
    }
    buf_finish(&exchange->body);
    buf_finish(&exchange->response);
    free(exchange->head);
    free(exchange);
}

/* --- Whose request it is --------------------------------------------------------------------- */

/* A proxy that we trust tells the client's address in X-Forwarded-For; where it tells none that can be believed, the
 * address is the proxy's, and counts as any. False when that address has all the connections it may. */
static bool take_forwarded_address(struct connection *connection, const struct http_head *head) {
    struct server *server = connection->server;
    const struct config *config = server->options.config;
    connection_forget_client(connection);
    if (!server->options.is_public || connection->is_counted ||
        !peer_is_in(&connection->from, config->trusted_proxies, config->trusted_proxy_count))
        return true;
    struct transient *transient = connection_transient(connection);
    struct buf forwarded;
    transient->proxy = connection->from;
    transient->has_proxy = true;
    buf_init(&forwarded, 0);
    if (http_head_field(head, FIELD_X_FORWARDED_FOR, &forwarded))
        forwarded_client(buf_bytes(&forwarded), connection->from.ip, config->trusted_proxies,
                         config->trusted_proxy_count, connection->from.ip);
    buf_finish(&forwarded);
    if (config->limits.connections_per_ip == 0)
        return true;
    connection->is_counted =
        peer_book_add(server->book, &connection->from, config->limits.connections_per_ip);
    if (!connection->is_counted)
        server->options.metrics->refusals[REFUSED_PER_IP]++;
    return connection->is_counted;
}

/* --- Answers --------------------------------------------------------------------------------- */

static void send_file_piece(struct exchange *exchange);
static void await_next_request(struct connection *connection);

static void end_answer(struct exchange *exchange) {
    struct connection *connection = exchange->request.connection;
    bool must_close = exchange->must_close;
    exchange_free(exchange);
    if (must_close)
        connection_finish(connection, FINISH_SECONDS);
    else
        await_next_request(connection);
}

static void send_answer(struct exchange *exchange) {
    struct connection *connection = exchange->request.connection;
    connection->server->options.metrics->http_requests++;
    if (connection_write(connection, buf_bytes(&exchange->response)) == WRITE_FAILED)
        return; /* The exchange ends with the connection. */
    if (exchange->file >= 0)
        send_file_piece(exchange);
    else
        end_answer(exchange);
}

static void send_file_piece(struct exchange *exchange) {
    struct connection *connection = exchange->request.connection;
    char piece[FILE_PIECE_BYTES];
    while (exchange->file_due > 0 && !connection_is_congested(connection)) {
        size_t wanted = exchange->file_due < sizeof piece ? exchange->file_due : sizeof piece;
        ssize_t got = read(exchange->file, piece, wanted);
        if (got <= 0) { /* It has become shorter than its answer says. */
            connection_kill(connection);
            return;
        }
        exchange->file_due -= (uint64_t)got;
        if (connection_write(connection, bytes_make(piece, (size_t)got)) == WRITE_FAILED)
            return;
        connection_set_deadline(connection, connection->server->options.config->limits.handshake_seconds);
    }
    if (exchange->file_due == 0)
        end_answer(exchange);
}

static void answered(struct exchange *exchange) {
    exchange->is_answered = true;
    exchange->on_gone = NULL;
    if (!exchange->is_in_handler)
        send_answer(exchange);
}

static struct response make_response(const struct exchange *exchange, const char *headers) {
    struct response response = {
        .headers = headers,
        .connection = exchange->must_close    ? "close"
                      : exchange->is_http_1_1 ? NULL
                                              : "keep-alive",
        .has_no_body = exchange->is_head,
    };
    return response;
}

void exchange_reply(struct exchange *exchange, int status, const char *content_type, const char *headers,
                    struct bytes body) {
    struct response response = make_response(exchange, headers);
    response.status = status;
    response.content_type = content_type;
    response.body = body;
    response_append(&exchange->response, &response);
    answered(exchange);
}

void exchange_reply_error(struct exchange *exchange, enum error error, const char *headers) {
    struct response response = make_response(exchange, headers);
    response_append_error(&exchange->response, &response, error, NULL);
    answered(exchange);
}

/* Files that are being sent hold descriptors, and clients decide for how long. */
static bool may_hold_file(const struct server *server) {
    return server->files_open < server->fds_aside / 4;
}

void exchange_reply_file(struct exchange *exchange, int fd, uint64_t len, const char *content_type,
                         const char *headers) {
    struct server *server = exchange->request.connection->server;
    if (!may_hold_file(server)) {
        close(fd);
        exchange_reply_error(exchange, ERR_TOO_MANY_CONNECTIONS, headers);
        return;
    }
    server->files_open++;
    struct response response = make_response(exchange, headers);
    response.status = 200;
    response.content_type = content_type;
    response_append_head(&exchange->response, &response, len);
    exchange->file = fd;
    exchange->file_due = exchange->is_head ? 0 : len;
    answered(exchange);
}

/* Answers that no handler gives: the page that asked may read them as it may read the handlers'. */
static void reply_refusal(struct exchange *exchange) {
    static const struct {
        enum http_method method;
        const char *name;
    } methods[] = {
        {METHOD_GET, "GET"},
        {METHOD_HEAD, "HEAD"},
        {METHOD_POST, "POST"},
        {METHOD_OPTIONS, "OPTIONS"},
    };
    const struct server_options *options = &exchange->request.connection->server->options;
    struct buf headers;
    unsigned count = 0;
    buf_init(&headers, 0);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (exchange->refusal == ERR_METHOD_NOT_ALLOWED && exchange->route->methods & methods[i].method)
            buf_printf(&headers, "%s%s", count++ == 0 ? "Allow: " : ", ", methods[i].name);
    if (exchange->refusal == ERR_METHOD_NOT_ALLOWED)
        buf_append_text(&headers, "\r\n");
    if (options->append_refusal_headers != NULL)
        options->append_refusal_headers(&exchange->request, options->context, &headers);
    buf_append_char(&headers, '\0');
    exchange_reply_error(exchange, exchange->refusal, headers.data);
    buf_finish(&headers);
}

/* --- Requests -------------------------------------------------------------------------------- */

static void await_next_request(struct connection *connection) {
    struct transient *transient = connection_transient(connection);
    const struct config *config = connection->server->options.config;
    connection->state = CONNECTION_RECEIVES;
    connection_forget_client(connection);
    transient->head = (struct http_head){0};
    /* Who does not even read the answer need not be waited for as long as who has nothing to ask. */
    connection_set_deadline(connection, connection_is_congested(connection)
                                            ? config->limits.handshake_seconds
                                            : config->limits.keepalive_seconds);
    /* What waits here is read in a turn of its own: whoever answers is in the middle of something else. */
    if (transient->input.len > 0)
        lws_callback_on_writable(connection->wsi);
}

/* The request is complete. */
static void handle(struct exchange *exchange) {
    struct connection *connection = exchange->request.connection;
    connection->is_established = true;
    connection->transient->is_late_armed = false;
    connection_clear_deadline(connection);
    connection->state = CONNECTION_ANSWERS;
    exchange->is_in_handler = true;
    if (exchange->refusal != ERR_OK)
        reply_refusal(exchange);
    else
        exchange->route->handle(exchange, connection->server->options.context);
    if (connection_exchange(connection) == NULL)
        return; /* It has become a stream. */
    exchange->is_in_handler = false;
    if (exchange->is_answered)
        send_answer(exchange);
}

bool http_become_stream(struct connection *connection, struct bytes head) {
    connection->server->options.metrics->http_requests++;
    exchange_free(connection_exchange(connection));
    connection->state = CONNECTION_STREAMS;
    if (connection_write(connection, head) == WRITE_FAILED)
        return false;
    connection_shrink(connection);
    return true;
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

static enum error check_method(const struct exchange *exchange) {
    const struct route *route = exchange->route;
    if (route == NULL)
        return ERR_NOT_FOUND;
    if (exchange->request.method == METHOD_UNKNOWN)
        return ERR_NOT_IMPLEMENTED;
    if (route->handle == NULL)
        return ERR_UPGRADE_REQUIRED;
    return route->methods & exchange->request.method ? ERR_OK : ERR_METHOD_NOT_ALLOWED;
}

/* What the head alone says against a request. */
static enum error check_head(const struct exchange *exchange) {
    const struct http_head *head = exchange->request.head;
    const struct server_options *options = &exchange->request.connection->server->options;
    enum error error = check_method(exchange);
    if (error == ERR_OK && head->expects_more)
        error = ERR_EXPECTATION_FAILED;
    if (error == ERR_OK && exchange->request.method == METHOD_POST && !head->has_content_length)
        error = ERR_LENGTH_REQUIRED;
    if (error == ERR_OK && exchange->request.method == METHOD_POST &&
        head->content_length > options->body_bytes_max)
        error = ERR_MESSAGE_TOO_LARGE;
    if (error == ERR_OK && exchange->route->may_begin != NULL)
        error = exchange->route->may_begin(&exchange->request, options->context);
    /* Its end is known only to who reads it, and nobody here does. */
    if (head->is_chunked && (error == ERR_OK || error == ERR_METHOD_NOT_ALLOWED))
        error = ERR_LENGTH_REQUIRED;
    return error;
}

static struct exchange *exchange_create(struct connection *connection) {
    struct exchange *exchange = xcalloc(1, sizeof *exchange);
    struct http_head *head = &connection->transient->head;
    connection->transient->exchange = exchange;
    exchange->request = (struct request){
        .connection = connection,
        .head = head,
        .method = head->method,
        .path = http_head_path(head),
    };
    exchange->route = find_route(connection->server->options.routes, exchange->request.path);
    exchange->is_head = head->method == METHOD_HEAD;
    exchange->is_http_1_1 = head->is_http_1_1;
    exchange->must_close = !head->keeps_alive;
    exchange->file = -1;
    buf_init(&exchange->body, connection->server->options.body_bytes_max);
    buf_init(&exchange->response, 0);
    return exchange;
}

/* The head's bytes will be gone when the body has come. */
static void copy_head(struct exchange *exchange) {
    struct http_head *head = &exchange->request.connection->transient->head;
    exchange->head = xmalloc(head->len);
    memcpy(exchange->head, head->base, head->len);
    head->base = exchange->head;
    exchange->request.path = http_head_path(head);
}

/* The time for a request runs from its first byte, however slowly the others come; for the first request from when
 * the connection was accepted. */
static void await_rest(struct connection *connection) {
    if (connection->is_established && !connection->transient->is_late_armed)
        connection_set_deadline(connection, connection->server->options.config->limits.handshake_seconds);
    connection->transient->is_late_armed = true;
}

/* Answers at once, or waits for the body; what comes with other methods than POST nobody reads, and the connection
 * ends. `has_body`: some of it has come along. */
static void begin(struct exchange *exchange, bool has_body) {
    struct connection *connection = exchange->request.connection;
    const struct http_head *head = exchange->request.head;
    exchange->refusal =
        take_forwarded_address(connection, head) ? check_head(exchange) : ERR_TOO_MANY_CONNECTIONS;
    bool is_known = !head->is_chunked && exchange->refusal != ERR_LENGTH_REQUIRED;
    bool is_wanted = head->method == METHOD_POST && head->content_length <= DISCARD_BYTES_MAX;
    bool is_held_back = head->expects_continue && !has_body;
    if (is_known && is_wanted && (exchange->refusal == ERR_OK || !is_held_back))
        exchange->body_due = head->content_length;
    else if (!is_known || head->content_length > 0)
        exchange->must_close = true;
    if (exchange->body_due == 0) {
        handle(exchange);
        return;
    }
    copy_head(exchange);
    await_rest(connection);
    if (head->expects_continue && !has_body)
        connection_write(connection, BYTES_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* The connection ends, since nobody knows where the next request begins. */
static void refuse_head(struct connection *connection, enum error error) {
    struct server *server = connection->server;
    uint64_t now_ms = loop_now_ms(server->options.loop);
    const char *problem = connection->transient->head.problem;
    struct response response = {.headers = "", .connection = "close"};
    struct buf text, from;
    connection->is_established = true;
    server->options.metrics->http_requests++;
    server->options.metrics->refusals[REFUSED_HTTP]++;
    if (now_ms - server->refusal_logged_ms >= LOG_INTERVAL_MS) {
        server->refusal_logged_ms = now_ms;
        buf_init(&from, 0);
        peer_print(&connection->from, &from);
        log_warn("http", "request refused error=%s reason=\"%s\" from=%.*s", error_code(error),
                 problem ? problem : error_text(error), BYTES_FMT(buf_bytes(&from)));
        buf_finish(&from);
    }
    buf_init(&text, 0);
    response_append_error(&text, &response, error, problem);
    if (connection_write(connection, buf_bytes(&text)) != WRITE_FAILED)
        connection_finish(connection, FINISH_SECONDS);
    buf_finish(&text);
}

static void upgrade(struct exchange *exchange) {
    struct connection *connection = exchange->request.connection;
    enum error error = take_forwarded_address(connection, exchange->request.head)
                           ? http_upgrade(&exchange->request, exchange->route->may_upgrade)
                           : ERR_TOO_MANY_CONNECTIONS;
    if (error == ERR_OK) {
        exchange_free(exchange);
        websocket_on_open(connection);
        return;
    }
    exchange->refusal = error;
    exchange->must_close = true;
    handle(exchange);
}

/* Each of the three returns how many bytes it has used; 0: more must come. */
static size_t take_head(struct connection *connection, struct bytes in) {
    struct http_head *head = &connection_transient(connection)->head;
    enum error error = http_head_read(head, in);
    if (error == ERR_MORE) {
        await_rest(connection);
        return 0;
    }
    if (error != ERR_OK) {
        refuse_head(connection, error);
        return in.len;
    }
    size_t len = head->len;
    struct exchange *exchange = exchange_create(connection);
    if (head->offers_websocket && exchange->route != NULL)
        upgrade(exchange);
    else
        begin(exchange, in.len > len);
    return len;
}

static size_t take_body(struct exchange *exchange, struct bytes in) {
    size_t len = in.len < exchange->body_due ? in.len : exchange->body_due;
    bool is_wanted = exchange->refusal == ERR_OK && exchange->request.method == METHOD_POST;
    exchange->body_due -= len;
    if (is_wanted)
        buf_append(&exchange->body, in.data, len);
    if (exchange->body_due == 0)
        handle(exchange);
    return len;
}

static size_t take(struct connection *connection, struct bytes in) {
    struct exchange *exchange = connection_exchange(connection);
    return exchange == NULL ? take_head(connection, in) : take_body(exchange, in);
}

/* Takes requests from `in` while they can be answered at once. */
static size_t take_all(struct connection *connection, struct bytes in) {
    size_t used = 0;
    while (connection->state == CONNECTION_RECEIVES && used < in.len &&
           !connection_is_congested(connection)) {
        size_t taken = take(connection, bytes_skip(in, used));
        if (taken == 0)
            break;
        used += taken;
    }
    return used;
}

/* What could not be used yet. It may be written to, as websocket_on_received does. */
static void keep_rest(struct connection *connection, struct bytes rest, bool is_input) {
    struct transient *transient = connection->transient;
    switch ((enum connection_state)connection->state) {
    case CONNECTION_RECEIVES:
    case CONNECTION_ANSWERS:
        if (is_input)
            buf_consume(&transient->input, transient->input.len - rest.len);
        else
            connection_keep(connection, rest);
        break;
    case CONNECTION_WEBSOCKET: {
        struct buf input = is_input ? transient->input : (struct buf){0};
        if (is_input)
            buf_init(&transient->input, 0);
        if (rest.len > 0)
            websocket_on_received(connection, (char *)rest.data, rest.len);
        buf_finish(&input);
        break;
    }
    case CONNECTION_STREAMS:
    case CONNECTION_CLOSES:
        if (is_input)
            buf_finish(&transient->input);
        break;
    }
    if (connection->state == CONNECTION_WEBSOCKET || connection->state == CONNECTION_STREAMS)
        connection_shrink(connection);
}

/* Behind an answer that is not taken, or not there yet, requests wait, but not any number of them. */
static bool has_surplus(const struct connection *connection) {
    return connection->transient != NULL && connection->transient->input.len > HTTP_HEAD_BYTES_MAX &&
           (connection->state == CONNECTION_ANSWERS || connection_is_congested(connection));
}

static void proceed(struct connection *connection, struct bytes in, bool is_input) {
    size_t used = take_all(connection, in);
    keep_rest(connection, bytes_skip(in, used), is_input);
    if (connection->transient != NULL && connection->transient->input.len == 0)
        buf_finish(&connection->transient->input);
    connection_set_paused(connection, has_surplus(connection));
}

void http_on_received(struct connection *connection, struct bytes part) {
    struct transient *transient = connection_transient(connection);
    bool is_input = transient->input.len > 0;
    if (is_input)
        buf_append_bytes(&transient->input, part);
    proceed(connection, is_input ? buf_bytes(&transient->input) : part, is_input);
}

void http_on_received_early(struct connection *connection, struct bytes part) {
    connection_keep(connection, part);
    connection_set_paused(connection, has_surplus(connection));
}

void http_on_writable(struct connection *connection) {
    struct exchange *exchange = connection_exchange(connection);
    if (exchange != NULL && exchange->file >= 0 && exchange->is_answered)
        send_file_piece(exchange);
    struct transient *transient = connection->transient;
    if (connection->state == CONNECTION_RECEIVES && transient != NULL && transient->input.len > 0)
        proceed(connection, buf_bytes(&transient->input), true);
}

void http_on_closed(struct connection *connection) {
    struct exchange *exchange = connection_exchange(connection);
    if (exchange == NULL)
        return;
    if (exchange->on_gone != NULL)
        exchange->on_gone(exchange->on_gone_arg);
    exchange_free(exchange);
}

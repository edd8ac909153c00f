#include "gateway/public.h"

#include <stdlib.h>

#include "common/json.h"
#include "common/xalloc.h"
#include "gateway/core/channel.h"
#include "gateway/core/rates.h"
#include "gateway/core/session.h"
#include "gateway/subscribe.h"
#include "gateway/transport/http/static.h"
#include "gateway/transport/websocket.h"

/* Longer values of headers and keys are nobody's. */
enum { HEADER_BYTES_MAX = 1024 };

/* --- WebSockets ------------------------------------------------------------------------------ */

static enum error may_upgrade(const struct request *request, void *context) {
    return pages_admit(request, context);
}

static enum error may_upgrade_subscribe(const struct request *request, void *context) {
    enum error error = may_upgrade(request, context);
    return error == ERR_OK ? subscribe_may_upgrade(request, context) : error;
}

void public_on_websocket(struct connection *connection, void *context) {
    struct public_site *site = context;
    struct session_options options = {
        .transport = websocket_transport(connection),
        .carrier = connection,
        .client = rates_client(site->hub->rates, connection_address(connection)),
    };
    struct session *session = session_create(site->hub, &options);
    websocket_attach(connection, session);
    subscribe_on_websocket(connection, session);
}

/* --- Publishing ------------------------------------------------------------------------------ */

/* A publish that waits for the broker. */
struct publishing {
    struct exchange *exchange; /* NULL: the client has left. */
    struct buf headers;
};

static void on_publisher_gone(void *arg) {
    struct publishing *publishing = arg;
    publishing->exchange = NULL;
}

static void on_published(void *arg, enum error error, const struct position *id) {
    struct publishing *publishing = arg;
    struct buf body;
    buf_init(&body, 0);
    buf_append_text(&body, "{\"ok\":true");
    if (id != NULL) {
        buf_append_text(&body, ",\"id\":\"");
        position_append(id, &body);
        buf_append_char(&body, '"');
    }
    buf_append_text(&body, "}\n");
    if (publishing->exchange != NULL && error != ERR_OK)
        exchange_reply_error(publishing->exchange, error, publishing->headers.data);
    else if (publishing->exchange != NULL)
        exchange_reply(publishing->exchange, 200, "application/json", publishing->headers.data,
                       buf_bytes(&body));
    buf_finish(&body);
    buf_finish(&publishing->headers);
    free(publishing);
}

/* Whether the client may publish once more. By its address: a proxy's connection carries many clients' requests. */
static bool may_publish(struct exchange *exchange, struct public_site *site) {
    struct rates *rates = site->hub->rates;
    uint64_t now_ms = hub_now_ms(site->hub);
    uint64_t client = rates_client(rates, connection_address(exchange_request(exchange)->connection));
    bool may = token_bucket_take(rates_bucket(rates, client, RATE_PUBLISHES, now_ms),
                                 site->config->limits.publishes_per_second, now_ms);
    site->metrics->rate_limited += !may;
    return may;
}

static enum error check_channel(const struct request *request, const struct public_site *site) {
    struct buf channel;
    enum error error = ERR_OK;
    buf_init(&channel, 0);
    request_query(request, "channel", 0, &channel);
    if (!channel_name_is_valid(buf_bytes(&channel)))
        error = ERR_CHANNEL_INVALID;
    else if (!channel_namespace(site->config, buf_bytes(&channel))->client_publish)
        error = ERR_PUBLISH_FORBIDDEN;
    buf_finish(&channel);
    return error;
}

/* What may not be published need not be sent. */
static enum error may_begin_publish(const struct request *request, void *context) {
    enum error error = pages_admit(request, context);
    return error == ERR_OK && request->method == METHOD_POST ? check_channel(request, context) : error;
}

static enum error check_publish(struct exchange *exchange, struct public_site *site) {
    if (exchange_body(exchange).len > site->config->limits.message_bytes)
        return ERR_MESSAGE_TOO_LARGE;
    return may_publish(exchange, site) ? ERR_OK : ERR_RATE_LIMITED;
}

/* Text, JSON and bytes are what payloads are; what a form sends would arrive in an envelope nobody opens. */
static enum error check_content_type(const struct exchange *exchange) {
    struct buf type;
    enum error error = ERR_OK;
    buf_init(&type, HEADER_BYTES_MAX);
    request_field(exchange_request(exchange), FIELD_CONTENT_TYPE, &type);
    if (bytes_start_with(buf_bytes(&type), BYTES_LITERAL("multipart/")))
        error = ERR_MEDIA_TYPE;
    else if (bytes_start_with(buf_bytes(&type), BYTES_LITERAL("application/json")) &&
             !json_is_valid(exchange_body(exchange)))
        error = ERR_BODY_NOT_JSON;
    buf_finish(&type);
    return error;
}

static void publish(struct exchange *exchange, struct public_site *site, struct bytes headers) {
    struct publishing *publishing = xcalloc(1, sizeof *publishing);
    struct buf channel, key, priority;
    buf_init(&channel, 0);
    buf_init(&key, HEADER_BYTES_MAX);
    buf_init(&priority, HEADER_BYTES_MAX);
    buf_init(&publishing->headers, 0);
    buf_append_bytes(&publishing->headers, headers);
    publishing->exchange = exchange;
    request_query(exchange_request(exchange), "channel", 0, &channel);
    request_query(exchange_request(exchange), "idempotency_key", 0, &key);
    request_query(exchange_request(exchange), "priority", 0, &priority);
    enum error error = check_publish(exchange, site);
    if (error == ERR_OK)
        error = check_content_type(exchange);
    if (error != ERR_OK) {
        on_published(publishing, error, NULL);
    } else {
        struct publish_request request = {
            .channel = buf_bytes(&channel),
            .payload = exchange_body(exchange),
            .options = channel_namespace(site->config, buf_bytes(&channel)),
            .is_urgent = bytes_equal_text(buf_bytes(&priority), "high"),
            .idempotency_key = buf_bytes(&key),
        };
        exchange_set_on_gone(exchange, on_publisher_gone, publishing);
        hub_publish(site->hub, &request, on_published, publishing);
    }
    buf_finish(&channel);
    buf_finish(&key);
    buf_finish(&priority);
}

static void reply_preflight(struct exchange *exchange, struct bytes page_headers) {
    struct buf headers;
    buf_init(&headers, 0);
    buf_append_text(&headers, "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
                              "Access-Control-Allow-Headers: Authorization, Content-Type, Last-Event-ID\r\n"
                              "Access-Control-Max-Age: 3600\r\n");
    buf_append_bytes(&headers, page_headers);
    exchange_reply(exchange, 204, "", headers.data, BYTES_LITERAL(""));
    buf_finish(&headers);
}

/* What all that pages may ask has in common; `handle` gets the header lines of the answer, terminated. */
static void answer(struct exchange *exchange, struct public_site *site,
                   void (*handle)(struct exchange *exchange, struct public_site *site,
                                  struct bytes headers)) {
    struct buf headers;
    buf_init(&headers, 0);
    pages_append_headers(exchange_request(exchange), site, &headers);
    buf_append_char(&headers, '\0');
    if (exchange_request(exchange)->method == METHOD_OPTIONS)
        reply_preflight(exchange, buf_bytes(&headers));
    else
        handle(exchange, site, buf_bytes(&headers));
    buf_finish(&headers);
}

static void handle_publish(struct exchange *exchange, void *context) {
    answer(exchange, context, publish);
}

/* --- Everything else ------------------------------------------------------------------------- */

static void subscribe(struct exchange *exchange, struct public_site *site, struct bytes headers) {
    subscribe_handle(exchange, site, headers.data);
}

static void handle_subscribe(struct exchange *exchange, void *context) {
    answer(exchange, context, subscribe);
}

static void reply_unknown(struct exchange *exchange, struct public_site *site, struct bytes headers) {
    (void)site;
    exchange_reply_error(exchange, ERR_NOT_FOUND, headers.data);
}

static void handle_unknown(struct exchange *exchange, void *context) {
    answer(exchange, context, reply_unknown);
}

static void handle_file(struct exchange *exchange, void *context) {
    const struct public_site *site = context;
    static_serve(exchange, site->config->static_dir);
}

void public_append_refusal_headers(const struct request *request, void *context, struct buf *lines) {
    pages_append_headers(request, context, lines);
}

static enum error may_begin(const struct request *request, void *context) {
    return pages_admit(request, context);
}

static enum error may_begin_file(const struct request *request, void *context) {
    return pages_admit_host(request, context);
}

const struct route public_routes[] = {
    {.path = "/v1/ws", .may_upgrade = may_upgrade},
    {.path = "/v1/subscribe",
     .methods = METHOD_GET | METHOD_HEAD | METHOD_OPTIONS,
     .handle = handle_subscribe,
     .may_begin = may_begin,
     .may_upgrade = may_upgrade_subscribe},
    {.path = "/v1/publish",
     .methods = METHOD_POST | METHOD_OPTIONS,
     .handle = handle_publish,
     .may_begin = may_begin_publish},
    {.path = "/v1/*",
     .methods = METHOD_GET | METHOD_HEAD | METHOD_POST | METHOD_OPTIONS,
     .handle = handle_unknown,
     .may_begin = may_begin},
    {.path = "/*", .methods = METHOD_GET | METHOD_HEAD, .handle = handle_file, .may_begin = may_begin_file},
    {0},
};

#include "gateway/admin/admin.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "common/text.h"
#include "common/xalloc.h"

enum {
    HEADER_BYTES_MAX = 1024,
    CALL_BYTES_MAX = 32,
};

static const char no_cache[] = "Cache-Control: no-store\r\n";

/* --- Health, readiness, metrics -------------------------------------------------------------- */

static void handle_index(struct exchange *exchange, void *context) {
    const struct admin *admin = context;
    struct buf body;
    buf_init(&body, 0);
    buf_printf(&body,
               "fantail's admin port, for operators. Clients connect to the public one.\n\n"
               "/healthz   whether the process works\n"
               "/readyz    whether clients should be sent here, and why not\n"
               "/metrics   counters in Prometheus' text format\n"
               "/api/v1/   publish, broadcast, channels, clients, disconnect: %s\n",
               admin->api_key[0] != '\0' ? "with the key, as Authorization: Bearer KEY"
                                         : "off, as admin.api_key is not set");
    exchange_reply(exchange, 200, "text/plain; charset=utf-8", no_cache, buf_bytes(&body));
    buf_finish(&body);
}

static void handle_health(struct exchange *exchange, void *context) {
    (void)context;
    exchange_reply(exchange, 200, "application/json", no_cache, BYTES_LITERAL("{\"ok\":true}\n"));
}

static void handle_ready(struct exchange *exchange, void *context) {
    struct admin *admin = context;
    struct buf body;
    const char *why = admin->backend.why_not_ready(admin->backend.context);
    buf_init(&body, 0);
    buf_printf(&body, "{\"ready\":%s", why ? "false" : "true");
    if (why != NULL) {
        buf_append_text(&body, ",\"reason\":");
        buf_append_json_string(&body, bytes_of(why));
    }
    buf_append_text(&body, "}\n");
    exchange_reply(exchange, why ? 503 : 200, "application/json", no_cache, buf_bytes(&body));
    buf_finish(&body);
}

static void handle_metrics(struct exchange *exchange, void *context) {
    struct admin *admin = context;
    struct buf body;
    buf_init(&body, 0);
    admin->backend.print_metrics(admin->backend.context, &body);
    exchange_reply(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", no_cache, buf_bytes(&body));
    buf_finish(&body);
}

/* --- The API --------------------------------------------------------------------------------- */

/* Compares digests in constant time: neither the key's bytes nor its length show in how long it takes. */
static bool key_is(struct bytes given, const char *key) {
    unsigned char a[SHA256_DIGEST_LENGTH], b[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)given.data, given.len, a);
    SHA256((const unsigned char *)key, strlen(key), b);
    return CRYPTO_memcmp(a, b, sizeof a) == 0;
}

static bool is_authorized(const struct request *request, const char *key) {
    struct buf header;
    bool is_right = false;
    buf_init(&header, HEADER_BYTES_MAX);
    if (request_field(request, FIELD_AUTHORIZATION, &header)) {
        struct bytes value = buf_bytes(&header);
        is_right = value.len > 7 && text_equal_nocase(bytes_make(value.data, 7), "bearer ") &&
                   key_is(bytes_skip(value, 7), key);
    } else if (request_field(request, FIELD_X_API_KEY, &header)) {
        is_right = key_is(buf_bytes(&header), key);
    }
    buf_finish(&header);
    return is_right;
}

/* An API call whose reply is awaited. */
struct api_request {
    struct exchange *exchange; /* NULL: the client has left. */
};

static void on_gone(void *arg) {
    struct api_request *request = arg;
    request->exchange = NULL;
}

static int status_of(const char *code) {
    for (int error = 0; error < ERROR_COUNT; error++)
        if (code != NULL && strcmp(error_code((enum error)error), code) == 0)
            return error_http_status((enum error)error);
    return 200;
}

static void on_reply(void *arg, json_t *reply) {
    struct api_request *request = arg;
    if (request->exchange != NULL) {
        char *text = json_dumps(reply, JSON_COMPACT);
        struct buf body;
        buf_init(&body, 0);
        buf_printf(&body, "%s\n", text ? text : "{}");
        const json_t *code = json_object_get(json_object_get(reply, "error"), "code");
        exchange_reply(request->exchange, status_of(json_string_value(code)), "application/json", no_cache,
                       buf_bytes(&body));
        buf_finish(&body);
        free(text);
    }
    json_decref(reply);
    free(request);
}

/* A query as a JSON object, so that lists can be asked for with GET. */
static void append_query(const struct request *request, struct buf *out) {
    static const char *const names[] = {"prefix", "channel", "limit"};
    buf_append_char(out, '{');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf value;
        uint64_t number;
        buf_init(&value, HEADER_BYTES_MAX);
        if (request_query(request, names[i], 0, &value) && text_is_utf8(buf_bytes(&value))) {
            buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", names[i]);
            if (strcmp(names[i], "limit") == 0 && text_parse_u64(buf_bytes(&value), &number))
                buf_append_u64(out, number);
            else
                buf_append_json_string(out, buf_bytes(&value));
        }
        buf_finish(&value);
    }
    buf_append_char(out, '}');
}

/* Terminated; "" for what can be none. */
static void read_call(const struct request *request, char call[CALL_BYTES_MAX]) {
    struct bytes name = bytes_skip(request->path, strlen("/api/v1/"));
    snprintf(call, CALL_BYTES_MAX, "%.*s", name.len < CALL_BYTES_MAX ? (int)name.len : 0, name.data);
}

/* Who has no key gets no body into our memory. */
static enum error may_call(const struct request *request, void *context) {
    struct admin *admin = context;
    char call[CALL_BYTES_MAX];
    read_call(request, call);
    if (admin->api_key[0] == '\0')
        return ERR_API_DISABLED;
    if (!is_authorized(request, admin->api_key))
        return ERR_KEY_REQUIRED;
    return api_is_call(call) ? ERR_OK : ERR_NOT_FOUND;
}

static void handle_api(struct exchange *exchange, void *context) {
    struct admin *admin = context;
    const struct request *request = exchange_request(exchange);
    char call[CALL_BYTES_MAX];
    read_call(request, call);
    if (request->method != METHOD_POST && !api_is_read(call)) {
        exchange_reply_error(exchange, ERR_METHOD_NOT_ALLOWED, "Allow: POST\r\n");
        return;
    }
    struct api_request *waiting = xmalloc(sizeof *waiting);
    struct buf body;
    waiting->exchange = exchange;
    buf_init(&body, 0);
    if (request->method == METHOD_POST)
        buf_append_bytes(&body, exchange_body(exchange));
    else
        append_query(request, &body);
    exchange_set_on_gone(exchange, on_gone, waiting);
    admin->backend.call(admin->backend.context, call, buf_bytes(&body), on_reply, waiting);
    buf_finish(&body);
}

const struct route admin_routes[] = {
    {.path = "/", .methods = METHOD_GET | METHOD_HEAD, .handle = handle_index},
    {.path = "/healthz", .methods = METHOD_GET | METHOD_HEAD, .handle = handle_health},
    {.path = "/readyz", .methods = METHOD_GET | METHOD_HEAD, .handle = handle_ready},
    {.path = "/metrics", .methods = METHOD_GET | METHOD_HEAD, .handle = handle_metrics},
    {.path = "/api/v1/*", .methods = METHOD_GET | METHOD_POST, .handle = handle_api, .may_begin = may_call},
    {0},
};

/* Calls of the operators' API. The input's first line names the call, the second is its body, and the others are what
 * two clients have said before. */
#include <string.h>

#include "common/log.h"
#include "gateway/admin/api.h"
#include "gateway/broker/memory.h"
#include "gateway/core/session.h"
#include "gateway/forms.h"
#include "tests/fuzz/fuzz.h"

enum { CLIENTS = 2, LIST_BYTES_MAX = 2048, LIST_AROUND_BYTES = 64 };

static struct namespace_config open_namespace = {.name = (char *)"default", .client_publish = true};
static const struct config config = {
    .redis = {.linger_ms = 5000},
    .limits =
        {
            .channels_per_session = 128,
            .message_bytes = 65536,
            .outbox_bytes = 1 << 20,
            .outbox_messages = 10000,
            .outbox_total_bytes = 1 << 30,
        },
    .namespaces = &open_namespace,
    .namespace_count = 1,
};

static uint64_t now_ms(void *context) {
    (void)context;
    return 1000000;
}

static uint64_t wall_ms(void) {
    return 1763680000000;
}

static enum write_result discard(void *carrier, struct bytes bytes) {
    (void)carrier;
    (void)bytes;
    return WRITE_DONE;
}

static void on_close(void *carrier, enum close_reason reason) {
    (void)carrier;
    (void)reason;
}

static void describe_peer(void *carrier, struct buf *out) {
    (void)carrier;
    buf_append_text(out, "192.0.2.1:1234");
}

static const struct transport transport = {
    .name = "websocket",
    .form = &native_websocket_form,
    .write = discard,
    .close = on_close,
    .describe_peer = describe_peer,
};

static struct bytes next_line(struct bytes *rest) {
    const char *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    struct bytes line = bytes_make(rest->data, len);
    *rest = bytes_skip(*rest, end ? len + 1 : len);
    return line;
}

/* A reply is an object that can be written as JSON, a list in it as long as it may be and says so. */
static void on_done(void *arg, json_t *reply) {
    unsigned *replies = arg;
    char *text = json_dumps(reply, JSON_COMPACT);
    const json_t *count = json_object_get(reply, "count");
    const json_t *entries = json_object_get(reply, "clients");
    FUZZ_CHECK(json_is_object(reply) && text != NULL);
    FUZZ_CHECK(count == NULL || strlen(text) <= LIST_BYTES_MAX + LIST_AROUND_BYTES);
    FUZZ_CHECK(entries == NULL || json_is_true(json_object_get(reply, "truncated")) ||
               (json_int_t)json_array_size(entries) == json_integer_value(count));
    free(text);
    json_decref(reply);
    ++*replies;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes rest = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    struct bytes name = next_line(&rest), body = next_line(&rest);
    struct metrics metrics = {0};
    struct wheel wheel;
    struct session *sessions[CLIENTS];
    unsigned replies = 0;
    wheel_init(&wheel, 1000000);
    struct hub_options options = {
        .config = &config,
        .metrics = &metrics,
        .wheel = &wheel,
        .node = BYTES_LITERAL("n1"),
        .now_ms = now_ms,
        .wall_ms = wall_ms,
    };
    struct hub *hub = hub_create(&options);
    struct broker *broker = memory_broker_create(&hub_broker_events, hub);
    hub_set_broker(hub, broker);
    for (int i = 0; i < CLIENTS; i++)
        sessions[i] = session_create(hub, &(struct session_options){.transport = &transport});
    for (unsigned i = 0; rest.len > 0; i++)
        session_receive(sessions[i % CLIENTS], next_line(&rest));
    char *call = strndup(name.data, name.len);
    api_call(hub, call, body, LIST_BYTES_MAX, on_done, &replies);
    FUZZ_CHECK(replies == 1);
    free(call);
    for (int i = 0; i < CLIENTS; i++)
        session_on_closed(sessions[i], CLOSE_PEER);
    while (hub_end_turn(hub))
        ;
    hub_destroy(hub);
    memory_broker_destroy(broker);
    return 0;
}

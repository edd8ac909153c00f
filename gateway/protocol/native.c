#include "gateway/protocol/native.h"

#include <inttypes.h>
#include <openssl/evp.h>

#include "common/json.h"
#include "common/text.h"

enum {
    IDEMPOTENCY_KEY_BYTES_MAX = 255,
    HISTORY_DEFAULT = 100, /* Messages that "history" brings when it does not say how many. */
};

/* Integers beyond 64 bits and "\u0000" are valid JSON; jansson takes them only when told to. */
enum { VALUE_FLAGS = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY };

/* The members of the last command: what the command borrows from. */
static json_t *current;

/* What a base64 payload decodes to, for the same time. */
static struct buf decoded = {.max = SIZE_MAX};

static void append_json(struct bytes json, struct buf *out) {
    size_t start = out->len;
    buf_append_bytes(out, json);
    for (size_t i = start; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
}

void native_append_payload(struct bytes payload, struct buf *out) {
    if (json_is_valid(payload)) {
        buf_append_text(out, "\"data\":");
        append_json(payload, out);
    } else if (text_is_utf8(payload)) {
        buf_append_text(out, "\"data\":");
        buf_append_json_string(out, payload);
    } else {
        buf_append_text(out, "\"base64\":\"");
        char *room = buf_reserve(out, (payload.len + 2) / 3 * 4 + 1);
        if (room == NULL)
            return;
        out->len += (size_t)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)payload.data,
                                            (int)payload.len);
        buf_append_char(out, '"');
    }
}

static void append_position(const char *name, const struct position *position, struct buf *out) {
    buf_append_text(out, name);
    position_append(position, out);
    buf_append_char(out, '"');
}

static void encode_message(const struct message *message, struct buf *out) {
    buf_append_text(out, "{\"channel\":");
    buf_append_json_string(out, message_channel(message));
    if (message->has_id)
        append_position(",\"id\":\"", &message->id, out);
    buf_append_char(out, ',');
    native_append_payload(message_payload(message), out);
    buf_append_char(out, '}');
}

static void append_string(struct buf *out, const char *name, struct bytes value) {
    buf_append_text(out, name);
    buf_append_json_string(out, value);
}

/* Where the channel is, whether the client has missed nothing, and the messages it asked for. */
static void append_recovery(const struct event *event, struct buf *out) {
    if (event->has_position)
        append_position(",\"position\":\"", &event->position, out);
    if (event->has_recovered)
        buf_append_text(out, event->recovered ? ",\"recovered\":true" : ",\"recovered\":false");
    if (event->kind != EVENT_HISTORY)
        return;
    buf_append_text(out, ",\"messages\":[");
    buf_append_bytes(out, event->messages);
    buf_append_char(out, ']');
}

static void encode_event(const struct event *event, struct buf *out) {
    if (event->kind == EVENT_GAP) {
        append_string(out, "{\"event\":\"gap\",\"channel\":", event->channel);
        if (event->has_position)
            append_position(",\"position\":\"", &event->position, out);
        buf_append_char(out, '}');
        return;
    }
    if (event->kind == EVENT_DRAIN) {
        buf_printf(out, "{\"event\":\"drain\",\"retry_ms\":%" PRIu32 "}", event->retry_ms);
        return;
    }
    buf_append_char(out, '{');
    if (event->has_ref)
        buf_printf(out, "\"ref\":%" PRId64 ",", event->ref);
    if (event->kind == EVENT_ERROR) {
        append_string(out, "\"error\":{\"code\":", bytes_of(error_code(event->error)));
        append_string(out, ",\"message\":", bytes_of(error_text(event->error)));
        buf_append_text(out, error_may_pass(event->error) ? ",\"retry\":true}}" : "}}");
        return;
    }
    buf_append_text(out, "\"ok\":true");
    if (event->kind == EVENT_CONNECTED) {
        append_string(out, ",\"session\":", event->session);
        append_string(out, ",\"node\":", event->node);
        append_string(out, ",\"version\":", bytes_of(FANTAIL_VERSION));
        buf_printf(out, ",\"ping_seconds\":%" PRIu32, event->ping_seconds);
    } else if (event->kind == EVENT_SUBSCRIBED || event->kind == EVENT_UNSUBSCRIBED ||
               event->kind == EVENT_HISTORY) {
        append_string(out, ",\"channel\":", event->channel);
        append_recovery(event, out);
    } else if (event->kind == EVENT_PUBLISHED && event->has_id) {
        append_position(",\"id\":\"", &event->id, out);
    }
    buf_append_char(out, '}');
}

static struct bytes string_of(const json_t *value) {
    return bytes_make(json_string_value(value), json_string_length(value));
}

static struct bytes string_member(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? string_of(value) : BYTES_LITERAL("");
}

bool native_decode_base64(struct bytes text, struct buf *out) {
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.data[text.len - 1 - padding] == '=')
        padding++;
    if (text.len % 4 != 0 || memchr(text.data, '=', text.len - padding) != NULL)
        return false;
    unsigned char *room = (unsigned char *)buf_reserve(out, text.len / 4 * 3 + 1);
    int len = room ? EVP_DecodeBlock(room, (const unsigned char *)text.data, (int)text.len) : -1;
    if (len < (int)padding)
        return false;
    out->len += (size_t)len - padding;
    return true;
}

static json_t *value_of(struct bytes text) {
    json_t *value = json_loadb(text.data, text.len, VALUE_FLAGS, NULL);
    return value != NULL ? value : json_null();
}

struct native_object native_read_object(struct bytes text) {
    struct native_object object = {.members = json_object()};
    struct bytes name, value;
    for (size_t at = 0; json_next_member(text, &at, &name, &value);) {
        json_t *key = value_of(name); /* A name with half a character is none of ours. */
        if (json_is_string(key) && bytes_equal_text(string_of(key), "data"))
            object.data = value;
        else if (json_is_string(key))
            json_object_setn_new_nocheck(object.members, json_string_value(key), json_string_length(key),
                                         value_of(value));
        json_decref(key);
    }
    object.len = text.len > 0 && text.data[0] == '{' ? json_value_len(text) : 0;
    return object;
}

static enum error read_payload(struct bytes data, struct command *out) {
    const json_t *base64 = json_object_get(current, "base64");
    out->payload = data;
    if (base64 == NULL)
        return data.len > 0 ? ERR_OK : ERR_BAD_REQUEST;
    buf_clear(&decoded);
    if (!json_is_string(base64) || !native_decode_base64(string_member(current, "base64"), &decoded))
        return ERR_BAD_REQUEST;
    out->payload = buf_bytes(&decoded);
    return ERR_OK;
}

/* "since":"EPOCH-OFFSET" or "last":COUNT. */
static enum error read_start(struct start *start) {
    const json_t *since = json_object_get(current, "since");
    const json_t *last = json_object_get(current, "last");
    if (since != NULL) {
        start->kind = START_SINCE;
        return position_parse(string_member(current, "since"), &start->since) ? ERR_OK : ERR_POSITION_INVALID;
    }
    if (last != NULL) {
        double count = json_number_value(last);
        if (!json_is_number(last) || count < 0 || count > UINT32_MAX)
            return ERR_BAD_REQUEST;
        start->kind = START_LAST;
        start->last = (uint32_t)count;
    }
    return ERR_OK;
}

static enum error read_publish(struct bytes data, struct command *out) {
    out->is_urgent = bytes_equal_text(string_member(current, "priority"), "high");
    out->idempotency_key = string_member(current, "idempotency_key");
    /* Without its key a repeated publish would be a second message. */
    bool has_bad_key = json_object_get(current, "idempotency_key") != NULL && out->idempotency_key.len == 0;
    if (has_bad_key || out->idempotency_key.len > IDEMPOTENCY_KEY_BYTES_MAX)
        return ERR_BAD_REQUEST;
    return read_payload(data, out);
}

/* Beyond 2^53 a double, and so a JavaScript number, no longer tells neighbours apart. */
static bool read_ref(struct command *out) {
    const json_t *ref = json_object_get(current, "ref");
    double value = json_number_value(ref);
    if (ref == NULL)
        return true;
    if (!json_is_number(ref) || value < 0 || value > 9007199254740992.0 || value != (double)(int64_t)value)
        return false;
    out->has_ref = true;
    out->ref = (int64_t)value;
    return true;
}

static enum error read_command(struct bytes data, struct command *out) {
    static const struct {
        const char *op;
        enum command_kind kind;
    } ops[] = {
        {"connect", COMMAND_CONNECT}, {"subscribe", COMMAND_SUBSCRIBE}, {"unsubscribe", COMMAND_UNSUBSCRIBE},
        {"publish", COMMAND_PUBLISH}, {"ping", COMMAND_PING},           {"pong", COMMAND_PONG},
        {"history", COMMAND_HISTORY},
    };
    struct bytes op = string_member(current, "op");
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (!bytes_equal_text(op, ops[i].op))
            continue;
        out->kind = ops[i].kind;
        out->channel = string_member(current, "channel");
        out->visible_ping = json_is_true(json_object_get(current, "ping"));
        const json_t *token = json_object_get(current, "token");
        out->has_token = token != NULL && !json_is_null(token);
        if (out->kind == COMMAND_PUBLISH)
            return read_publish(data, out);
        enum error error = read_start(&out->start);
        if (out->kind == COMMAND_HISTORY && out->start.kind == START_LIVE)
            out->start = (struct start){.kind = START_LAST, .last = HISTORY_DEFAULT};
        return error;
    }
    return ERR_UNKNOWN_OP;
}

static enum error decode(struct bytes in, size_t *used, struct command *out) {
    struct bytes text = json_skip_space(in);
    size_t start = in.len - text.len;
    if (text.len == 0) {
        *used = in.len;
        return ERR_MORE;
    }
    struct native_object object = native_read_object(text);
    json_decref(current);
    current = object.members;
    bool has_good_ref = read_ref(out);
    if (object.len == 0) {
        const char *end = memchr(text.data, '\n', text.len);
        *used = end ? (size_t)(end - in.data) + 1 : in.len;
        return ERR_BAD_JSON;
    }
    *used = start + object.len;
    return has_good_ref ? read_command(object.data, out) : ERR_BAD_REQUEST;
}

const struct protocol native_protocol = {
    .name = "fantail.v1",
    .decode = decode,
    .encode_event = encode_event,
    .encode_message = encode_message,
};

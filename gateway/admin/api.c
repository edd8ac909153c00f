#include "gateway/admin/api.h"

#include <stdlib.h>

#include "common/json.h"
#include "common/xalloc.h"
#include "gateway/core/channel.h"
#include "gateway/core/session.h"
#include "gateway/protocol/native.h"

enum {
    LIST_DEFAULT = 1000, /* Entries of a list, per worker, unless `limit` says otherwise. */
    LIST_MAX = 100000,
    /* Channels of one broadcast: all are on their way to the broker at once. */
    BROADCAST_MAX = 100000,
    /* What an entry of a list takes besides its names, at most. */
    ENTRY_BYTES = 512,
};

/* One call under way. */
struct call {
    struct hub *hub;
    const json_t *body;
    struct bytes data; /* Of the body, as it was written. */
    size_t list_bytes_max;
    api_done *on_done;
    void *arg;
};

json_t *api_error(enum error error) {
    return json_pack("{s:{s:s,s:s}}", "error", "code", error_code(error), "message", error_text(error));
}

static json_t *text_of(struct bytes bytes) {
    return json_stringn_nocheck(bytes.data, bytes.len);
}

static struct bytes string_member(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? bytes_make(json_string_value(value), json_string_length(value))
                                 : BYTES_LITERAL("");
}

/* --- publish, broadcast ---------------------------------------------------------------------- */

/* Publishes to several channels, answered when the last one is. */
struct publishing {
    api_done *on_done;
    void *arg;
    size_t waiting;
    size_t published;
    bool is_single; /* The failure of the one publish is the failure of the call. */
    json_t *errors; /* Channel -> code. */
    enum error error;
};

struct publish {
    struct publishing *publishing;
    char *channel;
};

static void finish_publishing(struct publishing *publishing) {
    json_t *reply;
    if (--publishing->waiting > 0)
        return;
    if (publishing->is_single && publishing->error != ERR_OK)
        reply = api_error(publishing->error);
    else if (publishing->is_single)
        reply = json_pack("{s:b}", "ok", 1);
    else
        reply = json_pack("{s:b,s:I,s:O}", "ok", publishing->error == ERR_OK, "published",
                          (json_int_t)publishing->published, "errors", publishing->errors);
    publishing->on_done(publishing->arg, reply);
    json_decref(publishing->errors);
    free(publishing);
}

static void on_published(void *arg, enum error error, const struct position *id) {
    struct publish *publish = arg;
    struct publishing *publishing = publish->publishing;
    (void)id;
    if (error == ERR_OK) {
        publishing->published++;
    } else {
        publishing->error = error;
        json_object_set_new_nocheck(publishing->errors, publish->channel, json_string(error_code(error)));
    }
    free(publish->channel);
    free(publish);
    finish_publishing(publishing);
}

static enum error read_payload(const struct call *call, struct bytes *payload, struct buf *decoded) {
    const json_t *base64 = json_object_get(call->body, "base64");
    *payload = call->data;
    if (base64 == NULL)
        return payload->len > 0 ? ERR_OK : ERR_BAD_REQUEST;
    if (!json_is_string(base64) || !native_decode_base64(string_member(call->body, "base64"), decoded))
        return ERR_BAD_REQUEST;
    *payload = buf_bytes(decoded);
    return ERR_OK;
}

static void publish_to(struct call *call, struct publishing *publishing, struct bytes channel,
                       struct bytes payload) {
    struct publish_request request = {
        .channel = channel,
        .payload = payload,
        .options = channel_namespace(call->hub->options.config, channel),
        .is_urgent = bytes_equal_text(string_member(call->body, "priority"), "high"),
        .idempotency_key = string_member(call->body, "idempotency_key"),
    };
    struct publish *publish = xmalloc(sizeof *publish);
    *publish = (struct publish){publishing, xstrndup(channel.data, channel.len)};
    publishing->waiting++;
    if (channel_name_is_valid(channel))
        hub_publish(call->hub, &request, on_published, publish);
    else
        on_published(publish, ERR_CHANNEL_INVALID, NULL);
}

static void publish_all(struct call *call, bool is_single) {
    struct bytes payload = {0};
    struct buf decoded;
    json_t *channel;
    size_t i;
    buf_init(&decoded, 0);
    enum error error = read_payload(call, &payload, &decoded);
    const json_t *channels = json_object_get(call->body, "channels");
    if (error == ERR_OK && !is_single &&
        (!json_is_array(channels) || json_array_size(channels) > BROADCAST_MAX))
        error = ERR_BAD_REQUEST;
    if (error == ERR_OK && payload.len > call->hub->options.config->limits.message_bytes)
        error = ERR_MESSAGE_TOO_LARGE;
    if (error != ERR_OK) {
        buf_finish(&decoded);
        call->on_done(call->arg, api_error(error));
        return;
    }
    struct publishing *publishing = xcalloc(1, sizeof *publishing);
    publishing->on_done = call->on_done;
    publishing->arg = call->arg;
    publishing->is_single = is_single;
    publishing->errors = json_object();
    publishing->waiting = 1; /* This function's, so that it cannot end before all are on their way. */
    if (is_single) {
        publish_to(call, publishing, string_member(call->body, "channel"), payload);
    } else {
        json_array_foreach(channels, i, channel) {
            struct bytes name = json_is_string(channel)
                                    ? bytes_make(json_string_value(channel), json_string_length(channel))
                                    : BYTES_LITERAL("");
            publish_to(call, publishing, name, payload);
        }
    }
    buf_finish(&decoded);
    finish_publishing(publishing);
}

static void publish(struct call *call) {
    publish_all(call, true);
}

static void broadcast(struct call *call) {
    publish_all(call, false);
}

/* --- channels, clients, disconnect ----------------------------------------------------------- */

/* A list as it grows, bounded in entries and, as clients choose what their channels are called, in bytes. */
struct listing {
    json_t *entries;
    json_int_t count; /* Of all there are. */
    size_t left;
    size_t bytes_left;
    bool is_truncated;
};

static struct listing begin_listing(const struct call *call, json_t *entries) {
    double limit = json_number_value(json_object_get(call->body, "limit"));
    size_t left = limit < 1 ? LIST_DEFAULT : limit > LIST_MAX ? LIST_MAX : (size_t)limit;
    return (struct listing){.entries = entries, .left = left, .bytes_left = call->list_bytes_max};
}

static bool has_room(struct listing *listing, size_t bytes) {
    listing->is_truncated = listing->is_truncated || bytes > listing->bytes_left;
    if (!listing->is_truncated)
        listing->bytes_left -= bytes;
    return !listing->is_truncated;
}

/* Room for a channel's name, in which each byte may be escaped. */
static bool has_room_for_name(struct listing *listing, const struct channel *channel) {
    return has_room(listing, 2 * (size_t)channel->name_len + sizeof "\"\",");
}

/* Counts one more, and returns whether it is to be listed. */
static bool count_entry(struct listing *listing) {
    listing->count++;
    listing->is_truncated = listing->is_truncated || listing->left == 0;
    listing->left -= listing->left > 0;
    return has_room(listing, ENTRY_BYTES);
}

static void end_listing(const struct call *call, const struct listing *listing, const char *name) {
    call->on_done(call->arg, json_pack("{s:o,s:I,s:b}", name, listing->entries, "count", listing->count,
                                       "truncated", listing->is_truncated));
}

static void list_channels(struct call *call) {
    struct bytes prefix = string_member(call->body, "prefix");
    struct listing listing = begin_listing(call, json_object());
    for (struct channel *channel = call->hub->channels; channel != NULL; channel = channel->hh.next) {
        if (channel->subscriber_count > 0 && bytes_start_with(channel_name(channel), prefix) &&
            count_entry(&listing) && has_room_for_name(&listing, channel))
            json_object_setn_new(listing.entries, channel->name, channel->name_len,
                                 json_pack("{s:I}", "subscribers", (json_int_t)channel->subscriber_count));
    }
    end_listing(call, &listing, "channels");
}

static json_t *describe(const struct session *session, struct listing *listing) {
    struct buf id, peer;
    json_t *channels = json_array();
    buf_init(&id, 0);
    buf_init(&peer, 0);
    session_print_id(session, &id);
    session->transport->describe_peer(session->carrier, &peer);
    for (const struct subscription *each = session->subscriptions; each != NULL; each = each->next)
        if (has_room_for_name(listing, each->channel))
            json_array_append_new(channels, text_of(channel_name(each->channel)));
    json_t *client = json_pack("{s:o,s:o,s:s,s:s,s:o,s:I}", "session", text_of(buf_bytes(&id)), "address",
                               text_of(buf_bytes(&peer)), "transport", session->transport->name, "protocol",
                               session_protocol(session)->name, "channels", channels, "outbox_bytes",
                               (json_int_t)(session->outbox ? session->outbox->bytes : 0));
    buf_finish(&id);
    buf_finish(&peer);
    return client;
}

static void list_client(struct listing *listing, const struct session *session) {
    if (session_is_open(session) && count_entry(listing))
        json_array_append_new(listing->entries, describe(session, listing));
}

static void list_clients(struct call *call) {
    struct bytes name = string_member(call->body, "channel");
    const struct channel *channel = name.len > 0 ? hub_find_channel(call->hub, name) : NULL;
    struct listing listing = begin_listing(call, json_array());
    for (uint32_t i = 0; channel != NULL && i < channel->subscriber_count; i++)
        list_client(&listing, channel->subscribers[i]->session);
    if (name.len == 0)
        list_each (node, &call->hub->sessions)
            list_client(&listing, session_of_link(node));
    end_listing(call, &listing, "clients");
}

static void disconnect(struct call *call) {
    struct bytes wanted = string_member(call->body, "session");
    bool may_reconnect = !json_is_false(json_object_get(call->body, "reconnect"));
    json_int_t count = 0;
    struct buf id;
    buf_init(&id, 0);
    list_each (node, &call->hub->sessions) {
        struct session *session = session_of_link(node);
        buf_clear(&id);
        session_print_id(session, &id);
        if (session_is_open(session) && bytes_equal(buf_bytes(&id), wanted)) {
            session_close(session, may_reconnect ? CLOSE_OPERATOR : CLOSE_BANISHED);
            count++;
        }
    }
    buf_finish(&id);
    call->on_done(call->arg, json_pack("{s:I}", "disconnected", count));
}

/* --- Calls ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool asks_all;
    bool is_read; /* Changes nothing, so it may be asked with GET. */
    void (*run)(struct call *call);
} calls[] = {
    {"publish", false, false, publish},      {"broadcast", false, false, broadcast},
    {"channels", true, true, list_channels}, {"clients", true, true, list_clients},
    {"disconnect", true, false, disconnect},
};

enum { CALL_COUNT = sizeof calls / sizeof *calls };

static size_t find(const char *name) {
    size_t i = 0;
    while (i < CALL_COUNT && strcmp(calls[i].name, name) != 0)
        i++;
    return i;
}

bool api_is_call(const char *call) {
    return find(call) < CALL_COUNT;
}

bool api_asks_all(const char *call) {
    return api_is_call(call) && calls[find(call)].asks_all;
}

bool api_is_read(const char *call) {
    return api_is_call(call) && calls[find(call)].is_read;
}

void api_call(struct hub *hub, const char *name, struct bytes body, size_t list_bytes_max, api_done *on_done,
              void *arg) {
    struct native_object object = native_read_object(json_skip_space(body));
    struct call call = {
        .hub = hub,
        .body = object.members,
        .data = object.data,
        .list_bytes_max = list_bytes_max,
        .on_done = on_done,
        .arg = arg,
    };
    if (!api_is_call(name))
        on_done(arg, api_error(ERR_NOT_FOUND));
    else if (object.len == 0 || !json_is_valid(body))
        on_done(arg, api_error(ERR_BAD_JSON));
    else
        calls[find(name)].run(&call);
    json_decref(object.members);
}

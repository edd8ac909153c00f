#include "gateway/config/settings.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

enum { RESTART = false, RELOAD = true };

static const char *const broker_names[] = {[BROKER_MEMORY] = "memory", [BROKER_REDIS] = "redis", NULL};
static const char *const compression_names[] = {
    [COMPRESSION_AUTO] = "auto",
    [COMPRESSION_ON] = "on",
    [COMPRESSION_OFF] = "off",
    NULL,
};
static const char *const slow_consumer_names[] = {
    [SLOW_DISCONNECT] = "disconnect",
    [SLOW_DROP_OLDEST] = "drop_oldest",
    [SLOW_CONFLATE] = "conflate",
    NULL,
};
static const char *const log_level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
    NULL,
};
static const char *const log_format_names[] = {[LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json", NULL};

/* 0, where the path of a member fits into the name of a variable. */
#define FITS(member)                                                                                         \
    (0 * sizeof(struct {                                                                                     \
         static_assert(sizeof("FANTAIL_" #member) <= ENVIRONMENT_NAME_BYTES, "the name is too long");        \
         char unused;                                                                                        \
     }))

#define MEMBER(member, kind, when, explanation)                                                              \
    .path = &#member[FITS(member)], .type = &setting_##kind, .offset = offsetof(struct BASE, member),        \
    .size = sizeof(((struct BASE *)0)->member), .reloadable = (when), .help = (explanation)

#define NUMBER(member, low, high, fallback, when, explanation)                                               \
    { .min = (low), .max = (high), .number = (fallback), MEMBER(member, number, when, explanation) }
#define BOOLEAN(member, fallback, when, explanation)                                                         \
    { .number = (fallback), MEMBER(member, boolean, when, explanation) }
#define CHOICE(member, names, fallback, when, explanation)                                                   \
    { .choices = (names), .number = (fallback), MEMBER(member, choice, when, explanation) }
#define TEXT(member, low, high, fallback, checked_by, when, explanation)                                     \
    {                                                                                                        \
        .min = (low), .max = (high), .text = (fallback), .check = (checked_by),                              \
        MEMBER(member, text, when, explanation)                                                              \
    }
#define SECRET_TEXT(member, low, high, fallback, checked_by, when, explanation)                              \
    {                                                                                                        \
        .secret = true, .min = (low), .max = (high), .text = (fallback), .check = (checked_by),              \
        MEMBER(member, text, when, explanation)                                                              \
    }
/* What follows the explanation is said of each item. */
#define ITEM(member, ...) (&(const struct setting){.size = sizeof(*((struct BASE *)0)->member), __VA_ARGS__})
#define LIST(member, count, when, explanation, ...)                                                          \
    {                                                                                                        \
        .count_offset = offsetof(struct BASE, count), .item = ITEM(member, __VA_ARGS__),                     \
        MEMBER(member, list, when, explanation)                                                              \
    }

/* Upper bounds are there to catch a slipped digit or a wrong unit, not to tell anybody what is enough. */
#define BASE config
static const struct setting config_items[] = {
    NUMBER(workers, 0, WORKERS_MAX, 0, RESTART,
           "Worker processes. 0: one per CPU; with the memory broker always one."),
    NUMBER(worker_timeout_seconds, 0, 3600, 10, RESTART,
           "A worker process that gives no sign of life for so long is killed, and another started. 0: "
           "never; for "
           "debuggers."),
    TEXT(node, 0, 63, "", check_node_name, RESTART,
         "Name of this node in replies, metrics and logs. Empty: the host name."),
    CHOICE(broker, broker_names, BROKER_REDIS, RESTART,
           "How nodes hear each other: \"redis\", or \"memory\" for one process alone."),
    NUMBER(drain_seconds, 0, 3600, 10, RESTART,
           "A node that stops sends its clients away over this time, so that they do not come back all at "
           "once."),

    TEXT(listen.address, 1, 45, "0.0.0.0", check_listen_address, RESTART,
         "Where clients connect. \"::\" takes IPv6 and IPv4."),
    NUMBER(listen.port, 1, 65535, 8000, RESTART, "Where clients connect."),
    BOOLEAN(listen.proxy_protocol, false, RESTART,
            "Connections from trusted_proxies begin with a PROXY protocol header, version 1 or 2."),

    TEXT(admin.address, 1, 45, "127.0.0.1", check_listen_address, RESTART,
         "Where health, readiness, metrics and the API are. Keep it off the public network."),
    NUMBER(admin.port, 1, 65535, 8001, RESTART,
           "Where health, readiness, metrics and the API are; GET / there lists them."),
    SECRET_TEXT(admin.api_key, 0, 512, "", check_api_key, RESTART,
                "The key that requests to the API carry, at least 16 bytes. Empty: no API."),

    SECRET_TEXT(redis.url, 1, 1024, "redis://127.0.0.1:6379/0", check_redis_url, RESTART,
                "redis://[[user]:password@]host[:port][/database] or unix:///path/to/socket[?db=database]."),
    TEXT(redis.prefix, 0, 128, "", check_redis_prefix, RESTART,
         "Stands before every channel name in Redis. Publishers use it too. Set it where other programs "
         "publish "
         "through the same Redis, or clients can hear them."),
    NUMBER(redis.linger_ms, 0, 600000, 5000, RESTART,
           "A channel whose last subscriber left stays subscribed at Redis for so long."),
    NUMBER(redis.probe_ms, 100, 60000, 1000, RESTART,
           "How often a message is sent through Redis and back, to know that the link carries messages."),
    NUMBER(redis.probe_timeout_ms, 200, 300000, 2500, RESTART,
           "Without such a round trip for so long the link counts as lost. More than redis.probe_ms."),

    NUMBER(ping.interval_seconds, 0, 3600, 25, RESTART,
           "How often a client is pinged. Stay below the idle timeout of proxies in between. 0: never."),
    NUMBER(ping.timeout_seconds, 1, 3600, 10, RESTART,
           "A client that does not answer a ping for so long is disconnected."),

    CHOICE(
        websocket.compression, compression_names, COMPRESSION_AUTO, RELOAD,
        "Whether messages are compressed for WebSocket clients that offer permessage-deflate, once for all "
        "of "
        "them: \"on\", \"off\", or \"auto\", which is on. Counts for new connections."),
    NUMBER(websocket.compression_min_bytes, 0, 64 << 20, 256, RELOAD,
           "Smaller messages are sent as they are."),

    CHOICE(log.level, log_level_names, LOG_LEVEL_INFO, RELOAD,
           "What is logged: this level and what is graver."),
    CHOICE(log.format, log_format_names, LOG_FORMAT_TEXT, RESTART,
           "One line of text, or one JSON object, per event."),

    NUMBER(limits.connections, 1, 10000000, 100000, RELOAD, "Clients per worker process."),
    NUMBER(limits.connections_per_ip, 0, 10000000, 0, RELOAD,
           "Clients of one address per worker process, trusted_proxies excepted. 0: no limit."),
    NUMBER(limits.accepts_per_second, 0, 1000000, 0, RELOAD,
           "New connections per second and worker process; more are turned away. 0: no limit."),
    NUMBER(limits.channels_per_session, 1, 65535, 128, RELOAD, "Channels one client may be subscribed to."),
    NUMBER(limits.message_bytes, 1, 64 << 20, 65536, RELOAD, "The largest message a client may publish."),
    NUMBER(limits.outbox_bytes, 1024, 1ull << 40, 1 << 20, RELOAD,
           "What may wait for one client that reads slowly; beyond it its namespace's slow_consumer acts."),
    NUMBER(limits.outbox_messages, 1, 10000000, 10000, RELOAD, "The same, in messages."),
    NUMBER(limits.outbox_total_bytes, 1024, 1ull << 50, 1 << 30, RELOAD,
           "What may wait for all clients of a worker process together."),
    NUMBER(limits.handshake_seconds, 1, 600, 10, RELOAD,
           "How long a request may take to arrive, from its first byte on."),
    NUMBER(limits.keepalive_seconds, 1, 3600, 75, RELOAD,
           "How long a connection may wait for its next request. Longer than the idle timeout of the load "
           "balancer, often 60 s, or it sends requests into connections that are just closed."),
    NUMBER(limits.idle_seconds, 0, 604800, 0, RELOAD,
           "A client that sends nothing for so long is disconnected. 0: it may stay."),
    NUMBER(limits.commands_per_second, 0, 100000, 100, RELOAD,
           "What a client may ask per second, on average over ten seconds: each command but publish counts "
           "one, a ping a "
           "fiftieth, and 64 messages or 16 KiB that are replayed one more. An address may have as much "
           "replayed as ten "
           "clients. 0: no limit."),
    NUMBER(limits.publishes_per_second, 0, 1000000, 0, RELOAD,
           "Publishes per client: per session, over HTTP per address (IPv6: per /64). 0: no limit."),

    TEXT(static_dir, 0, 4095, "", NULL, RESTART,
         "A directory served at \"/\": the demo pages and fantail.js, or your own. Empty: none."),
    LIST(origins, origin_count, RELOAD,
         "Pages that may connect, besides those that this host serves: \"https://example.com\", "
         "\"https://*.example.com\" for its subdomains, or \"*\" for all, without credentials.",
         .type = &setting_text, .check = check_origin),
    LIST(hosts, host_count, RELOAD,
         "Names under which the gateway answers: \"chat.example.com\", \"*.example.com\" or an address, "
         "without a port. Others are refused, which ends DNS rebinding. Empty: any name.",
         .type = &setting_text, .check = check_host),
    LIST(trusted_proxies, trusted_proxy_count, RESTART,
         "Addresses and networks, e.g. \"10.0.0.0/8\", whose X-Forwarded-For and PROXY headers are believed.",
         .type = &setting_network),
    LIST(namespaces, namespace_count, RELOAD,
         "Options of the channels whose name begins with the namespace's name and a colon. Channels of no "
         "namespace take those of \"default\".",
         .type = &setting_group, .settings = &namespace_settings),
};
#undef BASE

#define BASE namespace_config
static const struct setting namespace_items[] = {
    TEXT(name, 1, 254, "default", check_namespace_name, RELOAD,
         "What stands before the first ':' of the channels."),
    BOOLEAN(client_publish, false, RELOAD, "Whether clients may publish."),
    NUMBER(history_size, 0, 1000000, 0, RELOAD,
           "Messages kept per channel, for clients that come back. 0: no history."),
    NUMBER(history_ttl_seconds, 0, 31536000, 0, RELOAD,
           "How long a message is kept. Goes with history_size."),
    NUMBER(
        position_ttl_seconds, 1, 315360000, 604800, RELOAD,
        "How long a channel without messages remembers its position, so that a client that comes back learns "
        "that it missed nothing. At least history_ttl_seconds."),
    CHOICE(slow_consumer, slow_consumer_names, SLOW_DISCONNECT, RELOAD,
           "What happens when a client's outbox is full: \"disconnect\" it, \"drop_oldest\" message, or "
           "\"conflate\": keep each channel's latest message only."),
    NUMBER(batch_count, 0, 100000, 0, RELOAD,
           "So many messages are worth sending at once. 0: does not count."),
    NUMBER(batch_bytes, 0, 64 << 20, 0, RELOAD,
           "So many bytes are worth sending at once. 0: does not count."),
    NUMBER(batch_delay_ms, 0, 60000, 0, RELOAD,
           "How long a message may wait for others to be sent with. 0: no batching."),
};
#undef BASE

#define COUNT(items) (sizeof(items) / sizeof((items)[0]))

const struct settings config_settings = {.items = config_items, .count = COUNT(config_items)};

static void open_namespace(void *space) {
    ((struct namespace_config *)space)->client_publish = true;
}

const struct settings namespace_settings = {
    .items = namespace_items,
    .count = COUNT(namespace_items),
    .example = "name = \"chat\";",
    .begins_with_default = true,
    .for_dev = open_namespace,
    .check = check_namespace,
};

const struct setting *settings_find(const struct settings *settings, const char *path) {
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(path, settings->items[i].path) == 0)
            return &settings->items[i];
    }
    return NULL;
}

static const char *last_part(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* Levenshtein's: how many letters to insert, delete or replace. Long texts count as far apart. */
static size_t edit_distance(const char *a, const char *b) {
    enum { MAX = 64 };
    size_t row[MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > MAX || b_len > MAX)
        return MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_len];
}

const char *settings_suggest(const struct settings *settings, const char *path) {
    const char *nearest = NULL;
    size_t nearest_distance = 3;
    for (size_t i = 0; i < settings->count; i++) {
        const char *known = settings->items[i].path;
        size_t distance = edit_distance(path, known);
        /* The right name in the wrong group. */
        if (strcmp(last_part(path), last_part(known)) == 0)
            distance = distance < 2 ? distance : 2;
        if (distance < nearest_distance) {
            nearest = known;
            nearest_distance = distance;
        }
    }
    return nearest;
}

void setting_environment_name(const struct setting *setting, char name[ENVIRONMENT_NAME_BYTES]) {
    snprintf(name, ENVIRONMENT_NAME_BYTES, "FANTAIL_%s", setting->path);
    for (char *at = name; *at != '\0'; at++)
        *at = *at == '.' ? '_' : (char)toupper((unsigned char)*at);
}

bool settings_suggest_variable(const struct settings *settings, const char *name,
                               char meant[ENVIRONMENT_NAME_BYTES]) {
    size_t nearest_distance = 3;
    char upper[ENVIRONMENT_NAME_BYTES] = "", known[ENVIRONMENT_NAME_BYTES] = "";
    for (size_t i = 0; i < sizeof upper - 1 && name[i] != '\0'; i++)
        upper[i] = (char)toupper((unsigned char)name[i]);
    for (size_t i = 0; i < settings->count; i++) {
        setting_environment_name(&settings->items[i], known);
        size_t distance = edit_distance(upper, known);
        if (distance < nearest_distance) {
            nearest_distance = distance;
            memcpy(meant, known, sizeof known);
        }
    }
    return nearest_distance < 3;
}

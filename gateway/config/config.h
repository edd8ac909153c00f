/* The configuration: a libconfig file, the environment over it, checked as a whole. Nobody else parses.
 *
 * The path of a setting names it everywhere: `limits.message_bytes` in the file, in errors and in docs is
 * FANTAIL_LIMITS_MESSAGE_BYTES in the environment. An empty variable counts for texts only; lists are
 * separated by commas there, and namespaces are set in the file alone. */
#ifndef GATEWAY_CONFIG_CONFIG_H
#define GATEWAY_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/log.h"

enum { WORKERS_MAX = 1024 };

enum broker_kind { BROKER_MEMORY, BROKER_REDIS };
/* COMPRESSION_AUTO: where the version of libwebsockets is known to be good at it. */
enum compression { COMPRESSION_AUTO, COMPRESSION_ON, COMPRESSION_OFF };
enum slow_consumer { SLOW_DISCONNECT, SLOW_DROP_OLDEST, SLOW_CONFLATE };

/* The options of all channels whose name begins with `name` and a colon. */
struct namespace_config {
    char *name;
    bool client_publish;
    uint32_t history_size; /* Messages; 0: no history. */
    uint32_t history_ttl_seconds;
    uint32_t position_ttl_seconds;
    enum slow_consumer slow_consumer;
    uint32_t batch_count; /* 0 in all three: no batching. */
    uint32_t batch_bytes;
    uint32_t batch_delay_ms;
};

struct limits_config {
    uint32_t connections;        /* Per worker process. */
    uint32_t connections_per_ip; /* Per worker process; 0: no limit. */
    uint32_t accepts_per_second; /* Per worker process; 0: no limit. */
    uint32_t channels_per_session;
    uint32_t message_bytes;
    uint64_t outbox_bytes;
    uint32_t outbox_messages;
    uint64_t outbox_total_bytes; /* Per worker process. */
    uint32_t handshake_seconds;
    uint32_t keepalive_seconds;
    uint32_t idle_seconds;         /* 0: a silent client may stay. */
    uint32_t commands_per_second;  /* Per session; replays also per address. 0: no limit. */
    uint32_t publishes_per_second; /* Per session, over HTTP per address; 0: no limit. */
};

/* One address or network that may tell us the client's address. IPv4 is held as ::ffff:a.b.c.d. */
struct network {
    uint8_t address[16];
    uint8_t prefix_bits; /* 0..128 */
};

struct config {
    uint32_t workers;                /* 0: one per CPU. */
    uint32_t worker_timeout_seconds; /* 0: one that hangs may. */
    char *node; /* Name of this node in replies, metrics and logs; the host name when not set. */
    enum broker_kind broker;
    uint32_t drain_seconds;

    struct {
        char *address;
        uint16_t port;
        bool proxy_protocol; /* Connections from `trusted_proxies` begin with a PROXY header. */
    } listen;
    struct {
        char *address;
        uint16_t port;
        char *api_key; /* "": no API. */
    } admin;
    struct {
        char *url;
        char *prefix;
        uint32_t linger_ms;        /* How long a channel without subscribers stays subscribed. */
        uint32_t probe_ms;         /* How often the round trip through Redis is checked. */
        uint32_t probe_timeout_ms; /* Without a round trip for so long the link counts as lost. */
    } redis;
    struct {
        uint32_t interval_seconds; /* 0: no pings. */
        uint32_t timeout_seconds;
    } ping;
    struct {
        enum compression compression; /* Of messages, for clients that offer permessage-deflate. */
        uint32_t compression_min_bytes;
    } websocket;
    struct {
        enum log_level level;
        enum log_format format;
    } log;
    struct limits_config limits;

    char *static_dir; /* "": no static files. */

    /* As written, e.g. "https://example.com" or "*" (see core/origin.h). Pages of the host asked always may. */
    char **origins;
    uint32_t origin_count;

    char **hosts; /* The names under which the gateway answers; none: whatever Host says. */
    uint32_t host_count;

    struct network *trusted_proxies;
    uint32_t trusted_proxy_count;

    /* The first is "default", with the built-in values where the file does not name it. */
    struct namespace_config *namespaces;
    uint32_t namespace_count;
};

/* `dev` changes the defaults to what a first try needs: memory broker unless the file or FANTAIL_REDIS_URL
 * names Redis, client publish in every namespace, origins "*", static_dir as found beside the program. What
 * the file or the environment says about these still holds. */
struct config_options {
    bool dev;
    const char *dev_static_dir; /* Used with `dev` when nobody names one; may be NULL. */
    char *const *environment;   /* "NAME=value" strings ending with NULL, as `environ`; NULL: none. */
    bool checks_files;          /* Whether what the settings name is there. */
    struct buf *warnings;       /* Gets a line per variable that is nobody's; may be NULL. */
};

/* Parses and checks `text`, the content of a file called `file` in messages ("" text: all defaults). NULL
 * when anything is refused; `errors` then holds a line per reason: "FILE:LINE: PATH: what is wrong and what
 * would be right\n" (for the environment "FANTAIL_NAME: ..."). All faults are reported, not only the first.
 * Settings unknown to us are faults. */
struct config *config_parse(struct bytes text, const char *file, const struct config_options *options,
                            struct buf *errors);

/* A line for each thing that is open to more people than one may have meant: "PATH: what is open, and what would close
 * it\n". All of it is allowed. */
void config_warn_of_exposure(const struct config *config, struct buf *warnings);

/* Reads the file into `text` (at most 1 MiB). False, with the reason in `errors`, when that fails. */
bool config_load_file(const char *file, struct buf *text, struct buf *errors);

void config_free(struct config *config); /* NULL is fine. */

/* A setting that differs between the two and takes effect only with a restart (all but namespaces, limits,
 * origins, hosts, websocket and log.level): its path, a static string. NULL when there is none. */
const char *config_needs_restart(const struct config *running, const struct config *fresh);

/* Gives `fresh` the values that `running` has for these. */
void config_keep_fixed(struct config *fresh, const struct config *running);

/* Every setting with its default, type, name in the environment and what it is for, as text for people. */
void config_print_settings(FILE *out);

/* Whether `network`'s leading bits equal those of `address` (16 bytes, IPv4 as ::ffff:a.b.c.d). */
bool network_contains(const struct network *network, const uint8_t address[16]);

#endif

#include "gateway/config_checks.h"

#include <string.h>

#include "common/address.h"
#include "common/text.h"
#include "gateway/config.h"
#include "gateway/core/channel.h"
#include "gateway/core/origin.h"

enum { API_KEY_BYTES_MIN = 16 };

static bool refuse(struct buf *why, const char *text) {
    buf_append_text(why, text);
    return false;
}

/* Visible ASCII and nothing else. */
static bool is_graphic(struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7F)
            return false;
    }
    return true;
}

static size_t find(struct bytes text, char c) {
    const char *at = text.len > 0 ? memchr(text.data, c, text.len) : NULL;
    return at ? (size_t)(at - text.data) : text.len;
}

bool check_node_name(struct bytes value, struct buf *why) {
    /* It stands in metrics and in log lines of name=value pairs. */
    if (is_graphic(value) && find(value, '"') == value.len && find(value, '\\') == value.len)
        return true;
    return refuse(why, "must be visible ASCII without spaces, quotes and backslashes, e.g. \"gateway-1\"");
}

bool check_listen_address(struct bytes value, struct buf *why) {
    uint8_t address[ADDRESS_BYTES];
    return address_parse(value, address) ||
           refuse(why, "must be an IPv4 or IPv6 address, e.g. \"0.0.0.0\", \"::\" or \"127.0.0.1\"");
}

bool check_api_key(struct bytes value, struct buf *why) {
    if (value.len == 0)
        return true;
    if (value.len < API_KEY_BYTES_MIN) {
        buf_printf(why,
                   "must be at least %d bytes long, or empty for no API; it has %zu. "
                   "`openssl rand -hex 24` makes a good one",
                   API_KEY_BYTES_MIN, value.len);
        return false;
    }
    /* It travels in an HTTP header. */
    return is_graphic(value) || refuse(why, "must be visible ASCII without spaces");
}

static bool is_port(struct bytes text) {
    uint64_t port;
    return text_parse_u64(text, &port) && port >= 1 && port <= UINT16_MAX;
}

/* [user:password@]host[:port][/database] */
static bool check_redis_tcp(struct bytes rest, struct buf *why) {
    size_t slash = find(rest, '/');
    struct bytes authority = bytes_make(rest.data, slash);
    uint64_t database;
    if (slash + 1 < rest.len && !text_parse_u64(bytes_skip(rest, slash + 1), &database))
        return refuse(why, "must end with the number of a database, e.g. \"redis://127.0.0.1:6379/0\"");
    /* A password may hold any character, also '@': the last one ends it. */
    const char *at = authority.len > 0 ? memrchr(authority.data, '@', authority.len) : NULL;
    struct bytes host = at ? bytes_skip(authority, (size_t)(at - authority.data) + 1) : authority;
    size_t name_end = find(host, ':');
    if (host.len > 0 && host.data[0] == '[') {
        uint8_t address[ADDRESS_BYTES];
        size_t bracket = find(host, ']');
        if (bracket == host.len || !address_parse(bytes_make(host.data + 1, bracket - 1), address))
            return refuse(why, "must hold an IPv6 address between [ and ], e.g. \"redis://[::1]:6379\"");
        name_end = bracket + 1;
    }
    if (name_end == 0)
        return refuse(why, "must name a host, e.g. \"redis://127.0.0.1:6379/0\"");
    struct bytes tail = bytes_skip(host, name_end);
    if (tail.len > 0 && (tail.data[0] != ':' || !is_port(bytes_skip(tail, 1))))
        return refuse(why,
                      "must have a port from 1 to 65535 after the host, e.g. \"redis://127.0.0.1:6379/0\"");
    return true;
}

/* [user:password@]/path[?db=number] */
static bool check_redis_unix(struct bytes rest, struct buf *why) {
    size_t question = find(rest, '?');
    struct bytes path = bytes_make(rest.data, question);
    struct bytes query = bytes_skip(rest, question);
    uint64_t database;
    if (query.len > 0 &&
        (!bytes_start_with(query, BYTES_LITERAL("?db=")) || !text_parse_u64(bytes_skip(query, 4), &database)))
        return refuse(why, "may end with a database only, e.g. \"unix:///run/redis/redis.sock?db=1\"");
    const char *at = path.len > 0 ? memrchr(path.data, '@', path.len) : NULL;
    if (at != NULL)
        path = bytes_skip(path, (size_t)(at - path.data) + 1);
    if (path.len < 2 || path.data[0] != '/')
        return refuse(why, "must hold an absolute path, e.g. \"unix:///run/redis/redis.sock\"");
    return true;
}

bool check_redis_url(struct bytes value, struct buf *why) {
    static const struct {
        const char *scheme;
        text_check *check;
    } kinds[] = {
        {"redis://", check_redis_tcp},
        {"unix://", check_redis_unix},
        {"redis+unix://", check_redis_unix},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct bytes scheme = bytes_of(kinds[i].scheme);
        if (bytes_start_with(value, scheme))
            return kinds[i].check(bytes_skip(value, scheme.len), why);
    }
    if (bytes_start_with(value, BYTES_LITERAL("rediss://")))
        return refuse(why,
                      "TLS to Redis is not supported yet: use redis:// in a private network, or through a "
                      "local TLS tunnel");
    return refuse(
        why, "must begin with \"redis://\" or \"unix://\", e.g. \"redis://user:password@127.0.0.1:6379/0\" "
             "or \"unix:///run/redis/redis.sock\"");
}

bool check_redis_prefix(struct bytes value, struct buf *why) {
    return value.len == 0 || channel_name_is_valid(value) ||
           refuse(why, "must be without spaces, control characters, '{' and '}', e.g. \"myapp:\"");
}

bool check_namespace_name(struct bytes value, struct buf *why) {
    if (channel_name_is_valid(value) && find(value, ':') == value.len)
        return true;
    return refuse(why, "must be what stands before the first ':' of its channels: not empty, without spaces, "
                       "control characters, ':', '{' and '}', e.g. \"chat\"");
}

bool check_origin(struct bytes value, struct buf *why) {
    if (origin_pattern_is_valid(value))
        return true;
    return refuse(why,
                  "must be \"*\" or scheme://host[:port] without a path, e.g. \"https://example.com\" or "
                  "\"https://*.example.com\"");
}

bool check_network(struct bytes value, struct network *network, struct buf *why) {
    size_t slash = find(value, '/');
    struct network parsed;
    bool fine = address_parse(bytes_make(value.data, slash), parsed.address);
    if (fine) {
        uint64_t bits = ADDRESS_BYTES * 8;
        unsigned offset = address_is_v4(parsed.address) && memchr(value.data, ':', slash) == NULL ? 96 : 0;
        if (slash < value.len)
            fine = text_parse_u64(bytes_skip(value, slash + 1), &bits) && bits <= 128u - offset;
        if (slash < value.len)
            bits += offset;
        parsed.prefix_bits = (uint8_t)bits;
    }
    if (!fine)
        return refuse(why,
                      "must be an address or a network, e.g. \"127.0.0.1\", \"10.0.0.0/8\" or \"fd00::/8\"");
    *network = parsed;
    return true;
}

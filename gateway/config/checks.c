#include "gateway/config/checks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/config/config.h"
#include "gateway/config/redis_url.h"
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

bool check_redis_url(struct bytes value, struct buf *why) {
    struct redis_url url;
    const char *error;
    if (bytes_start_with(value, BYTES_LITERAL("rediss://")))
        return refuse(why,
                      "TLS to Redis is not supported yet: use redis:// in a private network, or through a "
                      "local TLS tunnel");
    char *text = xstrndup(value.data, value.len);
    bool fine = redis_url_parse(text, &url, &error);
    free(text);
    if (fine)
        redis_url_finish(&url);
    else
        buf_printf(why,
                   "must be redis://[[user]:password@]host[:port][/database] or "
                   "unix:///path/to/socket[?db=database]: %s",
                   error);
    return fine;
}

bool check_redis_prefix(struct bytes value, struct buf *why) {
    if (channel_prefix_is_of_redis(value))
        return refuse(why, "must not begin like Redis' own channels, with \"__\"");
    return channel_prefix_is_valid(value) ||
           refuse(why, "must be without spaces, control characters, '{' and '}', e.g. \"myapp:\"");
}

bool check_namespace_name(struct bytes value, struct buf *why) {
    if (channel_namespace_name_is_valid(value))
        return true;
    if (bytes_equal_text(value, "fantail") || bytes_start_with(value, BYTES_LITERAL("__")))
        return refuse(why, "is reserved: channels that begin with \"fantail:\" or \"__\" are nobody's");
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

bool check_host(struct bytes value, struct buf *why) {
    return host_name_is_valid(value) ||
           refuse(why, "must be a host name or address without scheme and port, e.g. \"chat.example.com\", "
                       "\"*.example.com\" or \"[::1]\"");
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

void check_namespace(const void *group, const struct place *place) {
    const struct namespace_config *space = group;
    if (space->history_size > 0 && space->history_ttl_seconds == 0)
        group_fault(place, "history_size", "history needs a lifetime too, e.g. history_ttl_seconds = 300;");
    if (space->history_size == 0 && space->history_ttl_seconds > 0)
        group_fault(place, "history_ttl_seconds", "history needs a size too, e.g. history_size = 100;");
    if (space->position_ttl_seconds < space->history_ttl_seconds)
        group_fault(place, "position_ttl_seconds",
                    "must be at least history_ttl_seconds (%" PRIu32 "), is %" PRIu32,
                    space->history_ttl_seconds, space->position_ttl_seconds);
    if ((space->batch_count > 0 || space->batch_bytes > 0) && space->batch_delay_ms == 0)
        group_fault(place, space->batch_count > 0 ? "batch_count" : "batch_bytes",
                    "batching needs an end to the wait too, e.g. batch_delay_ms = 250;");
}

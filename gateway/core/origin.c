#include "gateway/core/origin.h"

#include <strings.h>

#include "common/text.h"

/* A serialized origin (RFC 6454, section 6.2) or a pattern of ours, taken apart. */
struct origin {
    struct bytes scheme;
    struct bytes host; /* With the brackets of an IPv6 address, without "*.". */
    uint64_t port;     /* The scheme's default where none is written; 0 where it has no default. */
    bool any_subdomain;
};

static bool is_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool equal_nocase(struct bytes a, struct bytes b) {
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

static size_t find(struct bytes text, char c) {
    const char *at = text.len > 0 ? memchr(text.data, c, text.len) : NULL;
    return at ? (size_t)(at - text.data) : text.len;
}

/* RFC 3986, section 3.1. Custom schemes are origins too, e.g. capacitor://localhost. */
static bool is_scheme(struct bytes text) {
    if (text.len == 0 || !is_alnum(text.data[0]))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!is_alnum(c) && c != '+' && c != '-' && c != '.')
            return false;
    }
    return true;
}

static bool is_name(struct bytes host) {
    bool label_empty = true;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        if (c == '.' && label_empty)
            return false;
        if (c != '.' && c != '-' && c != '_' && !is_alnum(c))
            return false;
        label_empty = c == '.';
    }
    return !label_empty;
}

static bool is_bracketed(struct bytes host) {
    if (host.len < 4 || host.data[0] != '[' || host.data[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i < host.len - 1; i++) {
        char c = host.data[i];
        if (c != ':' && c != '.' && !is_alnum(c))
            return false;
    }
    return true;
}

static uint64_t default_port(struct bytes scheme) {
    if (text_equal_nocase(scheme, "http") || text_equal_nocase(scheme, "ws"))
        return 80;
    if (text_equal_nocase(scheme, "https") || text_equal_nocase(scheme, "wss"))
        return 443;
    return 0;
}

/* "host" or "host:port" into origin->host and, where written, origin->port. */
static bool parse_host(struct bytes text, struct origin *origin) {
    size_t bracket = find(text, ']');
    bool bracketed = text.len > 0 && text.data[0] == '[' && bracket < text.len;
    size_t host_len = bracketed ? bracket + 1 : find(text, ':');
    origin->host = bytes_make(text.data, host_len);
    if (bracketed ? !is_bracketed(origin->host) : !is_name(origin->host))
        return false;
    if (host_len == text.len)
        return true;
    return text.data[host_len] == ':' && text_parse_u64(bytes_skip(text, host_len + 1), &origin->port) &&
           origin->port >= 1 && origin->port <= UINT16_MAX;
}

static bool parse_origin(struct bytes text, struct origin *origin) {
    size_t colon = find(text, ':');
    *origin = (struct origin){.scheme = bytes_make(text.data, colon)};
    struct bytes rest = bytes_skip(text, colon);
    if (!is_scheme(origin->scheme) || !bytes_start_with(rest, BYTES_LITERAL("://")))
        return false;
    origin->port = default_port(origin->scheme);
    return parse_host(bytes_skip(rest, 3), origin);
}

static bool parse_pattern(struct bytes text, struct origin *origin) {
    size_t star = find(text, '*');
    if (star == text.len)
        return parse_origin(text, origin);
    /* Only the leading label of the host may be the star. */
    struct bytes rest = bytes_skip(text, star);
    if (star < 3 || memcmp(rest.data - 3, "://", 3) != 0 || !bytes_start_with(rest, BYTES_LITERAL("*.")))
        return false;
    struct bytes scheme = bytes_make(text.data, star - 3);
    *origin = (struct origin){.scheme = scheme, .port = default_port(scheme), .any_subdomain = true};
    return is_scheme(scheme) && parse_host(bytes_skip(rest, 2), origin) && origin->host.data[0] != '[';
}

bool origin_pattern_is_valid(struct bytes pattern) {
    struct origin origin;
    return bytes_equal_text(pattern, "*") || parse_pattern(pattern, &origin);
}

static bool matches_host(const struct origin *origin, const struct origin *pattern) {
    if (!pattern->any_subdomain)
        return equal_nocase(origin->host, pattern->host);
    if (origin->host.len < pattern->host.len + 2)
        return false;
    size_t dot = origin->host.len - pattern->host.len - 1;
    return origin->host.data[dot] == '.' && equal_nocase(bytes_skip(origin->host, dot + 1), pattern->host);
}

static bool matches(const struct origin *origin, const struct origin *pattern) {
    return equal_nocase(origin->scheme, pattern->scheme) && origin->port == pattern->port &&
           matches_host(origin, pattern);
}

static bool is_same_host(const struct origin *origin, struct bytes host) {
    struct origin own = {.port = default_port(origin->scheme)};
    return parse_host(host, &own) && equal_nocase(origin->host, own.host) && origin->port == own.port;
}

enum page origin_judge(struct bytes origin, struct bytes host, char *const *patterns, uint32_t count) {
    struct origin page, pattern;
    enum page verdict = PAGE_REFUSED;
    if (origin.len == 0)
        return PAGE_NONE;
    /* "null" is what sandboxed pages and files send; it names nobody and matches nothing but "*". */
    bool is_named = parse_origin(origin, &page);
    if (is_named && is_same_host(&page, host))
        return PAGE_KNOWN;
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(patterns[i], "*") == 0)
            verdict = PAGE_ANY;
        else if (is_named && parse_pattern(bytes_of(patterns[i]), &pattern) && matches(&page, &pattern))
            return PAGE_KNOWN;
    }
    return verdict;
}

bool origin_may_connect(struct bytes origin, struct bytes host, char *const *patterns, uint32_t count) {
    return origin_judge(origin, host, patterns, count) != PAGE_REFUSED;
}

/* --- Own names ------------------------------------------------------------------------------- */

static bool parse_name(struct bytes text, struct origin *name) {
    bool any_subdomain = bytes_start_with(text, BYTES_LITERAL("*."));
    *name = (struct origin){.any_subdomain = any_subdomain};
    return parse_host(bytes_skip(text, any_subdomain ? 2 : 0), name) &&
           !(any_subdomain && name->host.data[0] == '[');
}

bool host_name_is_valid(struct bytes name) {
    struct origin parsed;
    return parse_name(name, &parsed) && parsed.port == 0;
}

bool host_is_own(struct bytes host, char *const *names, uint32_t count) {
    struct origin asked = {0}, name;
    if (count == 0)
        return true;
    if (!parse_host(host, &asked))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (parse_name(bytes_of(names[i]), &name) && matches_host(&asked, &name))
            return true;
    return false;
}

#include "gateway/config/redis_url.h"

#include <stdlib.h>

#include "common/bytes.h"
#include "common/text.h"
#include "common/xalloc.h"

static bool take_scheme(struct bytes *rest, const char *scheme) {
    struct bytes prefix = bytes_of(scheme);
    if (!bytes_start_with(*rest, prefix))
        return false;
    *rest = bytes_skip(*rest, prefix.len);
    return true;
}

/* Cuts `*text` at the first `separator`; `*after` is what follows it. False, with nothing changed, when there
 * is none. */
static bool cut(struct bytes *text, char separator, struct bytes *after) {
    const char *at = memchr(text->data, separator, text->len);
    if (at == NULL)
        return false;
    size_t len = (size_t)(at - text->data);
    *after = bytes_skip(*text, len + 1);
    text->len = len;
    return true;
}

/* A '+' in a password means itself: this is no query string. */
static char *decode(struct bytes text) {
    struct buf out, escaped;
    char *copy = NULL;
    buf_init(&out, 0);
    buf_init(&escaped, 0);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '+')
            buf_append_text(&escaped, "%2B");
        else
            buf_append_char(&escaped, text.data[i]);
    }
    if (text_percent_decode(buf_bytes(&escaped), &out))
        copy = xstrndup(out.len ? out.data : "", out.len);
    buf_finish(&escaped);
    buf_finish(&out);
    return copy;
}

static bool parse_credentials(struct bytes text, struct redis_url *url) {
    struct bytes password = {0};
    if (cut(&text, ':', &password)) {
        url->password = decode(password);
        if (url->password == NULL)
            return false;
    }
    if (text.len > 0) {
        url->user = decode(text);
        if (url->user == NULL)
            return false;
    }
    return true;
}

static bool parse_number(struct bytes text, uint64_t max, uint64_t *value) {
    return text_parse_u64(text, value) && *value <= max;
}

static const char *parse_host(struct bytes rest, struct redis_url *url) {
    struct bytes database = {0};
    struct bytes port = {0};
    uint64_t number = 0;
    if (cut(&rest, '/', &database) && database.len > 0) {
        if (!parse_number(database, UINT32_MAX, &number))
            return "the database after the host is not a number";
        url->database = (uint32_t)number;
    }
    if (rest.len > 0 && rest.data[0] == '[') { /* An IPv6 address. */
        struct bytes after = {0};
        rest = bytes_skip(rest, 1);
        if (!cut(&rest, ']', &after) || (after.len > 0 && after.data[0] != ':'))
            return "the IPv6 address is not closed by ']'";
        port = after.len > 0 ? bytes_skip(after, 1) : after;
    } else {
        cut(&rest, ':', &port);
    }
    if (rest.len == 0)
        return "the host is missing";
    url->port = 6379;
    if (port.data != NULL && port.len > 0) {
        if (!parse_number(port, UINT16_MAX, &number) || number == 0)
            return "the port is not a number from 1 to 65535";
        url->port = (uint16_t)number;
    }
    url->host = xstrndup(rest.data, rest.len);
    return NULL;
}

static const char *parse_socket(struct bytes rest, struct redis_url *url) {
    struct bytes query = {0};
    uint64_t database = 0;
    if (cut(&rest, '?', &query)) {
        if (!bytes_start_with(query, BYTES_LITERAL("db=")) ||
            !parse_number(bytes_skip(query, 3), UINT32_MAX, &database))
            return "after '?' only db=NUMBER is known";
        url->database = (uint32_t)database;
    }
    if (rest.len == 0 || rest.data[0] != '/')
        return "the path of the socket has to be absolute";
    url->path = xstrndup(rest.data, rest.len);
    return NULL;
}

bool redis_url_parse(const char *text, struct redis_url *url, const char **error) {
    struct bytes rest = bytes_of(text);
    bool is_socket = false;
    *url = (struct redis_url){0};
    *error = NULL;
    if (take_scheme(&rest, "unix://") || take_scheme(&rest, "redis+unix://"))
        is_socket = true;
    else if (!take_scheme(&rest, "redis://"))
        *error = "it has to begin with redis:// or unix://";
    if (*error == NULL) {
        struct bytes credentials = rest;
        /* The last '@' before the path ends the credentials: a password may hold one. */
        size_t end = rest.len;
        const char *slash = memchr(rest.data, '/', rest.len);
        if (slash != NULL)
            end = (size_t)(slash - rest.data);
        const char *at = memrchr(rest.data, '@', end);
        if (at != NULL) {
            credentials.len = (size_t)(at - rest.data);
            rest = bytes_skip(rest, credentials.len + 1);
            if (!parse_credentials(credentials, url))
                *error = "user or password have a broken %-escape";
        }
    }
    if (*error == NULL)
        *error = is_socket ? parse_socket(rest, url) : parse_host(rest, url);
    if (*error == NULL)
        return true;
    redis_url_finish(url);
    return false;
}

void redis_url_finish(struct redis_url *url) {
    free(url->host);
    free(url->path);
    free(url->user);
    free(url->password);
    *url = (struct redis_url){0};
}

#include "gateway/transport/http/head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"

/* --- Characters ------------------------------------------------------------------------------ */

/* What a character may be part of. A table, because each byte of each head is looked up. */
enum {
    IN_TOKEN = 1, /* RFC 9110, section 5.6.2. */
    IN_VALUE = 2, /* RFC 9110, section 5.5: visible, a blank within, or beyond ASCII. */
    IN_TARGET =
        4, /* What no URI has (RFC 3986) is refused only where it could be read in two ways: browsers send '|',
                      '"' and others as they are. A fragment is none of the server's business (RFC 9112, 3.2). */
    IN_HOST = 8, /* RFC 3986, section 3.2.2, and a port; no user, no path. */
    IN_ALL = IN_TOKEN | IN_VALUE | IN_TARGET | IN_HOST,
    IN_ALL_BUT_HOST = IN_TOKEN | IN_VALUE | IN_TARGET,
    IN_ALL_BUT_TOKEN = IN_VALUE | IN_TARGET | IN_HOST,
};

static const unsigned char characters[256] = {
    ['\t'] = IN_VALUE,
    [' '] = IN_VALUE,
    ['"'] = IN_VALUE | IN_TARGET,
    ['#'] = IN_TOKEN | IN_VALUE,
    ['/'] = IN_VALUE | IN_TARGET,
    ['<'] = IN_VALUE | IN_TARGET,
    ['>' ... '@'] = IN_VALUE | IN_TARGET,
    ['\\'] = IN_VALUE | IN_TARGET,
    ['{'] = IN_VALUE | IN_TARGET,
    ['}'] = IN_VALUE | IN_TARGET,
    ['^'] = IN_ALL_BUT_HOST,
    ['`'] = IN_ALL_BUT_HOST,
    ['|'] = IN_ALL_BUT_HOST,
    ['('] = IN_ALL_BUT_TOKEN,
    [')'] = IN_ALL_BUT_TOKEN,
    [','] = IN_ALL_BUT_TOKEN,
    [':'] = IN_ALL_BUT_TOKEN,
    [';'] = IN_ALL_BUT_TOKEN,
    ['='] = IN_ALL_BUT_TOKEN,
    ['['] = IN_ALL_BUT_TOKEN,
    [']'] = IN_ALL_BUT_TOKEN,
    ['!'] = IN_ALL,
    ['$' ... '\''] = IN_ALL,
    ['*' ... '+'] = IN_ALL,
    ['-' ... '.'] = IN_ALL,
    ['_'] = IN_ALL,
    ['~'] = IN_ALL,
    ['0' ... '9'] = IN_ALL,
    ['A' ... 'Z'] = IN_ALL,
    ['a' ... 'z'] = IN_ALL,
    [0x80 ... 0xff] = IN_VALUE,
};

static bool consists_of(struct bytes text, unsigned kind) {
    unsigned all = kind;
    for (size_t i = 0; i < text.len; i++)
        all &= characters[(unsigned char)text.data[i]];
    return all == kind;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static struct bytes trim(struct bytes text) {
    while (text.len > 0 && is_blank(text.data[0]))
        text = bytes_skip(text, 1);
    while (text.len > 0 && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

/* Takes what comes before `separator`, which must be there. */
static bool take_until(struct bytes *rest, char separator, struct bytes *taken) {
    const char *end = rest->len > 0 ? memchr(rest->data, separator, rest->len) : NULL;
    if (end == NULL)
        return false;
    *taken = bytes_make(rest->data, (size_t)(end - rest->data));
    *rest = bytes_skip(*rest, taken->len + 1);
    return true;
}

/* Every '%' has its two digits, and none of them stand for NUL, which ends paths and texts early. */
static bool has_good_escapes(struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%')
            continue;
        if (text.len - i < 3 || !isxdigit((unsigned char)text.data[i + 1]) ||
            !isxdigit((unsigned char)text.data[i + 2]) || memcmp(text.data + i + 1, "00", 2) == 0)
            return false;
    }
    return true;
}

/* --- Refusing -------------------------------------------------------------------------------- */

static enum error refuse(struct http_head *head, enum error error, const char *problem) {
    head->problem = problem;
    return error;
}

static enum error malformed(struct http_head *head, const char *problem) {
    return refuse(head, ERR_HTTP_INVALID, problem);
}

static struct http_part part_of(const struct http_head *head, struct bytes text) {
    struct http_part part = {.at = (uint16_t)(text.data - head->base), .len = (uint16_t)text.len};
    return part;
}

/* --- The request line ------------------------------------------------------------------------ */

static enum http_method method_of(struct bytes name) {
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {
        {"GET", METHOD_GET},     {"HEAD", METHOD_HEAD},     {"POST", METHOD_POST},
        {"PUT", METHOD_OTHER},   {"DELETE", METHOD_OTHER},  {"OPTIONS", METHOD_OPTIONS},
        {"PATCH", METHOD_OTHER}, {"CONNECT", METHOD_OTHER}, {"TRACE", METHOD_OTHER},
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (bytes_equal_text(name, methods[i].name))
            return methods[i].method;
    return METHOD_UNKNOWN;
}

/* "http://host:port" before the path (RFC 9112, section 3.2.2), which is left. */
static bool take_authority(struct http_head *head, struct bytes *target) {
    static const char *const schemes[] = {"http://", "https://", "ws://", "wss://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen(schemes[i]);
        if (target->len <= len || strncasecmp(target->data, schemes[i], len) != 0)
            continue;
        *target = bytes_skip(*target, len);
        struct bytes authority = *target;
        authority.len = 0;
        while (authority.len < target->len && authority.data[authority.len] != '/' &&
               authority.data[authority.len] != '?')
            authority.len++;
        *target = bytes_skip(*target, authority.len);
        head->authority = part_of(head, authority);
        return authority.len > 0 && consists_of(authority, IN_HOST);
    }
    return false;
}

static enum error read_target(struct http_head *head, struct bytes target, struct bytes method) {
    /* The two that are no paths: of CONNECT, and "OPTIONS *". Nothing is served there. */
    bool is_other = bytes_equal_text(method, "CONNECT") ||
                    (bytes_equal_text(target, "*") && bytes_equal_text(method, "OPTIONS"));
    if (target.len == 0 || !consists_of(target, IN_TARGET))
        return malformed(head, "The request target has characters that no URL has.");
    if (target.data[0] != '/' && !is_other && !take_authority(head, &target))
        return malformed(head, "The request target is neither a path nor a URL.");
    if (!has_good_escapes(target))
        return malformed(head, "In a URL '%' is followed by two hexadecimal digits, and not by 00.");
    const char *mark = target.len > 0 ? memchr(target.data, '?', target.len) : NULL;
    struct bytes path = target;
    if (mark != NULL) {
        path.len = (size_t)(mark - target.data);
        head->query = part_of(head, bytes_skip(target, path.len + 1));
    }
    head->path = part_of(head, path);
    return ERR_OK;
}

static enum error read_version(struct http_head *head, struct bytes version) {
    bool is_one = version.len == 8 && memcmp(version.data, "HTTP/", 5) == 0 &&
                  isdigit((unsigned char)version.data[5]) && version.data[6] == '.' &&
                  isdigit((unsigned char)version.data[7]);
    if (!is_one)
        return malformed(head, "The request line is not METHOD, a space, TARGET, a space, HTTP/1.1.");
    head->is_http_1_1 = bytes_equal_text(version, "HTTP/1.1");
    if (!head->is_http_1_1 && !bytes_equal_text(version, "HTTP/1.0"))
        return refuse(head, ERR_HTTP_VERSION, NULL);
    return ERR_OK;
}

static enum error read_request_line(struct http_head *head, struct bytes line) {
    struct bytes rest = line, method, target;
    if (!take_until(&rest, ' ', &method) || method.len == 0 || !consists_of(method, IN_TOKEN) ||
        !take_until(&rest, ' ', &target))
        return malformed(head, "The request line is not METHOD, a space, TARGET, a space, HTTP/1.1.");
    if (target.len > HTTP_TARGET_BYTES_MAX)
        return refuse(head, ERR_TARGET_TOO_LONG, NULL);
    head->method = method_of(method);
    enum error error = read_version(head, rest);
    return error == ERR_OK ? read_target(head, target, method) : error;
}

/* --- Field lines ----------------------------------------------------------------------------- */

#define FIELD(literal) .name = literal, .len = sizeof(literal) - 1

static const struct {
    const char *name;
    size_t len;
    bool may_repeat; /* Its value is a list: several lines are one (RFC 9110, section 5.3). */
} known_fields[FIELD_COUNT] = {
    [FIELD_HOST] = {FIELD("host")},
    [FIELD_CONNECTION] = {FIELD("connection"), .may_repeat = true},
    [FIELD_UPGRADE] = {FIELD("upgrade"), .may_repeat = true},
    [FIELD_CONTENT_LENGTH] = {FIELD("content-length")},
    [FIELD_TRANSFER_ENCODING] = {FIELD("transfer-encoding"), .may_repeat = true},
    [FIELD_EXPECT] = {FIELD("expect"), .may_repeat = true},
    [FIELD_ORIGIN] = {FIELD("origin")},
    [FIELD_AUTHORIZATION] = {FIELD("authorization")},
    [FIELD_CONTENT_TYPE] = {FIELD("content-type")},
    [FIELD_IF_NONE_MATCH] = {FIELD("if-none-match"), .may_repeat = true},
    [FIELD_ACCEPT] = {FIELD("accept"), .may_repeat = true},
    [FIELD_ACCEPT_ENCODING] = {FIELD("accept-encoding"), .may_repeat = true},
    [FIELD_LAST_EVENT_ID] = {FIELD("last-event-id")},
    [FIELD_X_API_KEY] = {FIELD("x-api-key")},
    [FIELD_X_FORWARDED_FOR] = {FIELD("x-forwarded-for"), .may_repeat = true},
    [FIELD_WEBSOCKET_KEY] = {FIELD("sec-websocket-key")},
    [FIELD_WEBSOCKET_VERSION] = {FIELD("sec-websocket-version")},
    [FIELD_WEBSOCKET_PROTOCOL] = {FIELD("sec-websocket-protocol"), .may_repeat = true},
    [FIELD_WEBSOCKET_EXTENSIONS] = {FIELD("sec-websocket-extensions"), .may_repeat = true},
};

static bool is_field(struct bytes name, int field) {
    return name.len == known_fields[field].len &&
           strncasecmp(name.data, known_fields[field].name, name.len) == 0;
}

/* FIELD_COUNT: none that we know. */
static enum http_field field_of(struct bytes name) {
    for (int field = 0; field < FIELD_COUNT; field++)
        if (is_field(name, field))
            return (enum http_field)field;
    return FIELD_COUNT;
}

static enum error read_field(struct http_head *head, struct bytes line) {
    struct bytes rest = line, name;
    if (is_blank(line.data[0]))
        return malformed(head, "A header line begins with a blank: folded lines are not taken.");
    if (!take_until(&rest, ':', &name) || name.len == 0 || !consists_of(name, IN_TOKEN))
        return malformed(head, "A header line is not NAME: VALUE, without a blank before the colon.");
    if (!consists_of(rest, IN_VALUE))
        return malformed(head, "A header has a control character.");
    enum http_field field = field_of(name);
    if (field == FIELD_COUNT)
        return ERR_OK;
    if (head->counts[field] > 0 && !known_fields[field].may_repeat)
        return malformed(head, "A header that stands for one thing came twice.");
    if (head->counts[field] == 0)
        head->first[field] = part_of(head, trim(rest));
    if (head->counts[field] < UINT8_MAX)
        head->counts[field]++;
    return ERR_OK;
}

/* The lines of the head are good by now: takes the next one that has the field's name. */
static bool next_of(struct bytes *lines, enum http_field field, struct bytes *value) {
    struct bytes line, name;
    while (take_until(lines, '\n', &line)) {
        line.len--; /* CR. */
        if (take_until(&line, ':', &name) && is_field(name, field)) {
            *value = trim(line);
            return true;
        }
    }
    return false;
}

static struct bytes lines_of(const struct http_head *head) {
    return bytes_make(head->base + head->fields, (size_t)(head->len - head->fields));
}

bool http_head_field(const struct http_head *head, enum http_field field, struct buf *out) {
    if (head->counts[field] <= 1)
        return head->counts[field] == 1 && buf_append_bytes(out, http_head_part(head, head->first[field]));
    struct bytes lines = lines_of(head), value;
    for (bool is_first = true; next_of(&lines, field, &value); is_first = false)
        buf_printf(out, "%s%.*s", is_first ? "" : ", ", BYTES_FMT(value));
    return !out->overflow;
}

static bool list_has(struct bytes list, const char *token) {
    bool is_last = false;
    while (!is_last) {
        struct bytes element;
        is_last = !take_until(&list, ',', &element);
        if (text_equal_nocase(trim(is_last ? list : element), token))
            return true;
    }
    return false;
}

bool http_head_lists(const struct http_head *head, enum http_field field, const char *token) {
    if (head->counts[field] <= 1)
        return head->counts[field] == 1 && list_has(http_head_part(head, head->first[field]), token);
    struct bytes lines = lines_of(head), value;
    while (next_of(&lines, field, &value))
        if (list_has(value, token))
            return true;
    return false;
}

struct bytes http_head_path(const struct http_head *head) {
    return head->path.len > 0 ? http_head_part(head, head->path) : BYTES_LITERAL("/");
}

struct bytes http_head_host(const struct http_head *head) {
    return http_head_part(head, head->authority.len > 0 ? head->authority : head->first[FIELD_HOST]);
}

/* --- What the fields mean together ----------------------------------------------------------- */

/* RFC 9112, section 3.2. */
static enum error check_host(struct http_head *head) {
    struct bytes host = http_head_part(head, head->first[FIELD_HOST]);
    if (head->counts[FIELD_HOST] == 0)
        return head->is_http_1_1 ? malformed(head, "There is no Host header.") : ERR_OK;
    if (host.len == 0 || !consists_of(host, IN_HOST))
        return malformed(head, "Host is not a name or an address, and perhaps a port.");
    return ERR_OK;
}

static bool is_number(struct bytes text) {
    size_t i = 0;
    while (i < text.len && isdigit((unsigned char)text.data[i]))
        i++;
    return i > 0 && i == text.len;
}

/* RFC 9112, section 6: where the request ends. */
static enum error check_framing(struct http_head *head) {
    struct bytes length = http_head_part(head, head->first[FIELD_CONTENT_LENGTH]);
    head->has_content_length = head->counts[FIELD_CONTENT_LENGTH] > 0;
    if (head->counts[FIELD_TRANSFER_ENCODING] > 0) {
        if (head->has_content_length)
            return malformed(head, "Content-Length and Transfer-Encoding exclude each other.");
        if (!head->is_http_1_1)
            return malformed(head, "HTTP/1.0 has no Transfer-Encoding.");
        head->is_chunked =
            head->counts[FIELD_TRANSFER_ENCODING] == 1 &&
            text_equal_nocase(http_head_part(head, head->first[FIELD_TRANSFER_ENCODING]), "chunked");
        return head->is_chunked ? ERR_OK
                                : refuse(head, ERR_NOT_IMPLEMENTED, "No such Transfer-Encoding is known.");
    }
    if (!head->has_content_length || text_parse_u64(length, &head->content_length))
        return ERR_OK;
    return is_number(length) ? refuse(head, ERR_MESSAGE_TOO_LARGE, NULL)
                             : malformed(head, "Content-Length is not a number.");
}

static void read_wishes(struct http_head *head) {
    head->keeps_alive = !http_head_lists(head, FIELD_CONNECTION, "close") &&
                        (head->is_http_1_1 || http_head_lists(head, FIELD_CONNECTION, "keep-alive"));
    if (head->counts[FIELD_EXPECT] > 0 && head->is_http_1_1) {
        head->expects_continue = http_head_lists(head, FIELD_EXPECT, "100-continue");
        head->expects_more =
            head->counts[FIELD_EXPECT] > 1 ||
            !text_equal_nocase(http_head_part(head, head->first[FIELD_EXPECT]), "100-continue");
    }
    head->offers_websocket = http_head_lists(head, FIELD_CONNECTION, "upgrade") &&
                             http_head_lists(head, FIELD_UPGRADE, "websocket");
}

static enum error finish(struct http_head *head) {
    enum error error = check_host(head);
    if (error == ERR_OK)
        error = check_framing(head);
    if (error == ERR_OK)
        read_wishes(head);
    return error;
}

/* --- Reading on ------------------------------------------------------------------------------ */

/* A whole line, without its end. */
static enum error read_line(struct http_head *head, struct bytes line, bool *is_end) {
    *is_end = head->fields > 0 && line.len == 0;
    if (head->fields > 0)
        return line.len == 0 ? ERR_OK : read_field(head, line);
    /* What some clients send behind a body (RFC 9112, section 2.2). */
    if (line.len == 0)
        return ERR_OK;
    enum error error = read_request_line(head, line);
    head->fields = head->scanned;
    return error;
}

/* Nothing has ended yet: is what has come too much already? */
static enum error check_size(struct http_head *head, struct bytes in) {
    size_t line_len = in.len - head->line;
    if (head->fields == 0 && line_len > HTTP_TARGET_BYTES_MAX + 64)
        return refuse(head, ERR_TARGET_TOO_LONG, NULL);
    return in.len < HTTP_HEAD_BYTES_MAX ? ERR_MORE : refuse(head, ERR_HEAD_TOO_LARGE, NULL);
}

enum error http_head_read(struct http_head *head, struct bytes in) {
    struct bytes all = in;
    head->base = in.data;
    if (in.len > HTTP_HEAD_BYTES_MAX)
        in.len = HTTP_HEAD_BYTES_MAX;
    /* So that who speaks another protocol hears of it at once, TLS above all. */
    if (in.len > 0 && head->line == 0 && in.data[0] != '\r' && !consists_of(bytes_make(in.data, 1), IN_TOKEN))
        return malformed(head, "This is not HTTP. TLS ends at the load balancer, not here.");
    const char *end;
    while (head->scanned < in.len &&
           (end = memchr(in.data + head->scanned, '\n', in.len - head->scanned)) != NULL) {
        struct bytes line = bytes_make(in.data + head->line, (size_t)(end - in.data) - head->line);
        if (line.len == 0 || line.data[line.len - 1] != '\r')
            return malformed(head, "A line of the head ends with LF, without CR.");
        line.len--;
        head->scanned = (uint16_t)(end - in.data + 1);
        bool is_end;
        enum error error = read_line(head, line, &is_end);
        if (error != ERR_OK)
            return error;
        head->line = head->scanned;
        if (is_end) {
            head->len = head->scanned;
            return finish(head);
        }
    }
    head->scanned = (uint16_t)in.len;
    return check_size(head, all);
}

/* --- The query ------------------------------------------------------------------------------- */

bool http_query_find(struct bytes query, const char *name, unsigned index, struct buf *out) {
    bool is_last = false;
    while (!is_last) {
        struct bytes pair, key;
        is_last = !take_until(&query, '&', &pair);
        if (is_last)
            pair = query;
        if (take_until(&pair, '=', &key) && bytes_equal_text(key, name) && index-- == 0)
            return text_query_decode(pair, out);
    }
    return false;
}

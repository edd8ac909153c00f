/* The head of an HTTP request (RFC 9112), read strictly, because a proxy before us that reads it otherwise would
 * take somebody else's answer for its own: what has two readings is refused. Looks at bytes only.
 *
 * The reader is fed what has come so far, again and again until the head is whole, and looks at each byte once. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/error.h"

enum {
    HTTP_HEAD_BYTES_MAX = 8192,   /* Beyond it: 431. */
    HTTP_TARGET_BYTES_MAX = 6144, /* Beyond it: 414. Leaves room for what browsers and proxies add. */
};

enum http_method {
    METHOD_GET = 1,
    METHOD_HEAD = 2,
    METHOD_POST = 4,
    METHOD_OPTIONS = 8,
    METHOD_OTHER = 16,   /* Of RFC 9110 or 5789, and served nowhere: 405. */
    METHOD_UNKNOWN = 32, /* A token that we have never heard of: 501. */
};

/* The fields that somebody here asks for. All others are only checked for their form. */
enum http_field {
    FIELD_HOST,
    FIELD_CONNECTION,
    FIELD_UPGRADE,
    FIELD_CONTENT_LENGTH,
    FIELD_TRANSFER_ENCODING,
    FIELD_EXPECT,
    FIELD_ORIGIN,
    FIELD_AUTHORIZATION,
    FIELD_CONTENT_TYPE,
    FIELD_IF_NONE_MATCH,
    FIELD_ACCEPT,
    FIELD_ACCEPT_ENCODING,
    FIELD_LAST_EVENT_ID,
    FIELD_X_API_KEY,
    FIELD_X_FORWARDED_FOR,
    FIELD_WEBSOCKET_KEY,
    FIELD_WEBSOCKET_VERSION,
    FIELD_WEBSOCKET_PROTOCOL,
    FIELD_WEBSOCKET_EXTENSIONS,
    FIELD_COUNT
};

/* A part of the head, as places in it: they hold wherever its bytes lie. */
struct http_part {
    uint16_t at;
    uint16_t len;
};

struct http_head {
    const char *base;    /* Where the head's bytes lie; set by http_head_read, and by whoever copies them. */
    uint16_t len;        /* Of the whole head, its empty line included; 0 until it has come. */
    uint16_t scanned;    /* So far no line ends behind what the lines below say. */
    uint16_t line;       /* Where the line begins that is not whole yet. */
    uint16_t fields;     /* Where the field lines begin; 0 until the request line has come. */
    const char *problem; /* When it is refused: why, for people. */

    enum http_method method;
    struct http_part path;      /* As it was sent: escapes are not decoded. */
    struct http_part query;     /* Without its '?'. */
    struct http_part authority; /* Of a target with scheme and host, which overrides Host; else empty. */
    struct http_part first[FIELD_COUNT]; /* The value of the first line of that name. */
    uint8_t counts[FIELD_COUNT];         /* Lines of that name, at most 255. */

    uint64_t content_length;
    bool is_http_1_1;
    bool is_chunked;       /* The body has no length before it has ended. */
    bool keeps_alive;      /* The client wants the connection to last. */
    bool expects_continue; /* It waits for 100 before it sends the body. */
    bool expects_more;     /* Something else that we do not know. */
    bool offers_websocket; /* Connection and Upgrade ask for one; whether the rest is right is still open. */
    bool has_content_length;
};

/* Reads on. `head` is zeroed before the first call and `in` begins with the same bytes in each. ERR_MORE: nothing
 * speaks against it yet. ERR_OK: the head is whole, `len` bytes of it. Anything else is what the client is to be
 * told, with `problem` as its text; the request's end is not known then. */
enum error http_head_read(struct http_head *head, struct bytes in);

static inline struct bytes http_head_part(const struct http_head *head, struct http_part part) {
    return bytes_make(head->base + part.at, part.len);
}

/* Appends the field's value, several lines of it joined by ", ", and returns whether there was one. */
bool http_head_field(const struct http_head *head, enum http_field field, struct buf *out);

/* Whether one of the field's values, a list, is `token`; letters without case. */
bool http_head_lists(const struct http_head *head, enum http_field field, const char *token);

/* What is asked for; of a URL that ends with its host: "/" (RFC 9112, section 3.2.1). */
struct bytes http_head_path(const struct http_head *head);

/* Where the request was sent to: the target's own authority, or Host. */
struct bytes http_head_host(const struct http_head *head);

/* Appends the `index`th value of the query's parameter `name`, decoded, '+' being a space; false when there are not
 * so many. A name is compared as it was sent. */
bool http_query_find(struct bytes query, const char *name, unsigned index, struct buf *out);

#endif

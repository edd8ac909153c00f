/* HTTP/1.1 responses, as far as a load client needs them: a head, and a body that is chunked, counted or open
 * ended. No I/O. */
#ifndef LOADTEST_HTTP_H
#define LOADTEST_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

enum http_body_kind { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_UNTIL_CLOSE };

struct http_head {
    uint32_t status;
    size_t len; /* Bytes of the head with the empty line that ends it. */
    enum http_body_kind body;
    uint64_t content_length;
    bool closes;         /* Connection: close, or HTTP/1.0. */
    struct bytes accept; /* Sec-WebSocket-Accept. Slices borrow from what was parsed; data NULL: absent. */
    struct bytes extensions;
    struct bytes retry_after;
};

enum http_result { HTTP_DONE, HTTP_MORE, HTTP_BROKEN };

enum http_result http_parse_head(struct bytes in, struct http_head *head);

/* Where the decoding of a body stands. */
struct http_body {
    uint8_t kind;  /* enum http_body_kind */
    uint8_t state; /* Of the chunk decoder. */
    bool is_done;
    uint64_t left; /* Bytes of the body, or of the chunk. */
};

void http_body_begin(struct http_body *body, const struct http_head *head);

/* Decodes `len` bytes in place: the content they hold comes to stand at `data`, its length is returned.
 * `*used` are the bytes that belonged to this body: fewer than `len` only when it is done. SIZE_MAX: broken
 * chunking. */
size_t http_body_decode(struct http_body *body, char *data, size_t len, size_t *used);

#endif

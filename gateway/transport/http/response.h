/* The bytes of an answer (RFC 9112, section 4). */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/error.h"

struct response {
    int status;
    const char *content_type; /* NULL: there is no content. */
    const char *headers;      /* Whole lines, each with its CR LF, or "". */
    const char *connection;   /* What the Connection header says; NULL: it is not needed. */
    struct bytes body;
    bool has_no_body; /* Of HEAD: the answer as it would be, without the body. */
};

void response_append(struct buf *out, const struct response *response);

/* The head only, of an answer whose `body_len` bytes follow otherwise. */
void response_append_head(struct buf *out, const struct response *response, uint64_t body_len);

/* An error as JSON, {"error":{"code":...,"message":...}}, with the headers that belong to its status. `text`
 * stands in place of the error's own when it is not NULL. Of `response`, headers, connection and has_no_body count. */
void response_append_error(struct buf *out, const struct response *response, enum error error,
                           const char *text);

#endif

/* What a handler is told of a request. Valid within the handler. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "gateway/transport/http/head.h"

struct connection;

struct request {
    struct connection *connection;
    const struct http_head *head;
    enum http_method method;
    struct bytes
        path; /* As it was sent; escapes are not decoded, so that no front reads another path than we do. */
};

/* Appends the field's value and returns whether there was one. */
static inline bool request_field(const struct request *request, enum http_field field, struct buf *out) {
    return http_head_field(request->head, field, out);
}

/* Appends the `index`th value of the query's parameter `name`, decoded; false when there are not so many. */
static inline bool request_query(const struct request *request, const char *name, unsigned index,
                                 struct buf *out) {
    return http_query_find(http_head_part(request->head, request->head->query), name, index, out);
}

/* The name that the request was sent to, and its port if it was said. */
static inline struct bytes request_host(const struct request *request) {
    return http_head_host(request->head);
}

#endif

/* What the floor server needs of HTTP: one request, taken apart just enough, and its answer. No I/O. */
#ifndef LOADTEST_FLOOR_HTTP_H
#define LOADTEST_FLOOR_HTTP_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/bytes.h"

enum floor_form { FLOOR_WS, FLOOR_SSE, FLOOR_STREAM };

struct floor_request {
    enum floor_form form;
    struct bytes query; /* Behind the '?'. Slices borrow from what was parsed. */
    struct bytes key;   /* Sec-WebSocket-Key. */
    size_t len;
};

/* 1: a request was parsed, 0: `in` ends inside it, -1: not one that we answer. */
int floor_parse_request(struct bytes in, struct floor_request *request);

/* Appends the head of the response. */
void floor_append_response(struct buf *out, const struct floor_request *request);

/* The next value of `channel` in a query; data NULL: none left. `*query` moves behind it. */
struct bytes floor_next_channel(struct bytes *query);

/* Appends the wire form of a message: a frame, an event, a line. `payload` is valid JSON. */
void floor_append_message(struct buf *out, enum floor_form form, struct bytes channel, struct bytes payload);

#endif

/* Every way in which messages go out: the products of protocols and framings. */
#ifndef GATEWAY_FORMS_H
#define GATEWAY_FORMS_H

#include "gateway/core/wire.h"

enum form_index {
    FORM_NATIVE_WEBSOCKET,
    FORM_NATIVE_DEFLATE,
    FORM_NATIVE_SSE,
    FORM_NATIVE_CHUNK,
    FORM_NATIVE_LINE,
    FORM_NATIVE_JSON
};

extern const struct form native_websocket_form;

/* For clients that agreed on permessage-deflate: a message is compressed once for all of them, or goes to them in the
 * very bytes that the others get. */
extern const struct form native_deflate_form;

/* Messages of fewer bytes than `min_bytes`, framing aside, are not worth compressing. `metrics` is borrowed. */
struct metrics;
void forms_set_compression(uint32_t min_bytes, struct metrics *metrics);
void forms_finish_compression(void); /* Frees what all share. */

/* One channel: a message's place is its id, so that all share its bytes. */
extern const struct form native_sse_form;
extern const struct form native_chunk_form; /* NDJSON in the chunks of HTTP/1.1. */
extern const struct form native_line_form;  /* NDJSON as it is, for HTTP/1.0. */

/* Several channels: a message goes with the session's place in all of them. */
extern const struct form native_sse_list_form;
extern const struct form native_chunk_list_form;
extern const struct form native_line_list_form;

/* Elements of a poll's reply, each followed by a comma. */
extern const struct form native_poll_form;

#endif

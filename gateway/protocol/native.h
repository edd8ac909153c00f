/* fantail.v1, our own protocol: JSON objects, one or several per frame. See docs/protocols/native.md.
 *
 * The codec keeps no state of a client, so one serves all. */
#ifndef PROTOCOL_NATIVE_H
#define PROTOCOL_NATIVE_H

#include <jansson.h>

#include "gateway/protocol/protocol.h"

extern const struct protocol native_protocol;

/* A JSON object, ours to read but for its payload. */
struct native_object {
    json_t *
        members; /* All but "data". What jansson cannot hold (a number beyond a double, half a character) is null
                          there, and so is of no form that we ask for. */
    struct bytes data; /* As it was written; empty: there is none. */
    size_t len; /* What it takes of the text. 0: the text begins with no whole object, and this is what stands
                          before the fault. */
};

/* Of the object that `text` begins with. json_decref the members. */
struct native_object native_read_object(struct bytes text);

/* Decodes base64 with its padding (RFC 4648, section 4) into `out`. False when it is none. */
bool native_decode_base64(struct bytes text, struct buf *out);

/* Appends a payload as the value of "data" or "base64", with its name and colon: as it is where it is valid
 * JSON (line breaks between its tokens become spaces), as a JSON string where it is other UTF-8, else in
 * base64. */
void native_append_payload(struct bytes payload, struct buf *out);

#endif

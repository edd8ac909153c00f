/* fantail.v1, our own protocol: JSON objects, one or several per frame. See docs/protocols/native.md.
 *
 * The codec keeps no state of a client, so one serves all. */
#ifndef PROTOCOL_NATIVE_H
#define PROTOCOL_NATIVE_H

#include "gateway/protocol/protocol.h"

extern const struct protocol native_protocol;

/* Whether a payload is JSON, and so goes out as it is. */
bool native_is_json(struct bytes payload);

/* Decodes base64 with its padding (RFC 4648, section 4) into `out`. False when it is none. */
bool native_decode_base64(struct bytes text, struct buf *out);

/* Appends a payload as the value of "data" or "base64", with its name and colon: as it is where it is valid
 * JSON (line breaks between its tokens become spaces), as a JSON string where it is other UTF-8, else in
 * base64. */
void native_append_payload(struct bytes payload, struct buf *out);

#endif

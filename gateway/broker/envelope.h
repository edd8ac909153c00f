/* How a message of a channel with history travels over pub/sub: an envelope around the payload, made by the
 * functions in fantail.lua. A payload that begins with another byte than 0 is a bare message. Pure.
 *
 *   00 01 KIND ID ' ' PREVIOUS ' ' PUBLISHED_MS ' ' PRIORITY '\n' PAYLOAD
 *
 * KIND: 'm' message, 'b' boundary, 'g' gap mark. ID and PREVIOUS: "EPOCH-OFFSET" in decimal, PREVIOUS "-"
 * when there is none. PRIORITY: 'h' high, '-' none said. */
#ifndef BROKER_ENVELOPE_H
#define BROKER_ENVELOPE_H

#include <stdbool.h>

#include "common/buf.h"
#include "gateway/broker/broker.h"

/* What came over pub/sub, as an entry that borrows from `in`. False when it begins like an envelope but is
 * none that we know: then `*entry` is a bare message with all of `in` as its payload. */
bool envelope_parse(struct bytes in, struct entry *entry);

/* The opposite, for an entry with an id; for tests and for the memory broker's kin. */
void envelope_append(const struct entry *entry, struct buf *out);

/* The kind that a letter stands for. False, with `*kind` untouched, for a letter that we do not know. */
bool envelope_parse_kind(char letter, enum entry_kind *kind);

#endif

/* Where a member's value stands in the text of a JSON object. A payload has to reach subscribers as it was
 * written; taking it apart and printing it again would change numbers and the order of members. */
#ifndef PROTOCOL_JSON_SPAN_H
#define PROTOCOL_JSON_SPAN_H

#include <stdbool.h>

#include "common/bytes.h"

/* The text of the last member called `name`, which needs no escapes. `object` is the valid text of one JSON
 * object. False when there is no such member. */
bool json_member_span(struct bytes object, const char *name, struct bytes *value);

#endif

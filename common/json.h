/* Where JSON stands in a text, by the grammar of RFC 8259 and nothing more: nothing is taken apart, so nothing that the
 * grammar allows can be too large, too precise or half a character. Whoever wants the value of what it finds gives
 * that piece to jansson, which is stricter. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <stdbool.h>

#include "common/bytes.h"

/* What is nested deeper is not read: every reader has a limit, and jansson the same. */
enum { JSON_DEPTH_MAX = 2048 };

/* `text` without the space that it begins with. */
struct bytes json_skip_space(struct bytes text);

/* How many bytes the value takes that `text` begins with; 0 when it begins with none. */
size_t json_value_len(struct bytes text);

/* Whether `text` is one value, with space around it or without. */
bool json_is_valid(struct bytes text);

/* The next member of the object that `text` begins with; `*at` is 0 for the first one. `name` is a JSON string with
 * its quotes and escapes, `value` stands as it was written. False at the end, and where the text is broken: what
 * comes before that is found all the same. */
bool json_next_member(struct bytes text, size_t *at, struct bytes *name, struct bytes *value);

#endif

/* What no library at hand does for us with text. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/bytes.h"

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool text_is_utf8(struct bytes text);

/* Decodes %XX, and in a query string '+' as a space. False on a broken escape or when `out` is full. */
bool text_percent_decode(struct bytes text, struct buf *out);
bool text_query_decode(struct bytes text, struct buf *out);

/* A whole decimal number without sign or spaces. False, with `*value` untouched, when it is not one or does
 * not fit. */
bool text_parse_u64(struct bytes text, uint64_t *value);

/* Equal, ASCII letters compared without case. */
bool text_equal_nocase(struct bytes a, const char *b);

#endif

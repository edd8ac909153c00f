/* The path of a request as the name of a file. */
#ifndef HTTP_PATH_H
#define HTTP_PATH_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/bytes.h"

/* Appends the path with its escapes decoded. False when it is not one that may lead to a file: it begins with '/', has
 * no NUL, and no part of it begins with a dot, which covers "..". In paths '+' is itself. */
bool http_path_decode(struct bytes path, struct buf *out);

#endif

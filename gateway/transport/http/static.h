/* Files of a folder over HTTP. */
#ifndef TRANSPORT_STATIC_H
#define TRANSPORT_STATIC_H

#include "gateway/transport/server.h"

/* Answers with the file below `directory` that the request's path names; a path that ends with '/' names its
 * index.html. Paths with "..", and names that begin with a dot, are not found; links are followed. */
void static_serve(struct exchange *exchange, const char *directory);

#endif

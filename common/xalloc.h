/* Allocation that cannot fail: whatever a peer can make grow is bounded first, so running out of memory is
 * not a case that callers handle. It ends the process with a message; the master starts another worker. */
#ifndef COMMON_XALLOC_H
#define COMMON_XALLOC_H

#include <stddef.h>

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *old, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));

/* A terminated copy of `len` bytes. */
char *xstrndup(const char *data, size_t len) __attribute__((malloc, returns_nonnull));

#endif

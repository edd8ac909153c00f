#include "common/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory, size_t size) {
    if (memory == NULL) {
        fprintf(stderr, "fantail: out of memory: %zu bytes refused\n", size);
        abort();
    }
    return memory;
}

void *xmalloc(size_t size) {
    size = size ? size : 1;
    return checked(malloc(size), size);
}

void *xcalloc(size_t count, size_t size) {
    count = count ? count : 1;
    size = size ? size : 1;
    return checked(calloc(count, size), size);
}

void *xrealloc(void *old, size_t size) {
    size = size ? size : 1;
    return checked(realloc(old, size), size);
}

char *xstrdup(const char *text) {
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *data, size_t len) {
    char *copy = xmalloc(len + 1);
    memcpy(copy, data, len);
    copy[len] = '\0';
    return copy;
}

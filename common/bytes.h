/* A borrowed slice of bytes: a pointer and a length, no terminator. Whoever hands one out says how long it
 * stays valid. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct bytes {
    const char *data;
    size_t len;
};

/* For printf: "%.*s", BYTES_FMT(slice). */
#define BYTES_FMT(slice) (int)(slice).len, (slice).data

/* Of a string literal, or of an array that holds one. */
#define BYTES_LITERAL(text)                                                                                  \
    (struct bytes) {                                                                                         \
        (text), sizeof(text) - 1                                                                             \
    }

static inline struct bytes bytes_of(const char *text) {
    return (struct bytes){text, strlen(text)};
}

static inline struct bytes bytes_make(const void *data, size_t len) {
    return (struct bytes){data, len};
}

static inline bool bytes_equal(struct bytes a, struct bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_equal_text(struct bytes a, const char *text) {
    return bytes_equal(a, bytes_of(text));
}

static inline bool bytes_start_with(struct bytes a, struct bytes prefix) {
    return a.len >= prefix.len && memcmp(a.data, prefix.data, prefix.len) == 0;
}

/* What is left of `a` after its first `count` bytes; `count` is at most a.len. */
static inline struct bytes bytes_skip(struct bytes a, size_t count) {
    return (struct bytes){a.data + count, a.len - count};
}

#endif

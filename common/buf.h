/* A growable byte buffer with a maximum. A buffer without content owns no memory, so it may sit in every
 * session. Once an append was refused, `overflow` stays true and further appends are refused as well: check
 * once, at the end. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"

struct buf {
    char *data;
    size_t len;
    size_t capacity;
    size_t max; /* Bytes that `len` never passes. */
    bool overflow;
};

/* `max` of 0 stands for no limit: only for what no peer can make grow. */
void buf_init(struct buf *buf, size_t max);
void buf_finish(struct buf *buf); /* Frees the memory; the buffer is empty and usable again. */

static inline struct bytes buf_bytes(const struct buf *buf) {
    return (struct bytes){buf->data, buf->len};
}

/* Empties the buffer and keeps its memory. */
static inline void buf_clear(struct buf *buf) {
    buf->len = 0;
    buf->overflow = false;
}

/* Each returns false, and leaves the content as it was, when it would pass the maximum. */
bool buf_append(struct buf *buf, const void *data, size_t len);
bool buf_append_bytes(struct buf *buf, struct bytes bytes);
bool buf_append_text(struct buf *buf, const char *text);
bool buf_append_char(struct buf *buf, char c);
bool buf_append_u64(struct buf *buf, uint64_t value);
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends `bytes` as a JSON string with its quotes (RFC 8259, section 7). The bytes are valid UTF-8. */
bool buf_append_json_string(struct buf *buf, struct bytes bytes);

/* Room for at least `len` more bytes at data + len; the caller then adds what it wrote to `len`. NULL when
 * that would pass the maximum. */
char *buf_reserve(struct buf *buf, size_t len);

/* Drops the first `count` bytes, at most `len`. */
void buf_consume(struct buf *buf, size_t count);

#endif

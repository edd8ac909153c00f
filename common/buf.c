#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"

void buf_init(struct buf *buf, size_t max) {
    *buf = (struct buf){.max = max ? max : SIZE_MAX};
}

void buf_finish(struct buf *buf) {
    free(buf->data);
    buf_init(buf, buf->max);
}

/* Room for `len` bytes within the maximum, and for `spare` more that will not count. */
static char *reserve(struct buf *buf, size_t len, size_t spare) {
    if (buf->overflow || len > buf->max - buf->len) {
        buf->overflow = true;
        return NULL;
    }
    size_t needed = buf->len + len + spare;
    if (needed > buf->capacity || buf->data == NULL) {
        size_t grown = buf->capacity ? buf->capacity * 2 : 64;
        buf->capacity = grown > needed ? grown : needed;
        buf->data = xrealloc(buf->data, buf->capacity);
    }
    return buf->data + buf->len;
}

char *buf_reserve(struct buf *buf, size_t len) {
    return reserve(buf, len, 0);
}

bool buf_append(struct buf *buf, const void *data, size_t len) {
    if (len == 0)
        return !buf->overflow;
    char *room = reserve(buf, len, 0);
    if (room == NULL)
        return false;
    memcpy(room, data, len);
    buf->len += len;
    return true;
}

bool buf_append_bytes(struct buf *buf, struct bytes bytes) {
    return buf_append(buf, bytes.data, bytes.len);
}

bool buf_append_text(struct buf *buf, const char *text) {
    return buf_append(buf, text, strlen(text));
}

bool buf_append_char(struct buf *buf, char c) {
    return buf_append(buf, &c, 1);
}

bool buf_append_u64(struct buf *buf, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return buf_append(buf, digits + at, sizeof digits - at);
}

bool buf_printf(struct buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *room = len < 0 ? NULL : reserve(buf, (size_t)len, 1); /* Its terminator is not content. */
    if (room == NULL)
        return false;
    va_start(args, format);
    vsnprintf(room, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
    return true;
}

bool buf_append_json_string(struct buf *buf, struct bytes bytes) {
    static const char hex[] = "0123456789abcdef";
    size_t start = buf->len;
    size_t plain = 0; /* Where the run of bytes that need no escape begins. */
    buf_append_char(buf, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_append(buf, bytes.data + plain, i - plain);
        plain = i + 1;
        switch (c) {
        case '"':
        case '\\':
            buf_append_char(buf, '\\');
            buf_append_char(buf, (char)c);
            break;
        case '\n':
            buf_append_text(buf, "\\n");
            break;
        case '\r':
            buf_append_text(buf, "\\r");
            break;
        case '\t':
            buf_append_text(buf, "\\t");
            break;
        default:
            buf_append_text(buf, "\\u00");
            buf_append_char(buf, hex[c >> 4]);
            buf_append_char(buf, hex[c & 15]);
        }
    }
    buf_append(buf, bytes.data + plain, bytes.len - plain);
    if (buf_append_char(buf, '"'))
        return true;
    buf->len = start;
    return false;
}

void buf_consume(struct buf *buf, size_t count) {
    buf->len -= count;
    if (buf->len > 0)
        memmove(buf->data, buf->data + count, buf->len);
}

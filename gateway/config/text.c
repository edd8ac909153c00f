#include "gateway/config/text.h"

#include <ctype.h>
#include <string.h>

static size_t line_end(struct bytes text, size_t at) {
    const char *end = memchr(text.data + at, '\n', text.len - at);
    return end ? (size_t)(end - text.data) : text.len;
}

unsigned config_text_include_line(struct bytes text) {
    unsigned line = 1;
    for (size_t at = 0; at < text.len; line++) {
        size_t end = line_end(text, at);
        while (at < end && (text.data[at] == ' ' || text.data[at] == '\t'))
            at++;
        if (bytes_start_with(bytes_make(text.data + at, end - at), BYTES_LITERAL("@include")))
            return line;
        at = end + 1;
    }
    return 0;
}

static bool starts_with(struct bytes text, size_t at, const char *prefix) {
    return bytes_start_with(bytes_skip(text, at), bytes_of(prefix));
}

/* Each of the following returns where what begins at `at` ends. */

static size_t string_end(struct bytes text, size_t at) {
    for (at++; at < text.len && text.data[at] != '"'; at++) {
        if (text.data[at] == '\\')
            at++;
    }
    return at < text.len ? at + 1 : text.len;
}

static size_t comment_end(struct bytes text, size_t at) {
    const char *end = memmem(text.data + at + 2, text.len - at - 2, "*/", 2);
    return end ? (size_t)(end - text.data) + 2 : text.len;
}

static size_t name_end(struct bytes text, size_t at) {
    while (at < text.len && (isalnum((unsigned char)text.data[at]) || strchr("_-*", text.data[at])))
        at++;
    return at;
}

static size_t number_end(struct bytes text, size_t at) {
    while (at < text.len && (isalnum((unsigned char)text.data[at]) || text.data[at] == '.'))
        at++;
    return at;
}

/* Whether this is an integer, decimal or hexadecimal, that 32 bits may not hold. */
static bool is_wide(struct bytes number) {
    bool hex = number.len > 2 && number.data[0] == '0' && (number.data[1] == 'x' || number.data[1] == 'X');
    size_t digits = 0;
    for (size_t i = hex ? 2 : 0; i < number.len; i++) {
        unsigned char c = (unsigned char)number.data[i];
        if (hex ? !isxdigit(c) : !isdigit(c))
            return false;
        digits += digits > 0 || c != '0';
    }
    return digits > (hex ? 7 : 9);
}

void config_text_widen_integers(struct bytes text, struct buf *out) {
    size_t end;
    for (size_t at = 0; at < text.len; at = end) {
        char c = text.data[at];
        bool wide = false;
        end = at + 1;
        if (c == '"') {
            end = string_end(text, at);
        } else if (c == '#' || starts_with(text, at, "//")) {
            end = line_end(text, at);
        } else if (starts_with(text, at, "/*")) {
            end = comment_end(text, at);
        } else if (isdigit((unsigned char)c)) {
            end = number_end(text, at);
            wide = is_wide(bytes_make(text.data + at, end - at));
        } else if (isalpha((unsigned char)c) || c == '*') {
            end = name_end(text, at);
        }
        buf_append(out, text.data + at, end - at);
        if (wide)
            buf_append_char(out, 'L');
    }
}

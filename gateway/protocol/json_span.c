#include "gateway/protocol/json_span.h"

/* Every function returns the index after what it skips, at most text.len: the text is known to be valid, and
 * the bounds hold all the same. */

static size_t skip_space(struct bytes text, size_t at) {
    while (at < text.len && memchr(" \t\r\n", text.data[at], 4) != NULL)
        at++;
    return at;
}

static size_t skip_string(struct bytes text, size_t at) {
    for (at++; at < text.len && text.data[at] != '"'; at++)
        if (text.data[at] == '\\')
            at++;
    return at < text.len ? at + 1 : text.len;
}

static size_t skip_value(struct bytes text, size_t at) {
    size_t depth = 0;
    while (at < text.len) {
        char c = text.data[at];
        if (c == '"') {
            at = skip_string(text, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return at; /* The end of what holds a bare number or word. */
            depth--;
            at++;
        } else if (depth == 0 && memchr(", \t\r\n", c, 5) != NULL) {
            return at;
        } else {
            at++;
            continue; /* Inside a bare number or word, or between the members of something deeper. */
        }
        if (depth == 0)
            return at;
    }
    return at;
}

bool json_member_span(struct bytes object, const char *name, struct bytes *value) {
    bool found = false;
    size_t at = skip_space(object, 0);
    if (at == object.len || object.data[at] != '{')
        return false;
    for (at = skip_space(object, at + 1); at < object.len && object.data[at] == '"';) {
        size_t key = at + 1;
        at = skip_string(object, at);
        bool is_it = bytes_equal_text(bytes_make(object.data + key, at - key - 1), name);
        at = skip_space(object, at);
        at = skip_space(object, at + 1); /* The colon. */
        if (at >= object.len)
            return found;
        size_t start = at;
        at = skip_value(object, at);
        if (is_it) {
            *value = bytes_make(object.data + start, at - start);
            found = true;
        }
        at = skip_space(object, at);
        if (at >= object.len || object.data[at] != ',')
            return found;
        at = skip_space(object, at + 1);
    }
    return found;
}

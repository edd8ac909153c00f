#include "common/json.h"

#include "common/text.h"

/* Each function reads what it is called after, and says whether it was there. */
struct reader {
    const char *at;
    const char *end;
    unsigned depth;
};

static bool take(struct reader *reader, char c) {
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static bool take_any(struct reader *reader, const char *of) {
    if (reader->at == reader->end || *reader->at == '\0' || strchr(of, *reader->at) == NULL)
        return false;
    reader->at++;
    return true;
}

static void read_space(struct reader *reader) {
    while (take_any(reader, " \t\r\n"))
        continue;
}

static bool read_escape(struct reader *reader) {
    if (!take(reader, 'u'))
        return take_any(reader, "\"\\/bfnrt");
    for (int i = 0; i < 4; i++)
        if (!take_any(reader, "0123456789abcdefABCDEF"))
            return false;
    return true;
}

static bool read_string(struct reader *reader) {
    if (!take(reader, '"'))
        return false;
    while (reader->at < reader->end) {
        char c = *reader->at++;
        if (c == '"')
            return true;
        if ((unsigned char)c < ' ' || (c == '\\' && !read_escape(reader)))
            return false;
    }
    return false;
}

static bool read_digits(struct reader *reader) {
    const char *start = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return reader->at > start;
}

static bool read_number(struct reader *reader) {
    take(reader, '-');
    if (!take(reader, '0') && !read_digits(reader))
        return false;
    if (take(reader, '.') && !read_digits(reader))
        return false;
    if (!take_any(reader, "eE"))
        return true;
    take_any(reader, "+-");
    return read_digits(reader);
}

static bool read_word(struct reader *reader, struct bytes word) {
    if (!bytes_start_with(bytes_make(reader->at, (size_t)(reader->end - reader->at)), word))
        return false;
    reader->at += word.len;
    return true;
}

static bool read_value(struct reader *reader);

static bool read_name(struct reader *reader) {
    read_space(reader);
    if (!read_string(reader))
        return false;
    read_space(reader);
    return take(reader, ':');
}

/* Elements, or members, up to the bracket that ends them. */
static bool read_items(struct reader *reader, bool have_names, char end) {
    if (++reader->depth > JSON_DEPTH_MAX)
        return false;
    read_space(reader);
    if (!take(reader, end)) {
        do {
            if ((have_names && !read_name(reader)) || !read_value(reader))
                return false;
        } while (take(reader, ','));
        if (!take(reader, end))
            return false;
    }
    reader->depth--;
    return true;
}

static bool read_bare_value(struct reader *reader) {
    if (take(reader, '{'))
        return read_items(reader, true, '}');
    if (take(reader, '['))
        return read_items(reader, false, ']');
    if (reader->at < reader->end && *reader->at == '"')
        return read_string(reader);
    return read_word(reader, BYTES_LITERAL("true")) || read_word(reader, BYTES_LITERAL("false")) ||
           read_word(reader, BYTES_LITERAL("null")) || read_number(reader);
}

/* With the space around it. */
static bool read_value(struct reader *reader) {
    read_space(reader);
    if (!read_bare_value(reader))
        return false;
    read_space(reader);
    return true;
}

static struct reader reader_of(struct bytes text) {
    return (struct reader){.at = text.data, .end = text.len > 0 ? text.data + text.len : text.data};
}

struct bytes json_skip_space(struct bytes text) {
    struct reader reader = reader_of(text);
    read_space(&reader);
    return bytes_skip(text, (size_t)(reader.at - text.data));
}

size_t json_value_len(struct bytes text) {
    struct reader reader = reader_of(text);
    if (!read_bare_value(&reader))
        return 0;
    size_t len = (size_t)(reader.at - text.data);
    return text_is_utf8(bytes_make(text.data, len)) ? len : 0;
}

bool json_is_valid(struct bytes text) {
    struct reader reader = reader_of(text);
    return read_value(&reader) && reader.at == reader.end && text_is_utf8(text);
}

bool json_next_member(struct bytes text, size_t *at, struct bytes *name, struct bytes *value) {
    struct reader reader = reader_of(text);
    reader.at += *at;
    if (!take(&reader, *at == 0 ? '{' : ','))
        return false;
    read_space(&reader);
    const char *start = reader.at;
    if (!read_string(&reader))
        return false;
    *name = bytes_make(start, (size_t)(reader.at - start));
    read_space(&reader);
    if (!take(&reader, ':'))
        return false;
    read_space(&reader);
    *value = bytes_make(reader.at, json_value_len(bytes_make(reader.at, (size_t)(reader.end - reader.at))));
    reader.at += value->len;
    read_space(&reader);
    *at = (size_t)(reader.at - text.data);
    /* A number that is cut off may be the beginning of another. */
    return value->len > 0 && reader.at < reader.end && (*reader.at == ',' || *reader.at == '}');
}

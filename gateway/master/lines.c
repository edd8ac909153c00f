#include "gateway/master/lines.h"

void lines_init(struct lines *lines, size_t line_max) {
    *lines = (struct lines){.line_max = line_max};
    buf_init(&lines->received, 0); /* A line and a piece: who adds takes the lines out. */
}

void lines_finish(struct lines *lines) {
    buf_finish(&lines->received);
}

void lines_add(struct lines *lines, struct bytes piece) {
    buf_append_bytes(&lines->received, piece);
}

static void begin_leaving_out(struct lines *lines) {
    lines->left_out += !lines->is_leaving_out;
    lines->is_leaving_out = true;
}

/* Keeps what there is of a line without its end. */
static void keep_rest(struct lines *lines) {
    buf_consume(&lines->received, lines->start);
    if (lines->received.len > lines->line_max)
        begin_leaving_out(lines);
    if (lines->is_leaving_out || lines->received.len == 0)
        buf_finish(&lines->received);
    lines->start = 0;
    lines->looked = lines->received.len;
}

bool lines_next(struct lines *lines, struct bytes *line) {
    for (;;) {
        struct bytes rest = bytes_skip(buf_bytes(&lines->received), lines->looked);
        const char *end = rest.len > 0 ? memchr(rest.data, '\n', rest.len) : NULL;
        if (end == NULL) {
            keep_rest(lines);
            return false;
        }
        const char *begin = lines->received.data + lines->start;
        *line = bytes_make(begin, (size_t)(end - begin));
        lines->start = lines->looked = (size_t)(end + 1 - lines->received.data);
        if (line->len > lines->line_max)
            begin_leaving_out(lines);
        if (!lines->is_leaving_out)
            return true;
        lines->is_leaving_out = false;
    }
}

#include "gateway/core/position.h"

#include "common/text.h"

static bool parse_number(struct bytes text, uint64_t *value) {
    return (text.len == 1 || (text.len > 1 && text.data[0] != '0')) && text_parse_u64(text, value);
}

bool position_parse(struct bytes text, struct position *position) {
    struct position parsed;
    const char *dash = text.len > 0 ? memchr(text.data, '-', text.len) : NULL;
    if (dash == NULL)
        return false;
    size_t len = (size_t)(dash - text.data);
    if (!parse_number(bytes_make(text.data, len), &parsed.epoch) ||
        !parse_number(bytes_skip(text, len + 1), &parsed.offset))
        return false;
    *position = parsed;
    return true;
}

void position_append(const struct position *position, struct buf *out) {
    buf_append_u64(out, position->epoch);
    buf_append_char(out, '-');
    buf_append_u64(out, position->offset);
}

int position_compare(const struct position *a, const struct position *b) {
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return 0;
}

struct position position_before(const struct position *position) {
    if (position->offset > 0)
        return (struct position){position->epoch, position->offset - 1};
    return position_of_nothing(position->epoch - 1);
}

struct position position_of_nothing(uint64_t epoch) {
    return (struct position){epoch, UINT64_MAX};
}

bool position_is_nothing(const struct position *position) {
    return position->offset == UINT64_MAX;
}

bool position_follows(const struct position *after, const struct position *before) {
    return after->epoch == before->epoch && after->offset == before->offset + 1;
}

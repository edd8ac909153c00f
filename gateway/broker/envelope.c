#include "gateway/broker/envelope.h"

#include "common/text.h"

enum { MARK = 0, VERSION = 1 };

static const char kind_letters[] = {
    [ENTRY_MESSAGE] = 'm',
    [ENTRY_BOUNDARY] = 'b',
    [ENTRY_GAP] = 'g',
};

bool envelope_parse_kind(char letter, enum entry_kind *kind) {
    const char *found = memchr(kind_letters, letter, sizeof kind_letters);
    if (found != NULL)
        *kind = (enum entry_kind)(found - kind_letters);
    return found != NULL;
}

/* Takes what stands before the first `end` off `*in`, and `end` with it. */
static bool take_word(struct bytes *in, char end, struct bytes *word) {
    const char *found = in->len > 0 ? memchr(in->data, end, in->len) : NULL;
    if (found == NULL)
        return false;
    *word = bytes_make(in->data, (size_t)(found - in->data));
    *in = bytes_skip(*in, word->len + 1);
    return true;
}

static bool parse(struct bytes in, struct entry *entry) {
    struct bytes id, previous, published, priority;
    if (in.len < 3 || in.data[1] != VERSION || !envelope_parse_kind(in.data[2], &entry->kind))
        return false;
    in = bytes_skip(in, 3);
    if (!take_word(&in, ' ', &id) || !take_word(&in, ' ', &previous) || !take_word(&in, ' ', &published) ||
        !take_word(&in, '\n', &priority))
        return false;
    entry->has_id = true;
    entry->has_previous = !bytes_equal_text(previous, "-");
    entry->is_urgent = bytes_equal_text(priority, "h");
    entry->payload = in;
    return position_parse(id, &entry->id) &&
           (!entry->has_previous || position_parse(previous, &entry->previous)) &&
           text_parse_u64(published, &entry->published_ms) &&
           (entry->is_urgent || bytes_equal_text(priority, "-"));
}

bool envelope_parse(struct bytes in, struct entry *entry) {
    struct entry parsed = {0};
    bool is_envelope = in.len > 0 && in.data[0] == MARK;
    bool is_known = is_envelope && parse(in, &parsed);
    *entry = is_known ? parsed : (struct entry){.payload = in};
    return is_known || !is_envelope;
}

void envelope_append(const struct entry *entry, struct buf *out) {
    const char begin[] = {MARK, VERSION, kind_letters[entry->kind]};
    buf_append(out, begin, sizeof begin);
    position_append(&entry->id, out);
    buf_append_char(out, ' ');
    if (entry->has_previous)
        position_append(&entry->previous, out);
    else
        buf_append_char(out, '-');
    buf_append_char(out, ' ');
    buf_append_u64(out, entry->published_ms);
    buf_append_text(out, entry->is_urgent ? " h\n" : " -\n");
    buf_append_bytes(out, entry->payload);
}

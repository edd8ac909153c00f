#include "loadtest/payload.h"

#include <assert.h>
#include <string.h>

static const char magic[5] = {'f', 't', 'l', '1', ':'};
static const char head[6] = {'{', '"', 'f', '"', ':', '"'};
static const char middle[7] = {'"', ',', '"', 'p', '"', ':', '"'};

static char *put_hex(char *out, uint64_t value, int digits) {
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
    return out + digits;
}

static char *put_field(char *out, uint64_t value, int digits) {
    out = put_hex(out, value, digits);
    *out = ':';
    return out + 1;
}

/* Words that compress as JSON of services does, to a third or so. All x would become nothing, and random letters
 * would stay as long as they are. */
static void fill(char *out, size_t len, uint32_t seed) {
    static const char words[32][8] = {"score", "team", "home", "away",   "goal",   "minute", "player", "shot",
                                      "price", "bid",  "ask",  "volume", "symbol", "open",   "close",  "high",
                                      "user",  "name", "room", "text",   "reply",  "edited", "joined", "left",
                                      "17",    "2048", "99.5", "0.25",   "true",   "false",  "null",   "42"};
    while (len > 0) {
        seed = seed * 1664525u + 1013904223u;
        const char *word = words[seed >> 27];
        size_t word_len = strlen(word) < len ? strlen(word) : len;
        memcpy(out, word, word_len);
        out += word_len;
        len -= word_len;
        if (len > 0) {
            *out++ = ' ';
            len--;
        }
    }
}

void payload_write(char *out, size_t len, const struct payload_mark *mark) {
    assert(len >= PAYLOAD_BYTES_MIN);
    char *end = out + len;
    memcpy(out, head, sizeof head);
    out += sizeof head;
    memcpy(out, magic, sizeof magic);
    out = put_field(out + sizeof magic, mark->run, 8);
    out = put_field(out, mark->publisher, 2);
    out = put_field(out, mark->channel, 6);
    out = put_field(out, mark->slot, 3);
    out = put_field(out, mark->sequence, 8);
    out = put_hex(out, mark->sent_ns, 16);
    memcpy(out, middle, sizeof middle);
    out += sizeof middle;
    fill(out, (size_t)(end - out) - 2, mark->sequence);
    end[-2] = '"';
    end[-1] = '}';
}

/* Lower case digits only, as they are what we write; anything else gives a wrong number and, by its run id or
 * channel, a message that is not ours. */
static uint64_t get_hex(const char *text, int digits) {
    uint64_t value = 0;
    for (int i = 0; i < digits; i++) {
        unsigned char c = (unsigned char)text[i];
        value = value << 4 | (uint64_t)((c & 15) + 9 * (c >> 6));
    }
    return value;
}

static bool is_mark(struct bytes text, size_t at) {
    return at + PAYLOAD_MARK_BYTES <= text.len && memcmp(text.data + at, magic, sizeof magic) == 0;
}

bool payload_find(struct bytes text, size_t *hint, struct payload_mark *mark, size_t *end) {
    size_t at = *hint;
    if (!is_mark(text, at)) {
        const char *found = text.len == 0 ? NULL : memmem(text.data, text.len, magic, sizeof magic);
        if (found == NULL)
            return false;
        at = (size_t)(found - text.data);
        if (!is_mark(text, at))
            return false;
        *hint = at;
    }
    const char *field = text.data + at + sizeof magic;
    mark->run = (uint32_t)get_hex(field, 8);
    mark->publisher = (uint32_t)get_hex(field + 9, 2);
    mark->channel = (uint32_t)get_hex(field + 12, 6);
    mark->slot = (uint32_t)get_hex(field + 19, 3);
    mark->sequence = (uint32_t)get_hex(field + 23, 8);
    mark->sent_ns = get_hex(field + 32, 16);
    *end = at + PAYLOAD_MARK_BYTES;
    return true;
}

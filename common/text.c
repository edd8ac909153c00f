#include "common/text.h"

#include <strings.h>

/* How many continuation bytes follow `lead`, or -1, and the allowed range of the first of them (RFC 3629,
 * section 4: the table of well-formed sequences). */
static int utf8_followers(unsigned char lead, unsigned char *low, unsigned char *high) {
    *low = 0x80;
    *high = 0xBF;
    if (lead < 0x80)
        return 0;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 1;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (lead == 0xE0)
            *low = 0xA0;
        if (lead == 0xED)
            *high = 0x9F;
        return 2;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (lead == 0xF0)
            *low = 0x90;
        if (lead == 0xF4)
            *high = 0x8F;
        return 3;
    }
    return -1;
}

bool text_is_utf8(struct bytes text) {
    const unsigned char *at = (const unsigned char *)text.data;
    const unsigned char *end = at + text.len;
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8 && (memcpy(&eight, at, 8), (eight & 0x8080808080808080u) == 0)) {
            at += 8;
            continue;
        }
        unsigned char low, high;
        int followers = utf8_followers(*at++, &low, &high);
        if (followers < 0 || end - at < followers)
            return false;
        for (int i = 0; i < followers; i++, at++) {
            if (*at < low || *at > high)
                return false;
            low = 0x80;
            high = 0xBF;
        }
    }
    return true;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that "%XX" stands for, or -1. */
static int escaped_byte(struct bytes text) {
    int high = text.len < 3 ? -1 : hex_value(text.data[1]);
    int low = text.len < 3 ? -1 : hex_value(text.data[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool decode(struct bytes text, bool is_plus_space, struct buf *out) {
    while (text.len > 0) {
        bool is_escape = text.data[0] == '%';
        int c = is_escape ? escaped_byte(text) : text.data[0];
        if (is_escape && c < 0)
            return false;
        if (!buf_append_char(out, is_plus_space && !is_escape && c == '+' ? ' ' : (char)c))
            return false;
        text = bytes_skip(text, is_escape ? 3 : 1);
    }
    return true;
}

bool text_percent_decode(struct bytes text, struct buf *out) {
    return decode(text, false, out);
}

bool text_query_decode(struct bytes text, struct buf *out) {
    return decode(text, true, out);
}

bool text_parse_u64(struct bytes text, uint64_t *value) {
    uint64_t result = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (result > (UINT64_MAX - digit) / 10)
            return false;
        result = result * 10 + digit;
    }
    *value = result;
    return true;
}

bool text_equal_nocase(struct bytes a, const char *b) {
    return a.len == strlen(b) && strncasecmp(a.data, b, a.len) == 0;
}

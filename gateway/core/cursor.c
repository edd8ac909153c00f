#include "gateway/core/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

/* Channels are named in a cursor by a hash, so that it stays short, and may be asked for in another order. */
static uint32_t name_hash(struct bytes channel) {
    return XXH32(channel.data, channel.len, 0);
}

void cursor_print(const struct session *session, struct buf *out) {
    for (const struct subscription *each = session->subscriptions; each != NULL; each = each->next) {
        if (session->channel_count > 1)
            buf_printf(out, "%s%08" PRIx32 ":", each == session->subscriptions ? "" : ",",
                       name_hash(channel_name(each->channel)));
        position_append(&each->position[0], out);
    }
}

bool cursor_find(struct bytes cursor, struct bytes channel, bool is_only, struct position *position) {
    char name[10];
    if (is_only && position_parse(cursor, position))
        return true;
    snprintf(name, sizeof name, "%08" PRIx32 ":", name_hash(channel));
    while (cursor.len > 0) {
        const char *comma = memchr(cursor.data, ',', cursor.len);
        struct bytes part = bytes_make(cursor.data, comma ? (size_t)(comma - cursor.data) : cursor.len);
        if (bytes_start_with(part, bytes_make(name, 9)))
            return position_parse(bytes_skip(part, 9), position);
        cursor = bytes_skip(cursor, comma ? part.len + 1 : part.len);
    }
    return false;
}

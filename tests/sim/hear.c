#include "tests/sim/hear.h"

#include <stdlib.h>

#include "tests/sim/fail.h"

/* --- Objects --------------------------------------------------------------------------------------------- */

/* What follows `"name":` in an object; no payload of ours contains such a thing. */
static bool find_member(struct bytes object, const char *name, struct bytes *rest) {
    char wanted[32];
    size_t len = strlen(name);
    wanted[0] = '"';
    memcpy(wanted + 1, name, len);
    memcpy(wanted + 1 + len, "\":", 2);
    const char *found = memmem(object.data, object.len, wanted, len + 3);
    if (found == NULL)
        return false;
    *rest = bytes_skip(object, (size_t)(found - object.data) + len + 3);
    return true;
}

static bool find_string(struct bytes object, const char *name, struct bytes *value) {
    struct bytes rest;
    if (!find_member(object, name, &rest) || rest.len < 2 || rest.data[0] != '"')
        return false;
    const char *end = memchr(rest.data + 1, '"', rest.len - 1);
    if (end == NULL)
        return false;
    *value = bytes_make(rest.data + 1, (size_t)(end - rest.data) - 1);
    return true;
}

static bool find_position(struct bytes object, const char *name, struct position *position) {
    struct bytes text;
    return find_string(object, name, &text) && position_parse(text, position);
}

static void hear_object(struct hearing *hearing, struct bytes object, struct bytes cursor) {
    struct heard heard = {.kind = HEARD_OTHER, .cursor = cursor};
    struct bytes rest, event = BYTES_LITERAL("");
    find_string(object, "channel", &heard.channel);
    if (cursor.len == 0)
        find_string(object, "cursor", &heard.cursor);
    heard.has_id = find_position(object, "id", &heard.id);
    heard.has_position = find_position(object, "position", &heard.position);
    if (find_member(object, "ref", &rest))
        heard.ref = strtoull(rest.data, NULL, 10);
    if (find_member(object, "recovered", &rest)) {
        heard.has_recovered = true;
        heard.recovered = rest.data[0] == 't';
    }
    find_string(object, "event", &event);
    if (find_member(object, "error", &rest))
        heard.kind = HEARD_ERROR;
    else if (find_member(object, "ok", &rest))
        heard.kind = HEARD_REPLY;
    else if (bytes_equal_text(event, "gap"))
        heard.kind = HEARD_GAP;
    else if (bytes_equal_text(event, "open"))
        heard.kind = HEARD_OPEN;
    else if (find_member(object, "data", &rest)) {
        const char *end = memchr(rest.data + 1, '"', rest.len - 1);
        heard.kind = HEARD_MESSAGE;
        heard.data = bytes_make(rest.data, (size_t)(end - rest.data) + 1);
    }
    hearing->on_heard(hearing->context, &heard);
}

/* --- Frames ---------------------------------------------------------------------------------------------- */

/* Each of these takes one frame off the beginning, and returns how long it was; 0: it is not complete. */

static size_t take_websocket(struct hearing *hearing, struct bytes in) {
    const unsigned char *data = (const unsigned char *)in.data;
    if (in.len < 2)
        return 0;
    size_t len = data[1], head = 2;
    if (len == 126 && in.len >= 4) {
        len = (size_t)data[2] << 8 | data[3];
        head = 4;
    } else if (len >= 126) {
        return 0; /* Longer frames are not sent here. */
    }
    if (in.len < head + len)
        return 0;
    if ((data[0] & 15) == 9)
        hearing->on_ping(hearing);
    else if ((data[0] & 15) == 1)
        hear_object(hearing, bytes_make(in.data + head, len), BYTES_LITERAL(""));
    return head + len;
}

static size_t take_sse(struct hearing *hearing, struct bytes in) {
    struct bytes id = BYTES_LITERAL(""), data = BYTES_LITERAL("");
    const char *end = memmem(in.data, in.len, "\n\n", 2);
    if (end == NULL)
        return 0;
    size_t len = (size_t)(end - in.data) + 2;
    for (struct bytes rest = bytes_make(in.data, len - 1); rest.len > 0;) {
        size_t line_len = (size_t)((const char *)memchr(rest.data, '\n', rest.len) - rest.data);
        struct bytes line = bytes_make(rest.data, line_len);
        if (bytes_start_with(line, bytes_of("id: ")))
            id = bytes_skip(line, 4);
        else if (bytes_start_with(line, bytes_of("data: ")))
            data = bytes_skip(line, 6);
        rest = bytes_skip(rest, line_len + 1);
    }
    if (data.len > 0) {
        hear_object(hearing, data, id);
    } else if (id.len > 0) {
        struct heard heard = {.kind = HEARD_OPEN, .cursor = id};
        hearing->on_heard(hearing->context, &heard);
    }
    return len;
}

static size_t take_line(struct hearing *hearing, struct bytes in) {
    const char *end = in.len > 0 ? memchr(in.data, '\n', in.len) : NULL;
    if (end == NULL)
        return 0;
    size_t len = (size_t)(end - in.data);
    if (len > 0)
        hear_object(hearing, bytes_make(in.data, len), BYTES_LITERAL(""));
    return len + 1;
}

static size_t take_chunk(struct hearing *hearing, struct bytes in) {
    const char *end = in.len > 0 ? memmem(in.data, in.len, "\r\n", 2) : NULL;
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end - in.data) + 2;
    size_t len = strtoul(in.data, NULL, 16);
    if (in.len < head + len + 2)
        return 0;
    buf_append(&hearing->line, in.data + head, len);
    for (size_t used; (used = take_line(hearing, buf_bytes(&hearing->line))) > 0;)
        buf_consume(&hearing->line, used);
    return head + len + 2;
}

static void hear_elements(struct hearing *hearing, struct bytes list) {
    while (list.len > 0 && list.data[0] == '{') {
        const char *end = memchr(list.data, '}', list.len);
        size_t len = (size_t)(end - list.data) + 1;
        hear_object(hearing, bytes_make(list.data, len), BYTES_LITERAL(""));
        list = bytes_skip(list, len + (len < list.len && list.data[len] == ','));
    }
}

static size_t take_poll(struct hearing *hearing, struct bytes in) {
    struct heard rest = {.kind = HEARD_REST};
    struct bytes messages;
    if (!find_string(in, "cursor", &rest.cursor) || !find_member(in, "messages", &messages))
        sim_fail("a poll's reply is none: %.*s", BYTES_FMT(in));
    hear_elements(hearing, bytes_skip(messages, 1));
    hearing->on_heard(hearing->context, &rest);
    return in.len;
}

void hearing_init(struct hearing *hearing, enum framing framing) {
    *hearing = (struct hearing){.framing = framing};
    buf_init(&hearing->bytes, 0);
    buf_init(&hearing->line, 0);
}

void hearing_finish(struct hearing *hearing) {
    buf_finish(&hearing->bytes);
    buf_finish(&hearing->line);
}

void hearing_feed(struct hearing *hearing, struct bytes bytes) {
    static size_t (*const takes[])(struct hearing *, struct bytes) = {
        [FRAMING_WEBSOCKET] = take_websocket, [FRAMING_SSE] = take_sse,   [FRAMING_CHUNK] = take_chunk,
        [FRAMING_LINE] = take_line,           [FRAMING_POLL] = take_poll,
    };
    buf_append_bytes(&hearing->bytes, bytes);
    size_t used = 0;
    for (size_t len; hearing->bytes.len > used; used += len) {
        len = takes[hearing->framing](hearing, bytes_skip(buf_bytes(&hearing->bytes), used));
        if (len == 0)
            break;
    }
    buf_consume(&hearing->bytes, used);
}

#include "loadtest/http.h"

#include "common/text.h"

static struct bytes trim(struct bytes text) {
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_skip(text, 1);
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static bool has_token(struct bytes list, const char *token) {
    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t len = comma == NULL ? list.len : (size_t)(comma - list.data);
        if (text_equal_nocase(trim(bytes_make(list.data, len)), token))
            return true;
        list = bytes_skip(list, comma == NULL ? list.len : len + 1);
    }
    return false;
}

static bool read_field(struct bytes line, struct http_head *head) {
    const char *colon = memchr(line.data, ':', line.len);
    if (colon == NULL)
        return false;
    struct bytes name = bytes_make(line.data, (size_t)(colon - line.data));
    struct bytes value = trim(bytes_skip(line, name.len + 1));
    if (text_equal_nocase(name, "content-length")) {
        if (!text_parse_u64(value, &head->content_length))
            return false;
        if (head->body != HTTP_BODY_CHUNKED)
            head->body = HTTP_BODY_LENGTH;
    } else if (text_equal_nocase(name, "transfer-encoding")) {
        if (has_token(value, "chunked"))
            head->body = HTTP_BODY_CHUNKED;
    } else if (text_equal_nocase(name, "connection")) {
        head->closes = head->closes || has_token(value, "close");
    } else if (text_equal_nocase(name, "sec-websocket-accept")) {
        head->accept = value;
    } else if (text_equal_nocase(name, "sec-websocket-extensions")) {
        head->extensions = value;
    } else if (text_equal_nocase(name, "retry-after")) {
        head->retry_after = value;
    }
    return true;
}

enum http_result http_parse_head(struct bytes in, struct http_head *head) {
    const char *end = in.len == 0 ? NULL : memmem(in.data, in.len, "\r\n\r\n", 4);
    if (end == NULL)
        return in.len > 65536 ? HTTP_BROKEN : HTTP_MORE;
    *head = (struct http_head){.len = (size_t)(end - in.data) + 4, .body = HTTP_BODY_UNTIL_CLOSE};
    struct bytes rest = bytes_make(in.data, head->len - 2);
    uint64_t status = 0;
    if (rest.len < 14 || !bytes_start_with(rest, BYTES_LITERAL("HTTP/1.")) ||
        !text_parse_u64(bytes_make(rest.data + 9, 3), &status))
        return HTTP_BROKEN;
    head->status = (uint32_t)status;
    head->closes = rest.data[7] == '0';
    bool is_first = true;
    while (rest.len > 0) {
        const char *eol = memmem(rest.data, rest.len, "\r\n", 2);
        size_t len = (size_t)(eol - rest.data);
        if (!is_first && !read_field(bytes_make(rest.data, len), head))
            return HTTP_BROKEN;
        is_first = false;
        rest = bytes_skip(rest, len + 2);
    }
    /* RFC 9112, section 6.3: these have no body, whatever their fields say. */
    if (status < 200 || status == 204 || status == 304)
        head->body = HTTP_BODY_NONE;
    return HTTP_DONE;
}

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_DATA,
    CHUNK_DATA_END,
    CHUNK_TRAILER,
    CHUNK_TRAILER_LINE
};

void http_body_begin(struct http_body *body, const struct http_head *head) {
    *body = (struct http_body){.kind = (uint8_t)head->body, .state = CHUNK_SIZE};
    if (head->body == HTTP_BODY_LENGTH)
        body->left = head->content_length;
    body->is_done =
        head->body == HTTP_BODY_NONE || (head->body == HTTP_BODY_LENGTH && head->content_length == 0);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of chunking, outside of chunk data. False: broken. */
static bool step_chunk(struct http_body *body, char c) {
    switch ((enum chunk_state)body->state) {
    case CHUNK_SIZE:
        if (hex_digit(c) >= 0) {
            body->left = body->left << 4 | (uint64_t)hex_digit(c);
            return body->left < UINT64_C(1) << 40;
        }
        if (c == '\n')
            body->state = body->left == 0 ? CHUNK_TRAILER : CHUNK_DATA;
        else
            body->state = CHUNK_EXTENSION;
        return true;
    case CHUNK_EXTENSION:
        if (c == '\n')
            body->state = body->left == 0 ? CHUNK_TRAILER : CHUNK_DATA;
        return true;
    case CHUNK_DATA_END:
        if (c == '\n') {
            body->state = CHUNK_SIZE;
            body->left = 0;
        }
        return c == '\n' || c == '\r';
    case CHUNK_TRAILER:
        if (c == '\n')
            body->is_done = true;
        else if (c != '\r')
            body->state = CHUNK_TRAILER_LINE;
        return true;
    case CHUNK_TRAILER_LINE:
        if (c == '\n')
            body->state = CHUNK_TRAILER;
        return true;
    case CHUNK_DATA:
        break;
    }
    return false;
}

static size_t decode_chunks(struct http_body *body, char *data, size_t len, size_t *used) {
    size_t in = 0;
    size_t out = 0;
    while (in < len && !body->is_done) {
        if (body->state != CHUNK_DATA) {
            if (!step_chunk(body, data[in++]))
                return SIZE_MAX;
            continue;
        }
        size_t count = len - in < body->left ? len - in : (size_t)body->left;
        memmove(data + out, data + in, count);
        in += count;
        out += count;
        body->left -= count;
        if (body->left == 0)
            body->state = CHUNK_DATA_END;
    }
    *used = in;
    return out;
}

size_t http_body_decode(struct http_body *body, char *data, size_t len, size_t *used) {
    size_t count = 0;
    switch ((enum http_body_kind)body->kind) {
    case HTTP_BODY_NONE:
        break;
    case HTTP_BODY_UNTIL_CLOSE:
        count = len;
        break;
    case HTTP_BODY_LENGTH:
        count = len < body->left ? len : (size_t)body->left;
        body->left -= count;
        body->is_done = body->left == 0;
        break;
    case HTTP_BODY_CHUNKED:
        return decode_chunks(body, data, len, used);
    }
    *used = count;
    return count;
}

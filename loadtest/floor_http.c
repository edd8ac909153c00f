#include "loadtest/floor_http.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "common/text.h"

static struct bytes field(struct bytes head, const char *name) {
    while (head.len > 0) {
        const char *eol = memmem(head.data, head.len, "\r\n", 2);
        size_t len = eol == NULL ? head.len : (size_t)(eol - head.data);
        size_t name_len = strlen(name);
        if (len > name_len && head.data[name_len] == ':' &&
            text_equal_nocase(bytes_make(head.data, name_len), name)) {
            struct bytes value = bytes_make(head.data + name_len + 1, len - name_len - 1);
            while (value.len > 0 && value.data[0] == ' ')
                value = bytes_skip(value, 1);
            return value;
        }
        head = bytes_skip(head, eol == NULL ? head.len : len + 2);
    }
    return (struct bytes){0};
}

static bool contains(struct bytes text, const char *word) {
    return text.len > 0 && memmem(text.data, text.len, word, strlen(word)) != NULL;
}

int floor_parse_request(struct bytes in, struct floor_request *request) {
    const char *end = in.len == 0 ? NULL : memmem(in.data, in.len, "\r\n\r\n", 4);
    if (end == NULL)
        return in.len > 16384 ? -1 : 0;
    struct bytes head = bytes_make(in.data, (size_t)(end - in.data));
    const char *eol = memmem(in.data, head.len + 2, "\r\n", 2);
    struct bytes first = bytes_make(in.data, (size_t)(eol - in.data));
    if (!bytes_start_with(first, BYTES_LITERAL("GET /v1/")))
        return -1;
    struct bytes target = bytes_skip(first, 4);
    const char *space = memchr(target.data, ' ', target.len);
    if (space == NULL)
        return -1;
    target.len = (size_t)(space - target.data);
    const char *mark = memchr(target.data, '?', target.len);
    request->query =
        mark == NULL ? bytes_make(NULL, 0) : bytes_skip(target, (size_t)(mark + 1 - target.data));
    request->key =
        field(bytes_skip(head, first.len + 2 < head.len ? first.len + 2 : head.len), "sec-websocket-key");
    request->form = FLOOR_WS;
    if (contains(request->query, "transport=sse"))
        request->form = FLOOR_SSE;
    else if (contains(request->query, "transport=stream"))
        request->form = FLOOR_STREAM;
    else if (request->key.len == 0)
        return -1;
    request->len = head.len + 4;
    return 1;
}

void floor_append_response(struct buf *out, const struct floor_request *request) {
    if (request->form == FLOOR_SSE) {
        buf_append_text(out,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
        return;
    }
    if (request->form == FLOOR_STREAM) {
        buf_append_text(out, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n");
        return;
    }
    /* RFC 6455, section 4.2.2. */
    struct buf text;
    unsigned char digest[SHA_DIGEST_LENGTH];
    unsigned char accept[32];
    buf_init(&text, 0);
    buf_append_bytes(&text, request->key);
    buf_append_text(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    SHA1((const unsigned char *)text.data, text.len, digest);
    EVP_EncodeBlock(accept, digest, sizeof digest);
    buf_finish(&text);
    buf_printf(out,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Protocol: fantail.v1\r\nSec-WebSocket-Accept: %s\r\n\r\n",
               (const char *)accept);
}

struct bytes floor_next_channel(struct bytes *query) {
    while (query->len > 0) {
        const char *amp = memchr(query->data, '&', query->len);
        size_t len = amp == NULL ? query->len : (size_t)(amp - query->data);
        struct bytes pair = bytes_make(query->data, len);
        *query = bytes_skip(*query, amp == NULL ? query->len : len + 1);
        if (bytes_start_with(pair, BYTES_LITERAL("channel=")))
            return bytes_skip(pair, 8);
    }
    return (struct bytes){0};
}

static void append_frame_head(struct buf *out, size_t len) {
    unsigned char head[10] = {0x81};
    size_t head_len = 2;
    if (len < 126) {
        head[1] = (unsigned char)len;
    } else {
        size_t width = len < 65536 ? 2 : 8;
        head[1] = width == 2 ? 126 : 127;
        for (size_t i = 0; i < width; i++)
            head[head_len++] = (unsigned char)(len >> 8 * (width - 1 - i));
    }
    buf_append(out, head, head_len);
}

void floor_append_message(struct buf *out, enum floor_form form, struct bytes channel, struct bytes payload) {
    static const struct bytes before = {"{\"channel\":\"", 12};
    static const struct bytes between = {"\",\"data\":", 9};
    size_t len = before.len + channel.len + between.len + payload.len + 1;
    if (form == FLOOR_WS)
        append_frame_head(out, len);
    else if (form == FLOOR_SSE)
        buf_append_text(out, "data: ");
    else
        buf_printf(out, "%zx\r\n", len + 1);
    buf_append_bytes(out, before);
    buf_append_bytes(out, channel);
    buf_append_bytes(out, between);
    buf_append_bytes(out, payload);
    buf_append_char(out, '}');
    if (form == FLOOR_SSE)
        buf_append_text(out, "\n\n");
    else if (form == FLOOR_STREAM)
        buf_append_text(out, "\n\r\n");
}

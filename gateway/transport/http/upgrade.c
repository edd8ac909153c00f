/* WebSocket handshakes (RFC 6455, section 4.2). */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "gateway/transport/connection.h"
#include "gateway/transport/extensions.h"

enum {
    KEY_CHARS = 24,    /* 16 bytes in base64. */
    ACCEPT_CHARS = 28, /* 20 bytes in base64. */
};

static const char subprotocol[] = "fantail.v1";

/* RFC 6455, section 4.2.1, item 5: base64 of 16 bytes, of which the last four bits cannot be set. */
static bool is_key(struct bytes key) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.len != KEY_CHARS || memcmp(key.data + 22, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < 22; i++)
        if (key.data[i] == '\0' || strchr(letters, key.data[i]) == NULL)
            return false;
    return strchr("AQgw", key.data[21]) != NULL;
}

static enum error check_handshake(const struct http_head *head) {
    struct bytes version = http_head_part(head, head->first[FIELD_WEBSOCKET_VERSION]);
    if (head->method != METHOD_GET || !head->is_http_1_1 || head->is_chunked || head->content_length > 0)
        return ERR_HANDSHAKE_INVALID;
    if (!bytes_equal_text(version, "13"))
        return ERR_UPGRADE_REQUIRED;
    return is_key(http_head_part(head, head->first[FIELD_WEBSOCKET_KEY])) ? ERR_OK : ERR_HANDSHAKE_INVALID;
}

static enum error check_subprotocol(const struct http_head *head) {
    return head->counts[FIELD_WEBSOCKET_PROTOCOL] == 0 ||
                   http_head_lists(head, FIELD_WEBSOCKET_PROTOCOL, subprotocol)
               ? ERR_OK
               : ERR_SUBPROTOCOL_UNKNOWN;
}

/* RFC 6455, section 4.2.2, item 5.4. */
static void append_accept(struct bytes key, struct buf *out) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    unsigned char text[ACCEPT_CHARS + 1];
    char both[KEY_CHARS + sizeof guid];
    memcpy(both, key.data, KEY_CHARS);
    memcpy(both + KEY_CHARS, guid, sizeof guid);
    SHA1((const unsigned char *)both, sizeof both - 1, digest);
    EVP_EncodeBlock(text, digest, sizeof digest);
    buf_append(out, text, ACCEPT_CHARS);
}

static bool may_compress(const struct config *config) {
    return config->websocket.compression != COMPRESSION_OFF;
}

/* Returns whether frames may be compressed from now on. */
static bool append_extensions(const struct connection *connection, const struct http_head *head,
                              struct buf *out) {
    struct buf offers, parameters;
    buf_init(&offers, 0);
    buf_init(&parameters, 0);
    bool is_deflated = may_compress(connection->server->options.config) &&
                       http_head_field(head, FIELD_WEBSOCKET_EXTENSIONS, &offers) &&
                       extensions_accept_deflate(buf_bytes(&offers), &parameters);
    if (is_deflated)
        buf_printf(out, "Sec-WebSocket-Extensions: permessage-deflate%.*s\r\n",
                   BYTES_FMT(buf_bytes(&parameters)));
    buf_finish(&offers);
    buf_finish(&parameters);
    return is_deflated;
}

static enum error answer(struct connection *connection, const struct http_head *head) {
    struct server_options *options = &connection->server->options;
    struct buf text;
    buf_init(&text, 0);
    buf_append_text(&text, "HTTP/1.1 101 Switching Protocols\r\n"
                           "Upgrade: websocket\r\n"
                           "Connection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: ");
    append_accept(http_head_part(head, head->first[FIELD_WEBSOCKET_KEY]), &text);
    buf_append_text(&text, "\r\n");
    if (head->counts[FIELD_WEBSOCKET_PROTOCOL] > 0)
        buf_append_text(&text, "Sec-WebSocket-Protocol: fantail.v1\r\n");
    connection->is_deflated = append_extensions(connection, head, &text);
    options->metrics->compressed_connections += connection->is_deflated;
    options->metrics->http_requests++;
    buf_append_text(&text, "\r\n");
    bool is_sent = connection_write(connection, buf_bytes(&text)) != WRITE_FAILED;
    buf_finish(&text);
    return is_sent ? ERR_OK : ERR_INTERNAL;
}

enum error http_upgrade(const struct request *request,
                        enum error (*may_upgrade)(const struct request *request, void *context)) {
    struct connection *connection = request->connection;
    enum error error = may_upgrade == NULL ? ERR_BAD_REQUEST : check_handshake(request->head);
    if (error == ERR_OK)
        error = check_subprotocol(request->head);
    if (error == ERR_OK)
        error = may_upgrade(request, connection->server->options.context);
    return error == ERR_OK ? answer(connection, request->head) : error;
}

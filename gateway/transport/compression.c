/* permessage-deflate with libwebsockets: it takes part in the handshake, and is told to leave frames alone.
 *
 * Its own implementation compresses per connection, at tens of KiB each (docs/decisions/0019). But it must believe
 * that an extension is at work, or it refuses frames whose RSV1 bit is set. So ours does nothing, in either direction:
 * what clients sent compressed arrives as it came, and websocket.c inflates it; what we send is compressed
 * once for all (forms.c) and goes out raw. */
#include <string.h>

#include "gateway/transport/connection.h"
#include "gateway/transport/extensions.h"
#include "gateway/transport/lws_version.h"

/* libwebsockets itself refuses a handshake with more in this header. */
enum { OFFERS_BYTES_MAX = 255 };

static const char extension_name[] = "permessage-deflate";

/* 0, PMDR_UNKNOWN to libwebsockets, is what it goes by where no extension is active. Others would be wrong: with
 * PMDR_DID_NOTHING version 4.1.6 loses the last part of a frame that was not compressed. */
static int on_extension_event(struct lws_context *context, const struct lws_extension *extension,
                              struct lws *wsi, enum lws_extension_callback_reasons reason, void *user,
                              void *in, size_t len) {
    static const struct lws_ext_options no_options[1];
    (void)context;
    (void)extension;
    (void)wsi;
    (void)user;
    (void)len;
    /* The parameters that it would look for in the offer: it knows the first offer only, and no values. */
    if (reason == LWS_EXT_CB_CONSTRUCT)
        *(const struct lws_ext_options **)in = no_options;
    return 0;
}

const struct lws_extension websocket_extensions[] = {
    {.name = extension_name, .callback = on_extension_event, .client_offer = extension_name},
    {0},
};

static bool is_enabled(const struct config *config) {
    switch (config->websocket.compression) {
    case COMPRESSION_ON:
        return true;
    case COMPRESSION_OFF:
        return false;
    default:
        return LWS_IS_COMPRESSED_BY_DEFAULT;
    }
}

static struct bytes read_offers(const struct connection *connection, char text[OFFERS_BYTES_MAX + 1]) {
    int len = lws_hdr_copy(connection->wsi, text, OFFERS_BYTES_MAX + 1, WSI_TOKEN_EXTENSIONS);
    return bytes_make(text, len > 0 ? (size_t)len : 0);
}

static unsigned count_mentions(struct bytes offers) {
    unsigned count = 0;
    const char *at;
    while ((at = memmem(offers.data, offers.len, extension_name, sizeof extension_name - 1)) != NULL) {
        offers = bytes_skip(offers, (size_t)(at - offers.data) + 1);
        count++;
    }
    return count;
}

static bool accept_offer(const struct connection *connection, struct buf *parameters) {
    char text[OFFERS_BYTES_MAX + 1];
    return extensions_accept_deflate(read_offers(connection, text), parameters);
}

/* libwebsockets asks whether an offer is taken each time it finds our extension named, and refuses the whole
 * handshake if it finds it again after a yes. So the answer is yes to the last one; whichever offer that is, the
 * parameters are added later. */
void compression_on_upgrade(struct connection *connection) {
    struct server *server = connection->server;
    char text[OFFERS_BYTES_MAX + 1];
    struct buf parameters;
    buf_init(&parameters, 0);
    server->deflate_mentions = 0;
    if (is_enabled(server->options.config) && accept_offer(connection, &parameters))
        server->deflate_mentions = count_mentions(read_offers(connection, text));
    buf_finish(&parameters);
}

int compression_on_offer(struct connection *connection) {
    struct server *server = connection->server;
    if (server->deflate_mentions == 0 || --server->deflate_mentions > 0)
        return 1;
    connection->is_deflated = true;
    server->options.metrics->compressed_connections++;
    return 0;
}

/* The header with the extension's name is the last before these: its line is continued. */
int compression_on_headers(struct connection *connection, struct lws_process_html_args *headers) {
    struct buf parameters;
    if (!connection->is_deflated)
        return 0;
    buf_init(&parameters, 0);
    bool fits = accept_offer(connection, &parameters) && buf_append_text(&parameters, "\r\n") &&
                parameters.len < (size_t)headers->max_len;
    if (fits) {
        memcpy(headers->p - 2, parameters.data, parameters.len);
        headers->p += parameters.len - 2;
    }
    buf_finish(&parameters);
    return fits ? 0 : -1;
}

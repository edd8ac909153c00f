#include "gateway/transport/proxy_header.h"

#include <string.h>

#include "common/text.h"

static const char v1_signature[] = "PROXY ";
static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    V1_SIGNATURE_LEN = sizeof v1_signature - 1,
    V2_SIGNATURE_LEN = sizeof v2_signature - 1,
    V2_FIXED_LEN = 16, /* Signature, version and command, family and protocol, length. */
    V2_LOCAL = 0x20,
    V2_PROXY = 0x21,
};

/* ---- version 1: a line of text ---- */

/* Cuts the part before the next space off `rest`. */
static struct bytes next_word(struct bytes *rest) {
    const char *space = memchr(rest->data, ' ', rest->len);
    size_t len = space ? (size_t)(space - rest->data) : rest->len;
    struct bytes word = bytes_make(rest->data, len);
    *rest = bytes_skip(*rest, space ? len + 1 : len);
    return word;
}

static bool parse_port(struct bytes text, uint16_t *port) {
    uint64_t number;
    if (text.len > 5 || !text_parse_u64(text, &number) || number > UINT16_MAX)
        return false;
    *port = (uint16_t)number;
    return true;
}

/* "TCP4 192.0.2.7 192.0.2.1 56324 8000", without what surrounds it. */
static enum error parse_v1_line(struct bytes line, struct proxy_header *header) {
    struct bytes family = next_word(&line);
    if (bytes_equal_text(family, "UNKNOWN"))
        return ERR_OK; /* "the receiver must ignore anything presented before the CRLF" */
    bool v4 = bytes_equal_text(family, "TCP4");
    if (!v4 && !bytes_equal_text(family, "TCP6"))
        return ERR_BAD_REQUEST;
    uint8_t destination[ADDRESS_BYTES];
    uint16_t destination_port;
    struct bytes source = next_word(&line);
    /* An IPv4 address in IPv6 form belongs to TCP6. */
    if ((memchr(source.data, ':', source.len) == NULL) != v4 || !address_parse(source, header->source) ||
        !address_parse(next_word(&line), destination) ||
        !parse_port(next_word(&line), &header->source_port) || !parse_port(line, &destination_port))
        return ERR_BAD_REQUEST;
    header->has_source = true;
    return ERR_OK;
}

static enum error parse_v1(struct bytes in, struct proxy_header *header) {
    size_t visible = in.len < PROXY_HEADER_V1_MAX ? in.len : PROXY_HEADER_V1_MAX;
    const char *end = memchr(in.data, '\n', visible);
    if (end == NULL)
        return visible < PROXY_HEADER_V1_MAX ? ERR_MORE : ERR_BAD_REQUEST;
    header->len = (size_t)(end - in.data) + 1;
    if (end[-1] != '\r')
        return ERR_BAD_REQUEST;
    return parse_v1_line(bytes_make(in.data + V1_SIGNATURE_LEN, header->len - V1_SIGNATURE_LEN - 2), header);
}

/* ---- version 2: binary ---- */

static uint16_t read_u16(const char *at) {
    return (uint16_t)((uint8_t)at[0] << 8 | (uint8_t)at[1]);
}

/* Takes the addresses of a proxied connection. `rest` is what its length covers: addresses, then TLVs. */
static enum error parse_v2_addresses(uint8_t family, struct bytes rest, struct proxy_header *header) {
    switch (family) {
    case 0x11: /* TCP over IPv4: source, destination, their ports. */
        if (rest.len < 12)
            return ERR_BAD_REQUEST;
        address_from_v4((const uint8_t *)rest.data, header->source);
        header->source_port = read_u16(rest.data + 8);
        header->has_source = true;
        return ERR_OK;
    case 0x21: /* TCP over IPv6. */
        if (rest.len < 36)
            return ERR_BAD_REQUEST;
        memcpy(header->source, rest.data, ADDRESS_BYTES);
        header->source_port = read_u16(rest.data + 32);
        header->has_source = true;
        return ERR_OK;
    case 0x31: /* A Unix socket: a path says nothing about who is behind it. */
        return rest.len < 216 ? ERR_BAD_REQUEST : ERR_OK;
    case 0x00: /* Unspecified: "the receiver should ignore address information". */
        return ERR_OK;
    default: /* Datagrams do not end up here. */
        return ERR_BAD_REQUEST;
    }
}

static enum error parse_v2(struct bytes in, struct proxy_header *header) {
    uint8_t command = in.len > 12 ? (uint8_t)in.data[12] : V2_PROXY;
    if (command != V2_LOCAL && command != V2_PROXY)
        return ERR_BAD_REQUEST;
    if (in.len < V2_FIXED_LEN)
        return ERR_MORE;
    size_t rest_len = read_u16(in.data + 14);
    if (V2_FIXED_LEN + rest_len > PROXY_HEADER_V2_MAX)
        return ERR_BAD_REQUEST;
    if (in.len < V2_FIXED_LEN + rest_len)
        return ERR_MORE;
    header->len = V2_FIXED_LEN + rest_len;
    if (command == V2_LOCAL)
        return ERR_OK;
    return parse_v2_addresses((uint8_t)in.data[13], bytes_make(in.data + V2_FIXED_LEN, rest_len), header);
}

/* ---- both ---- */

/* Whether `in` begins with the signature, as far as it goes. */
static bool may_begin_with(struct bytes in, const char *signature, size_t len) {
    return memcmp(in.data, signature, in.len < len ? in.len : len) == 0;
}

enum error proxy_header_parse(struct bytes in, struct proxy_header *header) {
    struct proxy_header parsed = {0};
    enum error error;
    if (in.len == 0)
        return ERR_MORE;
    if (may_begin_with(in, v2_signature, V2_SIGNATURE_LEN))
        error = in.len < V2_SIGNATURE_LEN ? ERR_MORE : parse_v2(in, &parsed);
    else if (may_begin_with(in, v1_signature, V1_SIGNATURE_LEN))
        error = in.len < V1_SIGNATURE_LEN ? ERR_MORE : parse_v1(in, &parsed);
    else
        error = ERR_BAD_REQUEST;
    if (error == ERR_OK)
        *header = parsed;
    return error;
}

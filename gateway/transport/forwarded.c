#include "gateway/transport/forwarded.h"

#include <stdbool.h>
#include <string.h>

#include "common/text.h"

static bool is_trusted(const uint8_t *address, const struct network *trusted, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (network_contains(&trusted[i], address))
            return true;
    }
    return false;
}

static struct bytes trim(struct bytes text) {
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_skip(text, 1);
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Cuts the entry behind the last comma off `header`. */
static struct bytes last_entry(struct bytes *header) {
    const char *comma = memrchr(header->data, ',', header->len);
    size_t start = comma ? (size_t)(comma - header->data) + 1 : 0;
    struct bytes entry = trim(bytes_skip(*header, start));
    header->len = comma ? start - 1 : 0;
    return entry;
}

static bool is_port(struct bytes text) {
    uint64_t port;
    return text_parse_u64(text, &port) && port <= UINT16_MAX;
}

/* Leaves `address` untouched unless the entry is one of these: "192.0.2.7", "192.0.2.7:4711", "2001:db8::7",
 * "[2001:db8::7]" or "[2001:db8::7]:4711". */
static bool parse_entry(struct bytes entry, uint8_t *address) {
    const char *end = entry.len > 0 && entry.data[0] == '[' ? memchr(entry.data, ']', entry.len) : NULL;
    if (end != NULL) {
        struct bytes inside = bytes_make(entry.data + 1, (size_t)(end - entry.data) - 1);
        struct bytes port = bytes_skip(entry, inside.len + 2);
        return (port.len == 0 || (port.data[0] == ':' && is_port(bytes_skip(port, 1)))) &&
               memchr(inside.data, ':', inside.len) != NULL && address_parse(inside, address);
    }
    const char *colon = entry.len > 0 ? memchr(entry.data, ':', entry.len) : NULL;
    if (colon != NULL && memrchr(entry.data, ':', entry.len) == colon) {
        size_t len = (size_t)(colon - entry.data);
        return is_port(bytes_skip(entry, len + 1)) && address_parse(bytes_make(entry.data, len), address);
    }
    return address_parse(entry, address);
}

void forwarded_client(struct bytes header, const uint8_t peer[ADDRESS_BYTES], const struct network *trusted,
                      uint32_t trusted_count, uint8_t client[ADDRESS_BYTES]) {
    memmove(client, peer, ADDRESS_BYTES);
    while (header.len > 0 && is_trusted(client, trusted, trusted_count)) {
        if (!parse_entry(last_entry(&header), client))
            return;
    }
}

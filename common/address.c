#include "common/address.h"

#include <arpa/inet.h>
#include <string.h>

/* RFC 4291, section 2.5.5.2: IPv4-mapped addresses. */
static const uint8_t v4_prefix[12] = {[10] = 0xFF, [11] = 0xFF};

bool address_parse(struct bytes text, uint8_t address[ADDRESS_BYTES]) {
    char terminated[ADDRESS_TEXT_BYTES];
    uint8_t v4[4];
    if (text.len == 0 || text.len >= sizeof terminated || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(terminated, text.data, text.len);
    terminated[text.len] = '\0';
    if (inet_pton(AF_INET, terminated, v4) == 1) {
        address_from_v4(v4, address);
        return true;
    }
    return inet_pton(AF_INET6, terminated, address) == 1;
}

void address_format(const uint8_t address[ADDRESS_BYTES], char text[ADDRESS_TEXT_BYTES]) {
    if (address_is_v4(address))
        inet_ntop(AF_INET, address + sizeof v4_prefix, text, ADDRESS_TEXT_BYTES);
    else
        inet_ntop(AF_INET6, address, text, ADDRESS_TEXT_BYTES);
}

bool address_is_v4(const uint8_t address[ADDRESS_BYTES]) {
    return memcmp(address, v4_prefix, sizeof v4_prefix) == 0;
}

void address_from_v4(const uint8_t v4[4], uint8_t address[ADDRESS_BYTES]) {
    memcpy(address, v4_prefix, sizeof v4_prefix);
    memcpy(address + sizeof v4_prefix, v4, 4);
}

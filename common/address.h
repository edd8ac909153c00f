/* An IP address as 16 bytes, IPv4 as ::ffff:a.b.c.d: one form to compare, count and trust by. */
#ifndef COMMON_ADDRESS_H
#define COMMON_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

enum {
    ADDRESS_BYTES = 16,
    ADDRESS_TEXT_BYTES = 46, /* The longest text form and its terminator. */
};

/* "192.0.2.7" or "2001:db8::7", without port, brackets or zone. False, with `address` untouched, for anything
 * else. */
bool address_parse(struct bytes text, uint8_t address[ADDRESS_BYTES]);

/* The shortest text form; an IPv4 address without its prefix. */
void address_format(const uint8_t address[ADDRESS_BYTES], char text[ADDRESS_TEXT_BYTES]);

bool address_is_v4(const uint8_t address[ADDRESS_BYTES]);

/* From the four bytes of an IPv4 address in network order. */
void address_from_v4(const uint8_t v4[4], uint8_t address[ADDRESS_BYTES]);

#endif

/* Text: UTF-8, JSON strings, percent-encoding, numbers, addresses; against what others make of them. */
#include <jansson.h>
#include <string.h>

#include "common/address.h"
#include "common/text.h"
#include "tests/fuzz/fuzz.h"

/* jansson reads back what we wrote, if and only if we say that it is UTF-8. */
static void check_json_string(struct bytes text) {
    struct buf json;
    buf_init(&json, 0);
    FUZZ_CHECK(buf_append_json_string(&json, text));
    json_t *value = json_loadb(json.data, json.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    FUZZ_CHECK((value != NULL) == text_is_utf8(text));
    if (value != NULL)
        FUZZ_CHECK(bytes_equal(bytes_make(json_string_value(value), json_string_length(value)), text));
    json_decref(value);
    buf_finish(&json);
}

static void check_percent_encoding(struct bytes text) {
    struct buf decoded, limited;
    buf_init(&decoded, 0);
    bool fine = text_percent_decode(text, &decoded);
    FUZZ_CHECK(decoded.len <= text.len);
    if (fine && decoded.len > 1) {
        buf_init(&limited, decoded.len - 1);
        FUZZ_CHECK(!text_percent_decode(text, &limited));
        buf_finish(&limited);
    }
    buf_finish(&decoded);
}

static void check_number(struct bytes text) {
    uint64_t value;
    char printed[24];
    if (!text_parse_u64(text, &value))
        return;
    while (text.len > 1 && text.data[0] == '0')
        text = bytes_skip(text, 1);
    snprintf(printed, sizeof printed, "%llu", (unsigned long long)value);
    FUZZ_CHECK(bytes_equal_text(text, printed));
}

static void check_address(struct bytes text) {
    uint8_t address[ADDRESS_BYTES], again[ADDRESS_BYTES];
    char formatted[ADDRESS_TEXT_BYTES];
    if (!address_parse(text, address))
        return;
    address_format(address, formatted);
    FUZZ_CHECK(address_parse(bytes_of(formatted), again));
    FUZZ_CHECK(memcmp(address, again, sizeof address) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_make(data, size);
    check_json_string(text);
    check_percent_encoding(text);
    check_number(text);
    check_address(text);
    return 0;
}

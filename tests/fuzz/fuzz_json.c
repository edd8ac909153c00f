/* The grammar of JSON beside jansson's, which is narrower in a few known ways. */
#include <jansson.h>
#include <string.h>

#include "common/json.h"
#include "tests/fuzz/fuzz.h"

/* What jansson refuses though the grammar has it: numbers beyond a double, halves of characters, a name with a zero
 * byte in it. */
static bool is_beyond_jansson(struct bytes text, const json_error_t *error) {
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           (code == json_error_invalid_syntax && memmem(text.data, text.len, "\\u", 2) != NULL);
}

static void check_members(struct bytes text) {
    struct bytes name, value;
    size_t last = 0;
    for (size_t at = 0; json_next_member(text, &at, &name, &value); last = at) {
        FUZZ_CHECK(at > last && at < text.len);
        FUZZ_CHECK(json_value_len(value) == value.len);
        FUZZ_CHECK(name.len >= 2 && name.data[0] == '"' && name.data[name.len - 1] == '"');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    json_error_t error;
    json_t *value =
        json_loadb(text.data, text.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &error);
    bool is_valid = json_is_valid(text);
    /* To jansson a zero byte behind the value is the end of the text. */
    FUZZ_CHECK(value == NULL || is_valid || memchr(text.data, '\0', text.len) != NULL);
    FUZZ_CHECK(value != NULL || !is_valid || is_beyond_jansson(text, &error));
    json_decref(value);
    size_t len = json_value_len(text);
    FUZZ_CHECK(len <= text.len);
    FUZZ_CHECK(len == 0 || json_is_valid(bytes_make(text.data, len)));
    check_members(text);
    return 0;
}

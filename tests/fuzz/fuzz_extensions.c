/* A Sec-WebSocket-Extensions header: whatever is in it, the answer is one of two, and more of the same before or
 * after it changes nothing. */
#include "gateway/transport/extensions.h"
#include "tests/fuzz/fuzz.h"

static bool accept(const char *before, struct bytes header, const char *behind, struct buf *parameters) {
    struct buf whole;
    buf_init(&whole, 0);
    buf_append_text(&whole, before);
    buf_append_bytes(&whole, header);
    buf_append_text(&whole, behind);
    bool is_accepted = extensions_accept_deflate(buf_bytes(&whole), parameters);
    buf_finish(&whole);
    return is_accepted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes header = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    struct bytes all =
        BYTES_LITERAL("; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12");
    struct buf parameters, again;
    buf_init(&parameters, 0);
    buf_init(&again, 0);
    bool is_accepted = accept("", header, "", &parameters);
    FUZZ_CHECK(is_accepted == (parameters.len > 0));
    if (is_accepted) {
        FUZZ_CHECK(bytes_start_with(all, buf_bytes(&parameters)));
        FUZZ_CHECK(accept("x-other; a=\"b\" ,", header, ", permessage-deflate", &again));
        FUZZ_CHECK(bytes_equal(buf_bytes(&parameters), buf_bytes(&again)));
    }
    buf_finish(&parameters);
    buf_finish(&again);
    return 0;
}

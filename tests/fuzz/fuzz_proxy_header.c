/* The PROXY protocol header. */
#include <string.h>

#include "gateway/transport/proxy_header.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct proxy_header whole;
    enum error error = proxy_header_parse(bytes_make(data, size), &whole);
    FUZZ_CHECK(error == ERR_OK || error == ERR_MORE || error == ERR_BAD_REQUEST);
    FUZZ_CHECK(error != ERR_MORE || size < PROXY_HEADER_V2_MAX);
    FUZZ_CHECK(error != ERR_OK || (whole.len <= size && whole.len <= PROXY_HEADER_V2_MAX));
    /* However it arrives, it means the same. */
    enum error before = ERR_MORE;
    for (size_t len = 0; len <= size && len <= PROXY_HEADER_V2_MAX; len++) {
        struct proxy_header part;
        enum error now = proxy_header_parse(bytes_make(data, len), &part);
        FUZZ_CHECK(before == ERR_MORE || now == before);
        if (now == ERR_OK) {
            FUZZ_CHECK(part.len == whole.len && part.has_source == whole.has_source);
            FUZZ_CHECK(part.source_port == whole.source_port);
            FUZZ_CHECK(memcmp(part.source, whole.source, sizeof part.source) == 0);
        }
        before = now;
    }
    FUZZ_CHECK(before == error);
    return 0;
}

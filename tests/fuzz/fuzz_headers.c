/* What request headers decide: Origin and X-Forwarded-For. The input's lines are an Origin, a Host, an
 * X-Forwarded-For, and a pattern. */
#include <string.h>

#include "gateway/core/origin.h"
#include "gateway/transport/forwarded.h"
#include "tests/fuzz/fuzz.h"

static struct bytes next_line(struct bytes *rest) {
    const char *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    struct bytes line = bytes_make(rest->data, len);
    *rest = bytes_skip(*rest, end ? len + 1 : len);
    return line;
}

static void check_origin_header(struct bytes origin, struct bytes host, struct bytes pattern) {
    char *terminated = strndup(pattern.data, pattern.len);
    char *patterns[] = {terminated};
    bool own = origin_may_connect(origin, host, NULL, 0);
    FUZZ_CHECK(!own || origin.len == 0 || host.len > 0);
    /* Listing others locks nobody out, and "*" makes nobody known. */
    if (origin_pattern_is_valid(bytes_of(terminated)))
        FUZZ_CHECK(origin_may_connect(origin, host, patterns, 1) || !own);
    if (strcmp(terminated, "*") == 0)
        FUZZ_CHECK((origin_judge(origin, host, patterns, 1) == PAGE_KNOWN) == (own && origin.len > 0));
    if (host_name_is_valid(bytes_of(terminated)) && terminated[0] != '*')
        FUZZ_CHECK(host_is_own(bytes_of(terminated), patterns, 1));
    /* An origin is a pattern of itself, and of nobody who only ends or begins like it. */
    if (origin.len > 0 && memchr(origin.data, '\0', origin.len) == NULL) {
        char *itself = strndup(origin.data, origin.len);
        bool valid = origin_pattern_is_valid(origin) && memchr(origin.data, '*', origin.len) == NULL;
        FUZZ_CHECK(origin_may_connect(origin, host, &itself, 1) ==
                   (valid || own || strcmp(itself, "*") == 0));
        free(itself);
    }
    free(terminated);
}

static void check_forwarded(struct bytes header) {
    static const struct network loopback = {.address = {[15] = 1}, .prefix_bits = 128};
    static const uint8_t peer[ADDRESS_BYTES] = {[15] = 1}, stranger[ADDRESS_BYTES] = {[15] = 2};
    uint8_t client[ADDRESS_BYTES];
    forwarded_client(header, stranger, &loopback, 1, client);
    FUZZ_CHECK(memcmp(client, stranger, sizeof client) == 0);
    forwarded_client(header, peer, &loopback, 1, client);
    FUZZ_CHECK(header.len > 0 || memcmp(client, peer, sizeof client) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes rest = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    struct bytes origin = next_line(&rest);
    struct bytes host = next_line(&rest);
    struct bytes forwarded = next_line(&rest);
    check_origin_header(origin, host, rest);
    check_forwarded(forwarded);
    return 0;
}

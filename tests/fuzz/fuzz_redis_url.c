/* The address of a Redis. */
#include <string.h>

#include "gateway/config/redis_url.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    struct redis_url url;
    const char *error;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (redis_url_parse(text, &url, &error)) {
        FUZZ_CHECK((url.host == NULL) != (url.path == NULL));
        FUZZ_CHECK(url.host == NULL || (url.host[0] != '\0' && url.port > 0));
        FUZZ_CHECK(url.path == NULL || url.path[0] == '/');
        redis_url_finish(&url);
    } else {
        FUZZ_CHECK(error != NULL);
        /* It may hold a password: the text itself is never told. */
        FUZZ_CHECK(size == 0 || error < text || error > text + size);
    }
    free(text);
    return 0;
}

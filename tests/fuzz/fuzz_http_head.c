/* Heads of requests: read at once and byte by byte they are the same, and what they say lies within them. The query
 * and the path are read on as handlers do. */
#include <string.h>

#include "gateway/transport/http/head.h"
#include "gateway/transport/http/path.h"
#include "tests/fuzz/fuzz.h"

static void check_part(const struct http_head *head, struct http_part part) {
    FUZZ_CHECK((size_t)part.at + part.len <= head->len);
}

static void check_whole(const struct http_head *head, struct bytes in) {
    FUZZ_CHECK(head->len <= in.len && head->len <= HTTP_HEAD_BYTES_MAX);
    FUZZ_CHECK(memcmp(in.data + head->len - 4, "\r\n\r\n", 4) == 0);
    FUZZ_CHECK(memchr(in.data, '\0', head->len) == NULL);
    FUZZ_CHECK(!head->is_http_1_1 || head->counts[FIELD_HOST] == 1);
    FUZZ_CHECK(!head->is_chunked || !head->has_content_length);
    check_part(head, head->path);
    check_part(head, head->query);
    for (int field = 0; field < FIELD_COUNT; field++) {
        struct buf value;
        check_part(head, head->first[field]);
        buf_init(&value, 0);
        FUZZ_CHECK(http_head_field(head, (enum http_field)field, &value) == (head->counts[field] > 0));
        FUZZ_CHECK(value.len == 0 || memchr(value.data, '\n', value.len) == NULL);
        buf_finish(&value);
    }
}

static void check_names(const struct http_head *head) {
    struct buf name;
    buf_init(&name, 0);
    if (http_path_decode(http_head_path(head), &name))
        FUZZ_CHECK(name.data[0] == '/' && memmem(name.data, name.len, "/.", 2) == NULL &&
                   memchr(name.data, '\0', name.len) == NULL);
    buf_clear(&name);
    for (unsigned i = 0; i < 4; i++)
        http_query_find(http_head_part(head, head->query), "channel", i, &name);
    FUZZ_CHECK(name.len <= head->len);
    buf_finish(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct http_head head = {0}, dripped = {0};
    struct bytes in = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    enum error error = http_head_read(&head, in), slow = ERR_MORE;
    for (size_t len = 1; len <= size && slow == ERR_MORE; len++)
        slow = http_head_read(&dripped, bytes_make(in.data, len));
    FUZZ_CHECK(error == slow || (error != ERR_MORE && slow != ERR_OK && error != ERR_OK));
    if (error != ERR_OK)
        return 0;
    FUZZ_CHECK(head.len == dripped.len && memcmp(head.counts, dripped.counts, sizeof head.counts) == 0);
    check_whole(&head, in);
    check_names(&head);
    return 0;
}

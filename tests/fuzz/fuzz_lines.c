/* Lines between master and worker. The first byte of the input says how long the pieces are in which it comes. */
#include <string.h>

#include "gateway/master/lines.h"
#include "tests/fuzz/fuzz.h"

enum { LINE_MAX = 24 };

/* What must come out, whatever the pieces: the next whole line that is not too long. */
static bool next_line(struct bytes *rest, struct bytes *line) {
    for (;;) {
        const char *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
        if (end == NULL)
            return false;
        *line = bytes_make(rest->data, (size_t)(end - rest->data));
        *rest = bytes_skip(*rest, line->len + 1);
        if (line->len <= LINE_MAX)
            return true;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    size_t piece_len = data[0] % 64 + 1;
    struct bytes rest = bytes_make(data + 1, size - 1);
    struct bytes expected = rest;
    struct bytes line, wanted;
    struct lines lines;
    lines_init(&lines, LINE_MAX);
    while (rest.len > 0) {
        size_t len = rest.len < piece_len ? rest.len : piece_len;
        lines_add(&lines, bytes_make(rest.data, len));
        rest = bytes_skip(rest, len);
        while (lines_next(&lines, &line))
            FUZZ_CHECK(next_line(&expected, &wanted) && bytes_equal(line, wanted));
        FUZZ_CHECK(lines.received.len <= LINE_MAX);
    }
    FUZZ_CHECK(!next_line(&expected, &wanted));
    lines_finish(&lines);
    return 0;
}

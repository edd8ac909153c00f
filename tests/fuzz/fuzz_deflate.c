/* What clients send compressed: the input inflates to a message, or not, within the limit. What comes out, and the
 * input itself, come back when compressed by us. */
#include "common/deflate.h"
#include "tests/fuzz/fuzz.h"

enum { BYTES_MAX = 70000 };

static struct deflater *deflater;
static struct inflater *inflater, *second;

static void check_round_trip(struct bytes message) {
    struct buf compressed;
    struct bytes back;
    buf_init(&compressed, 0);
    deflater_run(deflater, message, &compressed);
    FUZZ_CHECK(inflater_run(second, buf_bytes(&compressed), message.len, &back) == INFLATE_DONE);
    FUZZ_CHECK(bytes_equal(message, back));
    buf_finish(&compressed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes input = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    struct bytes message;
    if (deflater == NULL) {
        deflater = deflater_create();
        inflater = inflater_create();
        second = inflater_create();
    }
    if (inflater_run(inflater, input, BYTES_MAX, &message) == INFLATE_DONE) {
        FUZZ_CHECK(message.len <= BYTES_MAX);
        check_round_trip(message);
    }
    check_round_trip(input);
    return 0;
}

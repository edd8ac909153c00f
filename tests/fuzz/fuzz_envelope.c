/* What comes over pub/sub, from anyone who may publish. */
#include "gateway/broker/envelope.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes in = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    struct entry entry, again;
    struct buf out;
    buf_init(&out, 0);
    bool fine = envelope_parse(in, &entry);
    FUZZ_CHECK(fine || in.data[0] == 0);
    if (entry.has_id) {
        /* Times may be written with leading zeroes; what we write is read as the same. */
        FUZZ_CHECK(fine && in.data[0] == 0);
        envelope_append(&entry, &out);
        FUZZ_CHECK(envelope_parse(buf_bytes(&out), &again));
        FUZZ_CHECK(again.has_id && again.kind == entry.kind && again.published_ms == entry.published_ms);
        FUZZ_CHECK(position_compare(&again.id, &entry.id) == 0);
        FUZZ_CHECK(again.has_previous == entry.has_previous);
        FUZZ_CHECK(position_compare(&again.previous, &entry.previous) == 0);
        FUZZ_CHECK(again.is_urgent == entry.is_urgent && bytes_equal(again.payload, entry.payload));
    } else {
        FUZZ_CHECK(entry.kind == ENTRY_MESSAGE && bytes_equal(entry.payload, in));
    }
    buf_finish(&out);
    return 0;
}

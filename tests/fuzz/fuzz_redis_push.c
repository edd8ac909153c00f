/* What a Redis link that listens may bring: RESP, read in whatever pieces. */
#include <string.h>

#include "gateway/broker/redis_push.h"
#include "tests/fuzz/fuzz.h"

/* Writes the events down, to compare. */
static void note(struct buf *events, char kind, struct bytes a, struct bytes b) {
    buf_append_char(events, kind);
    buf_append_u64(events, a.len);
    buf_append_bytes(events, a);
    buf_append_u64(events, b.len);
    buf_append_bytes(events, b);
}

static void on_message(void *context, struct bytes channel, struct bytes payload) {
    note(context, 'm', channel, payload);
}

static void on_subscribed(void *context, struct bytes channel) {
    note(context, 's', channel, BYTES_LITERAL(""));
}

static void on_unsubscribed(void *context) {
    note(context, 'u', BYTES_LITERAL(""), BYTES_LITERAL(""));
}

static void on_status(void *context, struct bytes text) {
    note(context, '+', text, BYTES_LITERAL(""));
}

static void on_error(void *context, struct bytes text) {
    note(context, '-', text, BYTES_LITERAL(""));
}

/* Feeds `in` in pieces of `step` bytes, up to where it is refused. */
static bool read_in_pieces(struct bytes in, size_t step, struct buf *events) {
    static const struct redis_push_events handlers = {on_message, on_subscribed, on_unsubscribed, on_status,
                                                      on_error};
    struct redis_push push;
    redisReader *reader = redisReaderCreate();
    bool fine = true;
    redis_push_init(&push, reader, &handlers, events);
    while (fine && in.len > 0) {
        size_t len = step < in.len ? step : in.len;
        fine = redis_push_feed(reader, bytes_make(in.data, len));
        in = bytes_skip(in, len);
    }
    redisReaderFree(reader);
    redis_push_finish(&push);
    return fine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes in = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    struct buf whole, bytewise;
    buf_init(&whole, 0);
    buf_init(&bytewise, 0);
    bool fine = read_in_pieces(in, size + 1, &whole);
    FUZZ_CHECK(read_in_pieces(in, 1, &bytewise) == fine);
    FUZZ_CHECK(bytes_equal(buf_bytes(&whole), buf_bytes(&bytewise)));
    buf_finish(&whole);
    buf_finish(&bytewise);
    return 0;
}

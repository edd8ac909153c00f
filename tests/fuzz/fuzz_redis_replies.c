/* What a Redis may say on the link for commands: each reply belongs to a command, whatever pieces it comes in, and a
 * stream's entries are what they seem. */
#include <string.h>

#include "common/buf.h"
#include "gateway/broker/redis_replies.h"
#include "gateway/broker/sync_reply.h"
#include "tests/fuzz/fuzz.h"

enum { COMMANDS = 5 };

static void check_sync(const redisReply *reply, struct buf *heard) {
    struct sync_reply parsed;
    if (!sync_reply_parse(reply, &parsed))
        return;
    FUZZ_CHECK(parsed.result.count + parsed.unknown == reply->element[1]->elements);
    for (size_t i = 0; i < parsed.result.count; i++) {
        FUZZ_CHECK(parsed.result.entries[i].has_id);
        buf_append_bytes(heard, parsed.result.entries[i].payload);
    }
    sync_reply_finish(&parsed);
}

static void on_reply(void *arg, const redisReply *reply) {
    buf_printf(arg, "%d;", reply ? reply->type : 0);
    if (reply != NULL)
        check_sync(reply, arg);
}

static void talk(struct bytes in, size_t step, struct buf *heard) {
    struct redis_replies replies;
    const char *why = NULL;
    redisReader *reader = redisReaderCreate();
    redis_replies_init(&replies, reader);
    for (int i = 0; i < COMMANDS; i++)
        redis_replies_expect(&replies, 1, on_reply, heard);
    while (why == NULL && in.len > 0) {
        size_t len = step < in.len ? step : in.len;
        why = redis_replies_feed(&replies, bytes_make(in.data, len));
        in = bytes_skip(in, len);
    }
    redis_replies_finish(&replies);
    FUZZ_CHECK(replies.count == 0 && replies.bytes == 0);
    buf_printf(heard, "%s", why ? why : "");
    redisReaderFree(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes in = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    struct buf whole, bytewise;
    buf_init(&whole, 0);
    buf_init(&bytewise, 0);
    talk(in, size + 1, &whole);
    talk(in, 1, &bytewise);
    FUZZ_CHECK(bytes_equal(buf_bytes(&whole), buf_bytes(&bytewise)));
    buf_finish(&whole);
    buf_finish(&bytewise);
    return 0;
}

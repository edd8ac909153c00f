#include "gateway/broker/redis_replies.h"

#include <stdlib.h>

#include "common/xalloc.h"

/* The longest list of ours is a stream's; hiredis would make room for four billion elements because Redis says so. */
enum { ELEMENTS_MAX = 1 << 20 };

/* A command without a reply yet. */
struct call {
    struct list in_replies;
    size_t bytes;
    redis_on_reply *on_reply;
    void *arg;
};

/* hiredis' own functions, but for lists that are too long: those are no reply. */
static redisReplyObjectFunctions functions;
static redisReplyObjectFunctions hiredis_functions;

#if HIREDIS_MAJOR >= 1
static void *create_array(const redisReadTask *task, size_t elements)
#else
static void *create_array(const redisReadTask *task, int elements)
#endif
{
    return elements > ELEMENTS_MAX ? NULL : hiredis_functions.createArray(task, elements);
}

void redis_replies_init(struct redis_replies *replies, redisReader *reader) {
    *replies = (struct redis_replies){.reader = reader};
    list_init(&replies->waiting);
    if (reader->fn != &functions)
        hiredis_functions = functions = *reader->fn;
    functions.createArray = create_array;
    reader->fn = &functions;
}

static void answer(struct redis_replies *replies, const redisReply *reply) {
    struct call *call = list_entry(replies->waiting.next, struct call, in_replies);
    list_unlink(&call->in_replies);
    replies->count--;
    replies->bytes -= call->bytes;
    if (call->on_reply != NULL)
        call->on_reply(call->arg, reply);
    free(call);
}

void redis_replies_finish(struct redis_replies *replies) {
    while (!list_is_empty(&replies->waiting))
        answer(replies, NULL);
}

void redis_replies_expect(struct redis_replies *replies, size_t bytes, redis_on_reply *on_reply, void *arg) {
    struct call *call = xmalloc(sizeof *call);
    *call = (struct call){.bytes = bytes, .on_reply = on_reply, .arg = arg};
    replies->count++;
    replies->bytes += bytes;
    list_push_back(&replies->waiting, &call->in_replies);
}

const char *redis_replies_feed(struct redis_replies *replies, struct bytes piece) {
    static char why[256];
    if (redisReaderFeed(replies->reader, piece.data, piece.len) != REDIS_OK)
        return replies->reader->errstr;
    for (;;) {
        void *object = NULL;
        if (redisReaderGetReply(replies->reader, &object) != REDIS_OK)
            return replies->reader->errstr;
        const redisReply *reply = object;
        if (reply == NULL)
            return NULL;
        if (list_is_empty(&replies->waiting)) {
            /* Redis says so, for example, that it has too many clients. */
            snprintf(why, sizeof why, "%s",
                     reply->type == REDIS_REPLY_ERROR ? reply->str : "Redis answers what it was not asked");
            freeReplyObject(object);
            return why;
        }
        answer(replies, reply);
        freeReplyObject(object);
    }
}

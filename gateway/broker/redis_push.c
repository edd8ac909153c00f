#include "gateway/broker/redis_push.h"

enum push_kind { PUSH_OTHER, PUSH_MESSAGE, PUSH_SUBSCRIBED, PUSH_UNSUBSCRIBED };

enum {
    /* A channel of ours has at most 255 bytes, a prefix hardly more; names of other lengths are not ours. */
    CHANNEL_BYTES_MAX = 4096,
    /* What the reader's buffer may keep when it is empty: giving it back after each piece costs more than it holds,
     * but a message of a hundred megabytes must not stay for good. */
    BUFFER_KEPT_BYTES_MAX = 4 * 1024 * 1024,
};

/* What the creators return: hiredis wants something that is not NULL and hands it to freeObject. */
static char token;

static enum push_kind kind_of(struct bytes name) {
    if (bytes_equal_text(name, "message"))
        return PUSH_MESSAGE;
    if (bytes_equal_text(name, "subscribe"))
        return PUSH_SUBSCRIBED;
    return bytes_equal_text(name, "unsubscribe") ? PUSH_UNSUBSCRIBED : PUSH_OTHER;
}

static void *create_string(const redisReadTask *task, char *text, size_t len) {
    struct redis_push *push = task->privdata;
    struct bytes bytes = bytes_make(text, len);
    if (task->parent == NULL) {
        if (task->type == REDIS_REPLY_ERROR)
            push->events->on_error(push->context, bytes);
        else if (task->type == REDIS_REPLY_STATUS)
            push->events->on_status(push->context, bytes);
    } else if (task->idx == 0) {
        push->kind = kind_of(bytes);
        buf_clear(&push->channel);
    } else if (task->idx == 1) {
        buf_append_bytes(&push->channel, bytes);
    } else if (task->idx == 2 && push->kind == PUSH_MESSAGE && !push->channel.overflow) {
        push->events->on_message(push->context, buf_bytes(&push->channel), bytes);
    }
    return &token;
}

static void *create_integer(const redisReadTask *task, long long value) {
    struct redis_push *push = task->privdata;
    (void)value; /* How many channels the link has; we know. */
    if (task->parent == NULL || task->idx != 2 || push->channel.overflow)
        return &token;
    if (push->kind == PUSH_SUBSCRIBED)
        push->events->on_subscribed(push->context, buf_bytes(&push->channel));
    else if (push->kind == PUSH_UNSUBSCRIBED)
        push->events->on_unsubscribed(push->context);
    return &token;
}

#if HIREDIS_MAJOR >= 1
static void *create_array(const redisReadTask *task, size_t elements)
#else
static void *create_array(const redisReadTask *task, int elements)
#endif
{
    struct redis_push *push = task->privdata;
    (void)elements;
    push->kind = PUSH_OTHER;
    return &token;
}

static void *create_nil(const redisReadTask *task) {
    (void)task;
    return &token;
}

#if HIREDIS_MAJOR >= 1
static void *create_double(const redisReadTask *task, double value, char *text, size_t len) {
    (void)task;
    (void)value;
    (void)text;
    (void)len;
    return &token;
}

static void *create_bool(const redisReadTask *task, int value) {
    (void)task;
    (void)value;
    return &token;
}
#endif

static void free_object(void *object) {
    (void)object;
}

static redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
#if HIREDIS_MAJOR >= 1
    .createDouble = create_double,
    .createBool = create_bool,
#endif
    .freeObject = free_object,
};

void redis_push_init(struct redis_push *push, redisReader *reader, const struct redis_push_events *events,
                     void *context) {
    *push = (struct redis_push){.events = events, .context = context};
    buf_init(&push->channel, CHANNEL_BYTES_MAX);
    reader->fn = &functions;
    reader->privdata = push;
    reader->maxbuf = BUFFER_KEPT_BYTES_MAX;
}

void redis_push_finish(struct redis_push *push) {
    buf_finish(&push->channel);
}

bool redis_push_feed(redisReader *reader, struct bytes piece) {
    void *reply;
    if (redisReaderFeed(reader, piece.data, piece.len) != REDIS_OK)
        return false;
    do {
        reply = NULL;
        if (redisReaderGetReply(reader, &reply) != REDIS_OK)
            return false;
    } while (reply != NULL);
    return true;
}

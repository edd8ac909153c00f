#include "gateway/broker/memory.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/xalloc.h"

/* Names of channels whose confirmation is due: events do not come from within a call. */
struct memory_broker {
    struct broker base;
    struct buf subscribed; /* Each a length byte and a name. */
};

static void memory_subscribe(struct broker *broker, struct bytes channel) {
    struct memory_broker *memory = (struct memory_broker *)broker;
    buf_append_char(&memory->subscribed, (char)channel.len);
    buf_append_bytes(&memory->subscribed, channel);
}

static void memory_unsubscribe(struct broker *broker, struct bytes channel) {
    (void)broker;
    (void)channel;
}

static void memory_publish(struct broker *broker, const struct publish_request *request,
                           publish_done *on_done, void *arg) {
    struct entry entry = {.payload = request->payload};
    broker->events->on_entry(broker->context, request->channel, &entry);
    on_done(arg, ERR_OK, NULL);
}

static bool memory_is_up(const struct broker *broker) {
    (void)broker;
    return true;
}

static void memory_flush(struct broker *broker) {
    struct memory_broker *memory = (struct memory_broker *)broker;
    struct buf names = memory->subscribed;
    buf_init(&memory->subscribed, 0);
    for (size_t at = 0; at < names.len;) {
        size_t len = (unsigned char)names.data[at];
        broker->events->on_subscribed(broker->context, bytes_make(names.data + at + 1, len));
        at += 1 + len;
    }
    buf_finish(&names);
}

static const struct broker_ops memory_ops = {
    .name = "memory",
    .subscribe = memory_subscribe,
    .unsubscribe = memory_unsubscribe,
    .publish = memory_publish,
    .is_up = memory_is_up,
    .flush = memory_flush,
};

struct broker *memory_broker_create(const struct broker_events *events, void *context) {
    struct memory_broker *memory = xcalloc(1, sizeof *memory);
    memory->base = (struct broker){.ops = &memory_ops, .events = events, .context = context};
    buf_init(&memory->subscribed, 0);
    return &memory->base;
}

void memory_broker_destroy(struct broker *broker) {
    struct memory_broker *memory = (struct memory_broker *)broker;
    if (memory == NULL)
        return;
    buf_finish(&memory->subscribed);
    free(memory);
}

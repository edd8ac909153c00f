#include "gateway/broker/memory.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/xalloc.h"
#include "gateway/broker/stream_store.h"

enum {
    SWEEP_MS = 10000,
    /* The streams live as long as the process does. */
    ONLY_RUN = 1,
};

struct memory_broker {
    struct broker base;
    /* What is answered at the next flush, since events do not come from within a call: */
    struct buf subscribed; /* Names of channels, each a length byte and a name. */
    struct list syncs;
    struct stream_store *streams;
    uint64_t next_sweep_ms;
};

struct sync {
    struct list in_broker;
    struct namespace_config options; /* A copy: a reload may come before the answer. */
    bool has_seen;
    struct position seen;
    sync_done *on_done;
    void *arg;
    size_t channel_len;
    char channel[];
};

static struct memory_broker *memory_of(struct broker *broker) {
    return (struct memory_broker *)broker;
}

static void memory_subscribe(struct broker *broker, struct bytes channel) {
    struct memory_broker *memory = memory_of(broker);
    buf_append_char(&memory->subscribed, (char)channel.len);
    buf_append_bytes(&memory->subscribed, channel);
}

static void memory_unsubscribe(struct broker *broker, struct bytes channel) {
    (void)broker;
    (void)channel;
}

static void on_stream_entry(void *context, struct bytes channel, const struct entry *entry) {
    const struct broker *broker = context;
    broker->events->on_entry(broker->context, channel, entry);
}

static void memory_publish(struct broker *broker, const struct publish_request *request,
                           publish_done *on_done, void *arg) {
    if (request->options != NULL && request->options->history_size > 0) {
        struct position id = stream_store_append(memory_of(broker)->streams, ONLY_RUN, clock_wall_ms(),
                                                 request, on_stream_entry, broker);
        on_done(arg, ERR_OK, &id);
    } else {
        struct entry entry = {.is_urgent = request->is_urgent, .payload = request->payload};
        broker->events->on_entry(broker->context, request->channel, &entry);
        on_done(arg, ERR_OK, NULL);
    }
}

static void memory_sync(struct broker *broker, struct bytes channel, const struct namespace_config *options,
                        const struct position *seen, sync_done *on_done, void *arg) {
    struct sync *sync = xcalloc(1, sizeof *sync + channel.len);
    sync->options = *options;
    sync->has_seen = seen != NULL;
    if (seen != NULL)
        sync->seen = *seen;
    sync->on_done = on_done;
    sync->arg = arg;
    sync->channel_len = channel.len;
    memcpy(sync->channel, channel.data, channel.len);
    list_push_back(&memory_of(broker)->syncs, &sync->in_broker);
}

static bool memory_is_up(const struct broker *broker) {
    (void)broker;
    return true;
}

static void flush_subscribed(struct memory_broker *memory) {
    struct buf names = memory->subscribed;
    buf_init(&memory->subscribed, 0);
    for (size_t at = 0; at < names.len;) {
        size_t len = (unsigned char)names.data[at];
        memory->base.events->on_subscribed(memory->base.context, bytes_make(names.data + at + 1, len));
        at += 1 + len;
    }
    buf_finish(&names);
}

static void answer(struct memory_broker *memory, struct sync *sync, uint64_t now_ms) {
    struct sync_result result;
    stream_store_sync(memory->streams, ONLY_RUN, now_ms, bytes_make(sync->channel, sync->channel_len),
                      &sync->options, sync->has_seen ? &sync->seen : NULL, on_stream_entry, &memory->base,
                      &result);
    sync->on_done(sync->arg, ERR_OK, &result);
}

static void memory_flush(struct broker *broker) {
    struct memory_broker *memory = memory_of(broker);
    uint64_t now_ms = clock_wall_ms();
    /* An answer may lead to the next question, for which there may be no other turn soon. */
    while (memory->subscribed.len > 0 || !list_is_empty(&memory->syncs)) {
        flush_subscribed(memory);
        while (!list_is_empty(&memory->syncs)) {
            struct sync *sync = list_entry(memory->syncs.next, struct sync, in_broker);
            list_unlink(&sync->in_broker);
            answer(memory, sync, now_ms);
            free(sync);
        }
    }
    if (now_ms >= memory->next_sweep_ms) {
        stream_store_sweep(memory->streams, now_ms);
        memory->next_sweep_ms = now_ms + SWEEP_MS;
    }
}

static void memory_hold(struct broker *broker, bool is_held) {
    (void)broker; /* Messages come from our own clients, which wait for their answers. */
    (void)is_held;
}

static const struct broker_ops memory_ops = {
    .name = "memory",
    .subscribe = memory_subscribe,
    .unsubscribe = memory_unsubscribe,
    .publish = memory_publish,
    .sync = memory_sync,
    .is_up = memory_is_up,
    .flush = memory_flush,
    .hold = memory_hold,
};

struct broker *memory_broker_create(const struct broker_events *events, void *context) {
    struct memory_broker *memory = xcalloc(1, sizeof *memory);
    memory->base = (struct broker){.ops = &memory_ops, .events = events, .context = context};
    buf_init(&memory->subscribed, 0);
    list_init(&memory->syncs);
    memory->streams = stream_store_create();
    return &memory->base;
}

void memory_broker_destroy(struct broker *broker) {
    struct memory_broker *memory = memory_of(broker);
    if (memory == NULL)
        return;
    list_each_safe (node, &memory->syncs) {
        struct sync *sync = list_entry(node, struct sync, in_broker);
        sync->on_done(sync->arg, ERR_BROKER_UNAVAILABLE, NULL);
        free(sync);
    }
    stream_store_destroy(memory->streams);
    buf_finish(&memory->subscribed);
    free(memory);
}

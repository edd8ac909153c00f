#include "tests/fake/fake_broker.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "tests/unit/unit.h"

static struct fake_request *requests_add(struct fake_requests *requests, struct bytes channel) {
    requests->items = xrealloc(requests->items, sizeof *requests->items * (requests->count + 1));
    struct fake_request *request = &requests->items[requests->count++];
    *request = (struct fake_request){.channel = xstrndup(channel.data, channel.len)};
    return request;
}

/* Takes the item at `i` out; what it owns goes to the caller. */
static struct fake_request requests_take(struct fake_requests *requests, size_t i) {
    struct fake_request taken = requests->items[i];
    requests->count--;
    memmove(&requests->items[i], &requests->items[i + 1], sizeof taken * (requests->count - i));
    return taken;
}

static void request_finish(struct fake_request *request) {
    free(request->channel);
    free(request->payload);
}

static void requests_clear(struct fake_requests *requests) {
    while (requests->count > 0) {
        struct fake_request request = requests_take(requests, 0);
        request_finish(&request);
    }
    free(requests->items);
    requests->items = NULL;
}

static size_t find_waiting(const struct fake_broker *broker, struct bytes channel) {
    size_t i = 0;
    while (i < broker->waiting.count && !bytes_equal_text(channel, broker->waiting.items[i].channel))
        i++;
    return i;
}

/* --- What the hub calls -------------------------------------------------------------------------------- */

static void on_subscribe(struct broker *base, struct bytes channel) {
    struct fake_broker *broker = (struct fake_broker *)base;
    broker->subscribed++;
    if (broker->is_up)
        requests_add(&broker->waiting, channel);
}

static void on_unsubscribe(struct broker *base, struct bytes channel) {
    struct fake_broker *broker = (struct fake_broker *)base;
    size_t i = find_waiting(broker, channel);
    broker->unsubscribed++;
    if (i < broker->waiting.count) {
        struct fake_request request = requests_take(&broker->waiting, i);
        request_finish(&request);
    }
}

static void on_publish(struct broker *base, const struct publish_request *request, publish_done *on_done,
                       void *arg) {
    struct fake_broker *broker = (struct fake_broker *)base;
    struct fake_request *publish = requests_add(&broker->publishes, request->channel);
    publish->payload = xstrndup(request->payload.data, request->payload.len);
    publish->on_published = on_done;
    publish->arg = arg;
}

static void on_sync(struct broker *base, struct bytes channel, const struct namespace_config *options,
                    const struct position *seen, sync_done *on_done, void *arg) {
    struct fake_broker *broker = (struct fake_broker *)base;
    struct fake_request *sync = requests_add(&broker->syncs, channel);
    (void)options;
    sync->has_seen = seen != NULL;
    if (seen != NULL)
        sync->seen = *seen;
    sync->on_synced = on_done;
    sync->arg = arg;
}

static bool is_up(const struct broker *base) {
    return ((const struct fake_broker *)base)->is_up;
}

static void on_flush(struct broker *base) {
    struct fake_broker *broker = (struct fake_broker *)base;
    broker->flushes++;
    if (broker->confirms)
        fake_broker_confirm_all(broker);
}

static void on_hold(struct broker *base, bool is_held) {
    ((struct fake_broker *)base)->is_held = is_held;
}

static const struct broker_ops ops = {
    .name = "fake",
    .subscribe = on_subscribe,
    .unsubscribe = on_unsubscribe,
    .publish = on_publish,
    .sync = on_sync,
    .is_up = is_up,
    .flush = on_flush,
    .hold = on_hold,
};

/* --- What the test calls ------------------------------------------------------------------------------- */

void fake_broker_init(struct fake_broker *broker) {
    *broker = (struct fake_broker){.base.ops = &ops, .is_up = true, .confirms = true};
}

void fake_broker_finish(struct fake_broker *broker) {
    while (broker->publishes.count > 0)
        fake_broker_answer_publish(broker, ERR_BROKER_UNAVAILABLE, NULL);
    while (broker->syncs.count > 0)
        fake_broker_answer_sync(broker, ERR_BROKER_UNAVAILABLE, NULL);
    requests_clear(&broker->waiting);
    requests_clear(&broker->publishes);
    requests_clear(&broker->syncs);
}

void fake_broker_attach(struct fake_broker *broker, const struct broker_events *events, void *context) {
    broker->base.events = events;
    broker->base.context = context;
}

bool fake_broker_is_waiting(const struct fake_broker *broker, const char *channel) {
    return find_waiting(broker, bytes_of(channel)) < broker->waiting.count;
}

static void confirm_at(struct fake_broker *broker, size_t i) {
    struct fake_request request = requests_take(&broker->waiting, i);
    broker->base.events->on_subscribed(broker->base.context, bytes_of(request.channel));
    request_finish(&request);
}

void fake_broker_confirm(struct fake_broker *broker, const char *channel) {
    size_t i = find_waiting(broker, bytes_of(channel));
    assert_true(i < broker->waiting.count);
    confirm_at(broker, i);
}

void fake_broker_refuse(struct fake_broker *broker, const char *channel) {
    size_t i = find_waiting(broker, bytes_of(channel));
    assert_true(i < broker->waiting.count);
    struct fake_request request = requests_take(&broker->waiting, i);
    broker->base.events->on_refused(broker->base.context, bytes_of(channel));
    request_finish(&request);
}

void fake_broker_confirm_all(struct fake_broker *broker) {
    while (broker->waiting.count > 0)
        confirm_at(broker, 0);
}

void fake_broker_bring(struct fake_broker *broker, const char *channel, const char *payload) {
    struct entry entry = {.kind = ENTRY_MESSAGE, .payload = bytes_of(payload)};
    fake_broker_bring_entry(broker, channel, &entry);
}

void fake_broker_bring_number(struct fake_broker *broker, const char *channel, unsigned number) {
    char payload[16];
    snprintf(payload, sizeof payload, "%u", number);
    fake_broker_bring(broker, channel, payload);
}

void fake_broker_bring_entry(struct fake_broker *broker, const char *channel, const struct entry *entry) {
    broker->base.events->on_entry(broker->base.context, bytes_of(channel), entry);
}

void fake_broker_lose_link(struct fake_broker *broker) {
    broker->is_up = false;
    requests_clear(&broker->waiting);
    broker->base.events->on_link_lost(broker->base.context);
}

void fake_broker_restore_link(struct fake_broker *broker) {
    broker->is_up = true;
    broker->base.events->on_link_up(broker->base.context);
}

void fake_broker_answer_publish(struct fake_broker *broker, enum error error, const struct position *id) {
    assert_true(broker->publishes.count > 0);
    struct fake_request request = requests_take(&broker->publishes, 0);
    request.on_published(request.arg, error, id);
    request_finish(&request);
}

void fake_broker_answer_sync(struct fake_broker *broker, enum error error, const struct sync_result *result) {
    assert_true(broker->syncs.count > 0);
    struct fake_request request = requests_take(&broker->syncs, 0);
    request.on_synced(request.arg, error, result);
    request_finish(&request);
}

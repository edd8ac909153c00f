#include "tests/sim/model_broker.h"

#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/broker/envelope.h"
#include "tests/sim/fail.h"

enum {
    BACKOFF_MIN_MS = 25,
    BACKOFF_MAX_MS = 1000,
    PROBE_TIMEOUT_MS = 3000,
};

/* A command without a reply yet. */
struct call {
    struct list in_broker;
    publish_done *on_published;
    sync_done *on_synced;
    void *arg;
};

static struct model_broker *model_of(struct broker *broker) {
    return (struct model_broker *)broker;
}

static struct call *call_create(struct list *list, void *arg) {
    struct call *call = xcalloc(1, sizeof *call);
    call->arg = arg;
    list_push_back(list, &call->in_broker);
    return call;
}

static void fail_all(struct list *calls) {
    /* An answer may lead to the next command. */
    struct list failed;
    list_init(&failed);
    list_splice_back(&failed, calls);
    while (!list_is_empty(&failed)) {
        struct call *call = list_entry(failed.next, struct call, in_broker);
        list_unlink(&call->in_broker);
        if (call->on_synced != NULL)
            call->on_synced(call->arg, ERR_BROKER_UNAVAILABLE, NULL);
        else
            call->on_published(call->arg, ERR_BROKER_UNAVAILABLE, NULL);
        free(call);
    }
}

/* --- The link -------------------------------------------------------------------------------------------- */

static void attempt(void *arg);

static void schedule_attempt(struct model_broker *broker) {
    timeline_after(broker->timeline, dice_between(broker->dice, BACKOFF_MIN_MS, BACKOFF_MAX_MS), attempt,
                   broker);
}

static void give_up(struct model_broker *broker) {
    struct link *link = broker->link;
    sim_note("%s: link lost", broker->name);
    broker->on_event(broker->context);
    broker->link = NULL;
    broker->lost_count++;
    broker->is_listening_dead = false;
    link_let_go(link);
    fail_all(&broker->calls);
    broker->base.events->on_link_lost(broker->base.context);
    schedule_attempt(broker);
}

static void on_broken(void *context) {
    give_up(context);
}

static void on_message(void *context, struct bytes channel, struct bytes payload) {
    struct model_broker *broker = context;
    struct entry entry;
    broker->on_event(broker->context);
    envelope_parse(payload, &entry);
    sim_note("%s: hears %.*s %llu-%llu", broker->name, BYTES_FMT(channel), (unsigned long long)entry.id.epoch,
             (unsigned long long)entry.id.offset);
    broker->base.events->on_entry(broker->base.context, channel, &entry);
}

static void on_subscribed(void *context, struct bytes channel) {
    struct model_broker *broker = context;
    broker->on_event(broker->context);
    broker->base.events->on_subscribed(broker->base.context, channel);
}

static struct call *begin_answer(struct model_broker *broker, void *arg) {
    struct call *call = arg;
    broker->on_event(broker->context);
    list_unlink(&call->in_broker);
    return call;
}

static void on_published(void *context, void *arg, const struct position *id) {
    struct call *call = begin_answer(context, arg);
    call->on_published(call->arg, ERR_OK, id);
    free(call);
}

static void on_synced(void *context, void *arg, const struct sync_result *result) {
    struct call *call = begin_answer(context, arg);
    sim_note("%s: has read up to %llu-%llu, %zu entries", ((struct model_broker *)context)->name,
             (unsigned long long)result->head.epoch, (unsigned long long)result->head.offset, result->count);
    call->on_synced(call->arg, ERR_OK, result);
    free(call);
}

static void on_refused(void *context, void *arg) {
    struct call *call = begin_answer(context, arg);
    sim_note("%s: a read is refused", ((struct model_broker *)context)->name);
    call->on_synced(call->arg, ERR_BROKER_REFUSED, NULL);
    free(call);
}

static const struct link_events link_events = {
    .on_message = on_message,
    .on_subscribed = on_subscribed,
    .on_published = on_published,
    .on_synced = on_synced,
    .on_refused = on_refused,
    .on_broken = on_broken,
};

static void attempt(void *arg) {
    struct model_broker *broker = arg;
    if (broker->is_finished || broker->link != NULL)
        return;
    broker->link = link_open(broker->redis, &link_events, broker, broker->delay_max_ms);
    if (broker->link == NULL) {
        schedule_attempt(broker);
        return;
    }
    sim_note("%s: link up", broker->name);
    broker->on_event(broker->context);
    broker->up_ms = broker->timeline->now_ms;
    broker->base.events->on_link_up(broker->base.context);
}

static void on_probe_lost(void *arg) {
    struct model_broker *broker = arg;
    if (broker->link != NULL && broker->is_listening_dead)
        give_up(broker);
}

void model_broker_go_deaf(struct model_broker *broker) {
    if (broker->link == NULL || broker->is_listening_dead)
        return;
    unsigned which = (unsigned)dice_below(broker->dice, 4);
    sim_note("%s: goes deaf (%u)", broker->name, which);
    broker->is_listening_dead = true;
    link_cut(broker->link, which);
    timeline_after(broker->timeline, dice_between(broker->dice, 1, PROBE_TIMEOUT_MS), on_probe_lost, broker);
}

/* --- What the hub calls ---------------------------------------------------------------------------------- */

static void model_subscribe(struct broker *base, struct bytes channel) {
    if (model_of(base)->link != NULL)
        link_subscribe(model_of(base)->link, channel, true);
}

static void model_unsubscribe(struct broker *base, struct bytes channel) {
    if (model_of(base)->link != NULL)
        link_subscribe(model_of(base)->link, channel, false);
}

static void model_publish(struct broker *base, const struct publish_request *request, publish_done *on_done,
                          void *arg) {
    struct model_broker *broker = model_of(base);
    if (broker->link == NULL) {
        on_done(arg, ERR_BROKER_UNAVAILABLE, NULL);
        return;
    }
    struct call *call = call_create(&broker->calls, arg);
    call->on_published = on_done;
    link_publish(broker->link, request, call);
}

static void model_sync(struct broker *base, struct bytes channel, const struct namespace_config *options,
                       const struct position *seen, sync_done *on_done, void *arg) {
    struct model_broker *broker = model_of(base);
    struct call *call = call_create(broker->link ? &broker->calls : &broker->failed, arg);
    call->on_synced = on_done;
    if (broker->link != NULL)
        link_sync(broker->link, channel, options, seen, call);
    else
        broker->on_event(broker->context);
}

static bool model_is_up(const struct broker *base) {
    return ((const struct model_broker *)base)->link != NULL;
}

static void model_flush(struct broker *base) {
    fail_all(&model_of(base)->failed);
}

static void model_hold(struct broker *base, bool is_held) {
    if (model_of(base)->link != NULL)
        link_hold(model_of(base)->link, is_held);
}

static const struct broker_ops ops = {
    .name = "model",
    .subscribe = model_subscribe,
    .unsubscribe = model_unsubscribe,
    .publish = model_publish,
    .sync = model_sync,
    .is_up = model_is_up,
    .flush = model_flush,
    .hold = model_hold,
};

/* --- Life ------------------------------------------------------------------------------------------------ */

void model_broker_init(struct model_broker *broker, struct redis_model *redis, const char *name) {
    *broker = (struct model_broker){
        .base.ops = &ops,
        .redis = redis,
        .timeline = redis->timeline,
        .dice = redis->dice,
        .name = name,
    };
    list_init(&broker->calls);
    list_init(&broker->failed);
}

void model_broker_start(struct model_broker *broker) {
    timeline_after(broker->timeline, dice_below(broker->dice, 20), attempt, broker);
}

void model_broker_finish(struct model_broker *broker) {
    struct link *link = broker->link;
    broker->is_finished = true;
    broker->link = NULL;
    if (link != NULL)
        link_let_go(link);
    fail_all(&broker->calls);
    fail_all(&broker->failed);
}

void model_broker_restart(struct model_broker *broker) {
    broker->is_finished = false;
    broker->is_listening_dead = false;
    broker->lost_count++;
    model_broker_start(broker);
}

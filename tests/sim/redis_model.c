#include "tests/sim/redis_model.h"

#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/broker/envelope.h"
#include "tests/sim/fail.h"

enum {
    WALL_START_MS = 1700000000, /* Times 1000: the virtual clock starts with 0. */
    BREAK_MS = 30,              /* Within which a broken connection is noticed. */
};

enum parcel_kind {
    PARCEL_SUBSCRIBE,
    PARCEL_UNSUBSCRIBE,
    PARCEL_PUBLISH,
    PARCEL_SYNC,
    PARCEL_CONFIRM,
    PARCEL_MESSAGE,
    PARCEL_PUBLISHED,
    PARCEL_SYNCED,
    PARCEL_REFUSED,
};

/* What travels on a link. */
struct parcel {
    struct list in_held;
    struct link *link;
    struct queue *queue;
    enum parcel_kind kind;
    struct truth_channel *channel;
    struct namespace_config options;
    void *call;
    bool has_position;
    bool is_urgent;
    struct position position;
    struct buf payload;
    struct buf key;
    struct entry *entries;
    size_t entry_count;
    bool has_calm;
    uint64_t calm;
};

uint64_t redis_model_wall_ms(const struct redis_model *redis) {
    return WALL_START_MS * 1000ull + redis->timeline->now_ms;
}

/* --- The queues ------------------------------------------------------------------------------------------ */

static void link_unref(struct link *link) {
    if (--link->refs > 0)
        return;
    list_unlink(&link->in_redis);
    free(link);
}

static void parcel_free(struct parcel *parcel) {
    for (size_t i = 0; i < parcel->entry_count; i++)
        free((char *)parcel->entries[i].payload.data);
    free(parcel->entries);
    buf_finish(&parcel->payload);
    buf_finish(&parcel->key);
    link_unref(parcel->link);
    free(parcel);
}

static struct parcel *parcel_create(struct link *link, enum parcel_kind kind, struct truth_channel *channel) {
    struct parcel *parcel = xcalloc(1, sizeof *parcel);
    parcel->link = link;
    parcel->kind = kind;
    list_init(&parcel->in_held);
    parcel->channel = channel;
    buf_init(&parcel->payload, 0);
    buf_init(&parcel->key, 0);
    link->refs++;
    return parcel;
}

static void on_arrived(void *arg);

static void send(struct parcel *parcel, struct queue *queue) {
    struct redis_model *redis = parcel->link->redis;
    uint64_t at_ms = redis->timeline->now_ms + dice_below(redis->dice, queue->delay_max_ms + 1);
    if (queue->is_cut) {
        parcel_free(parcel);
        return;
    }
    if (at_ms > queue->last_ms)
        queue->last_ms = at_ms;
    parcel->queue = queue;
    timeline_at(redis->timeline, queue->last_ms, on_arrived, parcel);
}

/* --- Redis ----------------------------------------------------------------------------------------------- */

static void fan_out(struct redis_model *redis, struct truth_channel *channel, struct bytes payload) {
    unsigned bit = 1u << (channel - redis->truth->channels);
    list_each (node, &redis->links) {
        struct link *link = list_entry(node, struct link, in_redis);
        if ((link->subscribed & bit) == 0 || link->context == NULL)
            continue;
        struct parcel *parcel = parcel_create(link, PARCEL_MESSAGE, channel);
        buf_append_bytes(&parcel->payload, payload);
        send(parcel, &link->listen_down);
    }
}

static void on_stream_entry(void *context, struct bytes name, const struct entry *entry) {
    struct redis_model *redis = context;
    struct truth_channel *channel = truth_find_channel(redis->truth, name);
    struct buf envelope;
    buf_init(&envelope, 0);
    truth_on_entry(channel, entry);
    envelope_append(entry, &envelope);
    fan_out(redis, channel, buf_bytes(&envelope));
    buf_finish(&envelope);
}

/* Bare messages get their number here, since only Redis knows their order. */
static void fan_out_bare(struct redis_model *redis, struct truth_channel *channel, struct bytes payload) {
    struct buf numbered;
    buf_init(&numbered, 0);
    payload_make(&numbered, 'b', ++channel->bare_count, payload.len);
    sim_note("%s: number %llu", channel->name, (unsigned long long)channel->bare_count);
    fan_out(redis, channel, buf_bytes(&numbered));
    buf_finish(&numbered);
}

bool redis_model_publish(struct redis_model *redis, const struct publish_request *request,
                         struct position *id) {
    if (!redis->is_up)
        return false;
    if (request->options != NULL && request->options->history_size > 0)
        *id = stream_store_append(redis->store, redis->run, redis_model_wall_ms(redis), request,
                                  on_stream_entry, redis);
    else
        fan_out_bare(redis, truth_find_channel(redis->truth, request->channel), request->payload);
    return true;
}

static void copy_result(struct parcel *reply, const struct sync_result *result) {
    reply->position = result->head;
    reply->has_calm = result->has_calm;
    reply->calm = result->calm;
    reply->entry_count = result->count;
    reply->entries = xcalloc(result->count + 1, sizeof *reply->entries);
    for (size_t i = 0; i < result->count; i++) {
        reply->entries[i] = result->entries[i];
        reply->entries[i].payload.data =
            xstrndup(result->entries[i].payload.data, result->entries[i].payload.len);
    }
}

static void serve_sync(struct redis_model *redis, struct parcel *parcel) {
    struct parcel *reply = parcel_create(parcel->link, PARCEL_SYNCED, parcel->channel);
    struct sync_result result;
    reply->call = parcel->call;
    if (dice_percent(redis->dice, redis->refuses_percent)) {
        reply->kind = PARCEL_REFUSED;
    } else {
        stream_store_sync(redis->store, redis->run, redis_model_wall_ms(redis),
                          bytes_of(parcel->channel->name), &parcel->options,
                          parcel->has_position ? &parcel->position : NULL, on_stream_entry, redis, &result);
        copy_result(reply, &result);
    }
    send(reply, &parcel->link->commands_down);
}

static void serve_publish(struct redis_model *redis, struct parcel *parcel) {
    struct parcel *reply = parcel_create(parcel->link, PARCEL_PUBLISHED, parcel->channel);
    struct publish_request request = {
        .channel = bytes_of(parcel->channel->name),
        .payload = buf_bytes(&parcel->payload),
        .options = &parcel->options,
        .is_urgent = parcel->is_urgent,
        .idempotency_key = buf_bytes(&parcel->key),
    };
    reply->call = parcel->call;
    reply->has_position = parcel->options.history_size > 0;
    redis_model_publish(redis, &request, &reply->position);
    send(reply, &parcel->link->commands_down);
}

static void serve(struct redis_model *redis, struct parcel *parcel) {
    struct link *link = parcel->link;
    unsigned bit = parcel->channel ? 1u << (parcel->channel - redis->truth->channels) : 0;
    switch (parcel->kind) {
    case PARCEL_SUBSCRIBE:
        link->subscribed |= bit;
        send(parcel_create(link, PARCEL_CONFIRM, parcel->channel), &link->listen_down);
        break;
    case PARCEL_UNSUBSCRIBE:
        link->subscribed &= ~bit;
        break;
    case PARCEL_PUBLISH:
        serve_publish(redis, parcel);
        break;
    default:
        serve_sync(redis, parcel);
    }
}

/* --- Both ends of a queue -------------------------------------------------------------------------------- */

static void hear(struct link *link, struct parcel *parcel) {
    struct bytes channel = bytes_of(parcel->channel ? parcel->channel->name : "");
    struct sync_result result = {parcel->position, parcel->entries, parcel->entry_count, parcel->has_calm,
                                 parcel->calm};
    switch (parcel->kind) {
    case PARCEL_CONFIRM:
        link->events->on_subscribed(link->context, channel);
        break;
    case PARCEL_MESSAGE:
        link->events->on_message(link->context, channel, buf_bytes(&parcel->payload));
        break;
    case PARCEL_PUBLISHED:
        link->events->on_published(link->context, parcel->call,
                                   parcel->has_position ? &parcel->position : NULL);
        break;
    case PARCEL_SYNCED:
        link->events->on_synced(link->context, parcel->call, &result);
        break;
    default:
        link->events->on_refused(link->context, parcel->call);
    }
}

static void on_arrived(void *arg) {
    struct parcel *parcel = arg;
    struct link *link = parcel->link;
    if (parcel->queue == &link->listen_down && (link->is_held || !list_is_empty(&link->held))) {
        list_push_back(&link->held, &parcel->in_held);
        return;
    }
    bool is_for_redis = parcel->queue == &link->commands_up || parcel->queue == &link->listen_up;
    if (!parcel->queue->is_cut && is_for_redis && !list_is_empty(&link->in_redis))
        serve(link->redis, parcel);
    else if (!parcel->queue->is_cut && !is_for_redis && link->context != NULL)
        hear(link, parcel);
    parcel_free(parcel);
}

static void on_release(void *arg) {
    struct link *link = arg;
    while (!link->is_held && !list_is_empty(&link->held)) {
        struct parcel *parcel = list_entry(link->held.next, struct parcel, in_held);
        list_unlink(&parcel->in_held);
        if (!parcel->queue->is_cut && link->context != NULL)
            hear(link, parcel);
        parcel_free(parcel);
    }
    link_unref(link);
}

void link_hold(struct link *link, bool is_held) {
    link->is_held = is_held;
    if (is_held)
        return;
    link->refs++;
    timeline_after(link->redis->timeline, 0, on_release, link);
}

struct link *link_open(struct redis_model *redis, const struct link_events *events, void *context,
                       uint64_t delay_max_ms) {
    if (!redis->is_up)
        return NULL;
    struct link *link = xcalloc(1, sizeof *link);
    *link = (struct link){.redis = redis, .events = events, .context = context, .refs = 1};
    link->commands_up.delay_max_ms = link->commands_down.delay_max_ms = delay_max_ms;
    link->listen_up.delay_max_ms = link->listen_down.delay_max_ms = delay_max_ms;
    list_init(&link->held);
    list_push_back(&redis->links, &link->in_redis);
    return link;
}

void link_let_go(struct link *link) {
    /* Redis hears of it as the bytes before it do, or not at all: what is on its way up may be served yet. */
    link->context = NULL;
    link->commands_down.is_cut = link->listen_down.is_cut = true;
    link_hold(link, false);
    link_unref(link);
}

void link_subscribe(struct link *link, struct bytes channel, bool is_wanted) {
    struct truth_channel *known = truth_find_channel(link->redis->truth, channel);
    send(parcel_create(link, is_wanted ? PARCEL_SUBSCRIBE : PARCEL_UNSUBSCRIBE, known), &link->listen_up);
}

void link_publish(struct link *link, const struct publish_request *request, void *call) {
    struct parcel *parcel =
        parcel_create(link, PARCEL_PUBLISH, truth_find_channel(link->redis->truth, request->channel));
    parcel->options = *request->options;
    parcel->is_urgent = request->is_urgent;
    parcel->call = call;
    buf_append_bytes(&parcel->payload, request->payload);
    if (request->idempotency_key.len > 0)
        buf_append_bytes(&parcel->key, request->idempotency_key);
    send(parcel, &link->commands_up);
}

void link_sync(struct link *link, struct bytes channel, const struct namespace_config *options,
               const struct position *seen, void *call) {
    struct parcel *parcel = parcel_create(link, PARCEL_SYNC, truth_find_channel(link->redis->truth, channel));
    parcel->options = *options;
    parcel->call = call;
    parcel->has_position = seen != NULL;
    if (seen != NULL)
        parcel->position = *seen;
    send(parcel, &link->commands_up);
}

void link_cut(struct link *link, unsigned which) {
    struct queue *queues[] = {&link->commands_up, &link->commands_down, &link->listen_up, &link->listen_down};
    queues[which]->is_cut = true;
}

void link_stall(struct link *link, uint64_t ms) {
    struct queue *queue = dice_percent(link->redis->dice, 50) ? &link->listen_down : &link->commands_down;
    uint64_t until_ms = link->redis->timeline->now_ms + ms;
    if (until_ms > queue->last_ms)
        queue->last_ms = until_ms;
}

static void on_break(void *arg) {
    struct link *link = arg;
    if (link->context != NULL)
        link->events->on_broken(link->context);
    link_unref(link);
}

void link_break(struct link *link) {
    struct redis_model *redis = link->redis;
    /* What was under way may still be served, or may arrive, until the end notices. */
    list_unlink(&link->in_redis);
    for (unsigned which = 0; which < 4; which++)
        if (dice_percent(redis->dice, 50))
            link_cut(link, which);
    link->refs++;
    timeline_after(redis->timeline, dice_below(redis->dice, BREAK_MS), on_break, link);
}

/* --- Life ------------------------------------------------------------------------------------------------ */

void redis_model_init(struct redis_model *redis, struct timeline *timeline, struct dice *dice,
                      struct truth *truth) {
    *redis = (struct redis_model){.timeline = timeline, .dice = dice, .truth = truth, .is_up = true};
    redis->store = stream_store_create();
    redis->run = 1;
    list_init(&redis->links);
}

void redis_model_finish(struct redis_model *redis) {
    stream_store_destroy(redis->store);
    stream_store_destroy(redis->dump);
}

void redis_model_dump(struct redis_model *redis) {
    if (!redis->is_up)
        return;
    stream_store_destroy(redis->dump);
    redis->dump = stream_store_copy(redis->store);
    for (unsigned i = 0; i < redis->truth->count; i++)
        redis->dump_counts[i] = redis->truth->channels[i].count;
}

void redis_model_flush_all(struct redis_model *redis) {
    if (!redis->is_up)
        return;
    sim_note("redis: FLUSHALL");
    redis->lives++;
    stream_store_clear(redis->store);
}

void redis_model_stop(struct redis_model *redis) {
    if (!redis->is_up)
        return;
    sim_note("redis: down");
    redis->is_up = false;
    list_each_safe (node, &redis->links)
        link_break(list_entry(node, struct link, in_redis));
}

void redis_model_start(struct redis_model *redis, enum survival survival) {
    static const char *const names[] = {"all", "the dump", "nothing"};
    if (redis->is_up)
        return;
    if (survival == SURVIVES_DUMP && redis->dump == NULL)
        survival = SURVIVES_NOTHING;
    sim_note("redis: up again with %s", names[survival]);
    /* A new process knows nothing but what it reads. */
    struct stream_store *store = stream_store_create();
    if (survival == SURVIVES_ALL)
        stream_store_restore(store, redis->store);
    else if (survival == SURVIVES_DUMP)
        stream_store_restore(store, redis->dump);
    for (unsigned i = 0; i < redis->truth->count && survival == SURVIVES_DUMP; i++)
        truth_lose(&redis->truth->channels[i], redis->dump_counts[i]);
    stream_store_destroy(redis->store);
    redis->store = store;
    redis->lives += survival != SURVIVES_ALL;
    redis->run++;
    redis->is_up = true;
}

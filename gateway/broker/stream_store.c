#include "gateway/broker/stream_store.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>

#include "common/list.h"
#include "common/xalloc.h"

/* A position that is seen may be of an epoch that we know nothing of. Epochs are milliseconds of the clock,
 * so one from further ahead than clocks differ is none that a stream has issued. */
enum { CLOCKS_DIFFER_MS = 3600 * 1000 };

struct stream {
    UT_hash_handle hh;
    struct list in_store;
    /* A window of an array, so that a sync can hand out a part of it. */
    struct entry *entries;
    size_t first;
    size_t count;
    size_t capacity;
    struct position last; /* The last id issued. */
    uint64_t run;         /* Under which the epoch of `last` numbers. */
    /* Of the change to this epoch, if there was one. */
    bool has_previous;
    bool is_lost; /* It counts as a loss already. */
    struct position previous;
    uint64_t expires_ms;
    uint32_t ttl_seconds;
    uint32_t name_len;
    char name[];
};

/* An idempotency key that was used. */
struct once {
    UT_hash_handle hh;
    struct list in_store;
    struct position id;
    uint64_t expires_ms;
    size_t len;
    char key[]; /* The channel's name, a zero byte, the key itself. */
};

struct stream_store {
    struct stream *streams;
    struct list by_append; /* Longest without an append first. */
    struct once *once;
    struct list by_use;  /* Oldest first; all live for as long. */
    uint64_t last_epoch; /* Two streams of one name that follow each other within a millisecond differ. */
    /* Since when the data are of this life, which ends when they are cleared, and of this run. */
    bool has_life;
    uint64_t life_ms;
    bool has_run;
    uint64_t run;
    uint64_t run_ms;
};

/* Where entries go that are appended. */
struct sink {
    stream_on_entry *on_entry;
    void *context;
};

/* --- Streams -------------------------------------------------------------------------------- */

static struct bytes stream_name(const struct stream *stream) {
    return bytes_make(stream->name, stream->name_len);
}

static struct stream *add_stream(struct stream_store *store, struct bytes name) {
    struct stream *stream = xcalloc(1, sizeof *stream + name.len);
    stream->name_len = (uint32_t)name.len;
    memcpy(stream->name, name.data, name.len);
    HASH_ADD_KEYPTR(hh, store->streams, stream->name, stream->name_len, stream);
    list_push_back(&store->by_append, &stream->in_store);
    return stream;
}

static void drop_first(struct stream *stream, size_t count) {
    for (size_t i = 0; i < count; i++)
        free((char *)stream->entries[stream->first + i].payload.data);
    stream->first += count;
    stream->count -= count;
}

static void remove_stream(struct stream_store *store, struct stream *stream) {
    /* uthash: the first has no previous. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    HASH_DEL(store->streams, stream);
    list_unlink(&stream->in_store);
    drop_first(stream, stream->count);
    free(stream->entries);
    free(stream);
}

static struct stream *find_stream(struct stream_store *store, struct bytes name, uint64_t now_ms) {
    struct stream *stream;
    HASH_FIND(hh, store->streams, name.data, name.len, stream);
    if (stream != NULL && now_ms >= stream->expires_ms) {
        remove_stream(store, stream);
        return NULL;
    }
    return stream;
}

static struct entry *make_room(struct stream *stream) {
    if (stream->first + stream->count == stream->capacity) {
        if (stream->first > stream->capacity / 2) {
            memmove(stream->entries, stream->entries + stream->first,
                    stream->count * sizeof *stream->entries);
            stream->first = 0;
        } else {
            stream->capacity = stream->capacity > 0 ? stream->capacity * 2 : 8;
            stream->entries = xrealloc(stream->entries, stream->capacity * sizeof *stream->entries);
        }
    }
    return &stream->entries[stream->first + stream->count++];
}

static void store_entry(struct stream *stream, const struct entry *entry) {
    struct entry *stored = make_room(stream);
    char *payload = xmalloc(entry->payload.len + 1);
    if (entry->payload.len > 0)
        memcpy(payload, entry->payload.data, entry->payload.len);
    *stored = *entry;
    stored->payload.data = payload;
}

/* --- Age ------------------------------------------------------------------------------------ */

/* How many of the first entries are too old. Marks directly before what is left stay: they tie it to what was
 * seen before them. */
static size_t count_old(const struct entry *entries, size_t count, uint32_t ttl_seconds, uint64_t now_ms) {
    size_t old = 0;
    while (old < count && entries[old].published_ms + (uint64_t)ttl_seconds * 1000 <= now_ms)
        old++;
    while (old > 0 && entries[old - 1].kind != ENTRY_MESSAGE)
        old--;
    return old;
}

static void trim(struct stream *stream, size_t size, uint64_t now_ms) {
    if (stream->count > size)
        drop_first(stream, stream->count - size);
    drop_first(stream,
               count_old(stream->entries + stream->first, stream->count, stream->ttl_seconds, now_ms));
}

/* --- Appending ------------------------------------------------------------------------------ */

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* Later than all of this store and than `after`. */
static uint64_t new_epoch(struct stream_store *store, uint64_t after, uint64_t now_ms) {
    store->last_epoch = larger(now_ms, larger(after, store->last_epoch) + 1);
    return store->last_epoch;
}

static void append(struct stream *stream, struct entry *entry, const struct namespace_config *options,
                   const struct sink *sink) {
    entry->has_id = true;
    entry->id = stream->last;
    store_entry(stream, entry);
    if (stream->count > options->history_size)
        drop_first(stream, stream->count - options->history_size);
    sink->on_entry(sink->context, stream_name(stream), entry);
}

/* The next entry becomes the first of a new epoch, and names the last of the one before. */
static void change_epoch(struct stream_store *store, struct stream *stream, uint64_t run, uint64_t after,
                         uint64_t now_ms, struct entry *first) {
    stream->previous = stream->last;
    stream->has_previous = true;
    stream->is_lost = first->kind == ENTRY_GAP;
    stream->run = run;
    stream->last = (struct position){.epoch = new_epoch(store, larger(after, stream->last.epoch), now_ms)};
    first->has_previous = true;
    first->previous = stream->previous;
}

static void begin_life(struct stream_store *store, uint64_t now_ms) {
    if (!store->has_life)
        store->life_ms = now_ms;
    store->has_life = true;
}

static struct once *find_once(struct stream_store *store, const struct publish_request *request,
                              uint64_t now_ms, struct buf *key) {
    struct once *once;
    buf_append_bytes(key, request->channel);
    buf_append_char(key, '\0');
    buf_append_bytes(key, request->idempotency_key);
    HASH_FIND(hh, store->once, key->data, key->len, once);
    return once != NULL && now_ms < once->expires_ms ? once : NULL;
}

static void remove_once(struct stream_store *store, struct once *once) {
    /* uthash: the first has no previous. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    HASH_DEL(store->once, once);
    list_unlink(&once->in_store);
    free(once);
}

static void add_once(struct stream_store *store, struct bytes key, struct position id, uint64_t expires_ms) {
    struct once *once;
    HASH_FIND(hh, store->once, key.data, key.len, once);
    if (once != NULL)
        remove_once(store, once);
    once = xcalloc(1, sizeof *once + key.len);
    once->id = id;
    once->expires_ms = expires_ms;
    once->len = key.len;
    memcpy(once->key, key.data, key.len);
    HASH_ADD_KEYPTR(hh, store->once, once->key, once->len, once);
    list_push_back(&store->by_use, &once->in_store);
    if (HASH_COUNT(store->once) > STREAM_ONCE_MAX)
        remove_once(store, list_entry(store->by_use.next, struct once, in_store));
}

static struct position append_message(struct stream_store *store, uint64_t run, uint64_t now_ms,
                                      const struct publish_request *request, const struct sink *sink) {
    const struct namespace_config *options = request->options;
    struct entry message = {
        .published_ms = now_ms, .is_urgent = request->is_urgent, .payload = request->payload};
    struct entry boundary = {.kind = ENTRY_BOUNDARY, .published_ms = now_ms, .payload = BYTES_LITERAL("")};
    struct stream *stream = find_stream(store, request->channel, now_ms);
    if (stream == NULL) {
        begin_life(store, now_ms);
        stream = add_stream(store, request->channel);
        stream->run = run;
        stream->last.epoch = new_epoch(store, 0, now_ms);
    } else {
        list_unlink(&stream->in_store);
        list_push_back(&store->by_append, &stream->in_store);
        if (stream->run != run) {
            change_epoch(store, stream, run, 0, now_ms, &boundary);
            append(stream, &boundary, options, sink);
        }
        stream->last.offset++;
    }
    stream->expires_ms = now_ms + (uint64_t)options->position_ttl_seconds * 1000;
    stream->ttl_seconds = options->history_ttl_seconds;
    append(stream, &message, options, sink);
    trim(stream, options->history_size, now_ms);
    return message.id;
}

static void bound_streams(struct stream_store *store) {
    if (HASH_COUNT(store->streams) > STREAM_STREAMS_MAX)
        remove_stream(store, list_entry(store->by_append.next, struct stream, in_store));
}

struct position stream_store_append(struct stream_store *store, uint64_t run, uint64_t now_ms,
                                    const struct publish_request *request, stream_on_entry *on_entry,
                                    void *context) {
    const struct sink sink = {on_entry, context};
    struct position id;
    struct buf key;
    assert(request->options->history_size > 0);
    buf_init(&key, 0);
    struct once *once = request->idempotency_key.len > 0 ? find_once(store, request, now_ms, &key) : NULL;
    if (once != NULL) {
        id = once->id;
    } else {
        id = append_message(store, run, now_ms, request, &sink);
        if (key.len > 0)
            add_once(store, buf_bytes(&key), id, now_ms + (uint64_t)STREAM_ONCE_SECONDS * 1000);
        bound_streams(store);
    }
    buf_finish(&key);
    return id;
}

/* --- Sync ----------------------------------------------------------------------------------- */

/* Marks the loss that `seen` proves, if it proves one that is not marked yet. */
static void mark_loss(struct stream_store *store, struct stream *stream, uint64_t run, uint64_t now_ms,
                      const struct namespace_config *options, const struct position *seen,
                      const struct sink *sink) {
    struct entry gap = {.kind = ENTRY_GAP, .published_ms = now_ms, .payload = BYTES_LITERAL("")};
    if (position_compare(seen, &stream->last) > 0) {
        if (seen->epoch > now_ms + CLOCKS_DIFFER_MS)
            return;
        /* The ids up to the one seen have been issued. */
        change_epoch(store, stream, run, seen->epoch, now_ms, &gap);
    } else if (seen->epoch < stream->last.epoch && stream->has_previous && !stream->is_lost &&
               position_compare(seen, &stream->previous) > 0) {
        if (stream->run != run)
            change_epoch(store, stream, run, 0, now_ms, &gap);
        else
            stream->last.offset++;
        stream->is_lost = true;
    } else {
        return;
    }
    append(stream, &gap, options, sink);
}

/* Since when nothing can have come and gone before `epoch`. */
static void find_calm(struct stream_store *store, uint64_t run, uint64_t now_ms,
                      const struct namespace_config *options, uint64_t epoch, struct sync_result *result) {
    uint64_t kept_ms = (uint64_t)options->position_ttl_seconds * 1000;
    if (!store->has_run || store->run != run)
        store->run_ms = now_ms;
    store->has_run = true;
    store->run = run;
    result->has_calm = store->has_life;
    result->calm = larger(larger(store->life_ms, store->run_ms), epoch > kept_ms ? epoch - kept_ms : 0);
}

static bool goes_on(const struct entry *entry, const struct position *seen) {
    return position_follows(&entry->id, seen) ||
           (entry->has_previous && position_compare(&entry->previous, seen) == 0);
}

/* The entries from `first` on, without those too old. */
static void select_entries(const struct stream *stream, size_t first, uint32_t ttl_seconds, uint64_t now_ms,
                           struct sync_result *result) {
    const struct entry *entries = stream->entries + stream->first + first;
    size_t count = stream->count - first;
    size_t old = count_old(entries, count, ttl_seconds, now_ms);
    result->entries = entries + old;
    result->count = count - old;
}

static void read_nothing(struct stream_store *store, uint64_t run, uint64_t now_ms,
                         const struct namespace_config *options, struct sync_result *result) {
    begin_life(store, now_ms);
    store->last_epoch = larger(store->last_epoch, now_ms); /* A stream begins after it. */
    *result = (struct sync_result){.head = position_of_nothing(now_ms)};
    find_calm(store, run, now_ms, options, now_ms, result);
}

void stream_store_sync(struct stream_store *store, uint64_t run, uint64_t now_ms, struct bytes channel,
                       const struct namespace_config *options, const struct position *seen,
                       stream_on_entry *on_entry, void *context, struct sync_result *result) {
    const struct sink sink = {on_entry, context};
    struct stream *stream = find_stream(store, channel, now_ms);
    if (stream == NULL) {
        read_nothing(store, run, now_ms, options, result);
        return;
    }
    if (seen != NULL && position_is_nothing(seen))
        seen = NULL;
    if (seen != NULL)
        mark_loss(store, stream, run, now_ms, options, seen, &sink);
    *result = (struct sync_result){.head = stream->last};
    if (seen != NULL) {
        size_t first = stream->count;
        while (first > 0 && position_compare(&stream->entries[stream->first + first - 1].id, seen) > 0)
            first--;
        select_entries(stream, first, options->history_ttl_seconds, now_ms, result);
        if (position_compare(seen, &stream->last) == 0 ||
            (result->count > 0 && goes_on(&result->entries[0], seen)))
            return;
    }
    select_entries(stream, 0, options->history_ttl_seconds, now_ms, result);
    if (result->count > 0 && result->entries[0].id.offset == 0 && !result->entries[0].has_previous)
        find_calm(store, run, now_ms, options, result->entries[0].id.epoch, result);
}

/* --- Life ----------------------------------------------------------------------------------- */

struct stream_store *stream_store_create(void) {
    struct stream_store *store = xcalloc(1, sizeof *store);
    list_init(&store->by_append);
    list_init(&store->by_use);
    return store;
}

void stream_store_clear(struct stream_store *store) {
    store->has_life = false;
    list_each_safe (node, &store->by_append)
        remove_stream(store, list_entry(node, struct stream, in_store));
    list_each_safe (node, &store->by_use)
        remove_once(store, list_entry(node, struct once, in_store));
}

void stream_store_destroy(struct stream_store *store) {
    if (store == NULL)
        return;
    stream_store_clear(store);
    free(store);
}

void stream_store_forget(struct stream_store *store, struct bytes channel) {
    struct stream *stream;
    HASH_FIND(hh, store->streams, channel.data, channel.len, stream);
    if (stream != NULL)
        remove_stream(store, stream);
}

void stream_store_sweep(struct stream_store *store, uint64_t now_ms) {
    list_each_safe (node, &store->by_append) {
        struct stream *stream = list_entry(node, struct stream, in_store);
        if (now_ms >= stream->expires_ms)
            remove_stream(store, stream);
        else
            trim(stream, stream->count, now_ms);
    }
    list_each_safe (node, &store->by_use) {
        struct once *once = list_entry(node, struct once, in_store);
        if (now_ms >= once->expires_ms)
            remove_once(store, once);
    }
}

static void copy_stream(const struct stream *from, struct stream_store *to) {
    struct stream *stream = add_stream(to, stream_name(from));
    for (size_t i = 0; i < from->count; i++)
        store_entry(stream, &from->entries[from->first + i]);
    stream->last = from->last;
    stream->run = from->run;
    stream->has_previous = from->has_previous;
    stream->is_lost = from->is_lost;
    stream->previous = from->previous;
    stream->expires_ms = from->expires_ms;
    stream->ttl_seconds = from->ttl_seconds;
}

static void copy_into(struct stream_store *store, const struct stream_store *from) {
    store->has_life = from->has_life;
    store->life_ms = from->life_ms;
    list_each (node, &from->by_append)
        copy_stream(list_entry(node, struct stream, in_store), store);
    list_each (node, &from->by_use) {
        const struct once *once = list_entry(node, struct once, in_store);
        add_once(store, bytes_make(once->key, once->len), once->id, once->expires_ms);
    }
}

struct stream_store *stream_store_copy(const struct stream_store *store) {
    struct stream_store *copy = stream_store_create();
    copy_into(copy, store);
    copy->last_epoch = store->last_epoch;
    return copy;
}

void stream_store_restore(struct stream_store *store, const struct stream_store *dump) {
    stream_store_clear(store);
    copy_into(store, dump);
}

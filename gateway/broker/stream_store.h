/* Streams of channels with history, as fantail.lua keeps them in Redis: the same rules in C, for the memory
 * broker and for simulations, which take it for Redis. Pure: the time comes in as an argument, and so does
 * the run, the number of a life of the process that holds the streams. What is told here is said of both.
 *
 * A stream numbers its entries EPOCH-0, EPOCH-1, ... Under another run than before it begins a new epoch at
 * the next append: with a boundary that names the last entry that is left of the epoch before, since what
 * that issued last may be lost, and no id may ever mean two messages. Whoever syncs and has seen a later
 * entry than is left proves a loss; the stream then gets a gap mark, one for each change of epochs. */
#ifndef BROKER_STREAM_STORE_H
#define BROKER_STREAM_STORE_H

#include "gateway/broker/broker.h"

struct stream_store;

enum {
    /* For so long a repeated idempotency key is the message that it was. */
    STREAM_ONCE_SECONDS = 300,
    /* What is held at most; the ones longest without an append go first. */
    STREAM_STREAMS_MAX = 100000,
    STREAM_ONCE_MAX = 100000,
};

/* What is to go out to subscribers, in order. Borrowed for the time of the call, from within which the store
 * must be left alone. */
typedef void stream_on_entry(void *context, struct bytes channel, const struct entry *entry);

struct stream_store *stream_store_create(void);
void stream_store_destroy(struct stream_store *store); /* NULL is fine. */

/* Appends a message to a channel with history: `request->options` has a history_size. Trims to its size and
 * age. Returns the message's id; under an idempotency key that was used before, that of then, and appends
 * nothing. The request is not kept. */
struct position stream_store_append(struct stream_store *store, uint64_t run, uint64_t now_ms,
                                    const struct publish_request *request, stream_on_entry *on_entry,
                                    void *context);

/* As the broker's sync does; `seen` may be NULL. `*result` is good until the next call. Messages past their
 * age are not among the entries. */
void stream_store_sync(struct stream_store *store, uint64_t run, uint64_t now_ms, struct bytes channel,
                       const struct namespace_config *options, const struct position *seen,
                       stream_on_entry *on_entry, void *context, struct sync_result *result);

/* Frees what has expired. Nothing but memory depends on it. */
void stream_store_sweep(struct stream_store *store, uint64_t now_ms);

/* As if the stream had expired. */
void stream_store_forget(struct stream_store *store, struct bytes channel);

/* As FLUSHALL does. */
void stream_store_clear(struct stream_store *store);

/* A dump; it is freed with stream_store_destroy. */
struct stream_store *stream_store_copy(const struct stream_store *store);

/* Goes back to a dump, which is copied. What comes after must come under another run. */
void stream_store_restore(struct stream_store *store, const struct stream_store *dump);

#endif

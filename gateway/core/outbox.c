#include "gateway/core/outbox.h"

#include <assert.h>
#include <stdlib.h>

#include "common/xalloc.h"

struct outbox *outbox_create(void) {
    struct outbox *outbox = xmalloc(sizeof *outbox);
    *outbox = (struct outbox){.capacity = sizeof outbox->first / sizeof *outbox->first};
    outbox->entries = outbox->first;
    return outbox;
}

static struct outbox_entry *entry_at(const struct outbox *outbox, uint32_t i) {
    return &outbox->entries[(outbox->head + i) & (outbox->capacity - 1)];
}

static void count_in(struct outbox *outbox, const struct outbox_entry *entry, uint64_t *held_bytes) {
    if (entry->wire->queued++ == 0)
        *held_bytes += entry->wire->len;
    outbox->bytes += entry->wire->len;
    outbox->replay_bytes += entry->is_replay ? entry->wire->len : 0;
    outbox->replays += entry->is_replay;
    outbox->messages += entry->is_message;
}

static void count_out(struct outbox *outbox, const struct outbox_entry *entry, uint64_t *held_bytes) {
    assert(entry->wire->queued > 0 && *held_bytes >= entry->wire->len && outbox->bytes >= entry->wire->len);
    if (--entry->wire->queued == 0)
        *held_bytes -= entry->wire->len;
    outbox->bytes -= entry->wire->len;
    outbox->replay_bytes -= entry->is_replay ? entry->wire->len : 0;
    outbox->replays -= entry->is_replay;
    outbox->messages -= entry->is_message;
}

void outbox_destroy(struct outbox *outbox, uint64_t *held_bytes) {
    struct outbox_entry entry;
    if (outbox == NULL)
        return;
    while (outbox_pop(outbox, &entry, held_bytes))
        wire_unref(entry.wire);
    if (outbox->entries != outbox->first)
        free(outbox->entries);
    free(outbox);
}

static void grow(struct outbox *outbox) {
    struct outbox_entry *entries = xmalloc(sizeof *entries * outbox->capacity * 2);
    for (uint32_t i = 0; i < outbox->count; i++)
        entries[i] = *entry_at(outbox, i);
    if (outbox->entries != outbox->first)
        free(outbox->entries);
    outbox->entries = entries;
    outbox->capacity *= 2;
    outbox->head = 0;
}

void outbox_push(struct outbox *outbox, const struct outbox_entry *entry, uint64_t *held_bytes) {
    if (outbox->count == outbox->capacity)
        grow(outbox);
    wire_ref(entry->wire);
    *entry_at(outbox, outbox->count++) = *entry;
    count_in(outbox, entry, held_bytes);
}

bool outbox_pop(struct outbox *outbox, struct outbox_entry *entry, uint64_t *held_bytes) {
    if (outbox->count == 0)
        return false;
    *entry = *entry_at(outbox, 0);
    outbox->head++;
    outbox->count--;
    count_out(outbox, entry, held_bytes);
    return true;
}

const struct outbox_entry *outbox_peek(const struct outbox *outbox) {
    return entry_at(outbox, 0);
}

/* Frees the entry at `i` and closes the hole from the side of the oldest, where it usually is. */
static void remove_at(struct outbox *outbox, uint32_t i, uint64_t *held_bytes) {
    struct outbox_entry removed = *entry_at(outbox, i);
    count_out(outbox, &removed, held_bytes);
    for (; i > 0; i--)
        *entry_at(outbox, i) = *entry_at(outbox, i - 1);
    outbox->head++;
    outbox->count--;
    wire_unref(removed.wire);
}

struct subscription *outbox_drop_oldest(struct outbox *outbox, bool (*may_drop)(const struct subscription *),
                                        uint64_t *held_bytes) {
    for (uint32_t i = 0; i < outbox->count; i++) {
        struct subscription *subscription = entry_at(outbox, i)->subscription;
        if (entry_at(outbox, i)->is_message && subscription != NULL && may_drop(subscription)) {
            remove_at(outbox, i, held_bytes);
            return subscription;
        }
    }
    return NULL;
}

uint32_t outbox_drop_all(struct outbox *outbox, const struct subscription *subscription, bool only_messages,
                         uint64_t *held_bytes) {
    uint32_t kept = 0;
    uint32_t count = outbox->count;
    for (uint32_t i = 0; i < count; i++) {
        struct outbox_entry entry = *entry_at(outbox, i);
        if (entry.subscription == subscription && (entry.is_message || !only_messages)) {
            count_out(outbox, &entry, held_bytes);
            wire_unref(entry.wire);
        } else {
            *entry_at(outbox, kept++) = entry;
        }
    }
    outbox->count = kept;
    return count - kept;
}

#include "gateway/core/history.h"

#include <assert.h>
#include <stdlib.h>

#include "common/xalloc.h"

/* What one channel may hold, whatever its namespace says: positions from before it are answered with
 * recovered:false. */
enum { HISTORY_BYTES_MAX = 8 * 1024 * 1024 };

struct message *history_at(const struct history *history, uint32_t index) {
    return history->entries[(history->first + index) % history->capacity];
}

static void drop_first(struct history *history) {
    struct message *message = history_at(history, 0);
    history->base = message->id;
    history->has_calm = false;
    history->bytes -= message->payload_len;
    history->first = (history->first + 1) % history->capacity;
    history->count--;
    message_unref(message);
}

void history_finish(struct history *history) {
    while (history->count > 0)
        drop_first(history);
    free(history->entries);
    *history = (struct history){0};
}

void history_reset(struct history *history, const struct position *head) {
    history_finish(history);
    history->has_head = true;
    history->head = history->base = *head;
}

static void grow(struct history *history) {
    uint32_t capacity = history->capacity ? history->capacity * 2 : 8;
    struct message **entries = xmalloc(sizeof *entries * capacity);
    for (uint32_t i = 0; i < history->count; i++)
        entries[i] = history_at(history, i);
    free(history->entries);
    history->entries = entries;
    history->capacity = capacity;
    history->first = 0;
}

/* The first entry of a stream's first epoch continues nothing that was ever issued. It gets a place before it all
 * the same, for clients who have been told where they are and no message yet. */
static void set_base(struct history *history, const struct message *first) {
    history->base = first->has_previous ? first->previous : position_before(&first->id);
}

void history_append(struct history *history, struct message *message, uint32_t count_max) {
    assert(!history->has_head || position_compare(&message->id, &history->head) > 0);
    if (history->has_head && splice_check(&history->head, message) != SPLICE_NEXT)
        history_finish(history);
    if (!history->has_head)
        set_base(history, message);
    if (history->count == history->capacity)
        grow(history);
    history->entries[(history->first + history->count++) % history->capacity] = message_ref(message);
    history->bytes += message->payload_len;
    history->head = message->id;
    history->has_head = true;
    if (message->kind == ENTRY_GAP) {
        history->has_gap = true;
        history->gap = message->id;
    }
    while (history->count > count_max || (history->bytes > HISTORY_BYTES_MAX && history->count > 1))
        drop_first(history);
}

void history_expire(struct history *history, uint64_t oldest_ms) {
    while (history->count > 0 && history_at(history, 0)->published_ms < oldest_ms)
        drop_first(history);
}

/* Whether a client was there when there was nothing, and has missed nothing of what has come since. */
static bool is_calm(const struct history *history, const struct position *position) {
    return history->has_calm && position_is_nothing(position) && position->epoch >= history->calm &&
           (history->count == 0 || position->epoch < history_at(history, 0)->id.epoch);
}

int64_t history_find(const struct history *history, const struct position *position) {
    if (!history->has_head || (history->has_gap && position_compare(position, &history->gap) < 0))
        return -1;
    if (position_compare(position, &history->head) == 0)
        return history->count;
    if (position_compare(position, &history->base) == 0 || is_calm(history, position))
        return 0;
    uint32_t low = 0, high = history->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (position_compare(&history_at(history, middle)->id, position) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < history->count && position_compare(&history_at(history, low)->id, position) == 0)
        return low + 1;
    return -1;
}

uint32_t history_find_last(const struct history *history, uint32_t count) {
    uint32_t found = history->count;
    for (uint32_t index = history->count; index > 0 && count > 0; index--) {
        if (history_at(history, index - 1)->kind != ENTRY_MESSAGE)
            continue;
        found = index - 1;
        count--;
    }
    return found;
}

enum splice splice_check(const struct position *seen, const struct message *entry) {
    if (seen == NULL)
        return SPLICE_HOLE;
    if (position_compare(&entry->id, seen) <= 0)
        return SPLICE_OLD;
    if (position_follows(&entry->id, seen))
        return SPLICE_NEXT;
    /* A new epoch says where the last one ended. Its first entry continues just that place; a gap mark is true for
     * everybody who has seen that much or more. */
    if (entry->kind != ENTRY_GAP && entry->has_previous && position_compare(&entry->previous, seen) == 0)
        return SPLICE_NEXT;
    if (entry->kind == ENTRY_GAP && entry->has_previous && position_compare(&entry->previous, seen) <= 0)
        return SPLICE_NEXT;
    return SPLICE_HOLE;
}

#include "tests/sim/truth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "tests/sim/fail.h"

void truth_finish(struct truth *truth) {
    for (unsigned i = 0; i < truth->count; i++)
        free(truth->channels[i].records);
}

struct truth_channel *truth_add_channel(struct truth *truth, const char *name,
                                        const struct namespace_config *options) {
    struct truth_channel *channel = &truth->channels[truth->count++];
    snprintf(channel->name, sizeof channel->name, "%s", name);
    channel->options = options;
    return channel;
}

struct truth_channel *truth_find_channel(struct truth *truth, struct bytes name) {
    for (unsigned i = 0; i < truth->count; i++)
        if (bytes_equal_text(name, truth->channels[i].name))
            return &truth->channels[i];
    return NULL;
}

void truth_on_entry(struct truth_channel *channel, const struct entry *entry) {
    char letter = '\0';
    struct record record = {.id = entry->id, .kind = entry->kind};
    record.is_sequel = entry->kind == ENTRY_GAP && !entry->has_previous;
    record.begins_life = entry->id.offset == 0 && !entry->has_previous;
    if (entry->kind == ENTRY_MESSAGE && !payload_parse(entry->payload, &letter, &record.number))
        sim_fail("%s: a message that nobody has published", channel->name);
    if (channel->count > 0 && position_compare(&channel->records[channel->count - 1].id, &entry->id) >= 0)
        sim_fail("%s: the id %" PRIu64 "-%" PRIu64 " is not after those issued before it", channel->name,
                 entry->id.epoch, entry->id.offset);
    if (channel->count == channel->capacity) {
        channel->capacity = channel->capacity ? channel->capacity * 2 : 64;
        channel->records = xrealloc(channel->records, sizeof *channel->records * channel->capacity);
    }
    channel->records[channel->count++] = record;
    sim_note("%s: %" PRIu64 "-%" PRIu64 " %s %" PRIu64, channel->name, entry->id.epoch, entry->id.offset,
             entry->kind == ENTRY_MESSAGE    ? "message"
             : entry->kind == ENTRY_BOUNDARY ? "boundary"
                                             : "gap mark",
             record.number);
}

void truth_lose(struct truth_channel *channel, size_t kept) {
    for (size_t i = kept; i < channel->count; i++)
        channel->records[i].is_lost = true;
}

/* The index of the first record after `place`. */
static size_t find_after(const struct truth_channel *channel, const struct position *place) {
    size_t low = 0, high = channel->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (position_compare(&channel->records[middle].id, place) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct record *truth_find(const struct truth_channel *channel, const struct position *id) {
    size_t i = find_after(channel, id);
    return i > 0 && position_compare(&channel->records[i - 1].id, id) == 0 ? &channel->records[i - 1] : NULL;
}

const struct position *truth_last_message(const struct truth_channel *channel) {
    size_t i = channel->count - 1;
    while (channel->records[i].kind != ENTRY_MESSAGE)
        i--;
    return &channel->records[i].id;
}

/* The place just before a new life is one of that life. */
static bool is_just_before(const struct position *place, const struct record *record) {
    struct position before = position_before(&record->id);
    return record->begins_life && position_compare(&before, place) == 0;
}

struct span truth_between(const struct truth_channel *channel, const struct position *after,
                          const struct position *until, bool is_missing) {
    struct span span = {0};
    size_t i = find_after(channel, after);
    span.begins_lost =
        i > 0 && channel->records[i - 1].is_lost && position_compare(&channel->records[i - 1].id, after) == 0;
    if (i < channel->count && channel->records[i].is_lost && is_just_before(after, &channel->records[i]))
        span.lost++;
    for (; i < channel->count && position_compare(&channel->records[i].id, until) <= 0; i++) {
        const struct record *record = &channel->records[i];
        bool is_delivered = !is_missing && position_compare(&record->id, until) == 0;
        span.lives += record->begins_life;
        span.leaves_lost |= span.begins_lost && !record->is_lost;
        span.ends_at_mark |= record->kind == ENTRY_BOUNDARY && position_compare(&record->id, until) == 0;
        if (is_delivered)
            continue;
        if (record->is_lost)
            span.lost++;
        else if (record->is_sequel)
            span.sequel = record->id.epoch;
        else if (record->kind == ENTRY_GAP)
            span.marks++;
        else if (record->kind == ENTRY_MESSAGE)
            span.messages++;
    }
    if (i < channel->count)
        span.lives += is_just_before(until, &channel->records[i]);
    return span;
}

void payload_make(struct buf *out, char letter, uint64_t number, size_t padding) {
    buf_printf(out, "\"%c%" PRIu64, letter, number);
    for (size_t i = 0; i < padding; i++)
        buf_append_char(out, '.');
    buf_append_char(out, '"');
}

bool payload_parse(struct bytes payload, char *letter, uint64_t *number) {
    if (payload.len < 4 || payload.data[0] != '"')
        return false;
    *letter = payload.data[1];
    *number = 0;
    for (size_t i = 2; i < payload.len && payload.data[i] >= '0' && payload.data[i] <= '9'; i++)
        *number = *number * 10 + (uint64_t)(payload.data[i] - '0');
    return true;
}

#include "tests/sim/timeline.h"

#include <stdlib.h>

#include "common/xalloc.h"

void timeline_init(struct timeline *timeline, uint64_t now_ms) {
    *timeline = (struct timeline){.now_ms = now_ms};
}

void timeline_finish(struct timeline *timeline) {
    free(timeline->heap);
    timeline->heap = NULL;
}

static bool is_before(const struct timeline_event *a, const struct timeline_event *b) {
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

void timeline_at(struct timeline *timeline, uint64_t at_ms, timeline_action *action, void *arg) {
    if (timeline->count == timeline->capacity) {
        timeline->capacity = timeline->capacity ? timeline->capacity * 2 : 256;
        timeline->heap = xrealloc(timeline->heap, sizeof *timeline->heap * timeline->capacity);
    }
    struct timeline_event event = {
        .at_ms = at_ms > timeline->now_ms ? at_ms : timeline->now_ms,
        .number = ++timeline->last_number,
        .action = action,
        .arg = arg,
    };
    size_t at = timeline->count++;
    for (; at > 0 && is_before(&event, &timeline->heap[(at - 1) / 2]); at = (at - 1) / 2)
        timeline->heap[at] = timeline->heap[(at - 1) / 2];
    timeline->heap[at] = event;
}

void timeline_after(struct timeline *timeline, uint64_t delay_ms, timeline_action *action, void *arg) {
    timeline_at(timeline, timeline->now_ms + delay_ms, action, arg);
}

static struct timeline_event take_first(struct timeline *timeline) {
    struct timeline_event first = timeline->heap[0];
    struct timeline_event last = timeline->heap[--timeline->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < timeline->count; at = child) {
        if (child + 1 < timeline->count && is_before(&timeline->heap[child + 1], &timeline->heap[child]))
            child++;
        if (!is_before(&timeline->heap[child], &last))
            break;
        timeline->heap[at] = timeline->heap[child];
    }
    timeline->heap[at] = last;
    return first;
}

void timeline_run(struct timeline *timeline, uint64_t end_ms) {
    while (timeline->count > 0 && timeline->heap[0].at_ms <= end_ms) {
        struct timeline_event event = take_first(timeline);
        timeline->now_ms = event.at_ms;
        event.action(event.arg);
    }
    timeline->now_ms = end_ms;
}

void timeline_drain(struct timeline *timeline) {
    while (timeline->count > 0)
        timeline_run(timeline, timeline->heap[0].at_ms);
}

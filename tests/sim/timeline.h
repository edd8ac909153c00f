/* Virtual time: what is to happen, in order. */
#ifndef SIM_TIMELINE_H
#define SIM_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void timeline_action(void *arg);

struct timeline_event {
    uint64_t at_ms;
    uint64_t number; /* Of what is due at the same time, the first to be put here comes first. */
    timeline_action *action;
    void *arg;
};

struct timeline {
    struct timeline_event *heap;
    size_t count;
    size_t capacity;
    uint64_t now_ms;
    uint64_t last_number;
};

void timeline_init(struct timeline *timeline, uint64_t now_ms);
void timeline_finish(struct timeline *timeline);

void timeline_at(struct timeline *timeline, uint64_t at_ms, timeline_action *action, void *arg);
void timeline_after(struct timeline *timeline, uint64_t delay_ms, timeline_action *action, void *arg);

/* Does what is due until `end_ms`, and moves on to there. */
void timeline_run(struct timeline *timeline, uint64_t end_ms);

/* Does all that is left, whenever it is due. */
void timeline_drain(struct timeline *timeline);

#endif

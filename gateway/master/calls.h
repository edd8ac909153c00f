/* API calls: each is put to one worker or to all, and answered with the sum of what they reply, or with an error when one
 * takes too long. Does no I/O: whoever has the workers carries the questions there, and the replies back. */
#ifndef MASTER_CALLS_H
#define MASTER_CALLS_H

#include "common/list.h"
#include "common/wheel.h"
#include "gateway/admin/api.h"

struct calls_options {
    struct wheel *wheel;
    uint64_t (*now_ms)(void *now_context); /* In the wheel's time. */
    void *now_context;
    unsigned worker_count; /* WORKERS_MAX at most. */
    /* Whether there is somebody to ask; and where any worker will do, somebody who is likely to answer. */
    bool (*may_ask)(void *context, unsigned worker, bool any_will_do);
    /* Takes over the reference to `message`. False when it cannot be sent. */
    bool (*ask)(void *context, unsigned worker, json_t *message);
    void *context;
};

struct calls {
    struct calls_options options;
    struct list waiting;
    json_int_t last_id;
};

void calls_init(struct calls *calls, const struct calls_options *options);

/* `body` is the text of a JSON object. */
void calls_begin(struct calls *calls, const char *name, struct bytes body, api_done *on_done, void *arg);

/* A worker has said something: the reply to a call, one that is over, or something else. `message` is borrowed. */
void calls_on_message(struct calls *calls, unsigned worker, const json_t *message);

/* A worker has died, and replies to nothing any more. */
void calls_forget_worker(struct calls *calls, unsigned worker);

#endif

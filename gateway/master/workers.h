/* The workers of a node, as processes: started, started again when they die, killed when they hang, and what they count
 * added up. What they are told, and what they say, is for others. */
#ifndef MASTER_WORKERS_H
#define MASTER_WORKERS_H

#include <jansson.h>

#include "gateway/config/config.h"
#include "gateway/core/metrics.h"
#include "gateway/loop.h"

struct worker_process;

struct workers_events {
    void (*on_start)(void *context, unsigned worker); /* It waits to be told how it is configured. */
    void (*on_message)(void *context, unsigned worker, const json_t *message); /* Borrowed. */
    void (*on_exit)(void *context, unsigned worker);
    /* None has ever got as far as serving, and what keeps the first from it keeps all others. */
    void (*on_cannot_start)(void *context);
    void (*on_all_gone)(void *context); /* After workers_stop(), possibly from within. */
};

struct workers_options {
    struct loop *loop;
    const struct config *config; /* Borrowed. */
    const char *program;         /* To start them with. */
    unsigned count;
    const struct workers_events *events;
    void *context;
};

struct workers {
    struct workers_options options;
    struct worker_process *processes;
    struct metrics retired; /* What dead workers had counted. */
    uint64_t restarts;
    uint64_t hangs;
    bool is_stopping;
    bool has_served; /* One has got as far as serving clients. */
    struct wheel_timer watch;
};

/* False when there is no memory to share with them; workers_finish() is due nevertheless. */
bool workers_init(struct workers *workers, const struct workers_options *options);
void workers_finish(struct workers *workers); /* After the loop has closed what they had on it. */

void workers_start(struct workers *workers);

/* Take over the reference to `message`. */
bool workers_tell(struct workers *workers, unsigned worker,
                  json_t *message); /* False when it cannot be sent. */
void workers_tell_all(struct workers *workers, json_t *message);

/* From now on none is started again. Tells those that run to end, with `message`. */
void workers_stop(struct workers *workers, json_t *message);
void workers_kill(struct workers *workers);

unsigned workers_running(const struct workers *workers);
bool workers_serves(const struct workers *workers, unsigned worker);
bool workers_hangs(const struct workers *workers, unsigned worker); /* Or is about to. */

/* NULL when clients are welcome, else what is wrong, for people; good until the next call. */
const char *workers_why_not_ready(const struct workers *workers);
void workers_print_metrics(const struct workers *workers, struct buf *out);

#endif

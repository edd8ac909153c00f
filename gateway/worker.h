/* One worker: the whole gateway in one process, started and told what to do by the master over the socket
 * WORKER_CONTROL_FD, counting in the shared memory behind WORKER_BOARD_FD. */
#ifndef GATEWAY_WORKER_H
#define GATEWAY_WORKER_H

#include <stdatomic.h>

#include "gateway/core/metrics.h"

enum { WORKER_CONTROL_FD = 3, WORKER_BOARD_FD = 4 };

/* What a worker shows its master, in memory that both share; only the worker writes it while it lives. */
struct worker_board {
    struct metrics metrics;
    _Atomic uint64_t beats; /* Goes up at least once a second while the loop turns. */
};

/* Exit status of a worker that could not begin to serve: its port is taken, a plugin is missing. */
enum { WORKER_CANNOT_START = 3 };

/* Runs until the master says stop or is gone; returns the exit status of the process. */
int worker_run(unsigned index);

#endif

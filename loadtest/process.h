/* CPU time and memory of other processes, from /proc. */
#ifndef LOADTEST_PROCESS_H
#define LOADTEST_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

enum { PROCESSES_MAX = 256 };

/* The server: the processes the user named, and all their children. */
struct process_set {
    int32_t pids[PROCESSES_MAX];
    uint32_t count;
};

struct process_usage {
    uint64_t cpu_ns;    /* All threads, user and system. */
    uint64_t rss_bytes; /* Shared pages counted once for each process. */
    uint64_t pss_bytes; /* Shared pages divided among those that share them; 0 when not asked for or not
                           readable. */
    uint32_t gone;      /* Processes that have ended. */
};

/* Finds the children again each time: workers come and go. */
void process_set_find(struct process_set *set, const int32_t *pids, uint32_t count);

/* `exactly`: the kernel walks the page tables, so not while measuring; else RSS is what it keeps count of,
 * which may be some pages off for each CPU. */
void process_measure(const struct process_set *set, bool exactly, struct process_usage *usage);

#endif

#include "loadtest/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool contains(const struct process_set *set, int32_t pid) {
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->pids[i] == pid)
            return true;
    }
    return false;
}

static void add(struct process_set *set, int32_t pid) {
    if (set->count < PROCESSES_MAX && !contains(set, pid))
        set->pids[set->count++] = pid;
}

static void add_children_of_task(struct process_set *set, int32_t pid, const char *task) {
    char path[64];
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", pid, task);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fscanf(file, "%d", &child) == 1)
        add(set, child);
    fclose(file);
}

static void add_children(struct process_set *set, int32_t pid) {
    char path[64];
    const struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return;
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] != '.')
            add_children_of_task(set, pid, entry->d_name);
    }
    closedir(tasks);
}

void process_set_find(struct process_set *set, const int32_t *pids, uint32_t count) {
    set->count = 0;
    for (uint32_t i = 0; i < count; i++)
        add(set, pids[i]);
    /* The set grows while we walk it: grandchildren are found as well. */
    for (uint32_t i = 0; i < set->count; i++)
        add_children(set, set->pids[i]);
}

/* Adds the values, in bytes, of the lines "Rss:  123 kB" and "Pss:  123 kB". False: no such file. */
static bool add_rollup(int32_t pid, struct process_usage *usage) {
    char line[256];
    snprintf(line, sizeof line, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(line, "re");
    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "Rss:", 4) == 0)
            usage->rss_bytes += 1024 * strtoull(line + 4, NULL, 10);
        if (strncmp(line, "Pss:", 4) == 0)
            usage->pss_bytes += 1024 * strtoull(line + 4, NULL, 10);
    }
    fclose(file);
    return true;
}

static void add_resident(int32_t pid, struct process_usage *usage) {
    char path[64];
    unsigned long long size, resident;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fscanf(file, "%llu %llu", &size, &resident) == 2)
        usage->rss_bytes += resident * (uint64_t)sysconf(_SC_PAGESIZE);
    fclose(file);
}

void process_measure(const struct process_set *set, bool exactly, struct process_usage *usage) {
    *usage = (struct process_usage){0};
    for (uint32_t i = 0; i < set->count; i++) {
        clockid_t clock;
        struct timespec time;
        /* Exact to the nanosecond, where /proc/PID/stat counts ticks of 10 ms. */
        if (clock_getcpuclockid(set->pids[i], &clock) != 0 || clock_gettime(clock, &time) != 0) {
            usage->gone++;
            continue;
        }
        usage->cpu_ns += (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
        if (!exactly || !add_rollup(set->pids[i], usage))
            add_resident(set->pids[i], usage);
    }
}

/* How a run tells its story, and how it ends when something that must hold does not. */
#ifndef SIM_FAIL_H
#define SIM_FAIL_H

#include <stdbool.h>
#include <stdint.h>

/* The seed under way, and where to look for its time. */
void sim_begin(uint64_t seed, const uint64_t *now_ms, bool is_verbose);

/* Ends the process, telling the seed and how to replay it. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A line of the story, when somebody wants to read it. */
void sim_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

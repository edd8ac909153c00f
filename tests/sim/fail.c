#include "tests/sim/fail.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t seed;
static const uint64_t *now_ms;
static bool is_verbose;

void sim_begin(uint64_t new_seed, const uint64_t *new_now_ms, bool be_verbose) {
    seed = new_seed;
    now_ms = new_now_ms;
    is_verbose = be_verbose;
}

void sim_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 " failed at %" PRIu64 " ms: ", seed, *now_ms);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nreplay it with: sim --seeds %" PRIu64 " 1 --verbose\n", seed);
    va_end(args);
    /* What the run held is not of interest to a leak checker any more. */
    _exit(1);
}

void sim_note(const char *format, ...) {
    va_list args;
    if (!is_verbose)
        return;
    va_start(args, format);
    printf("%8" PRIu64 "  ", *now_ms);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

/* sim --seeds FROM COUNT [--verbose]: runs COUNT seeds, one after the other. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/world.h"

int main(int argc, char **argv) {
    bool is_verbose = argc == 5 && strcmp(argv[4], "--verbose") == 0;
    if (argc < 4 || strcmp(argv[1], "--seeds") != 0 || (argc == 5 && !is_verbose) || argc > 5) {
        fprintf(stderr, "usage: %s --seeds FROM COUNT [--verbose]\n", argv[0]);
        return 2;
    }
    uint64_t from = strtoull(argv[2], NULL, 10);
    uint64_t count = strtoull(argv[3], NULL, 10);
    for (uint64_t seed = from; seed < from + count; seed++)
        world_run(seed, is_verbose);
    printf("sim: %" PRIu64 " seeds from %" PRIu64 " on: clean\n", count, from);
    return 0;
}

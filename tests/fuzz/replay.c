/* Runs a target over the files of its corpus, in builds without libFuzzer: what was found once stays fixed.
 */
#include <dirent.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { INPUT_BYTES_MAX = 1 << 20 };

static void replay(const char *directory, const char *name) {
    static uint8_t data[INPUT_BYTES_MAX];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    FUZZ_CHECK(file != NULL);
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    /* Memory of exactly its size shows a read behind its end. */
    uint8_t *copy = malloc(size ? size : 1);
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv) {
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        FUZZ_CHECK(directory != NULL);
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
            if (entry->d_name[0] == '.')
                continue;
            replay(argv[i], entry->d_name);
            count++;
        }
        closedir(directory);
    }
    printf("%zu inputs\n", count);
    return count > 0 ? 0 : 1;
}

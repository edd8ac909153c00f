/* Files kept in memory. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/transport/http/files.h"

static char folder[] = "/tmp/fantail-files-XXXXXX";

static const char *write_file(const char *name, size_t len, char fill) {
    static char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    for (size_t i = 0; i < len; i++)
        fputc(fill, file);
    fclose(file);
    return path;
}

static const struct cached_file *get(struct file_cache *cache, const char *path) {
    struct stat found;
    return stat(path, &found) == 0 ? file_cache_get(cache, path, &found) : NULL;
}

static void file_is_kept_until_it_changes(void **state) {
    (void)state;
    struct file_cache *cache = file_cache_create();
    const char *path = write_file("a", 100, 'a');
    const struct cached_file *file = get(cache, path);
    assert_int_equal(file->plain.len, 100);
    assert_true(file->gzip.len > 0 && file->gzip.len < 100);
    assert_memory_equal(file->gzip.data, "\x1f\x8b", 2);
    assert_ptr_equal(get(cache, path)->plain.data, file->plain.data);
    write_file("a", 101, 'b');
    assert_int_equal(get(cache, path)->plain.len, 101);
    assert_int_equal(get(cache, path)->plain.data[0], 'b');
    file_cache_destroy(cache);
}

static void what_is_no_smaller_compressed_is_not(void **state) {
    (void)state;
    struct file_cache *cache = file_cache_create();
    assert_int_equal(get(cache, write_file("tiny", 1, 'x'))->gzip.len, 0);
    assert_int_equal(get(cache, write_file("empty", 0, 'x'))->plain.len, 0);
    file_cache_destroy(cache);
}

static void what_is_large_is_not_kept(void **state) {
    (void)state;
    struct file_cache *cache = file_cache_create();
    assert_null(get(cache, write_file("large", CACHED_FILE_BYTES_MAX + 1, 'x')));
    assert_non_null(get(cache, write_file("large", CACHED_FILE_BYTES_MAX, 'x')));
    file_cache_destroy(cache);
}

static void what_was_not_asked_for_longest_goes(void **state) {
    (void)state;
    struct file_cache *cache = file_cache_create();
    char name[16], first[64];
    snprintf(first, sizeof first, "%s", write_file("n0", CACHED_FILE_BYTES_MAX, 'x'));
    const char *kept = get(cache, first)->plain.data;
    for (int i = 1; i < 40; i++) {
        snprintf(name, sizeof name, "n%d", i);
        assert_non_null(get(cache, write_file(name, CACHED_FILE_BYTES_MAX, 'x')));
        assert_ptr_equal(get(cache, first)->plain.data, kept); /* It is asked for again and again. */
    }
    assert_true(file_cache_bytes(cache) <= FILE_CACHE_BYTES_MAX);
    file_cache_destroy(cache);
}

static int remove_folder(void **state) {
    char command[80];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_is_kept_until_it_changes),
        cmocka_unit_test(what_is_no_smaller_compressed_is_not),
        cmocka_unit_test(what_is_large_is_not_kept),
        cmocka_unit_test(what_was_not_asked_for_longest_goes),
    };
    if (mkdtemp(folder) == NULL)
        return 1;
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}

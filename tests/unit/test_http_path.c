/* Which paths lead to files. */
#include "tests/unit/unit.h"

#include "gateway/transport/http/path.h"

static void paths_lead_to_files_or_nowhere(void **state) {
    (void)state;
    static const struct {
        const char *path;
        const char *name; /* NULL: nowhere. */
    } rows[] = {
        {"/", "/"},
        {"/chat.html", "/chat.html"},
        {"/a%20b+c", "/a b+c"},
        {"/a/..b", NULL},
        {"/..", NULL},
        {"/a/../b", NULL},
        {"/%2e%2e/b", NULL},
        {"/a%2f..%2fb", NULL},
        {"/.git", NULL},
        {"/a/.b", NULL},
        {"/a..b/c.", "/a..b/c."},
        {"/%00", NULL},
        {"/%zz", NULL},
        {"", NULL},
        {"a", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 0);
        assert_int_equal(http_path_decode(bytes_of(rows[i].path), &out), rows[i].name != NULL);
        if (rows[i].name != NULL)
            assert_true(bytes_equal_text(buf_bytes(&out), rows[i].name));
        buf_finish(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(paths_lead_to_files_or_nowhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

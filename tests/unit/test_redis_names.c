/* Which names Redis was asked for, and which one it was that it refused. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/broker/redis_names.h"

static struct redis_names names;
static struct buf out;
static struct buf refused;

static int setup(void **state) {
    (void)state;
    redis_names_init(&names);
    buf_init(&out, 0);
    buf_init(&refused, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    redis_names_finish(&names);
    buf_finish(&out);
    buf_finish(&refused);
    return 0;
}

static void add(bool is_new, const char *name) {
    redis_names_add(&names, is_new, BYTES_LITERAL("p:"), bytes_of(name), &out);
}

static void assert_sent(const char *text) {
    if (!bytes_equal_text(buf_bytes(&out), text))
        fail_msg("%.*s", BYTES_FMT(buf_bytes(&out)));
    buf_clear(&out);
}

static void names_of_one_kind_go_in_one_command(void **state) {
    (void)state;
    add(true, "a");
    add(true, "b");
    add(false, "c");
    assert_sent("*3\r\n$9\r\nSUBSCRIBE\r\n$3\r\np:a\r\n$3\r\np:b\r\n");
    redis_names_end(&names, &out);
    assert_sent("*2\r\n$11\r\nUNSUBSCRIBE\r\n$3\r\np:c\r\n");
    redis_names_end(&names, &out);
    assert_sent("");
}

/* As Redis with an ACL: commands with a denied name are answered by an error, others name by name. */
static void answer_all(const char *denied, unsigned *taken) {
    struct buf todo = out;
    buf_init(&out, 0);
    for (size_t at = 0; at < todo.len;) {
        unsigned count = 0;
        char name[64] = "";
        bool is_denied = false;
        int used;
        assert_int_equal(sscanf(todo.data + at, "*%u\r\n$%*u\r\n%*s%n", &count, &used), 1);
        at += (size_t)used + 2;
        for (unsigned i = 1; i < count; i++) {
            assert_int_equal(sscanf(todo.data + at, "$%*u\r\n%63s%n", name, &used), 1);
            is_denied = is_denied || strcmp(name, denied) == 0;
            at += (size_t)used + 2;
        }
        if (is_denied) {
            assert_int_equal(redis_names_on_error(&names, &out, &refused),
                             count == 2 ? NAMES_REFUSED : NAMES_ASKED_AGAIN);
        } else {
            for (unsigned i = 1; i < count; i++)
                redis_names_on_answer(&names, true);
            *taken += count - 1;
        }
    }
    buf_finish(&todo);
}

static void one_name_that_is_denied_costs_the_others_nothing(void **state) {
    (void)state;
    unsigned rounds = 0;
    unsigned taken = 0;
    for (int i = 0; i < 1234; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        add(true, name);
    }
    redis_names_end(&names, &out);
    for (; out.len > 0; rounds++)
        answer_all("p:c777", &taken);
    assert_int_equal(taken, 1233);
    assert_true(bytes_equal_text(buf_bytes(&refused), "p:c777"));
    assert_in_range(rounds, 2, 11); /* 500 names, halved and halved. */
    assert_int_equal(redis_names_on_error(&names, &out, &refused), NAMES_NONE);
}

static void error_belongs_to_the_oldest_command(void **state) {
    (void)state;
    assert_int_equal(redis_names_on_error(&names, &out, &refused), NAMES_NONE);
    add(true, "a");
    add(false, "b");
    add(true, "c");
    redis_names_end(&names, &out);
    redis_names_on_answer(&names, false); /* Not what is due: nobody asked for that. */
    redis_names_on_answer(&names, true);
    assert_int_equal(redis_names_on_error(&names, &out, &refused), NAMES_IGNORED);
    assert_int_equal(redis_names_on_error(&names, &out, &refused), NAMES_REFUSED);
    assert_true(bytes_equal_text(buf_bytes(&refused), "p:c"));
    redis_names_on_answer(&names, true);
    assert_int_equal(redis_names_on_error(&names, &out, &refused), NAMES_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_of_one_kind_go_in_one_command, setup, teardown),
        cmocka_unit_test_setup_teardown(one_name_that_is_denied_costs_the_others_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(error_belongs_to_the_oldest_command, setup, teardown),
    };
    return cmocka_run_group_tests_name("redis_names", tests, NULL, NULL);
}

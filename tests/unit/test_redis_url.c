#include "tests/unit/unit.h"

#include <string.h>

#include "gateway/config/redis_url.h"

static void assert_text(const char *found, const char *expected) {
    if (expected == NULL)
        assert_null(found);
    else
        assert_string_equal(found ? found : "(none)", expected);
}

static void addresses_are_taken_apart(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *host;
        unsigned port;
        const char *path;
        const char *user;
        const char *password;
        unsigned database;
    } rows[] = {
        {"redis://localhost", "localhost", 6379, NULL, NULL, NULL, 0},
        {"redis://localhost/", "localhost", 6379, NULL, NULL, NULL, 0},
        {"redis://localhost:", "localhost", 6379, NULL, NULL, NULL, 0},
        {"redis://127.0.0.1:6380/7", "127.0.0.1", 6380, NULL, NULL, NULL, 7},
        {"redis://h:1/0", "h", 1, NULL, NULL, NULL, 0},
        {"redis://h:65535/15", "h", 65535, NULL, NULL, NULL, 15},
        {"redis://[::1]", "::1", 6379, NULL, NULL, NULL, 0},
        {"redis://[2001:db8::7]:6380/2", "2001:db8::7", 6380, NULL, NULL, NULL, 2},
        {"redis://[::1]:", "::1", 6379, NULL, NULL, NULL, 0},
        {"redis://user:secret@h", "h", 6379, NULL, "user", "secret", 0},
        {"redis://:secret@h:1/2", "h", 1, NULL, NULL, "secret", 2},
        {"redis://user@h", "h", 6379, NULL, "user", NULL, 0},
        {"redis://user:@h", "h", 6379, NULL, "user", "", 0},
        {"redis://@h", "h", 6379, NULL, NULL, NULL, 0},
        {"redis://us%65r:a%3Ab%40c%2Fd%25@h", "h", 6379, NULL, "user", "a:b@c/d%", 0},
        {"redis://u:p@ss@h", "h", 6379, NULL, "u", "p@ss", 0},
        {"redis://u:p:w@h", "h", 6379, NULL, "u", "p:w", 0},
        {"redis://u:a+b%20c@h", "h", 6379, NULL, "u", "a+b c", 0},
        {"redis://u:p@[::1]:7/1", "::1", 7, NULL, "u", "p", 1},
        {"unix:///run/redis.sock", NULL, 0, "/run/redis.sock", NULL, NULL, 0},
        {"redis+unix:///run/redis.sock?db=3", NULL, 0, "/run/redis.sock", NULL, NULL, 3},
        {"unix://user:secret@/run/redis.sock?db=3", NULL, 0, "/run/redis.sock", "user", "secret", 3},
        {"unix://:secret@/s", NULL, 0, "/s", NULL, "secret", 0},
        {"unix:///run/a@b.sock", NULL, 0, "/run/a@b.sock", NULL, NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct redis_url url;
        const char *error = "untouched";
        if (!redis_url_parse(rows[i].text, &url, &error))
            fail_msg("%s: %s", rows[i].text, error);
        assert_null(error);
        assert_text(url.host, rows[i].host);
        assert_int_equal(url.port, rows[i].port);
        assert_text(url.path, rows[i].path);
        assert_text(url.user, rows[i].user);
        assert_text(url.password, rows[i].password);
        assert_int_equal(url.database, rows[i].database);
        redis_url_finish(&url);
        assert_null(url.host);
        assert_null(url.password);
    }
}

static void faults_are_told(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *error; /* How it begins. */
    } rows[] = {
        {"", "it has to begin with redis://"},
        {"localhost:6379", "it has to begin with redis://"},
        {"REDIS://h", "it has to begin with redis://"},
        {"http://h", "it has to begin with redis://"},
        {"redis://", "the host is missing"},
        {"redis:///3", "the host is missing"},
        {"redis://:6379", "the host is missing"},
        {"redis://user:secret@", "the host is missing"},
        {"redis://[]:1", "the host is missing"},
        {"redis://h:0", "the port is not a number"},
        {"redis://h:65536", "the port is not a number"},
        {"redis://h:x", "the port is not a number"},
        {"redis://h:-1", "the port is not a number"},
        {"redis://::1", "the host is missing"},
        {"redis://[::1", "the IPv6 address is not closed"},
        {"redis://[::1]6379", "the IPv6 address is not closed"},
        {"redis://h/x", "the database after the host"},
        {"redis://h/1/", "the database after the host"},
        {"redis://h/4294967296", "the database after the host"},
        {"redis://u:%4@h", "user or password have a broken"},
        {"redis://%zz:p@h", "user or password have a broken"},
        {"unix://run/redis.sock", "the path of the socket has to be absolute"},
        {"unix://", "the path of the socket has to be absolute"},
        {"unix:///s?database=1", "after '?' only db=NUMBER"},
        {"unix:///s?db=", "after '?' only db=NUMBER"},
        {"unix:///s?db=x", "after '?' only db=NUMBER"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct redis_url url;
        const char *error = NULL;
        if (redis_url_parse(rows[i].text, &url, &error))
            fail_msg("%s was taken", rows[i].text);
        if (strncmp(error, rows[i].error, strlen(rows[i].error)) != 0)
            fail_msg("%s: %s", rows[i].text, error);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(faults_are_told),
    };
    return cmocka_run_group_tests_name("redis_url", tests, NULL, NULL);
}

#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "gateway/config/checks.h"
#include "gateway/transport/forwarded.h"

static struct network trusted[2]; /* 10.0.0.0/8 and fd00::/8 */

static int set_up(void **state) {
    (void)state;
    struct buf why;
    buf_init(&why, 0);
    assert_true(check_network(bytes_of("10.0.0.0/8"), &trusted[0], &why));
    assert_true(check_network(bytes_of("fd00::/8"), &trusted[1], &why));
    return 0;
}

struct row {
    const char *peer;
    const char *header;
    const char *client;
};

static void check(const struct row *rows, size_t count, uint32_t trusted_count) {
    for (size_t i = 0; i < count; i++) {
        uint8_t address[ADDRESS_BYTES];
        char text[ADDRESS_TEXT_BYTES];
        assert_true(address_parse(bytes_of(rows[i].peer), address));
        forwarded_client(bytes_of(rows[i].header), address, trusted, trusted_count, address);
        address_format(address, text);
        if (strcmp(text, rows[i].client) != 0)
            fail_msg("%s from %s gave %s", rows[i].header, rows[i].peer, text);
    }
}

#define CHECK(rows, trusted_count) check(rows, sizeof(rows) / sizeof((rows)[0]), trusted_count)

static void peer_that_is_not_trusted_is_the_client(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"192.0.2.1", "", "192.0.2.1"},
        {"192.0.2.1", "198.51.100.7", "192.0.2.1"},
        {"192.0.2.1", "198.51.100.7, 10.0.0.1", "192.0.2.1"},
        {"2001:db8::1", "198.51.100.7", "2001:db8::1"},
    };
    CHECK(rows, 2);
}

static void nothing_is_believed_when_nobody_is_trusted(void **state) {
    (void)state;
    static const struct row rows[] = {{"10.0.0.1", "198.51.100.7", "10.0.0.1"}};
    CHECK(rows, 0);
}

static void nearest_address_that_is_not_trusted_is_the_client(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"10.0.0.1", "198.51.100.7", "198.51.100.7"},
        {"10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"},
        {"10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"},
        {"10.0.0.1", "198.51.100.7,10.0.0.3,\tfd00::2", "198.51.100.7"},
        {"fd00::1", "2001:db8::7", "2001:db8::7"},
        {"::ffff:10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"},
    };
    CHECK(rows, 2);
}

static void farthest_proxy_stands_when_all_are_trusted(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
    };
    CHECK(rows, 2);
}

static void entry_that_is_no_address_ends_the_walk(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"10.0.0.1", "unknown", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", "198.51.100.7,", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7,,10.0.0.2", "10.0.0.2"},
        {"10.0.0.1", " ", "10.0.0.1"},
        {"10.0.0.1", ",", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7 10.0.0.2", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7:", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7:65536", "10.0.0.1"},
        {"10.0.0.1", "[198.51.100.7]:80", "10.0.0.1"},
        {"10.0.0.1", "[2001:db8::7", "10.0.0.1"},
        {"10.0.0.1", "[2001:db8::7]80", "10.0.0.1"},
        {"10.0.0.1", "[]", "10.0.0.1"},
        {"10.0.0.1", ":80", "10.0.0.1"},
        {"10.0.0.1", "evil.example", "10.0.0.1"},
    };
    CHECK(rows, 2);
}

static void ports_are_dropped(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"10.0.0.1", "198.51.100.7:4711", "198.51.100.7"},
        {"10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"},
        {"10.0.0.1", "[2001:db8::7]", "2001:db8::7"},
        {"10.0.0.1", "198.51.100.7, 10.0.0.2:80", "198.51.100.7"},
    };
    CHECK(rows, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peer_that_is_not_trusted_is_the_client),
        cmocka_unit_test(nothing_is_believed_when_nobody_is_trusted),
        cmocka_unit_test(nearest_address_that_is_not_trusted_is_the_client),
        cmocka_unit_test(farthest_proxy_stands_when_all_are_trusted),
        cmocka_unit_test(entry_that_is_no_address_ends_the_walk),
        cmocka_unit_test(ports_are_dropped),
    };
    return cmocka_run_group_tests_name("forwarded", tests, set_up, NULL);
}

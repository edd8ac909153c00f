#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "gateway/transport/peer.h"

static struct peer peer_of(const char *address, uint16_t port) {
    struct sockaddr_storage from = {0};
    struct peer peer;
    struct sockaddr_in *in = (struct sockaddr_in *)&from;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&from;
    if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
        from.ss_family = AF_INET;
        in->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, address, &in6->sin6_addr), 1);
        from.ss_family = AF_INET6;
        in6->sin6_port = htons(port);
    }
    peer_of_socket(&from, &peer);
    return peer;
}

static void assert_prints(struct peer peer, const char *expected) {
    struct buf out;
    buf_init(&out, 0);
    peer_print(&peer, &out);
    assert_true(bytes_equal_text(buf_bytes(&out), expected));
    buf_finish(&out);
}

static void peer_is_printed_as_people_write_it(void **state) {
    (void)state;
    assert_prints(peer_of("127.0.0.1", 80), "127.0.0.1:80");
    assert_prints(peer_of("255.255.255.255", 65535), "255.255.255.255:65535");
    assert_prints(peer_of("::1", 8000), "[::1]:8000");
    assert_prints(peer_of("2001:db8:0:0:0:0:0:7", 1), "[2001:db8::7]:1");
    assert_prints(peer_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
                  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    /* One form for one address, whichever socket it came by. */
    assert_prints(peer_of("::ffff:192.0.2.7", 5), "192.0.2.7:5");
}

static void peer_of_another_kind_of_socket_is_nobody(void **state) {
    (void)state;
    struct sockaddr_storage from = {.ss_family = AF_UNIX};
    struct peer peer;
    memset(&peer, 0xFF, sizeof peer);
    peer_of_socket(&from, &peer);
    assert_int_equal(peer.port, 0);
    assert_prints(peer, "[::]:0");
}

static void peer_belongs_to_the_networks_that_hold_its_address(void **state) {
    (void)state;
    const struct network networks[] = {
        {.address = {[10] = 0xFF, [11] = 0xFF, [12] = 10}, .prefix_bits = 104}, /* 10.0.0.0/8 */
        {.address = {[0] = 0x20, [1] = 0x01, [2] = 0x0D, [3] = 0xB8}, .prefix_bits = 32},
    };
    struct peer inside = peer_of("10.1.2.3", 1), six = peer_of("2001:db8::1", 1),
                outside = peer_of("11.0.0.1", 1);
    assert_true(peer_is_in(&inside, networks, 2));
    assert_false(peer_is_in(&inside, networks + 1, 1));
    assert_true(peer_is_in(&six, networks, 2));
    assert_false(peer_is_in(&outside, networks, 2));
    assert_false(peer_is_in(&inside, NULL, 0));
}

static void connections_are_counted_by_address(void **state) {
    (void)state;
    struct peer_book *book = peer_book_create();
    struct peer a = peer_of("192.0.2.1", 1), a_again = peer_of("192.0.2.1", 2), b = peer_of("192.0.2.2", 1);
    assert_true(peer_book_add(book, &a, 2));
    assert_true(peer_book_add(book, &a_again, 2));
    assert_false(peer_book_add(book, &a, 2));
    assert_true(peer_book_add(book, &b, 2));
    peer_book_remove(book, &a);
    assert_true(peer_book_add(book, &a, 2));
    assert_false(peer_book_add(book, &a, 2));
    /* Down to nothing, and from there again. */
    peer_book_remove(book, &b);
    peer_book_remove(book, &b); /* Unknown by now: harmless. */
    assert_true(peer_book_add(book, &b, 1));
    assert_false(peer_book_add(book, &b, 1));
    peer_book_destroy(book);
    peer_book_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peer_is_printed_as_people_write_it),
        cmocka_unit_test(peer_of_another_kind_of_socket_is_nobody),
        cmocka_unit_test(peer_belongs_to_the_networks_that_hold_its_address),
        cmocka_unit_test(connections_are_counted_by_address),
    };
    return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}

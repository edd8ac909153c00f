#include "tests/unit/unit.h"

#include <stdio.h>

#include "gateway/core/rates.h"

static uint64_t client(const struct rates *rates, const char *text) {
    uint8_t address[ADDRESS_BYTES];
    assert_true(address_parse(bytes_of(text), address));
    return rates_client(rates, address);
}

static bool take(struct rates *rates, const char *text, uint64_t now_ms) {
    return token_bucket_take(rates_bucket(rates, client(rates, text), RATE_PUBLISHES, now_ms), 2, now_ms);
}

static void each_address_has_its_own(void **state) {
    struct rates *rates = rates_create(1);
    (void)state;
    assert_true(take(rates, "192.0.2.1", 1000));
    assert_true(take(rates, "192.0.2.1", 1000));
    assert_false(take(rates, "192.0.2.1", 1000));
    assert_true(take(rates, "192.0.2.2", 1000));
    assert_true(take(rates, "192.0.2.1", 1500));
    rates_destroy(rates);
}

static void subscriber_of_ipv6_is_one_client(void **state) {
    struct rates *rates = rates_create(1);
    (void)state;
    assert_true(client(rates, "2001:db8:0:1::1") == client(rates, "2001:db8:0:1:ffff::2"));
    assert_true(client(rates, "2001:db8:0:1::1") != client(rates, "2001:db8:0:2::1"));
    rates_destroy(rates);
}

static void ipv4_addresses_are_no_prefix_of_each_other(void **state) {
    struct rates *rates = rates_create(1);
    (void)state;
    assert_true(client(rates, "192.0.2.1") != client(rates, "192.0.2.2"));
    rates_destroy(rates);
}

/* Who is there is not forgotten for those who come and go, as long as there are places. */
static void crowd_does_not_free_who_goes_on(void **state) {
    struct rates *rates = rates_create(1);
    char text[32];
    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t now_ms = 1000000 + (uint64_t)i / 10;
        snprintf(text, sizeof text, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        assert_true(take(rates, text, now_ms));
        if (i % 1000 == 0) {
            take(rates, "192.0.2.1", now_ms);
            take(rates, "192.0.2.1", now_ms);
            assert_false(take(rates, "192.0.2.1", now_ms));
        }
    }
    rates_destroy(rates);
}

static void seed_decides_who_shares_a_set(void **state) {
    struct rates *one = rates_create(1), *other = rates_create(2);
    (void)state;
    assert_true(client(one, "192.0.2.1") != client(other, "192.0.2.1"));
    rates_destroy(one);
    rates_destroy(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_has_its_own),
        cmocka_unit_test(subscriber_of_ipv6_is_one_client),
        cmocka_unit_test(ipv4_addresses_are_no_prefix_of_each_other),
        cmocka_unit_test(crowd_does_not_free_who_goes_on),
        cmocka_unit_test(seed_decides_who_shares_a_set),
    };
    return cmocka_run_group_tests_name("rates", tests, NULL, NULL);
}

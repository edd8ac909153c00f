#include "tests/unit/unit.h"

#include "common/address.h"

static void address_is_parsed_and_formatted_in_its_shortest_form(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *formatted;
        bool v4;
    } rows[] = {
        {"192.0.2.7", "192.0.2.7", true},
        {"0.0.0.0", "0.0.0.0", true},
        {"::ffff:192.0.2.7", "192.0.2.7", true},
        {"::", "::", false},
        {"2001:DB8:0:0::7", "2001:db8::7", false},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t address[ADDRESS_BYTES];
        char text[ADDRESS_TEXT_BYTES];
        assert_true(address_parse(bytes_of(rows[i].text), address));
        address_format(address, text);
        assert_string_equal(text, rows[i].formatted);
        assert_int_equal(address_is_v4(address), rows[i].v4);
    }
}

static void what_is_no_address_leaves_the_output_untouched(void **state) {
    (void)state;
    static const char *const rows[] = {
        "",
        "1.2.3",
        "1.2.3.256",
        "1.2.3.4:80",
        "[::1]",
        "fe80::1%eth0",
        ":::",
        " 1.2.3.4",
        "1.2.3.4 ",
        "1.2.3.4/8",
        "localhost",
        "::1::",
        "01.2.3.4x",
        "0x7f.1",
        "0000:0000:0000:0000:0000:0000:255.255.255.2555",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t address[ADDRESS_BYTES] = {[3] = 9};
        static const uint8_t before[ADDRESS_BYTES] = {[3] = 9};
        assert_false(address_parse(bytes_of(rows[i]), address));
        assert_memory_equal(address, before, sizeof before);
    }
    uint8_t address[ADDRESS_BYTES];
    assert_false(address_parse(BYTES_LITERAL("::1\0"), address));
}

static void slice_ends_where_it_says(void **state) {
    (void)state;
    uint8_t address[ADDRESS_BYTES];
    char text[ADDRESS_TEXT_BYTES];
    assert_true(address_parse(bytes_make("10.0.0.123", 8), address));
    address_format(address, text);
    assert_string_equal(text, "10.0.0.1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_is_parsed_and_formatted_in_its_shortest_form),
        cmocka_unit_test(what_is_no_address_leaves_the_output_untouched),
        cmocka_unit_test(slice_ends_where_it_says),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/transport/proxy_header.h"

/* A copy of its own for every prefix, so that the sanitizer sees a read behind its end. */
static enum error parse_copy(struct bytes in, struct proxy_header *header) {
    char *copy = malloc(in.len ? in.len : 1);
    if (in.len > 0)
        memcpy(copy, in.data, in.len);
    enum error error = proxy_header_parse(bytes_make(copy, in.len), header);
    free(copy);
    return error;
}

/* Feeds `in` byte by byte: nothing is decided before the header is whole, and what follows changes nothing.
 */
static void expect_header(struct bytes in, size_t len, const char *source, uint16_t port) {
    struct proxy_header header;
    char text[ADDRESS_TEXT_BYTES];
    for (size_t i = 0; i < len; i++)
        assert_int_equal(parse_copy(bytes_make(in.data, i), &header), ERR_MORE);
    for (size_t i = len; i <= in.len; i++) {
        assert_int_equal(parse_copy(bytes_make(in.data, i), &header), ERR_OK);
        assert_int_equal(header.len, len);
        assert_int_equal(header.has_source, source != NULL);
        if (source != NULL) {
            address_format(header.source, text);
            assert_string_equal(text, source);
            assert_int_equal(header.source_port, port);
        }
    }
}

/* Refused at the latest with its last byte, and whatever follows. */
static void expect_refusal(struct bytes in) {
    struct proxy_header header = {.len = 99};
    bool refused = false;
    for (size_t i = 0; i <= in.len; i++) {
        enum error error = parse_copy(bytes_make(in.data, i), &header);
        assert_int_equal(error, refused || error != ERR_MORE ? ERR_BAD_REQUEST : ERR_MORE);
        refused = error == ERR_BAD_REQUEST;
    }
    assert_true(refused);
    assert_int_equal(header.len, 99);
}

static void version_1_tells_the_source(void **state) {
    (void)state;
    static const struct {
        const char *in;
        const char *source;
        uint16_t port;
    } rows[] = {
        {"PROXY TCP4 192.0.2.7 192.0.2.1 56324 8000\r\n", "192.0.2.7", 56324},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535},
        {"PROXY TCP6 2001:db8::7 2001:db8::1 0 8000\r\n", "2001:db8::7", 0},
        {"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 8000\r\n", "192.0.2.7", 1},
        {"PROXY UNKNOWN\r\n", NULL, 0},
        {"PROXY UNKNOWN ffff:f...f:ffff whatever 65535 65535\r\n", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[200];
        size_t len = strlen(rows[i].in);
        strcpy(text, rows[i].in);
        strcat(text, "GET / HTTP/1.1\r\n");
        expect_header(bytes_of(text), len, rows[i].source, rows[i].port);
    }
}

static void version_1_that_is_no_such_line_is_refused(void **state) {
    (void)state;
    static const char *const rows[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
        "PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
        "PROXYTCP4 192.0.2.7 192.0.2.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7  192.0.2.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 000001 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.1 1 2\r\n",
        "PROXY TCP4 ::ffff:192.0.2.7 192.0.2.1 1 2\r\n",
        "PROXY TCP4 localhost 192.0.2.1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 ::1 1 2\r\n",
        "PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY \n",
        "\r\n\r\n\r",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_refusal(bytes_of(rows[i]));
}

static void version_1_ends_within_107_bytes(void **state) {
    (void)state;
    char text[109];
    memset(text, 'x', sizeof text);
    memcpy(text, "PROXY UNKNOWN ", 14);
    memcpy(text + 105, "\r\n", 2);
    expect_header(bytes_make(text, 107), 107, NULL, 0);
    memcpy(text + 105, "x\r\n", 3);
    expect_refusal(bytes_make(text, 108));
}

static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";

/* A version 2 header whose body is `body`, zeros up to `body_len`; something of the client's behind it. */
static struct bytes build_v2(char *out, uint8_t command, uint8_t family, const void *body, size_t given,
                             size_t body_len) {
    memcpy(out, v2_start, 12);
    out[12] = (char)command;
    out[13] = (char)family;
    out[14] = (char)(body_len >> 8);
    out[15] = (char)body_len;
    memset(out + 16, 0, body_len);
    if (given > 0)
        memcpy(out + 16, body, given);
    memcpy(out + 16 + body_len, "GET", 3);
    return bytes_make(out, 16 + body_len + 3);
}

static const char v4_body[] = "\xC0\x00\x02\x07\xC0\x00\x02\x01\xDC\x04\x1F\x40";
static const char v6_body[] = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                              "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50\x1F\x40";

static void version_2_tells_the_source(void **state) {
    (void)state;
    char room[700];
    expect_header(build_v2(room, 0x21, 0x11, v4_body, 12, 12), 28, "192.0.2.7", 56324);
    expect_header(build_v2(room, 0x21, 0x21, v6_body, 36, 36), 52, "2001:db8::7", 80);
    /* TLVs behind the addresses are skipped. */
    expect_header(build_v2(room, 0x21, 0x11, v4_body, 12, 100), 116, "192.0.2.7", 56324);
}

static void version_2_without_a_source_leaves_the_sockets_address(void **state) {
    (void)state;
    char room[700];
    expect_header(build_v2(room, 0x20, 0x00, "", 0, 0), 16, NULL, 0);
    expect_header(build_v2(room, 0x20, 0x11, v4_body, 12, 12), 28, NULL, 0);
    expect_header(build_v2(room, 0x20, 0xFF, "", 0, 5), 21, NULL, 0);
    expect_header(build_v2(room, 0x21, 0x00, "", 0, 0), 16, NULL, 0);
    expect_header(build_v2(room, 0x21, 0x31, "", 0, 216), 232, NULL, 0);
}

static void version_2_that_breaks_its_rules_is_refused(void **state) {
    (void)state;
    char room[700];
    expect_refusal(build_v2(room, 0x11, 0x11, v4_body, 12, 12)); /* Version 1 in binary. */
    expect_refusal(build_v2(room, 0x22, 0x11, v4_body, 12, 12)); /* No such command. */
    expect_refusal(build_v2(room, 0x21, 0x12, v4_body, 12, 12)); /* UDP. */
    expect_refusal(build_v2(room, 0x21, 0x41, v4_body, 12, 12)); /* No such family. */
    expect_refusal(build_v2(room, 0x21, 0x11, v4_body, 11, 11)); /* Too short for its family. */
    expect_refusal(build_v2(room, 0x21, 0x21, v6_body, 35, 35));
    expect_refusal(build_v2(room, 0x21, 0x31, "", 0, 215));
    build_v2(room, 0x21, 0x11, v4_body, 12, 12);
    room[7] = 'q';
    expect_refusal(bytes_make(room, 28));
}

static void version_2_ends_within_536_bytes(void **state) {
    (void)state;
    char room[700];
    expect_header(build_v2(room, 0x21, 0x11, v4_body, 12, 520), 536, "192.0.2.7", 56324);
    expect_refusal(build_v2(room, 0x21, 0x11, v4_body, 12, 521));
    /* Its length alone is enough to refuse it: nobody waits for the rest. */
    struct proxy_header header;
    assert_int_equal(parse_copy(bytes_make(room, 16), &header), ERR_BAD_REQUEST);
}

static void first_byte_of_something_else_is_refused_at_once(void **state) {
    (void)state;
    struct proxy_header header;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        assert_int_equal(parse_copy(bytes_make(&byte, 1), &header),
                         byte == 'P' || byte == '\r' ? ERR_MORE : ERR_BAD_REQUEST);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_tells_the_source),
        cmocka_unit_test(version_1_that_is_no_such_line_is_refused),
        cmocka_unit_test(version_1_ends_within_107_bytes),
        cmocka_unit_test(version_2_tells_the_source),
        cmocka_unit_test(version_2_without_a_source_leaves_the_sockets_address),
        cmocka_unit_test(version_2_that_breaks_its_rules_is_refused),
        cmocka_unit_test(version_2_ends_within_536_bytes),
        cmocka_unit_test(first_byte_of_something_else_is_refused_at_once),
    };
    return cmocka_run_group_tests_name("proxy_header", tests, NULL, NULL);
}

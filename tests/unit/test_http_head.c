/* The head of a request: what is one, what it says, and what is refused. Each is also fed byte by byte. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/transport/http/head.h"

#define LINE "GET /v1/ws HTTP/1.1\r\n"
#define HOST "Host: example.com\r\n"

static enum error read_whole(struct bytes text, struct http_head *head) {
    *head = (struct http_head){0};
    return http_head_read(head, text);
}

/* As it may come from a socket: in ever longer pieces, and somewhere else in memory each time. */
static enum error read_dripping(struct bytes text, struct http_head *head, char **kept) {
    enum error error = ERR_MORE;
    *head = (struct http_head){0};
    *kept = NULL;
    for (size_t len = 1; len <= text.len && error == ERR_MORE; len++) {
        char *moved = malloc(len);
        memcpy(moved, text.data, len);
        free(*kept);
        *kept = moved;
        error = http_head_read(head, bytes_make(moved, len));
    }
    return error;
}

static void assert_read(struct bytes text, enum error expected) {
    struct http_head head, dripped;
    char *kept;
    enum error error = read_whole(text, &head);
    if (error != expected)
        print_error("%.*s\n", BYTES_FMT(text));
    assert_int_equal(error, expected);
    assert_int_equal(read_dripping(text, &dripped, &kept), expected);
    if (expected == ERR_OK) {
        assert_int_equal(head.len, dripped.len);
        assert_int_equal(head.method, dripped.method);
        assert_int_equal(head.content_length, dripped.content_length);
        assert_true(bytes_equal(http_head_part(&head, head.path), http_head_part(&dripped, dripped.path)));
    } else if (expected == ERR_HTTP_INVALID) {
        assert_non_null(head.problem);
    }
    free(kept);
}

static void refuses_with(enum error expected, const char *const *texts) {
    for (size_t i = 0; texts[i] != NULL; i++)
        assert_read(bytes_of(texts[i]), expected);
}

static void head_says_what_is_asked_for(void **state) {
    (void)state;
    struct http_head head;
    struct bytes text =
        BYTES_LITERAL("POST /v1/publish?channel=a&channel=b%20c+d&x HTTP/1.1\r\nHost: h:8000\r\nX-F: 1\r\n"
                      "Content-Length:  12 \r\nContent-Type:\r\n\r\nbody follows");
    assert_int_equal(read_whole(text, &head), ERR_OK);
    assert_int_equal(text.len - head.len, strlen("body follows"));
    assert_int_equal(head.method, METHOD_POST);
    assert_true(bytes_equal_text(http_head_part(&head, head.path), "/v1/publish"));
    assert_true(bytes_equal_text(http_head_host(&head), "h:8000"));
    assert_int_equal(head.content_length, 12);
    assert_true(head.is_http_1_1 && head.keeps_alive && head.has_content_length);
    assert_int_equal(head.counts[FIELD_CONTENT_TYPE], 1);
    struct buf value;
    buf_init(&value, 0);
    struct bytes query = http_head_part(&head, head.query);
    assert_true(http_query_find(query, "channel", 1, &value));
    assert_true(bytes_equal_text(buf_bytes(&value), "b c d"));
    assert_false(http_query_find(query, "channel", 2, &value));
    assert_false(http_query_find(query, "x", 0, &value));
    buf_finish(&value);
}

static void unknown_fields_of_any_name_cost_no_other(void **state) {
    (void)state;
    static const char *const names[] = {
        "X-F", "If",     "Proxy", "Content",       "Sec", "X-Forwarded",
        "CU",  "X-Real", "H",     "Sec-WebSocket", "c",   "!#$%&'*+-.^_`|~09"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[256];
        struct http_head head;
        snprintf(text, sizeof text, LINE "%s: 1\r\nContent-Length: 5\r\n%s:\r\n" HOST "\r\n", names[i],
                 names[i]);
        assert_int_equal(read_whole(bytes_of(text), &head), ERR_OK);
        assert_int_equal(head.content_length, 5);
        assert_read(bytes_of(text), ERR_OK);
    }
}

static void lists_may_come_in_several_lines(void **state) {
    (void)state;
    struct http_head head;
    struct buf value;
    assert_int_equal(
        read_whole(BYTES_LITERAL(LINE HOST "Connection: keep-alive, Upgrade\r\nX: y\r\nUPGRADE:h2c\r\n"
                                           "upgrade: WebSocket\r\nX-Forwarded-For: 1\r\n"
                                           "x-forwarded-for:2, 3\t\r\n\r\n"),
                   &head),
        ERR_OK);
    assert_true(head.offers_websocket);
    assert_true(http_head_lists(&head, FIELD_UPGRADE, "h2c"));
    buf_init(&value, 0);
    assert_true(http_head_field(&head, FIELD_X_FORWARDED_FOR, &value));
    assert_true(bytes_equal_text(buf_bytes(&value), "1, 2, 3"));
    buf_finish(&value);
}

static void an_upgrade_that_is_none_is_an_ordinary_request(void **state) {
    (void)state;
    static const char *const rows[] = {
        LINE HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n",
        LINE HOST "Upgrade: websocket\r\n\r\n",
        LINE HOST "Connection: upgrade\r\n\r\n",
        LINE HOST "Connection: upgraded\r\nUpgrade: websocket\r\n\r\n",
        LINE HOST "Connection: upgrade\r\nUpgrade: websockets\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_head head;
        assert_int_equal(read_whole(bytes_of(rows[i]), &head), ERR_OK);
        assert_false(head.offers_websocket);
    }
}

static void connection_lasts_as_version_and_client_say(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool keeps_alive;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: te\r\nConnection: a , close,b\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_head head;
        assert_int_equal(read_whole(bytes_of(rows[i].text), &head), ERR_OK);
        assert_int_equal(head.keeps_alive, rows[i].keeps_alive);
    }
}

static void target_may_be_a_whole_url(void **state) {
    (void)state;
    struct http_head head;
    assert_int_equal(
        read_whole(BYTES_LITERAL("GET HTTP://a.example:81/v1?x=1 HTTP/1.1\r\nHost: other\r\n\r\n"), &head),
        ERR_OK);
    assert_true(bytes_equal_text(http_head_host(&head), "a.example:81"));
    assert_true(bytes_equal_text(http_head_part(&head, head.path), "/v1"));
    assert_true(bytes_equal_text(http_head_part(&head, head.query), "x=1"));
}

static void url_may_end_with_its_host(void **state) {
    (void)state;
    struct http_head head;
    assert_int_equal(read_whole(BYTES_LITERAL("GET http://a:1 HTTP/1.0\r\n\r\n"), &head), ERR_OK);
    assert_true(bytes_equal_text(http_head_path(&head), "/"));
    assert_int_equal(read_whole(BYTES_LITERAL("GET http://a?x=1 HTTP/1.0\r\n\r\n"), &head), ERR_OK);
    assert_true(bytes_equal_text(http_head_path(&head), "/"));
    assert_true(bytes_equal_text(http_head_part(&head, head.query), "x=1"));
}

static void what_has_two_readings_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        /* The request line. */
        "GET  / HTTP/1.1\r\n" HOST "\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1 \r\n" HOST "\r\n",
        " GET / HTTP/1.1\r\n",
        "GET / http/1.1\r\n" HOST "\r\n",
        "GET / HTTP/11\r\n" HOST "\r\n",
        "G(T / HTTP/1.1\r\n" HOST "\r\n",
        "GET\t/ HTTP/1.1\r\n" HOST "\r\n",
        "GET /a b HTTP/1.1\r\n" HOST "\r\n",
        "GET /\xc3\xa9 HTTP/1.1\r\n",
        "GET /# HTTP/1.1\r\n" HOST "\r\n",
        "GET a HTTP/1.1\r\n" HOST "\r\n",
        "GET * HTTP/1.1\r\n" HOST "\r\n",
        "GET http:///a HTTP/1.1\r\n" HOST "\r\n",
        "GET http://u@h/ HTTP/1.1\r\n" HOST "\r\n",
        "GET /% HTTP/1.1\r\n" HOST "\r\n",
        "GET /?a=%2 HTTP/1.1\r\n" HOST "\r\n",
        "GET /?%zz HTTP/1.1\r\n" HOST "\r\n",
        "GET /%00 HTTP/1.1\r\n" HOST "\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" LINE HOST "\r\n",
        "Host: x\r\n" LINE "\r\n",
        "\x16\x03\x01",
        "{\"op\":1}",
        /* Lines. */
        "GET / HTTP/1.1\n" HOST "\r\n",
        LINE "Host: x\n\r\n",
        LINE HOST "\n",
        LINE "Host\r\n\r\n",
        LINE "Host : x\r\n\r\n",
        LINE ": x\r\n" HOST "\r\n",
        LINE HOST " folded\r\n\r\n",
        LINE HOST "\tfolded\r\n\r\n",
        LINE " " HOST "\r\n",
        LINE HOST "X: a\rb\r\n\r\n",
        LINE HOST "X: a\r\r\n\r\n",
        LINE HOST "X: \x01\r\n\r\n",
        LINE HOST "X: \x7f\r\n\r\n",
        LINE HOST "X\x80: a\r\n\r\n",
        LINE HOST "X Y: a\r\n\r\n",
        /* Who is asked. */
        LINE "\r\n",
        LINE "X: y\r\n\r\n",
        LINE HOST HOST "\r\n",
        LINE "Host:\r\n\r\n",
        LINE "Host: a b\r\n\r\n",
        LINE "Host: a/b\r\n\r\n",
        LINE "Host: a@b\r\n\r\n",
        LINE "Host: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a,b\r\nHost: c\r\n\r\n",
        /* Where it ends. */
        LINE HOST "Content-Length: +1\r\n\r\n",
        LINE HOST "Content-Length: -1\r\n\r\n",
        LINE HOST "Content-Length: 0x1\r\n\r\n",
        LINE HOST "Content-Length:\r\n\r\n",
        LINE HOST "Content-Length: 1, 1\r\n\r\n",
        LINE HOST "Content-Length: 1 1\r\n\r\n",
        LINE HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        LINE HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        /* What stands for one thing. */
        LINE HOST "Origin: a\r\nOrigin: b\r\n\r\n",
        LINE HOST "Authorization: a\r\nAuthorization: b\r\n\r\n",
        LINE HOST "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n\r\n",
        NULL,
    };
    refuses_with(ERR_HTTP_INVALID, texts);
    assert_read(BYTES_LITERAL(LINE HOST "X: \0\r\n\r\n"), ERR_HTTP_INVALID);
    assert_read(BYTES_LITERAL(LINE HOST "X\0: a\r\n\r\n"), ERR_HTTP_INVALID);
    assert_read(BYTES_LITERAL("GET /\0 HTTP/1.1\r\n\r\n"), ERR_HTTP_INVALID);
}

static void refusals_have_the_status_that_helps(void **state) {
    (void)state;
    static const char *const versions[] = {"GET / HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n",
                                           "GET / HTTP/1.2\r\n\r\n", "GET / HTTP/0.9\r\n\r\n", NULL};
    static const char *const encodings[] = {
        LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
        LINE HOST "Transfer-Encoding: identity\r\n\r\n",
        LINE HOST "Transfer-Encoding:\r\n\r\n",
        LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        LINE HOST "Transfer-Encoding: chunked, chunked\r\n\r\n",
        LINE HOST "Transfer-Encoding: xchunked\r\n\r\n",
        NULL};
    static const char *const lengths[] = {LINE HOST "Content-Length: 18446744073709551616\r\n\r\n", NULL};
    refuses_with(ERR_HTTP_VERSION, versions);
    refuses_with(ERR_NOT_IMPLEMENTED, encodings);
    refuses_with(ERR_MESSAGE_TOO_LARGE, lengths);
}

static void head_has_a_maximum(void **state) {
    (void)state;
    static char text[3 * HTTP_HEAD_BYTES_MAX];
    memset(text, 'x', sizeof text);
    memcpy(text, "GET /", 5);
    assert_read(bytes_make(text, sizeof text), ERR_TARGET_TOO_LONG);
    memcpy(text + HTTP_TARGET_BYTES_MAX + 5, " HTTP/1.1\r\n\r\n", 13);
    assert_read(bytes_make(text, sizeof text), ERR_TARGET_TOO_LONG);
    memset(text, 'x', sizeof text);
    memcpy(text, LINE HOST "X: ", strlen(LINE HOST "X: "));
    assert_read(bytes_make(text, HTTP_HEAD_BYTES_MAX - 1), ERR_MORE);
    assert_read(bytes_make(text, sizeof text), ERR_HEAD_TOO_LARGE);
    memcpy(text + HTTP_HEAD_BYTES_MAX - 4, "\r\n\r\n", 4);
    assert_read(bytes_make(text, sizeof text), ERR_OK);
}

static void empty_lines_before_a_request_are_skipped(void **state) {
    (void)state;
    struct http_head head;
    assert_int_equal(read_whole(BYTES_LITERAL("\r\n\r\n" LINE HOST "\r\n"), &head), ERR_OK);
    assert_int_equal(head.len, strlen("\r\n\r\n" LINE HOST "\r\n"));
    assert_read(BYTES_LITERAL("\r\n" LINE HOST "\r\n"), ERR_OK);
}

static void expectations_are_known_or_not(void **state) {
    (void)state;
    struct http_head head;
    assert_int_equal(read_whole(BYTES_LITERAL(LINE HOST "Expect: 100-Continue\r\n\r\n"), &head), ERR_OK);
    assert_true(head.expects_continue && !head.expects_more);
    assert_int_equal(read_whole(BYTES_LITERAL(LINE HOST "Expect: 200-ok\r\n\r\n"), &head), ERR_OK);
    assert_true(!head.expects_continue && head.expects_more);
    assert_int_equal(read_whole(BYTES_LITERAL("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), &head),
                     ERR_OK);
    assert_false(head.expects_continue || head.expects_more);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_says_what_is_asked_for),
        cmocka_unit_test(unknown_fields_of_any_name_cost_no_other),
        cmocka_unit_test(lists_may_come_in_several_lines),
        cmocka_unit_test(an_upgrade_that_is_none_is_an_ordinary_request),
        cmocka_unit_test(connection_lasts_as_version_and_client_say),
        cmocka_unit_test(target_may_be_a_whole_url),
        cmocka_unit_test(url_may_end_with_its_host),
        cmocka_unit_test(what_has_two_readings_is_refused),
        cmocka_unit_test(refusals_have_the_status_that_helps),
        cmocka_unit_test(head_has_a_maximum),
        cmocka_unit_test(empty_lines_before_a_request_are_skipped),
        cmocka_unit_test(expectations_are_known_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

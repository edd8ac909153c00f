/* The load tool's sans-IO parts: WebSocket frames, HTTP responses, the mark in a payload, the sequence
 * checker. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loadtest/http.h"
#include "loadtest/payload.h"
#include "loadtest/sequence.h"
#include "loadtest/ws.h"

/* A server's frame: what ws_append_frame() makes, without the mask. */
static void append_server_frame(struct buf *out, uint8_t first, size_t len, char fill) {
    struct buf masked;
    buf_init(&masked, 0);
    char *payload = malloc(len + 1);
    memset(payload, fill, len);
    ws_append_frame(&masked, first & 0x0f, bytes_make(payload, len));
    size_t head = len < 126 ? 2 : len < 65536 ? 4 : 10;
    assert_int_equal(masked.len, head + 4 + len);
    masked.data[0] = (char)first;
    masked.data[1] = (char)(masked.data[1] & 0x7f);
    buf_append(out, masked.data, head);
    buf_append(out, payload, len);
    free(payload);
    buf_finish(&masked);
}

static void frames_of_every_length_form_are_parsed(void **state) {
    (void)state;
    static const size_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct buf stream;
        struct ws_frame frame;
        size_t used;
        buf_init(&stream, 0);
        append_server_frame(&stream, 0x81, lengths[i], 'a');
        assert_int_equal(ws_parse(buf_bytes(&stream), &frame, &used), WS_FRAME);
        assert_int_equal(used, stream.len);
        assert_int_equal(frame.payload.len, lengths[i]);
        assert_int_equal(frame.opcode, WS_TEXT);
        assert_true(frame.is_final && !frame.is_compressed);
        buf_finish(&stream);
    }
}

static void bytes_one_at_a_time_give_the_same_frames(void **state) {
    (void)state;
    static const struct {
        uint8_t first;
        size_t len;
    } wanted[] = {{0x81, 5}, {0x01, 200}, {0x80, 3}, {0x89, 0}, {0xc1, 126}, {0x88, 2}};
    struct buf stream, seen;
    buf_init(&stream, 0);
    buf_init(&seen, 0);
    for (size_t i = 0; i < 6; i++)
        append_server_frame(&stream, wanted[i].first, wanted[i].len, (char)('a' + i));
    size_t found = 0;
    for (size_t i = 0; i < stream.len; i++) {
        struct ws_frame frame;
        size_t used;
        /* Exactly as long as it is: the sanitizer sees whoever reads behind the end. */
        buf_append_char(&seen, stream.data[i]);
        char *exact = malloc(seen.len);
        memcpy(exact, seen.data, seen.len);
        enum ws_result result = ws_parse(bytes_make(exact, seen.len), &frame, &used);
        if (result == WS_FRAME) {
            assert_int_equal(used, seen.len);
            assert_int_equal(frame.opcode, wanted[found].first & 0x0f);
            assert_int_equal(frame.is_final, wanted[found].first >> 7);
            assert_int_equal(frame.is_compressed, wanted[found].first >> 6 & 1);
            assert_int_equal(frame.payload.len, wanted[found].len);
            found++;
            buf_clear(&seen);
        } else {
            assert_int_equal(result, WS_MORE);
        }
        free(exact);
    }
    assert_int_equal(found, 6);
    buf_finish(&stream);
    buf_finish(&seen);
}

static void frames_that_no_server_may_send_are_broken(void **state) {
    (void)state;
    static const struct {
        const char *data;
        size_t len;
    } rows[] = {
        {"\x81\x81zzzzx", 7},                             /* Masked. */
        {"\xa1\x01x", 3},                                 /* RSV2. */
        {"\x89\x7e\x00\x80", 4},                          /* A ping of 128 bytes. */
        {"\x09\x00", 2},                                  /* A ping in fragments. */
        {"\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 10}, /* A length with its top bit set. */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ws_frame frame;
        size_t used;
        assert_int_equal(ws_parse(bytes_make(rows[i].data, rows[i].len), &frame, &used), WS_BROKEN);
    }
}

static void close_code_is_read(void **state) {
    (void)state;
    assert_int_equal(ws_close_code(bytes_make("\x0b\xb9slow", 6)), 3001);
    assert_int_equal(ws_close_code(bytes_make("", 0)), 1005);
}

static void response_head_says_how_the_body_ends(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t status;
        enum http_body_kind body;
        uint64_t length;
        bool closes;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", 200, HTTP_BODY_LENGTH, 12, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\nconnection: x, close\r\n\r\n", 200,
         HTTP_BODY_CHUNKED, 0, true},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 101, HTTP_BODY_NONE, 0, false},
        {"HTTP/1.0 503 No\r\n\r\n", 503, HTTP_BODY_UNTIL_CLOSE, 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_head head;
        size_t len = strlen(rows[i].text);
        for (size_t part = 0; part < len; part++)
            assert_int_equal(http_parse_head(bytes_make(rows[i].text, part), &head), HTTP_MORE);
        assert_int_equal(http_parse_head(bytes_make(rows[i].text, len), &head), HTTP_DONE);
        assert_int_equal(head.status, rows[i].status);
        assert_int_equal(head.body, rows[i].body);
        assert_int_equal(head.content_length, rows[i].length);
        assert_int_equal(head.closes, rows[i].closes);
        assert_int_equal(head.len, len);
    }
    struct http_head head;
    assert_int_equal(http_parse_head(BYTES_LITERAL("SSH-2.0-OpenSSH_9\r\n\r\n"), &head), HTTP_BROKEN);
}

static void chunked_body_is_decoded_however_it_is_cut(void **state) {
    (void)state;
    static const char wire[] =
        "5\r\nhello\r\n1;x=y\r\n \r\nA\r\n0123456789\r\n1b\r\nabcdefghijklmnopqrstuvwxyz!\r\n0\r\nTrailer: "
        "z\r\n\r\nNEXT";
    const size_t body_len = sizeof wire - 1 - 4;
    for (size_t step = 1; step < sizeof wire; step++) {
        struct http_body body;
        struct buf content;
        buf_init(&content, 0);
        http_body_begin(&body, &(struct http_head){.body = HTTP_BODY_CHUNKED});
        size_t at = 0;
        while (!body.is_done) {
            char data[sizeof wire];
            size_t len = sizeof wire - 1 - at < step ? sizeof wire - 1 - at : step;
            size_t used;
            memcpy(data, wire + at, len);
            size_t count = http_body_decode(&body, data, len, &used);
            assert_true(count <= len && (used == len || body.is_done));
            buf_append(&content, data, count);
            at += used;
        }
        assert_int_equal(at, body_len);
        assert_true(bytes_equal_text(buf_bytes(&content), "hello 0123456789abcdefghijklmnopqrstuvwxyz!"));
        buf_finish(&content);
    }
}

static void broken_chunk_is_refused(void **state) {
    (void)state;
    char data[] = "5\r\nhelloX";
    struct http_body body;
    size_t used;
    http_body_begin(&body, &(struct http_head){.body = HTTP_BODY_CHUNKED});
    assert_true(http_body_decode(&body, data, sizeof data - 1, &used) == SIZE_MAX);
}

static const struct payload_mark sent = {
    .run = 0xdeadbeef,
    .publisher = 7,
    .channel = 123456,
    .slot = 4095,
    .sequence = 0xabcdef01,
    .sent_ns = UINT64_C(0x0123456789abcdef),
};

static void mark_survives_payload_and_envelope(void **state) {
    (void)state;
    static const char *const envelopes[][2] = {
        {"", ""}, {"{\"channel\":\"load:0\",\"data\":", "}"}, {"42[\"m\",\"", "\"]"}};
    static const size_t lengths[] = {PAYLOAD_BYTES_MIN, 128, 1024};
    size_t hint = 0;
    for (size_t e = 0; e < 3; e++) {
        for (size_t l = 0; l < 3; l++) {
            char payload[1024], text[1200];
            struct payload_mark mark = {0};
            size_t end;
            payload_write(payload, lengths[l], &sent);
            int len = snprintf(text, sizeof text, "%s%.*s%s", envelopes[e][0], (int)lengths[l], payload,
                               envelopes[e][1]);
            assert_true(payload_find(bytes_make(text, (size_t)len), &hint, &mark, &end));
            assert_int_equal(mark.run, sent.run);
            assert_int_equal(mark.publisher, sent.publisher);
            assert_int_equal(mark.channel, sent.channel);
            assert_int_equal(mark.slot, sent.slot);
            assert_int_equal(mark.sequence, sent.sequence);
            assert_int_equal(mark.sent_ns, sent.sent_ns);
            assert_int_equal(text[end], '"');
        }
    }
}

static void half_a_mark_is_not_found(void **state) {
    (void)state;
    char payload[128];
    size_t hint = 0;
    payload_write(payload, sizeof payload, &sent);
    for (size_t len = 0; len < 6 + PAYLOAD_MARK_BYTES; len++) {
        struct payload_mark mark;
        size_t end;
        char *exact = malloc(len + 1);
        memcpy(exact, payload, len);
        assert_false(payload_find(bytes_make(exact, len), &hint, &mark, &end));
        free(exact);
    }
}

/* The numbers as they come, and what the checker shall say when `published` were sent. */
static void check_sequence(const char *numbers, uint32_t published, const struct sequence_counts *wanted) {
    struct sequence sequence = {0};
    struct sequence_counts counts = {0};
    for (const char *at = numbers; *at != '\0'; at++) {
        if (*at == '!')
            sequence_tell_gap(&sequence);
        else
            sequence_add(&sequence, (uint32_t)(*at - '0'), &counts);
    }
    sequence_end(&sequence, published, &counts);
    assert_memory_equal(&counts, wanted, sizeof counts);
}

static void checker_tells_lost_doubled_and_out_of_order(void **state) {
    (void)state;
    check_sequence("0123", 4, &(struct sequence_counts){0});
    check_sequence("", 3, &(struct sequence_counts){.lost = 3});
    check_sequence("23", 4, &(struct sequence_counts){.lost = 2});
    check_sequence("0124", 6, &(struct sequence_counts){.lost = 2});
    check_sequence("0112", 3, &(struct sequence_counts){.doubled = 1});
    check_sequence("0011", 2, &(struct sequence_counts){.doubled = 2});
    check_sequence("0213", 4, &(struct sequence_counts){.out_of_order = 1});
    check_sequence("2103", 4, &(struct sequence_counts){.out_of_order = 2});
    check_sequence("02115", 6, &(struct sequence_counts){.lost = 2, .doubled = 1, .out_of_order = 1});
}

static void loss_that_was_told_is_not_silent(void **state) {
    (void)state;
    check_sequence("01!56", 7, &(struct sequence_counts){.told = 3});
    check_sequence("01!236", 7, &(struct sequence_counts){.lost = 2});
    check_sequence("01!", 5, &(struct sequence_counts){.told = 3});
    check_sequence("01!145", 6, &(struct sequence_counts){.told = 2, .doubled = 1});
    check_sequence("01!!23", 4, &(struct sequence_counts){0});
}

static void jump_of_thousands_is_counted_whole(void **state) {
    (void)state;
    struct sequence sequence = {0};
    struct sequence_counts counts = {0};
    sequence_add(&sequence, 5000, &counts);
    assert_int_equal(counts.lost, 5000);
    sequence_add(&sequence, 4999, &counts);
    assert_int_equal(counts.lost, 4999);
    assert_int_equal(counts.out_of_order, 1);
    sequence_add(&sequence, 10, &counts); /* Too late to tell late from doubled. */
    assert_int_equal(counts.doubled, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_every_length_form_are_parsed),
        cmocka_unit_test(bytes_one_at_a_time_give_the_same_frames),
        cmocka_unit_test(frames_that_no_server_may_send_are_broken),
        cmocka_unit_test(close_code_is_read),
        cmocka_unit_test(response_head_says_how_the_body_ends),
        cmocka_unit_test(chunked_body_is_decoded_however_it_is_cut),
        cmocka_unit_test(broken_chunk_is_refused),
        cmocka_unit_test(mark_survives_payload_and_envelope),
        cmocka_unit_test(half_a_mark_is_not_found),
        cmocka_unit_test(checker_tells_lost_doubled_and_out_of_order),
        cmocka_unit_test(loss_that_was_told_is_not_silent),
        cmocka_unit_test(jump_of_thousands_is_counted_whole),
    };
    return cmocka_run_group_tests_name("load codecs", tests, NULL, NULL);
}

/* Messages out of a client's frames, however they are cut. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/transport/frame_reader.h"

/* A frame as clients send it; `first` is its first byte. */
static void append_frame(struct buf *out, unsigned first, struct bytes payload) {
    static const char mask[4] = {1, 2, 3, 4};
    char header[FRAME_HEADER_BYTES_MAX];
    size_t len = frame_header(0, payload.len, header);
    header[0] = (char)first;
    header[1] = (char)(header[1] | 0x80);
    buf_append(out, header, len);
    buf_append(out, mask, sizeof mask);
    for (size_t i = 0; i < payload.len; i++)
        buf_append_char(out, (char)(payload.data[i] ^ mask[i % 4]));
}

static void append_text(struct buf *out, unsigned first, const char *payload) {
    append_frame(out, first, bytes_of(payload));
}

/* What comes out of `in`, piece by piece: "message abc\nping x\nrefused bad_frame\n". */
static void read_pieces(struct bytes in, size_t piece, const struct frame_rules *rules, struct buf *story) {
    static const char *const kinds[] = {"message", "ping", "pong", "close", "refused"};
    struct frame_reader reader;
    frame_reader_init(&reader);
    bool is_over = false;
    for (size_t at = 0; at < in.len && !is_over; at += piece) {
        size_t len = in.len - at < piece ? in.len - at : piece;
        char *data = malloc(len);
        struct received received;
        memcpy(data, in.data + at, len);
        frame_reader_feed(&reader, data, len);
        while (!is_over && frame_reader_next(&reader, rules, &received)) {
            is_over = received.kind == RECEIVED_REFUSED || received.kind == RECEIVED_CLOSE;
            buf_printf(story, "%s%s ", kinds[received.kind], received.is_compressed ? " compressed" : "");
            if (received.kind == RECEIVED_REFUSED)
                buf_append_text(story, close_label(received.reason));
            buf_append_bytes(story, received.payload);
            buf_append_char(story, '\n');
        }
        if (!is_over)
            frame_reader_keep(&reader);
        free(data);
    }
    frame_reader_finish(&reader);
}

static const struct frame_rules plain_rules = {.message_bytes_max = 1000};
static const struct frame_rules deflate_rules = {.message_bytes_max = 1000, .may_compress = true};

static void assert_story(struct buf *in, const struct frame_rules *rules, const char *expected) {
    for (size_t piece = 1; piece <= in->len; piece = piece < 20 ? piece + 1 : 2 * piece) {
        struct buf story;
        buf_init(&story, 0);
        read_pieces(buf_bytes(in), piece, rules, &story);
        assert_int_equal(story.len, strlen(expected));
        assert_memory_equal(story.data, expected, story.len);
        buf_finish(&story);
    }
    buf_finish(in);
}

static void messages_come_out_however_they_are_cut(void **state) {
    (void)state;
    struct buf in;
    buf_init(&in, 0);
    append_text(&in, 0x81, "one");
    append_text(&in, 0x01, "tw");
    append_text(&in, 0x89, "are you there");
    append_text(&in, 0x00, "");
    append_text(&in, 0x8a, "");
    append_text(&in, 0x80, "o");
    append_text(&in, 0x81, "");
    append_text(&in, 0x88, "\x03\xe8");
    append_text(&in, 0x81, "ignored");
    assert_story(&in, &plain_rules,
                 "message one\nping are you there\npong \nmessage two\nmessage \nclose \x03\xe8\n");
}

static void compression_is_said_by_the_first_frame(void **state) {
    (void)state;
    struct buf in;
    buf_init(&in, 0);
    append_text(&in, 0xc1, "a");
    append_text(&in, 0x41, "b");
    append_text(&in, 0x80, "c");
    append_text(&in, 0x81, "d");
    assert_story(&in, &deflate_rules, "message compressed a\nmessage compressed bc\nmessage d\n");
}

static void what_no_client_may_send_is_refused(void **state) {
    (void)state;
    static const struct {
        struct bytes in;
        const char *why;
    } rows[] = {
        {BYTES_LITERAL("\x81\x01x"), "bad_frame"},        /* Not masked. */
        {BYTES_LITERAL("\x83\x80\0\0\0\0"), "bad_frame"}, /* Reserved opcodes. */
        {BYTES_LITERAL("\x8b\x80\0\0\0\0"), "bad_frame"},
        {BYTES_LITERAL("\xa1\x80\0\0\0\0"), "bad_frame"}, /* RSV2, RSV3. */
        {BYTES_LITERAL("\x91\x80\0\0\0\0"), "bad_frame"},
        {BYTES_LITERAL("\xc1\x80\0\0\0\0"), "bad_frame"}, /* RSV1, not agreed on. */
        {BYTES_LITERAL("\x80\x80\0\0\0\0"), "bad_frame"}, /* Nothing to continue. */
        {BYTES_LITERAL("\x09\x80\0\0\0\0"), "bad_frame"}, /* A ping in parts, a long one. */
        {BYTES_LITERAL("\x89\xfe\0\x7e"), "bad_frame"},
        {BYTES_LITERAL("\x81\xfe\0\x7d\0\0\0\0"), "bad_frame"}, /* Lengths in more bytes than they need. */
        {BYTES_LITERAL("\x81\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"), "bad_frame"},
        {BYTES_LITERAL("\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0"), "bad_frame"},
        {BYTES_LITERAL("\x01\x80\0\0\0\0\x81\x80\0\0\0\0"), "bad_frame"}, /* A message within another. */
        {BYTES_LITERAL("\x88\x81\0\0\0\0x"), "bad_frame"}, /* Half a code, and codes that are none. */
        {BYTES_LITERAL("\x88\x82\0\0\0\0\x03\xe7"), "bad_frame"},
        {BYTES_LITERAL("\x88\x82\0\0\0\0\x03\xed"), "bad_frame"},
        {BYTES_LITERAL("\x88\x82\0\0\0\0\x13\x88"), "bad_frame"},
        {BYTES_LITERAL("\x88\x83\0\0\0\0\x03\xe8\xff"), "bad_utf8"},
        {BYTES_LITERAL("\x82\x80\0\0\0\0"), "not_text"},
        {BYTES_LITERAL("\x81\xfe\x03\xe9\0\0\0\0"), "too_large"},
        {BYTES_LITERAL("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"), "too_large"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[32];
        struct buf in;
        buf_init(&in, 0);
        buf_append_bytes(&in, rows[i].in);
        snprintf(expected, sizeof expected, "refused %s\n", rows[i].why);
        assert_story(&in, &plain_rules, expected);
    }
}

static void parts_together_have_the_maximum_of_a_message(void **state) {
    (void)state;
    char text[601];
    struct buf in;
    memset(text, 'x', sizeof text);
    buf_init(&in, 0);
    append_frame(&in, 0x01, bytes_make(text, 600));
    append_frame(&in, 0x89, bytes_make(text, 125));
    append_frame(&in, 0x80, bytes_make(text, 401));
    struct buf story;
    buf_init(&story, 0);
    read_pieces(buf_bytes(&in), 7, &plain_rules, &story);
    assert_true(bytes_start_with(buf_bytes(&story), BYTES_LITERAL("ping ")));
    assert_non_null(memmem(story.data, story.len, "refused too_large", 17));
    buf_finish(&story);
    buf_finish(&in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_however_they_are_cut),
        cmocka_unit_test(compression_is_said_by_the_first_frame),
        cmocka_unit_test(what_no_client_may_send_is_refused),
        cmocka_unit_test(parts_together_have_the_maximum_of_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

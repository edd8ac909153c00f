/* How texts are framed on each transport: WebSocket, server-sent events, lines, chunks. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/deflate.h"
#include "common/xalloc.h"
#include "gateway/broker/broker.h"
#include "gateway/core/message.h"
#include "gateway/core/metrics.h"
#include "gateway/forms.h"
#include "gateway/transport/frame.h"

static void header_says_the_length_in_as_many_bytes_as_it_takes(void **state) {
    (void)state;
    static const struct {
        uint64_t len;
        size_t size;
        const char *header;
    } rows[] = {
        {0, 2, "\x81\x00"},
        {1, 2, "\x81\x01"},
        {125, 2, "\x81\x7D"},
        {126, 4, "\x81\x7E\x00\x7E"},
        {127, 4, "\x81\x7E\x00\x7F"},
        {255, 4, "\x81\x7E\x00\xFF"},
        {256, 4, "\x81\x7E\x01\x00"},
        {65535, 4, "\x81\x7E\xFF\xFF"},
        {65536, 10, "\x81\x7F\x00\x00\x00\x00\x00\x01\x00\x00"},
        {0xFFFFFFFF, 10, "\x81\x7F\x00\x00\x00\x00\xFF\xFF\xFF\xFF"},
        {0x7FFFFFFFFFFFFFFF, 10, "\x81\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char header[FRAME_HEADER_BYTES_MAX];
        assert_int_equal(frame_header(FRAME_TEXT, rows[i].len, header), rows[i].size);
        assert_memory_equal(header, rows[i].header, rows[i].size);
    }
}

static void header_names_its_opcode_as_the_last_fragment(void **state) {
    (void)state;
    char header[FRAME_HEADER_BYTES_MAX];
    frame_header(FRAME_BINARY, 0, header);
    assert_memory_equal(header, "\x82\x00", 2);
    frame_header(FRAME_CLOSE, 2, header);
    assert_memory_equal(header, "\x88\x02", 2);
    frame_header(FRAME_PING, 0, header);
    assert_memory_equal(header, "\x89\x00", 2);
}

/* --- Forms ------------------------------------------------------------------------------------ */

static void assert_frames(const struct form *form, const char *cursor, const char *expected) {
    struct buf out;
    buf_init(&out, 0);
    form->frame(BYTES_LITERAL("{\"a\":1}"), bytes_of(cursor), &out);
    if (!bytes_equal_text(buf_bytes(&out), expected))
        fail_msg("%.*s is not %s", BYTES_FMT(buf_bytes(&out)), expected);
    buf_finish(&out);
}

static void each_form_frames_in_its_own_way(void **state) {
    (void)state;
    assert_frames(&native_websocket_form, "", "\x81\x07{\"a\":1}");
    assert_frames(&native_websocket_form, "7-1", "\x81\x07{\"a\":1}");
    assert_frames(&native_deflate_form, "", "\x81\x07{\"a\":1}");
    assert_frames(&native_sse_form, "", "data: {\"a\":1}\n\n");
    assert_frames(&native_sse_form, "7-1", "id: 7-1\ndata: {\"a\":1}\n\n");
    assert_frames(&native_line_form, "", "{\"a\":1}\n");
    assert_frames(&native_line_form, "7-1", "{\"cursor\":\"7-1\",\"a\":1}\n");
    assert_frames(&native_chunk_form, "", "8\r\n{\"a\":1}\n\r\n");
    assert_frames(&native_chunk_form, "7-1", "17\r\n{\"cursor\":\"7-1\",\"a\":1}\n\r\n");
    assert_frames(&native_poll_form, "7-1", "{\"a\":1},");
}

static void assert_wire(const struct form *form, struct message *message, const char *expected) {
    struct wire *wire = form->encode(message);
    if (!bytes_equal_text(wire_bytes(wire), expected))
        fail_msg("%.*s is not %s", BYTES_FMT(wire_bytes(wire)), expected);
    wire_unref(wire);
}

static void message_is_framed_with_its_place(void **state) {
    (void)state;
    struct entry entry = {.has_id = true, .id = {7, 1}, .payload = BYTES_LITERAL("1")};
    struct message *message = message_create(BYTES_LITERAL("a"), &entry, 0);
    assert_wire(&native_websocket_form, message, "\x81\x23{\"channel\":\"a\",\"id\":\"7-1\",\"data\":1}");
    assert_wire(&native_sse_form, message,
                "id: 7-1\ndata: {\"channel\":\"a\",\"id\":\"7-1\",\"data\":1}\n\n");
    assert_wire(&native_line_form, message,
                "{\"cursor\":\"7-1\",\"channel\":\"a\",\"id\":\"7-1\",\"data\":1}\n");
    assert_wire(&native_chunk_form, message,
                "33\r\n{\"cursor\":\"7-1\",\"channel\":\"a\",\"id\":\"7-1\",\"data\":1}\n\r\n");
    /* These are framed for each session, with its place in all of its channels. */
    assert_wire(&native_poll_form, message, "{\"channel\":\"a\",\"id\":\"7-1\",\"data\":1}");
    assert_wire(&native_sse_list_form, message, "{\"channel\":\"a\",\"id\":\"7-1\",\"data\":1}");
    message_unref(message);

    /* Without history it has a place on this node, and no id for the client. */
    entry.has_id = false;
    message = message_create(BYTES_LITERAL("a"), &entry, 0);
    message->id = (struct position){9, 2};
    assert_wire(&native_sse_form, message, "id: 9-2\ndata: {\"channel\":\"a\",\"data\":1}\n\n");
    assert_wire(&native_websocket_form, message, "\x81\x18{\"channel\":\"a\",\"data\":1}");
    message_unref(message);
}

/* Around the sizes at which the WebSocket header grows. */
static void long_messages_keep_their_length(void **state) {
    (void)state;
    static const size_t lengths[] = {100, 101, 102, 103, 65510, 65511, 65512, 65513, 200000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char *payload = xmalloc(lengths[i]);
        memset(payload, 'x', lengths[i]);
        struct entry entry = {.payload = bytes_make(payload, lengths[i])};
        struct message *message = message_create(BYTES_LITERAL("a"), &entry, 0);
        struct wire *wire = native_websocket_form.encode(message);
        size_t text_len = lengths[i] + strlen("{\"channel\":\"a\",\"data\":\"\"}");
        char header[FRAME_HEADER_BYTES_MAX];
        size_t header_len = frame_header(FRAME_TEXT, text_len, header);
        assert_int_equal(wire->len, header_len + text_len);
        assert_memory_equal(wire->data, header, header_len);
        assert_int_equal(wire->data[header_len], '{');
        assert_int_equal(wire->data[wire->len - 1], '}');
        wire_unref(wire);
        wire = native_chunk_form.encode(message);
        char size[24];
        size_t size_len = (size_t)snprintf(size, sizeof size, "%zx\r\n", text_len + 1);
        assert_int_equal(wire->len, size_len + text_len + 3);
        assert_memory_equal(wire->data, size, size_len);
        assert_memory_equal(wire->data + wire->len - 3, "\n\r\n", 3);
        wire_unref(wire);
        message_unref(message);
        free(payload);
    }
}

/* A browser would take a line break for the end of the event. */
static void no_payload_breaks_out_of_its_line(void **state) {
    (void)state;
    static const char *const payloads[] = {"{\r\n\"a\":\n1}", "a\nb\rc", "\r\n\r\n", "data: x\n\n"};
    static const struct form *const forms[] = {&native_sse_form, &native_line_form, &native_chunk_form};
    static const size_t breaks[] = {3, 1, 4};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        for (size_t j = 0; j < sizeof forms / sizeof *forms; j++) {
            struct entry entry = {.has_id = true, .id = {7, 1}, .payload = bytes_of(payloads[i])};
            struct message *message = message_create(BYTES_LITERAL("a"), &entry, 0);
            struct wire *wire = forms[j]->encode(message);
            size_t found = 0;
            for (size_t k = 0; k < wire->len; k++)
                found += wire->data[k] == '\n' || (wire->data[k] == '\r' && forms[j] != &native_chunk_form);
            assert_int_equal(found, breaks[j] - (forms[j] == &native_chunk_form));
            wire_unref(wire);
            message_unref(message);
        }
    }
}

static void pings_are_what_each_transport_ignores(void **state) {
    (void)state;
    /* Not an empty one: libwebsockets 4.1.6 would not tell of its pong. */
    assert_true(bytes_equal_text(native_websocket_form.ping, "\x89\x01p"));
    assert_true(bytes_equal_text(native_websocket_form.visible_ping, "\x81\x10{\"event\":\"ping\"}"));
    assert_true(native_websocket_form.has_pong);
    assert_true(bytes_equal(native_deflate_form.ping, native_websocket_form.ping));
    assert_true(bytes_equal(native_deflate_form.visible_ping, native_websocket_form.visible_ping));
    assert_true(native_deflate_form.has_pong);
    assert_true(bytes_equal_text(native_sse_form.ping, ":\n\n"));
    assert_true(bytes_equal_text(native_line_form.ping, "\n"));
    assert_true(bytes_equal_text(native_chunk_form.ping, "1\r\n\n\r\n"));
    assert_int_equal(native_poll_form.ping.len, 0);
    assert_false(native_sse_form.has_pong || native_chunk_form.has_pong || native_poll_form.has_pong);
}

static struct message *message_of_length(size_t len) {
    char *payload = xmalloc(len);
    memset(payload, '1', len);
    struct entry entry = {.payload = bytes_make(payload, len)};
    struct message *message = message_create(BYTES_LITERAL("a"), &entry, 0);
    free(payload);
    return message;
}

static void message_worth_it_is_compressed_once_for_all(void **state) {
    (void)state;
    struct metrics metrics = {0};
    struct inflater *inflater = inflater_create();
    struct message *message = message_of_length(2000);
    struct bytes inflated;
    forms_set_compression(1000, &metrics);
    struct bytes plain = wire_bytes(message_wire(message, &native_websocket_form));
    struct bytes compressed = wire_bytes(message_wire(message, &native_deflate_form));
    assert_ptr_equal(message_wire(message, &native_deflate_form)->data, compressed.data);
    assert_true(compressed.len < 100);
    assert_int_equal((unsigned char)compressed.data[0], 0xC1); /* The last fragment of a text, RSV1. */
    assert_int_equal(compressed.data[1], compressed.len - 2);
    assert_int_equal(inflater_run(inflater, bytes_skip(compressed, 2), 4000, &inflated), INFLATE_DONE);
    assert_true(bytes_equal(inflated, bytes_skip(plain, 4)));
    assert_int_equal(metrics.bytes_compressible, inflated.len);
    assert_int_equal(metrics.bytes_compressed, compressed.len - 2);
    message_unref(message);
    inflater_destroy(inflater);
    forms_finish_compression();
}

static void message_not_worth_it_is_shared_with_the_others(void **state) {
    (void)state;
    struct message *small = message_of_length(900), *other = message_of_length(900);
    forms_set_compression(1000, NULL);
    assert_ptr_equal(message_wire(small, &native_deflate_form), message_wire(small, &native_websocket_form));
    assert_ptr_equal(message_wire(other, &native_websocket_form), message_wire(other, &native_deflate_form));
    assert_int_equal((unsigned char)message_wire(small, &native_deflate_form)->data[0], 0x81);
    message_unref(small);
    message_unref(other);

    /* What compression makes larger. */
    struct entry entry = {.payload = BYTES_LITERAL("\"q\"")};
    struct message *noise = message_create(BYTES_LITERAL("a"), &entry, 0);
    forms_set_compression(0, NULL);
    assert_ptr_equal(message_wire(noise, &native_deflate_form), message_wire(noise, &native_websocket_form));
    message_unref(noise);
    forms_finish_compression();
}

/* Forms of one index share an encoding, so they have to encode alike. */
static void forms_that_share_a_place_share_their_encoding(void **state) {
    (void)state;
    static const struct form *const forms[] = {
        &native_websocket_form,  &native_deflate_form,   &native_sse_form,
        &native_chunk_form,      &native_line_form,      &native_sse_list_form,
        &native_chunk_list_form, &native_line_list_form, &native_poll_form,
    };
    enum { COUNT = sizeof forms / sizeof *forms };
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(forms[i]->index < FORM_COUNT);
        for (size_t j = 0; j < COUNT; j++)
            assert_int_equal(forms[i]->index == forms[j]->index, forms[i]->encode == forms[j]->encode);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_says_the_length_in_as_many_bytes_as_it_takes),
        cmocka_unit_test(header_names_its_opcode_as_the_last_fragment),
        cmocka_unit_test(each_form_frames_in_its_own_way),
        cmocka_unit_test(message_is_framed_with_its_place),
        cmocka_unit_test(long_messages_keep_their_length),
        cmocka_unit_test(no_payload_breaks_out_of_its_line),
        cmocka_unit_test(message_worth_it_is_compressed_once_for_all),
        cmocka_unit_test(message_not_worth_it_is_shared_with_the_others),
        cmocka_unit_test(pings_are_what_each_transport_ignores),
        cmocka_unit_test(forms_that_share_a_place_share_their_encoding),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}

#include <stdlib.h>
#include <zlib.h>

#include "common/deflate.h"
#include "common/xalloc.h"
#include "tests/unit/unit.h"

enum { NO_LIMIT = 1 << 24 };

static struct deflater *deflater;
static struct inflater *inflater;

static int set_up(void **state) {
    (void)state;
    deflater = deflater_create();
    inflater = inflater_create();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    deflater_destroy(deflater);
    inflater_destroy(inflater);
    return 0;
}

/* JSON-like, or noise. */
static void make_text(struct buf *out, size_t len, bool is_noise) {
    uint32_t x = 12345;
    while (out->len < len) {
        x = x * 1103515245u + 12345u;
        if (is_noise)
            buf_append_char(out, (char)(x >> 16));
        else
            buf_printf(out, "{\"id\":%u,\"name\":\"user %u\"},", x >> 20, x >> 24);
    }
    out->len = len;
}

static void assert_round_trip(struct bytes message) {
    struct buf compressed;
    struct bytes back;
    buf_init(&compressed, 0);
    buf_append_text(&compressed, "before");
    deflater_run(deflater, message, &compressed);
    struct bytes result = bytes_skip(buf_bytes(&compressed), 6);
    assert_int_equal(inflater_run(inflater, result, message.len, &back), INFLATE_DONE);
    assert_true(bytes_equal(back, message));
    if (message.len > 0)
        assert_int_equal(inflater_run(inflater, result, message.len - 1, &back), INFLATE_TOO_LARGE);
    buf_finish(&compressed);
}

static void messages_of_every_size_come_back(void **state) {
    (void)state;
    static const size_t lengths[] = {0,    1,     2,     3,     100,   1024,  4095,   4096,   4097,
                                     8192, 16383, 16384, 16385, 65535, 65536, 262144, 262145, 1000000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int is_noise = 0; is_noise < 2; is_noise++) {
            struct buf text;
            buf_init(&text, 0);
            make_text(&text, lengths[i], is_noise);
            assert_round_trip(buf_bytes(&text));
            buf_finish(&text);
        }
    }
}

/* RFC 7692, section 7.2.3: what other implementations send for "Hello". */
static void examples_of_the_specification_are_read(void **state) {
    (void)state;
    static const struct bytes examples[] = {
        {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7},                          /* One block. */
        {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11},         /* Not compressed. */
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8},                      /* With the last bit set. */
        {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13}, /* Two blocks. */
        {"\xf3\x48\xcd\xc9\xc9\x07\x00", 7}, /* Ended, and nothing after it: not to the letter, but clear. */
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct bytes message;
        assert_int_equal(inflater_run(inflater, examples[i], 5, &message), INFLATE_DONE);
        assert_true(bytes_equal_text(message, "Hello"));
    }
}

/* The same, whatever came before: nothing looks back beyond its message. */
static void same_message_is_the_same_bytes_every_time(void **state) {
    (void)state;
    struct buf first, again;
    buf_init(&first, 0);
    buf_init(&again, 0);
    deflater_run(deflater, BYTES_LITERAL("{\"text\":\"hello hello hello\"}"), &first);
    deflater_run(deflater, BYTES_LITERAL("something else"), &again);
    buf_clear(&again);
    deflater_run(deflater, BYTES_LITERAL("{\"text\":\"hello hello hello\"}"), &again);
    assert_true(bytes_equal(buf_bytes(&first), buf_bytes(&again)));
    buf_finish(&first);
    buf_finish(&again);
}

/* A client that asked for server_max_window_bits=12 has memory for no more. */
static void nothing_looks_back_further_than_the_window(void **state) {
    (void)state;
    struct buf text, compressed;
    z_stream small = {0};
    char *back = xmalloc(200000);
    buf_init(&text, 0);
    buf_init(&compressed, 0);
    make_text(&text, 100000, true);
    buf_reserve(&text, 100000);
    buf_append(&text, text.data, 100000); /* Everything again, too far away to be referred to. */
    deflater_run(deflater, buf_bytes(&text), &compressed);
    assert_int_equal(inflateInit2(&small, -DEFLATE_WINDOW_BITS), Z_OK);
    small.next_in = (Bytef *)compressed.data;
    small.avail_in = (uInt)compressed.len;
    small.next_out = (Bytef *)back;
    /* In small steps, because zlib looks back into the output as far as one call has it. */
    while (small.avail_in > 0 && small.total_out < 200000) {
        small.avail_out = 100;
        int result = inflate(&small, Z_SYNC_FLUSH);
        assert_true(result == Z_OK || result == Z_BUF_ERROR);
    }
    assert_int_equal(small.total_out, 200000);
    assert_memory_equal(back, text.data, 200000);
    inflateEnd(&small);
    free(back);
    buf_finish(&text);
    buf_finish(&compressed);
}

static void bomb_is_stopped_at_the_limit(void **state) {
    (void)state;
    enum { BOMB_BYTES = 16 << 20 };
    char *zeros = xcalloc(1, BOMB_BYTES);
    struct buf compressed;
    struct bytes message;
    buf_init(&compressed, 0);
    deflater_run(deflater, bytes_make(zeros, BOMB_BYTES), &compressed);
    assert_true(compressed.len < BOMB_BYTES / 500);
    assert_int_equal(inflater_run(inflater, buf_bytes(&compressed), 1000, &message), INFLATE_TOO_LARGE);
    assert_int_equal(inflater_run(inflater, buf_bytes(&compressed), BOMB_BYTES - 1, &message),
                     INFLATE_TOO_LARGE);
    assert_int_equal(inflater_run(inflater, buf_bytes(&compressed), BOMB_BYTES, &message), INFLATE_DONE);
    assert_int_equal(message.len, BOMB_BYTES);
    buf_finish(&compressed);
    free(zeros);
}

/* There is no checksum: what is cut within its last bytes may happen to end a block all the same. */
static void message_cut_off_is_not_taken_for_whole(void **state) {
    (void)state;
    struct buf text, compressed;
    unsigned refused = 0;
    buf_init(&text, 0);
    buf_init(&compressed, 0);
    make_text(&text, 2000, false);
    deflater_run(deflater, buf_bytes(&text), &compressed);
    for (size_t len = 1; len < compressed.len; len++) {
        struct bytes message;
        refused +=
            inflater_run(inflater, bytes_make(compressed.data, len), NO_LIMIT, &message) == INFLATE_INVALID;
    }
    assert_true(refused >= compressed.len - 5);
    buf_finish(&text);
    buf_finish(&compressed);
}

static void garbage_is_refused_and_leaves_nothing_behind(void **state) {
    (void)state;
    static const struct bytes garbage[] = {
        {"\xff\xff\xff\xff", 4},     {"\x06", 1}, /* A block of the type that does not exist. */
        {"{\"op\":\"ping\"}", 13},                /* What was not compressed. */
        {"\x00\x05\x00\x00\x00", 5},              /* A length that does not match its complement. */
        {"\x02\x10\x00", 3},                      /* Looks back to before the beginning. */
    };
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct bytes message;
        assert_int_equal(inflater_run(inflater, garbage[i], NO_LIMIT, &message), INFLATE_INVALID);
        assert_round_trip(BYTES_LITERAL("after it, all is well"));
    }
}

/* RFC 7692, section 7.2.3.2: the second message of a sender that kept its context refers to the first. */
static void message_that_needs_the_one_before_is_refused(void **state) {
    (void)state;
    struct bytes message;
    assert_int_equal(inflater_run(inflater, bytes_make("\xf2\x48\xcd\xc9\xc9\x07\x00", 7), 5, &message),
                     INFLATE_DONE);
    assert_int_equal(inflater_run(inflater, bytes_make("\xf2\x00\x11\x00\x00", 5), 5, &message),
                     INFLATE_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_every_size_come_back),
        cmocka_unit_test(examples_of_the_specification_are_read),
        cmocka_unit_test(same_message_is_the_same_bytes_every_time),
        cmocka_unit_test(nothing_looks_back_further_than_the_window),
        cmocka_unit_test(bomb_is_stopped_at_the_limit),
        cmocka_unit_test(message_cut_off_is_not_taken_for_whole),
        cmocka_unit_test(garbage_is_refused_and_leaves_nothing_behind),
        cmocka_unit_test(message_that_needs_the_one_before_is_refused),
    };
    return cmocka_run_group_tests_name("deflate", tests, set_up, tear_down);
}

/* Cursors as clients send them. The input's first line is a channel, the second another, the rest a cursor. */
#include <string.h>

#include "gateway/core/cursor.h"
#include "tests/fuzz/fuzz.h"

static struct bytes next_line(struct bytes *rest) {
    const char *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    struct bytes line = bytes_make(rest->data, len);
    *rest = bytes_skip(*rest, end ? len + 1 : len);
    return line;
}

/* A channel and a subscription to it, as a session has them. */
struct place {
    struct subscription *subscription;
    struct channel *channel;
};

static struct place make_place(struct bytes name, const struct position *position,
                               struct subscription *next) {
    struct place place = {
        .subscription = calloc(1, sizeof(struct subscription) + sizeof *position),
        .channel = calloc(1, sizeof(struct channel) + UINT8_MAX),
    };
    place.channel->name_len = (uint8_t)(name.len < UINT8_MAX ? name.len : UINT8_MAX);
    if (name.len > 0)
        memcpy(place.channel->name, name.data, place.channel->name_len);
    place.subscription->channel = place.channel;
    place.subscription->next = next;
    place.subscription->position[0] = *position;
    return place;
}

static void free_place(const struct place *place) {
    free(place->channel);
    free(place->subscription);
}

/* What is printed is found again, among several and alone. */
static void check_round_trip(struct bytes one, struct bytes other, const struct position *position) {
    struct position elsewhere = {7, 7}, found = {0};
    struct place second = make_place(other, &elsewhere, NULL);
    struct place first = make_place(one, position, second.subscription);
    struct session session = {.subscriptions = first.subscription, .channel_count = 2};
    struct buf cursor;
    buf_init(&cursor, 0);
    cursor_print(&session, &cursor);
    FUZZ_CHECK(cursor_find(buf_bytes(&cursor), channel_name(first.channel), false, &found));
    FUZZ_CHECK(position_compare(&found, position) == 0);
    buf_clear(&cursor);
    first.subscription->next = NULL;
    session.channel_count = 1;
    cursor_print(&session, &cursor);
    FUZZ_CHECK(cursor_find(buf_bytes(&cursor), channel_name(first.channel), true, &found));
    FUZZ_CHECK(position_compare(&found, position) == 0);
    buf_finish(&cursor);
    free_place(&first);
    free_place(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes rest = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    struct bytes one = next_line(&rest);
    struct bytes other = next_line(&rest);
    struct position position = {1, 2}, among = {1, 2};
    bool is_found = cursor_find(rest, one, true, &position);
    FUZZ_CHECK(is_found || position.epoch == 1); /* Untouched. */
    if (cursor_find(rest, one, false, &among))
        FUZZ_CHECK(is_found && memchr(rest.data, ':', rest.len) != NULL);
    check_round_trip(one, other, &position);
    return 0;
}

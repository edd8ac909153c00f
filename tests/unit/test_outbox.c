#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/core/hub.h"
#include "gateway/core/message.h"
#include "gateway/core/outbox.h"

static struct wire *wire_of(const char *text) {
    return wire_create(bytes_of(text), BYTES_LITERAL(""));
}

/* What has a subscription is a message of it. */
static void push(struct outbox *outbox, struct wire *wire, struct subscription *subscription,
                 uint64_t *held_bytes) {
    struct outbox_entry entry = {
        .wire = wire,
        .subscription = subscription,
        .is_message = subscription != NULL,
    };
    outbox_push(outbox, &entry, held_bytes);
}

static struct message *make_message(struct bytes channel, struct bytes payload, const struct position *id,
                                    uint64_t arrived_ns) {
    struct entry entry = {.has_id = id != NULL, .payload = payload};
    if (id != NULL)
        entry.id = *id;
    return message_create(channel, &entry, arrived_ns);
}

/* Pushes a wire of its own, whose only reference is the outbox's. */
static void push_text(struct outbox *outbox, const char *text, struct subscription *subscription,
                      uint64_t *held_bytes) {
    struct wire *wire = wire_of(text);
    push(outbox, wire, subscription, held_bytes);
    wire_unref(wire);
}

static void pop_expecting(struct outbox *outbox, const char *text, uint64_t *held_bytes) {
    struct outbox_entry entry;
    assert_true(outbox_pop(outbox, &entry, held_bytes));
    assert_int_equal(entry.wire->len, strlen(text));
    assert_memory_equal(entry.wire->data, text, strlen(text));
    wire_unref(entry.wire);
}

static void assert_empty(struct outbox *outbox, uint64_t held_bytes) {
    assert_int_equal(outbox->count, 0);
    assert_int_equal(outbox->bytes, 0);
    assert_int_equal(outbox->messages, 0);
    assert_int_equal(held_bytes, 0);
}

/* --- Wires and messages -------------------------------------------------------------------------------- */

static void wire_is_its_head_and_its_body(void **state) {
    (void)state;
    struct wire *wire = wire_create(BYTES_LITERAL("head"), BYTES_LITERAL("body"));
    assert_true(bytes_equal_text(wire_bytes(wire), "headbody"));
    wire_unref(wire);
    wire = wire_create((struct bytes){NULL, 0}, (struct bytes){NULL, 0});
    assert_int_equal(wire_bytes(wire).len, 0);
    wire_unref(wire);
    wire_unref(NULL);
}

static void wire_lives_until_its_last_reference_goes(void **state) {
    (void)state;
    struct wire *wire = wire_of("x");
    assert_ptr_equal(wire_ref(wire), wire);
    assert_int_equal(wire->refs, 2);
    wire_unref(wire);
    assert_true(bytes_equal_text(wire_bytes(wire), "x"));
    wire_unref(wire);
}

static int encodings;

static struct wire *encode(struct message *message) {
    encodings++;
    return wire_create(message_channel(message), message_payload(message));
}

static void message_keeps_copies_of_channel_payload_and_id(void **state) {
    (void)state;
    char channel[] = "room", payload[] = "hi\0there";
    struct position id = {7, 9};
    struct message *message = make_message(bytes_make(channel, 4), bytes_make(payload, 8), &id, 55);
    memset(channel, 'x', sizeof channel);
    memset(payload, 'x', sizeof payload);
    memset(&id, 0, sizeof id);
    assert_true(bytes_equal_text(message_channel(message), "room"));
    assert_true(bytes_equal(message_payload(message), bytes_make("hi\0there", 8)));
    assert_true(message->has_id);
    assert_int_equal(message->id.epoch, 7);
    assert_int_equal(message->id.offset, 9);
    assert_int_equal(message->arrived_ns, 55);
    message_unref(message);

    message = make_message(BYTES_LITERAL("c"), (struct bytes){NULL, 0}, NULL, 0);
    assert_false(message->has_id);
    assert_int_equal(message_payload(message).len, 0);
    message_unref(message);
}

static void message_is_encoded_once_per_form(void **state) {
    (void)state;
    const struct form forms[] = {{.index = 0, .encode = encode}, {.index = FORM_COUNT - 1, .encode = encode}};
    struct message *message = make_message(BYTES_LITERAL("c"), BYTES_LITERAL("p"), NULL, 0);
    encodings = 0;
    struct wire *first = message_wire(message, &forms[0]);
    assert_ptr_equal(message_wire(message, &forms[0]), first);
    assert_int_equal(encodings, 1);
    assert_ptr_not_equal(message_wire(message, &forms[1]), first);
    assert_ptr_equal(message_wire(message, &forms[0]), first);
    assert_int_equal(encodings, 2);

    /* Whoever holds the wire does not need the message. */
    wire_ref(first);
    message_ref(message);
    message_unref(message);
    message_unref(message);
    assert_true(bytes_equal_text(wire_bytes(first), "cp"));
    wire_unref(first);
}

/* --- The outbox ---------------------------------------------------------------------------------------- */

static void outbox_gives_back_the_oldest_first(void **state) {
    (void)state;
    uint64_t held = 0;
    struct subscription subscription = {0};
    struct outbox_entry entry;
    struct outbox *outbox = outbox_create();
    assert_false(outbox_pop(outbox, &entry, &held));
    push_text(outbox, "reply", NULL, &held);
    push_text(outbox, "message", &subscription, &held);
    assert_int_equal(outbox->count, 2);
    assert_int_equal(outbox->messages, 1);
    assert_int_equal(outbox->bytes, 12);
    assert_int_equal(held, 12);
    assert_true(bytes_equal_text(wire_bytes(outbox_peek(outbox)->wire), "reply"));
    assert_int_equal(outbox->count, 2);
    pop_expecting(outbox, "reply", &held);
    assert_int_equal(outbox->messages, 1);
    assert_true(outbox_pop(outbox, &entry, &held));
    assert_ptr_equal(entry.subscription, &subscription);
    wire_unref(entry.wire);
    assert_empty(outbox, held);
    outbox_destroy(outbox, &held);
    outbox_destroy(NULL, &held);
}

/* The ring has turned by any amount when it grows, and by growing it keeps its order. */
static void outbox_keeps_its_order_as_it_grows(void **state) {
    (void)state;
    for (int turned = 0; turned < 9; turned++) {
        uint64_t held = 0;
        char text[16];
        struct outbox *outbox = outbox_create();
        for (int i = 0; i < turned; i++) {
            push_text(outbox, "turn", NULL, &held);
            pop_expecting(outbox, "turn", &held);
        }
        for (int i = 0; i < 100; i++) {
            snprintf(text, sizeof text, "%d", i);
            push_text(outbox, text, NULL, &held);
        }
        assert_int_equal(outbox->count, 100);
        for (int i = 0; i < 100; i++) {
            snprintf(text, sizeof text, "%d", i);
            pop_expecting(outbox, text, &held);
        }
        assert_empty(outbox, held);
        outbox_destroy(outbox, &held);
    }
}

static void shared_wire_is_counted_once_for_the_node_and_in_full_for_each_session(void **state) {
    (void)state;
    uint64_t held = 0;
    struct subscription subscription = {0};
    struct wire *shared = wire_of("0123456789");
    struct outbox *a = outbox_create(), *b = outbox_create();
    push(a, shared, &subscription, &held);
    push(b, shared, &subscription, &held);
    push(b, shared, &subscription, &held);
    push_text(b, "own", &subscription, &held);
    assert_int_equal(a->bytes, 10);
    assert_int_equal(b->bytes, 23);
    assert_int_equal(held, 13);
    assert_int_equal(shared->refs, 4);
    assert_int_equal(shared->queued, 3);

    outbox_destroy(a, &held);
    assert_int_equal(held, 13);
    pop_expecting(b, "0123456789", &held);
    assert_int_equal(held, 13);
    pop_expecting(b, "0123456789", &held);
    assert_int_equal(held, 3);
    outbox_destroy(b, &held);
    assert_int_equal(held, 0);
    assert_int_equal(shared->refs, 1);
    wire_unref(shared);
}

static const struct subscription *keeper;

static bool may_drop(const struct subscription *subscription) {
    return subscription != keeper;
}

static void oldest_droppable_message_goes_from_the_middle(void **state) {
    (void)state;
    uint64_t held = 0;
    struct subscription kept = {0}, dropped = {0};
    struct outbox *outbox = outbox_create();
    keeper = &kept;
    push_text(outbox, "reply", NULL, &held);
    push_text(outbox, "kept", &kept, &held);
    push_text(outbox, "first", &dropped, &held);
    push_text(outbox, "event", NULL, &held);
    push_text(outbox, "second", &dropped, &held);
    push_text(outbox, "last", &kept, &held);
    assert_ptr_equal(outbox_drop_oldest(outbox, may_drop, &held), &dropped);
    assert_int_equal(outbox->count, 5);
    assert_int_equal(outbox->messages, 3);
    assert_int_equal(outbox->bytes, held);
    assert_int_equal(held, strlen("replykepteventsecondlast"));
    assert_ptr_equal(outbox_drop_oldest(outbox, may_drop, &held), &dropped);
    assert_null(outbox_drop_oldest(outbox, may_drop, &held));
    pop_expecting(outbox, "reply", &held);
    pop_expecting(outbox, "kept", &held);
    pop_expecting(outbox, "event", &held);
    pop_expecting(outbox, "last", &held);
    assert_empty(outbox, held);
    assert_null(outbox_drop_oldest(outbox, may_drop, &held));
    outbox_destroy(outbox, &held);
}

static void all_of_one_subscription_go_and_the_others_keep_their_order(void **state) {
    (void)state;
    uint64_t held = 0;
    struct subscription a = {0}, b = {0};
    struct outbox *outbox = outbox_create();
    assert_int_equal(outbox_drop_all(outbox, &a, false, &held), 0);
    push_text(outbox, "turn", NULL, &held);
    pop_expecting(outbox, "turn", &held);
    push_text(outbox, "a1", &a, &held);
    push_text(outbox, "b1", &b, &held);
    push_text(outbox, "reply", NULL, &held);
    push_text(outbox, "a2", &a, &held);
    push_text(outbox, "b2", &b, &held);
    push_text(outbox, "a3", &a, &held);
    assert_int_equal(outbox_drop_all(outbox, &a, false, &held), 3);
    assert_int_equal(outbox->messages, 2);
    assert_int_equal(outbox->bytes, 9);
    assert_int_equal(held, 9);
    pop_expecting(outbox, "b1", &held);
    pop_expecting(outbox, "reply", &held);
    push_text(outbox, "a4", &a, &held);
    pop_expecting(outbox, "b2", &held);
    assert_int_equal(outbox_drop_all(outbox, &a, false, &held), 1);
    assert_empty(outbox, held);
    outbox_destroy(outbox, &held);
}

/* Against a plain array that does the same. */
static void outbox_behaves_like_a_list_whatever_is_done_to_it(void **state) {
    (void)state;
    enum { SUBSCRIPTIONS = 3, STEPS = 20000, MODEL_MAX = STEPS };
    static struct {
        unsigned number;
        int owner; /* -1: a reply. */
    } model[MODEL_MAX];
    struct subscription subscriptions[SUBSCRIPTIONS] = {0};
    size_t count = 0;
    unsigned next = 0;
    uint64_t held = 0;
    struct outbox *outbox = outbox_create();
    keeper = &subscriptions[0];
    srand(3);
    for (int step = 0; step < STEPS; step++) {
        int what = rand() % 100;
        if (what < 55) {
            int owner = rand() % (SUBSCRIPTIONS + 1) - 1;
            struct wire *wire = wire_create(bytes_make(&next, sizeof next), BYTES_LITERAL(""));
            push(outbox, wire, owner < 0 ? NULL : &subscriptions[owner], &held);
            wire_unref(wire);
            model[count].number = next++;
            model[count++].owner = owner;
        } else if (what < 85) {
            struct outbox_entry entry;
            bool found = outbox_pop(outbox, &entry, &held);
            assert_int_equal(found, count > 0);
            if (found) {
                assert_memory_equal(entry.wire->data, &model[0].number, sizeof next);
                assert_ptr_equal(entry.subscription,
                                 model[0].owner < 0 ? NULL : &subscriptions[model[0].owner]);
                wire_unref(entry.wire);
                memmove(model, model + 1, sizeof *model * --count);
            }
        } else if (what < 99) {
            size_t i = 0;
            while (i < count && model[i].owner <= 0)
                i++;
            struct subscription *loser = outbox_drop_oldest(outbox, may_drop, &held);
            assert_ptr_equal(loser, i < count ? &subscriptions[model[i].owner] : NULL);
            if (i < count)
                memmove(model + i, model + i + 1, sizeof *model * (--count - i));
        } else {
            int owner = rand() % SUBSCRIPTIONS;
            size_t kept = 0;
            for (size_t i = 0; i < count; i++)
                if (model[i].owner != owner)
                    model[kept++] = model[i];
            assert_int_equal(outbox_drop_all(outbox, &subscriptions[owner], false, &held), count - kept);
            count = kept;
        }
        size_t messages = 0;
        for (size_t i = 0; i < count; i++)
            messages += model[i].owner >= 0;
        assert_int_equal(outbox->count, count);
        assert_int_equal(outbox->messages, messages);
        assert_int_equal(outbox->bytes, count * sizeof next);
        assert_int_equal(held, outbox->bytes);
    }
    outbox_destroy(outbox, &held);
    assert_int_equal(held, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_is_its_head_and_its_body),
        cmocka_unit_test(wire_lives_until_its_last_reference_goes),
        cmocka_unit_test(message_keeps_copies_of_channel_payload_and_id),
        cmocka_unit_test(message_is_encoded_once_per_form),
        cmocka_unit_test(outbox_gives_back_the_oldest_first),
        cmocka_unit_test(outbox_keeps_its_order_as_it_grows),
        cmocka_unit_test(shared_wire_is_counted_once_for_the_node_and_in_full_for_each_session),
        cmocka_unit_test(oldest_droppable_message_goes_from_the_middle),
        cmocka_unit_test(all_of_one_subscription_go_and_the_others_keep_their_order),
        cmocka_unit_test(outbox_behaves_like_a_list_whatever_is_done_to_it),
    };
    return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}

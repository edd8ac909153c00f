#include "gateway/transport/extensions.h"

#include "tests/unit/unit.h"

#define NO_TAKEOVER "; server_no_context_takeover; client_no_context_takeover"
#define SMALL_WINDOW NO_TAKEOVER "; server_max_window_bits=12"

struct row {
    const char *header;
    const char *answer; /* NULL: no extension. */
};

static void assert_answers(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct buf parameters;
        buf_init(&parameters, 0);
        bool is_accepted = extensions_accept_deflate(bytes_of(rows[i].header), &parameters);
        if (is_accepted != (rows[i].answer != NULL) ||
            !bytes_equal_text(buf_bytes(&parameters), rows[i].answer ? rows[i].answer : ""))
            fail_msg("%s: %s%.*s", rows[i].header, is_accepted ? "accepted" : "declined",
                     BYTES_FMT(buf_bytes(&parameters)));
        buf_finish(&parameters);
    }
}

#define ASSERT_ANSWERS(rows) assert_answers(rows, sizeof(rows) / sizeof *(rows))

static void what_clients_send_is_accepted(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"permessage-deflate", NO_TAKEOVER},                         /* Firefox, Safari */
        {"permessage-deflate; client_max_window_bits", NO_TAKEOVER}, /* Chromium, ws */
        {"permessage-deflate; client_max_window_bits, x-webkit-deflate-frame", NO_TAKEOVER},
        {"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
         SMALL_WINDOW}, /* Python */
        {"permessage-deflate; server_no_context_takeover; client_no_context_takeover", NO_TAKEOVER}, /* Go */
        {"permessage-deflate;client_max_window_bits;server_max_window_bits=15", SMALL_WINDOW},
    };
    ASSERT_ANSWERS(rows);
}

static void header_may_be_written_in_many_ways(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"  permessage-deflate\t;  server_max_window_bits = \"14\" ", SMALL_WINDOW},
        {"permessage-deflate; client_max_window_bits=\"10\"", NO_TAKEOVER},
        {", ,permessage-deflate,,", NO_TAKEOVER},
        {"foo; bar=\"permessage-deflate\", permessage-deflate", NO_TAKEOVER},
    };
    ASSERT_ANSWERS(rows);
}

static void first_offer_that_we_can_take_counts(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"permessage-deflate; server_max_window_bits=10, permessage-deflate", NO_TAKEOVER},
        {"permessage-deflate; server_max_window_bits=13, permessage-deflate", SMALL_WINDOW},
        {"permessage-deflate, permessage-deflate; server_max_window_bits=13", NO_TAKEOVER},
        {"permessage-deflate; unheard_of, permessage-deflate; server_max_window_bits=9, "
         "permessage-deflate; server_max_window_bits=12",
         SMALL_WINDOW},
        {"permessage-bzip2, permessage-deflate", NO_TAKEOVER},
    };
    ASSERT_ANSWERS(rows);
}

static void what_we_cannot_do_is_declined(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", NULL},
        {"permessage-bzip2", NULL},
        {"Permessage-Deflate", NULL},
        {"permessage-deflated", NULL},
        {"permessage-deflate; unheard_of", NULL},
        {"permessage-deflate; unheard_of=1", NULL},
        {"permessage-deflate; server_max_window_bits=8", NULL},
        {"permessage-deflate; server_max_window_bits=11", NULL},
        {"permessage-deflate; server_max_window_bits=11, permessage-deflate; server_max_window_bits=8", NULL},
    };
    ASSERT_ANSWERS(rows);
}

/* RFC 7692, section 7.1: an offer with such a parameter is to be declined. */
static void faulty_parameters_decline_their_offer_only(void **state) {
    (void)state;
    static const char *const faulty[] = {
        "server_max_window_bits",
        "server_max_window_bits=16",
        "server_max_window_bits=7",
        "server_max_window_bits=012",
        "server_max_window_bits=12x",
        "server_max_window_bits=99999999999",
        "server_max_window_bits=-12",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=12; server_max_window_bits=12",
    };
    for (size_t i = 0; i < sizeof faulty / sizeof *faulty; i++) {
        struct buf header;
        buf_init(&header, 0);
        buf_printf(&header, "permessage-deflate; %s%c", faulty[i], '\0');
        assert_answers(&(struct row){header.data, NULL}, 1);
        buf_clear(&header);
        buf_printf(&header, "permessage-deflate; %s, permessage-deflate%c", faulty[i], '\0');
        assert_answers(&(struct row){header.data, NO_TAKEOVER}, 1);
        buf_finish(&header);
    }
}

static void malformed_header_agrees_on_nothing(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"permessage-deflate;", NULL},
        {"permessage-deflate; =1", NULL},
        {"permessage-deflate; client_max_window_bits=", NULL},
        {"permessage-deflate; client_max_window_bits=\"10", NULL},
        {"permessage-deflate; client_max_window_bits=\"\"", NULL},
        {"permessage-deflate client_max_window_bits", NULL},
        {"permessage-deflate, ;", NULL},
        {"permessage-deflate, a=b", NULL},
        {"\"permessage-deflate\"", NULL},
        {"permessage-deflate\x01", NULL},
    };
    ASSERT_ANSWERS(rows);
    struct buf parameters;
    buf_init(&parameters, 0);
    assert_false(extensions_accept_deflate(bytes_make("permessage-deflate\0", 19), &parameters));
    buf_finish(&parameters);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_send_is_accepted),
        cmocka_unit_test(header_may_be_written_in_many_ways),
        cmocka_unit_test(first_offer_that_we_can_take_counts),
        cmocka_unit_test(what_we_cannot_do_is_declined),
        cmocka_unit_test(faulty_parameters_decline_their_offer_only),
        cmocka_unit_test(malformed_header_agrees_on_nothing),
    };
    return cmocka_run_group_tests_name("extensions", tests, NULL, NULL);
}

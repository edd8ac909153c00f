#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

/* Standard error goes into a file while a test logs. */
static struct {
    int stderr_copy;
    int file;
    char text[8192];
} captured;

static void capture(void) {
    char path[] = "/tmp/test_log_XXXXXX";
    captured.file = mkstemp(path);
    assert_true(captured.file >= 0);
    unlink(path);
    captured.stderr_copy = dup(STDERR_FILENO);
    dup2(captured.file, STDERR_FILENO);
}

static const char *release(void) {
    dup2(captured.stderr_copy, STDERR_FILENO);
    close(captured.stderr_copy);
    ssize_t len = pread(captured.file, captured.text, sizeof captured.text - 1, 0);
    assert_true(len >= 0);
    captured.text[len] = '\0';
    close(captured.file);
    return captured.text;
}

static json_t *release_json(void) {
    const char *text = release();
    json_error_t error;
    /* One line, ended by its only line break. */
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (line == NULL)
        fail_msg("%s in %s", error.text, text);
    return line;
}

static const char *member(json_t *line, const char *name) {
    const char *text = json_string_value(json_object_get(line, name));
    if (text == NULL)
        fail_msg("%s is missing", name);
    return text;
}

static json_int_t number(json_t *line, const char *name) {
    const json_t *value = json_object_get(line, name);
    if (!json_is_integer(value))
        fail_msg("%s is no number", name);
    return json_integer_value(value);
}

static bool is_timestamp(const char *text) {
    static const char shape[] = "0000-00-00T00:00:00.000Z";
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        if (shape[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;
    }
    return true;
}

static void text_line_has_time_level_node_area_and_event(void **state) {
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "n1");
    capture();
    log_warn("broker", "redis lost addr=%s retry_ms=%u", "127.0.0.1:6379", 250u);
    const char *text = release();
    assert_true(is_timestamp(text));
    assert_string_equal(text + 24, " warn  n1 broker: redis lost addr=127.0.0.1:6379 retry_ms=250\n");
}

static void json_line_has_a_member_per_pair(void **state) {
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    capture();
    log_error("broker", "redis lost addr=%s error=\"%s\" retry_ms=%u", "127.0.0.1:6379", "timed out", 250u);
    json_t *line = release_json();
    assert_int_equal(json_object_size(line), 8);
    assert_true(is_timestamp(member(line, "ts")));
    assert_string_equal(member(line, "level"), "error");
    assert_string_equal(member(line, "node"), "n1");
    assert_string_equal(member(line, "area"), "broker");
    assert_string_equal(member(line, "event"), "redis lost");
    assert_string_equal(member(line, "addr"), "127.0.0.1:6379");
    assert_string_equal(member(line, "error"), "timed out");
    assert_int_equal(number(line, "retry_ms"), 250);
    json_decref(line);
}

static void json_numbers_are_what_the_format_calls_so(void **state) {
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    capture();
    log_info("a", "numbers a=%d b=%zu c=%llu d=%ld e=%u", -7, (size_t)0, 9223372036854775807ull, 12L, 3u);
    json_t *line = release_json();
    assert_int_equal(number(line, "a"), -7);
    assert_int_equal(number(line, "b"), 0);
    assert_true(json_is_number(json_object_get(line, "c")));
    assert_int_equal(number(line, "d"), 12);
    assert_int_equal(number(line, "e"), 3);
    json_decref(line);
    capture();
    log_info("a", "texts a=%s b=%s:%u c=\"%s\" d=%u%%", "42", "h", 1u, "7", 5u);
    line = release_json();
    assert_string_equal(member(line, "a"), "42");
    assert_string_equal(member(line, "b"), "h:1");
    assert_string_equal(member(line, "c"), "7");
    assert_string_equal(member(line, "d"), "5%");
    json_decref(line);
}

static void json_members_have_a_name_each(void **state) {
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    capture();
    log_info("a", "started node=%s level=%u a=%u a=%u", "n2", 1u, 2u, 3u);
    json_t *line = release_json(); /* Which takes no name twice. */
    assert_string_equal(member(line, "node"), "n1");
    assert_string_equal(member(line, "_node"), "n2");
    assert_int_equal(number(line, "_level"), 1);
    assert_int_equal(number(line, "a"), 2);
    assert_int_equal(number(line, "_a"), 3);
    json_decref(line);
}

/* Where a text is not quoted, or has quotes, the line's own members stay what they are. */
static void text_of_a_peer_makes_no_member(void **state) {
    (void)state;
    static const char *const texts[] = {
        "x level=error admin=1", "x bytes=abc", "x\" bytes=0 error=\"y", "\"", "\" bytes=",
        "\",\"bytes\":1,\"",     "bytes=1",
    };
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        capture();
        log_info("a", "seen what=%s error=\"%s\" bytes=%u", texts[i], texts[i], 5u);
        json_t *line = release_json();
        assert_int_equal(json_object_size(line), 8);
        assert_string_equal(member(line, "level"), "info");
        assert_string_equal(member(line, "event"), "seen");
        json_decref(line);
        capture();
        log_info("a", "%s bytes=%u", texts[i], 5u);
        line = release_json();
        assert_int_equal(json_object_size(line), 6);
        json_decref(line);
    }
    capture();
    log_info("a", "seen error=\"%s\" bytes=%u", "say \"x\" twice", 5u);
    json_t *line = release_json();
    assert_string_equal(member(line, "error"), "say \"x\" twice");
    assert_int_equal(number(line, "bytes"), 5);
    json_decref(line);
}

static void json_line_without_pairs_is_its_event(void **state) {
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n\"1");
    capture();
    log_info("master", "ready");
    json_t *line = release_json();
    assert_int_equal(json_object_size(line), 5);
    assert_string_equal(member(line, "event"), "ready");
    assert_string_equal(member(line, "node"), "n\"1");
    json_decref(line);
}

static void quoted_value_may_look_like_a_pair(void **state) {
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    capture();
    log_info("http", "request refused agent=\"curl a=b\" path=/x empty= last=1");
    json_t *line = release_json();
    assert_int_equal(json_object_size(line), 5 + 4);
    assert_string_equal(member(line, "agent"), "curl a=b");
    assert_string_equal(member(line, "path"), "/x");
    assert_string_equal(member(line, "empty"), "");
    assert_string_equal(member(line, "last"), "1");
    json_decref(line);
}

static void unquoted_value_ends_at_the_next_pair(void **state) {
    (void)state;
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    capture();
    log_info("broker", "redis lost error=Connection refused retry_ms=5 open=\"never closed");
    json_t *line = release_json();
    assert_string_equal(member(line, "error"), "Connection refused");
    assert_string_equal(member(line, "retry_ms"), "5");
    assert_string_equal(member(line, "open"), "never closed");
    json_decref(line);
}

/* What a peer sends may stand in a line; it must neither forge a line nor break the form. */
static void bytes_of_a_peer_break_no_line(void **state) {
    (void)state;
    static const enum log_format formats[] = {LOG_FORMAT_TEXT, LOG_FORMAT_JSON};
    for (size_t i = 0; i < 2; i++) {
        log_configure(LOG_LEVEL_INFO, formats[i], "n1");
        capture();
        log_info("http", "refused path=%s", "/a\nb\r\x1b[31m\xff\\");
        const char *text = release();
        assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
        assert_null(strpbrk(text, "\r\x1b\xff"));
        assert_non_null(strstr(text, "/a?b??[31m?"));
    }
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    capture();
    log_info("http", "refused path=%s", "\xd1\x87\"x\\");
    json_t *line = release_json();
    assert_string_equal(member(line, "path"), "\xd1\x87\"x\\");
    json_decref(line);
}

static void endless_value_is_cut(void **state) {
    (void)state;
    char value[6000];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, "n1");
    capture();
    log_info("http", "refused path=%s", value);
    json_t *line = release_json();
    assert_in_range(strlen(member(line, "path")), 4000, 4096);
    json_decref(line);
}

static void levels_graver_than_the_configured_one_pass(void **state) {
    (void)state;
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, "n1");
    capture();
    log_error("a", "one");
    log_warn("a", "two");
    log_info("a", "three");
    log_debug("a", "four");
    const char *text = release();
    assert_non_null(strstr(text, "one"));
    assert_non_null(strstr(text, "two"));
    assert_null(strstr(text, "three"));
    assert_null(strstr(text, "four"));
    assert_true(log_is_on(LOG_LEVEL_ERROR));
    assert_false(log_is_on(LOG_LEVEL_INFO));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_line_has_time_level_node_area_and_event),
        cmocka_unit_test(json_line_has_a_member_per_pair),
        cmocka_unit_test(json_numbers_are_what_the_format_calls_so),
        cmocka_unit_test(json_members_have_a_name_each),
        cmocka_unit_test(text_of_a_peer_makes_no_member),
        cmocka_unit_test(json_line_without_pairs_is_its_event),
        cmocka_unit_test(quoted_value_may_look_like_a_pair),
        cmocka_unit_test(unquoted_value_ends_at_the_next_pair),
        cmocka_unit_test(bytes_of_a_peer_break_no_line),
        cmocka_unit_test(endless_value_is_cut),
        cmocka_unit_test(levels_graver_than_the_configured_one_pass),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}

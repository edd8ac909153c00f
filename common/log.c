#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/text.h"

enum { LINE_BYTES_MAX = 4096 };

static struct {
    enum log_level level;
    enum log_format format;
    char node[64];
} config = {.level = LOG_LEVEL_INFO, .node = "-"};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_configure(enum log_level level, enum log_format format, const char *node) {
    config.level = level;
    config.format = format;
    snprintf(config.node, sizeof config.node, "%s", node);
}

void log_set_level(enum log_level level) {
    config.level = level;
}

bool log_is_on(enum log_level level) {
    return level <= config.level;
}

static void append_time(struct buf *line) {
    struct timespec now;
    struct tm parts;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    buf_printf(line, "%s.%03dZ", text, (int)(now.tv_nsec / 1000000));
}

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Where the first " name=" begins at or after `from`, or the end of the text. */
static size_t find_pair(struct bytes text, size_t from) {
    for (size_t i = from; i < text.len; i++) {
        if (text.data[i] != ' ')
            continue;
        size_t end = i + 1;
        while (end < text.len && is_name_char(text.data[end]))
            end++;
        if (end > i + 1 && end < text.len && text.data[end] == '=')
            return i;
    }
    return text.len;
}

static void append_json(struct buf *line, const char *level, const char *area, struct bytes text) {
    size_t at = find_pair(text, 0);
    buf_append_text(line, "{\"ts\":\"");
    append_time(line);
    buf_printf(line, "\",\"level\":\"%s\",\"node\":", level);
    buf_append_json_string(line, bytes_of(config.node));
    buf_printf(line, ",\"area\":\"%s\",\"event\":", area);
    buf_append_json_string(line, bytes_make(text.data, at));
    while (at < text.len) {
        size_t equals = at + 1;
        while (text.data[equals] != '=')
            equals++;
        struct bytes value = bytes_skip(text, equals + 1);
        size_t next;
        if (value.len > 0 && value.data[0] == '"') {
            const char *quote = memchr(value.data + 1, '"', value.len - 1);
            size_t len = quote ? (size_t)(quote - value.data) - 1 : value.len - 1;
            value = bytes_make(value.data + 1, len);
            next = find_pair(text, (size_t)(value.data - text.data) + len);
        } else {
            next = find_pair(text, equals);
            value.len = next - equals - 1;
        }
        buf_append_char(line, ',');
        buf_append_json_string(line, bytes_make(text.data + at + 1, equals - at - 1));
        buf_append_char(line, ':');
        buf_append_json_string(line, value);
        at = next;
    }
    buf_append_text(line, "}\n");
}

/* A peer's bytes may stand in a line; one that breaks lines, or is not text, must not. */
static void make_printable(char *text, size_t len) {
    bool utf8 = text_is_utf8(bytes_make(text, len));
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7F || (c >= 0x80 && !utf8))
            text[i] = '?';
    }
}

void log_write(enum log_level level, const char *area, const char *format, ...) {
    if (!log_is_on(level))
        return;
    char text[LINE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0)
        return;
    if (len >= LINE_BYTES_MAX)
        len = LINE_BYTES_MAX - 1;
    make_printable(text, (size_t)len);

    struct buf line;
    buf_init(&line, 0);
    if (config.format == LOG_FORMAT_JSON) {
        append_json(&line, level_names[level], area, bytes_make(text, (size_t)len));
    } else {
        append_time(&line);
        buf_printf(&line, " %-5s %s %s: %s\n", level_names[level], config.node, area, text);
    }
    /* One write, so that lines of several processes never mix. A lost log line is nobody's failure. */
    ssize_t ignored = write(STDERR_FILENO, line.data, line.len);
    (void)ignored;
    buf_finish(&line);
}

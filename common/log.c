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

/* A " name=" and what follows it up to the next. Names are taken from the format alone: what a peer writes into a line is
 * never one. */
struct pair {
    struct bytes name; /* Empty: there is none left. */
    struct bytes format;
};

/* Takes the next pair off the format. */
static struct pair next_pair(struct bytes *format) {
    struct pair pair = {{0}, {0}};
    bool is_in_quotes = false;
    for (size_t i = 0; i < format->len; i++) {
        size_t end = i + 1;
        is_in_quotes ^= format->data[i] == '"';
        while (format->data[i] == ' ' && !is_in_quotes && end < format->len &&
               is_name_char(format->data[end]))
            end++;
        if (end == i + 1 || end == format->len || format->data[end] != '=')
            continue;
        pair.name = bytes_make(format->data + i + 1, end - i - 1);
        pair.format = bytes_skip(*format, end + 1);
        *format = pair.format;
        return pair;
    }
    return pair;
}

/* Where " name=" begins at or after `from`, behind a quote when one is to be there; else the end of the text. */
static size_t find_pair(struct bytes text, size_t from, struct bytes name, bool is_quoted) {
    for (size_t i = from; name.len > 0 && i + name.len + 1 < text.len; i++)
        if (text.data[i] == ' ' && text.data[i + 1 + name.len] == '=' &&
            memcmp(text.data + i + 1, name.data, name.len) == 0 && (!is_quoted || text.data[i - 1] == '"'))
            return i;
    return text.len;
}

/* "%zu" and the like, and nothing else. */
static bool is_number_format(struct bytes format) {
    size_t at = 1;
    while (at < format.len && memchr("hljzt", format.data[at], 5) != NULL)
        at++;
    return at < format.len && format.data[0] == '%' && memchr("diu", format.data[at], 3) != NULL &&
           (at + 1 == format.len || format.data[at + 1] == ' ');
}

/* As it was printed, and not something of a peer's that stood in its place. */
static bool is_number(struct bytes value) {
    size_t sign = value.len > 0 && value.data[0] == '-';
    for (size_t i = sign; i < value.len; i++)
        if (value.data[i] < '0' || value.data[i] > '9')
            return false;
    return value.len > sign && (value.data[sign] != '0' || value.len == sign + 1);
}

/* A name that the object has already gets a '_' before it. */
static void append_name(struct buf *line, struct bytes name) {
    struct buf quoted;
    buf_init(&quoted, 0);
    for (int underscores = 0;; underscores++) {
        buf_clear(&quoted);
        buf_printf(&quoted, "\"%.*s%.*s\":", underscores, "____", BYTES_FMT(name));
        /* Within a text a quote has a backslash before it: only a name looks like this. */
        if (underscores == 4 || memmem(line->data, line->len, quoted.data, quoted.len) == NULL)
            break;
    }
    buf_append_char(line, ',');
    buf_append_bytes(line, buf_bytes(&quoted));
    buf_finish(&quoted);
}

static void append_value(struct buf *line, struct bytes value, struct bytes format) {
    if (is_number_format(format) && is_number(value))
        buf_append_bytes(line, value);
    else
        buf_append_json_string(line, value);
}

/* The pairs of the line, of which `text` has what comes from the first one on. */
static void append_pairs(struct buf *line, struct bytes text, struct bytes format, struct pair pair) {
    while (pair.name.len > 0 && text.len > 0) {
        struct pair next = next_pair(&format);
        text = bytes_skip(text, pair.name.len + 2);
        bool is_quoted = bytes_start_with(pair.format, BYTES_LITERAL("\"")) && text.len > 0;
        text = bytes_skip(text, is_quoted);
        size_t end = find_pair(text, is_quoted, next.name, is_quoted);
        struct bytes value = bytes_make(text.data, end);
        if (is_quoted && value.len > 0 && value.data[value.len - 1] == '"')
            value.len--;
        append_name(line, pair.name);
        append_value(line, value, pair.format);
        text = bytes_skip(text, end);
        pair = next;
    }
}

static void append_json(struct buf *line, const char *level, const char *area, struct bytes text,
                        struct bytes format) {
    struct pair first = next_pair(&format);
    size_t at = find_pair(text, 0, first.name, false);
    buf_append_text(line, "{\"ts\":\"");
    append_time(line);
    buf_printf(line, "\",\"level\":\"%s\",\"node\":", level);
    buf_append_json_string(line, bytes_of(config.node));
    buf_printf(line, ",\"area\":\"%s\",\"event\":", area);
    buf_append_json_string(line, bytes_make(text.data, at));
    append_pairs(line, bytes_skip(text, at), format, first);
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
        append_json(&line, level_names[level], area, bytes_make(text, (size_t)len), bytes_of(format));
    } else {
        append_time(&line);
        buf_printf(&line, " %-5s %s %s: %s\n", level_names[level], config.node, area, text);
    }
    /* One write, so that lines of several processes never mix. A lost log line is nobody's failure. */
    ssize_t ignored = write(STDERR_FILENO, line.data, line.len);
    (void)ignored;
    buf_finish(&line);
}

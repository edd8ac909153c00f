/* One line per event, on standard error: when, how grave, who, what happened, and the values that matter as
 * name=value. error: somebody must act. warn: coping. info: the node changed state. debug: one client's
 * story. Tokens and payloads are never logged. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* `node` names the process in every line and is copied. */
void log_configure(enum log_level level, enum log_format format, const char *node);
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);

/* `format` begins with words that say what happened, followed by name=value pairs; a value with spaces is
 * written as name="...". In JSON the line becomes {"ts","level","node","area","event"} and a member per pair of the
 * format, a number where the format has %d, %u and their like. Pairs have other names than these five. */
void log_write(enum log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                       \
    do {                                                                                                     \
        if (log_is_on(LOG_LEVEL_DEBUG))                                                                      \
            log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                         \
    } while (0)

#endif

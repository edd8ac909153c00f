/* What the files that fill a struct config share while they do. Internal to the config library. */
#ifndef GATEWAY_CONFIG_PARSER_H
#define GATEWAY_CONFIG_PARSER_H

#include "gateway/config/config.h"
#include "gateway/config/settings.h"

/* Where a setting got its value. */
struct source {
    unsigned line;
    bool in_file;
    bool in_environment;
    bool is_refused; /* It has its default then, and its faults are told. */
};

struct parser {
    const struct settings *settings;
    void *base; /* The struct that they are about. */
    const struct config_options *options;
    const char *file;
    struct buf *errors;
    bool failed;
    struct source *sources; /* One for each of the settings. */
};

static inline struct source *parser_source(struct parser *parser, const struct setting *setting) {
    return &parser->sources[setting - parser->settings->items];
}

/* Reads the text of the file into parser->base, whose settings have their defaults. */
void parser_read_text(struct parser *parser, struct bytes text);

/* A line in parser->errors. `path` may be empty: the fault is in the file's form. */
void parser_fault(struct parser *parser, unsigned line, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif

/* The settings as one table: it reads, checks, compares and explains every one of them, so that a new setting
 * is one line here and a member in config.h. Internal to the config library and its tests. */
#ifndef GATEWAY_CONFIG_SETTINGS_H
#define GATEWAY_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gateway/config/checks.h"
#include "gateway/config/config.h"

enum { ENVIRONMENT_NAME_BYTES = 64 };

enum setting_kind {
    SETTING_NUMBER,
    SETTING_BOOLEAN,
    SETTING_CHOICE,
    SETTING_TEXT,
    SETTING_TEXTS,
    SETTING_NETWORKS,
    SETTING_NAMESPACES,
};

struct setting {
    const char *path; /* "limits.message_bytes"; of a namespace's settings the name alone. */
    enum setting_kind kind;
    bool reloadable;
    bool secret;         /* The value is never repeated in a message. */
    size_t offset;       /* Of the member in struct config or struct namespace_config. */
    size_t count_offset; /* Of texts: of their number, a uint32_t. */
    size_t size;         /* Numbers, booleans and choices are unsigned integers of this many bytes. */
    uint64_t min;        /* Numbers: the value. Texts: its length in bytes. */
    uint64_t max;
    uint64_t number;            /* The default of numbers, booleans and choices. */
    const char *text;           /* The default of texts. */
    const char *const *choices; /* By value of their enum; ends with NULL. */
    text_check *check;          /* Of texts, and of each of a list; NULL: any text. */
    const char *help;
};

struct settings {
    const struct setting *items;
    size_t count;
};

extern const struct settings config_settings;    /* Their base is a struct config. */
extern const struct settings namespace_settings; /* Their base is a struct namespace_config. */

/* The setting of this path, or NULL. */
const struct setting *settings_find(struct settings settings, struct bytes path);

/* The path that a mistyped one probably meant, or NULL. */
const char *settings_suggest(struct settings settings, const char *path);

/* The same for a variable of the environment. */
bool settings_suggest_variable(const char *name, char meant[ENVIRONMENT_NAME_BYTES]);

/* `base` is zeroed memory. */
void settings_init(struct settings settings, void *base);
void settings_finish(struct settings settings, void *base);

/* A value as the file or the environment has it. */
struct setting_value {
    enum { VALUE_NUMBER, VALUE_BOOLEAN, VALUE_TEXT, VALUE_OTHER } kind;
    int64_t number;   /* Also 0 and 1 of a boolean. */
    const char *text; /* Of VALUE_OTHER: what it is, e.g. "a list". */
};

/* Each returns false, with the setting as it was and the reason appended to `why`, when the value is refused.
 */
bool setting_set(const struct setting *setting, void *base, const struct setting_value *value,
                 struct buf *why);
bool setting_set_from_environment(const struct setting *setting, struct config *config, const char *text,
                                  struct buf *why);
bool setting_add_item(const struct setting *setting, struct config *config, const struct setting_value *item,
                      struct buf *why); /* Only of SETTING_TEXTS and SETTING_NETWORKS. */

bool setting_is_list(const struct setting *setting);
bool setting_is_equal(const struct setting *setting, const void *a, const void *b);
/* Not of SETTING_TEXTS and SETTING_NAMESPACES. */
void setting_copy(const struct setting *setting, struct config *to, const struct config *from);

/* FANTAIL_LIMITS_MESSAGE_BYTES. */
void setting_environment_name(const struct setting *setting, char name[ENVIRONMENT_NAME_BYTES]);

#endif

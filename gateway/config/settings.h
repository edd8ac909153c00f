/* The settings as tables: they are read, checked, compared and explained by their rows, so that a new setting is a row
 * here and a member in config.h. What a row can be, a number or a list of groups, is its type (types.c): a new kind is
 * one constant. Internal to the config library and its tests. */
#ifndef GATEWAY_CONFIG_SETTINGS_H
#define GATEWAY_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gateway/config/checks.h"
#include "gateway/config/config.h"

enum {
    ENVIRONMENT_NAME_BYTES = 64,
    LIST_ITEMS_MAX = 1024, /* Enough for any sensible list, and an end for a generated one. */
};

struct setting {
    const char *path; /* "limits.message_bytes"; in the table of a group what stands in the group. */
    const struct setting_type *type;
    bool reloadable;
    bool secret;                /* The value is never repeated in a message. */
    size_t offset;              /* Of the member in the struct that the table is about. */
    size_t size;                /* Of the member. Numbers, booleans and choices are unsigned integers. */
    size_t count_offset;        /* Of lists: of their number, a uint32_t. */
    uint64_t min;               /* Numbers: the value. Texts: its length in bytes. */
    uint64_t max;               /* Texts: 0 for any length. */
    uint64_t number;            /* The default of numbers, booleans and choices. */
    const char *text;           /* The default of texts. */
    const char *const *choices; /* By value of their enum; ends with NULL. */
    text_check *check;          /* Of texts; NULL: any. */
    const struct setting
        *item; /* Of lists: what each item is; without path, at offset 0 of its own memory. */
    const struct settings *settings; /* Of groups. */
    const char *help;
};

/* All settings of a struct: of the whole, or of the groups in a list. Groups that have a setting `name` need one, and
 * each name is there once. */
struct settings {
    const struct setting *items;
    size_t count;
    const char *example;      /* Of a group: the setting that one writes first, e.g. `name = "chat";`. */
    bool begins_with_default; /* A list of these begins with one of all defaults unless the file has it. */
    void (*for_dev)(void *group); /* What is another default with --dev; may be NULL. */
    group_check *check;           /* May be NULL. */
};

extern const struct settings config_settings;    /* Of struct config. */
extern const struct settings namespace_settings; /* Of struct namespace_config. */

/* The setting of this path, or NULL. */
const struct setting *settings_find(const struct settings *settings, const char *path);

/* The path that a mistyped one probably meant, or NULL. */
const char *settings_suggest(const struct settings *settings, const char *path);

/* The same for a variable of the environment. */
bool settings_suggest_variable(const struct settings *settings, const char *name,
                               char meant[ENVIRONMENT_NAME_BYTES]);

/* `base` is zeroed memory, here and for copy. */
void settings_init(const struct settings *settings, void *base);
void settings_copy(const struct settings *settings, void *base, const void *from);
bool settings_are_equal(const struct settings *settings, const void *a, const void *b);
void settings_finish(const struct settings *settings, void *base);
void settings_print(const struct settings *settings, FILE *out);

/* A value as the file or the environment has it. */
struct setting_value {
    enum { VALUE_NUMBER, VALUE_BOOLEAN, VALUE_TEXT, VALUE_OTHER } kind;
    int64_t number;   /* Also 0 and 1 of a boolean. */
    const char *text; /* Of VALUE_OTHER: what it is, e.g. "a list". */
};

/* A kind of setting. `base` is the struct, the functions find their member in it. */
struct setting_type {
    const char *noun;      /* As in "list of texts". */
    const char *example;   /* One value, as the file has it. */
    bool is_empty_a_value; /* Of a variable; others ignore an empty one. */

    /* The default, in zeroed memory. NULL: zeroes are it. */
    void (*init)(const struct setting *setting, void *base);
    /* False, with the setting as it was and the reason appended to `why`, when the value is refused. A list takes a
     * text with commas. NULL: is no single value. */
    bool (*set)(const struct setting *setting, void *base, const struct setting_value *value,
                struct buf *why);
    /* What a variable's text means. NULL: itself. */
    void (*parse)(const char *text, struct setting_value *value);
    bool (*is_equal)(const struct setting *setting, const void *a, const void *b);
    void (*copy)(const struct setting *setting, void *to, const void *from);
    void (*finish)(const struct setting *setting, void *base); /* NULL: there is nothing to free. */
    void (*print_default)(const struct setting *setting, FILE *out);
    void (*print_range)(const struct setting *setting, FILE *out);
};

extern const struct setting_type setting_number;
extern const struct setting_type setting_boolean;
extern const struct setting_type setting_choice;
extern const struct setting_type setting_text;
extern const struct setting_type setting_network; /* A struct network. */
extern const struct setting_type setting_group;   /* Only as the item of a list. */
extern const struct setting_type setting_list;    /* Of whatever its `item` is. */

bool setting_is_list_of_groups(const struct setting *setting);

/* As type->set. */
bool setting_set_from_environment(const struct setting *setting, void *base, const char *text,
                                  struct buf *why);
bool setting_add_item(const struct setting *setting, void *base, const struct setting_value *value,
                      struct buf *why);

/* Items of a list. A pointer to one is good until the next is appended. */
uint32_t setting_item_count(const struct setting *setting, const void *base);
void *setting_item(const struct setting *setting, const void *base, uint32_t index);
void *setting_append_item(const struct setting *setting, void *base); /* With its defaults. */
void setting_drop_last_item(const struct setting *setting, void *base);

/* FANTAIL_LIMITS_MESSAGE_BYTES. */
void setting_environment_name(const struct setting *setting, char name[ENVIRONMENT_NAME_BYTES]);

#endif

#include <inttypes.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/config/parser.h"
#include "gateway/config/text.h"

/* With the names of a list, a group in it and a setting: what is longer is cut in messages. */
enum { PATH_BYTES = 400 };

/* The settings of the whole, or of one group in a list. */
struct place {
    struct parser *parser;
    const struct settings *settings;
    void *base; /* The struct that they are about. */
    const config_setting_t *tree;
    const char *path; /* "namespaces.chat"; "" of the whole. */
};

void parser_fault(struct parser *parser, unsigned line, const char *path, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_printf(parser->errors, "%s:%u: %s%s%s\n", parser->file, line, path, *path ? ": " : "", text);
    parser->failed = true;
}

static struct setting_value value_of(const config_setting_t *item) {
    switch (config_setting_type(item)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return (struct setting_value){VALUE_NUMBER, config_setting_get_int64(item), NULL};
    case CONFIG_TYPE_BOOL:
        return (struct setting_value){VALUE_BOOLEAN, config_setting_get_bool(item) != 0, NULL};
    case CONFIG_TYPE_STRING:
        return (struct setting_value){VALUE_TEXT, 0, config_setting_get_string(item)};
    case CONFIG_TYPE_FLOAT:
        return (struct setting_value){VALUE_OTHER, 0, "a number with a fraction"};
    case CONFIG_TYPE_GROUP:
        return (struct setting_value){VALUE_OTHER, 0, "a group"};
    default:
        return (struct setting_value){VALUE_OTHER, 0, "a list"};
    }
}

static void unknown_setting(const struct place *place, unsigned line, const char *at, const char *path) {
    const char *meant = settings_suggest(place->settings, path);
    if (meant != NULL)
        parser_fault(place->parser, line, at, "unknown setting, did you mean %s?", meant);
    else
        parser_fault(place->parser, line, at,
                     "unknown setting; fantail --help-settings lists those there are");
}

/* ---- values ---- */

typedef bool take_value(const struct setting *setting, void *base, const struct setting_value *value,
                        struct buf *why);

static bool read_value(const struct place *place, const struct setting *setting, take_value *take,
                       const char *at, const config_setting_t *item) {
    struct setting_value value = value_of(item);
    struct buf why;
    buf_init(&why, 0);
    bool fine = take(setting, place->base, &value, &why);
    if (!fine)
        parser_fault(place->parser, config_setting_source_line(item), at, "%.*s", BYTES_FMT(buf_bytes(&why)));
    buf_finish(&why);
    return fine;
}

static bool read_list(const struct place *place, const struct setting *setting, const char *at,
                      const config_setting_t *list) {
    const struct setting_type *type = setting->item->type;
    bool fine = true;
    if (!config_setting_is_aggregate(list) || config_setting_is_group(list)) {
        parser_fault(place->parser, config_setting_source_line(list), at,
                     "must be a list of %ss, e.g. %s = [ %s, %s ];", type->noun, setting->path, type->example,
                     type->example);
        return false;
    }
    for (int i = 0; i < config_setting_length(list); i++)
        fine &= read_value(place, setting, setting_add_item, at, config_setting_get_elem(list, (unsigned)i));
    return fine;
}

/* ---- groups in a list ---- */

static bool read_members(const struct place *place, const config_setting_t *tree, const char *prefix);

void group_fault(const struct place *place, const char *path, const char *format, ...) {
    const config_setting_t *member = config_setting_get_member(place->tree, path);
    char at[PATH_BYTES], text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(at, sizeof at, "%s.%s", place->path, path);
    parser_fault(place->parser, config_setting_source_line(member ? member : place->tree), at, "%s", text);
}

static const char *name_in(const struct settings *settings, const void *group) {
    return *(char *const *)((const char *)group + settings_find(settings, "name")->offset);
}

/* The group of this name among the first `count`, or `count`. */
static uint32_t find_group(const struct setting *list, const void *base, uint32_t count, const char *name) {
    uint32_t at = 0;
    while (at < count && strcmp(name_in(list->item->settings, setting_item(list, base, at)), name) != 0)
        at++;
    return at;
}

static void *append_group(const struct place *place, const struct setting *list) {
    const struct settings *settings = list->item->settings;
    void *group = setting_append_item(list, place->base);
    if (place->parser->options->dev && settings->for_dev)
        settings->for_dev(group);
    return group;
}

/* The group gets its name before all else, for messages. NULL where that is missing or refused. */
static const char *read_name(const struct place *place, const struct setting *setting) {
    const config_setting_t *item = config_setting_get_member(place->tree, setting->path);
    const char *name = NULL;
    struct buf why;
    if (item == NULL) {
        parser_fault(place->parser, config_setting_source_line(place->tree), place->path,
                     "needs a name, e.g. %s", place->settings->example);
        return NULL;
    }
    struct setting_value value = value_of(item);
    buf_init(&why, 0);
    if (setting->type->set(setting, place->base, &value, &why))
        name = value.text;
    buf_finish(&why);
    return name;
}

static bool read_group(const struct place *outer, const struct setting *list, const char *at,
                       const config_setting_t *tree, int index) {
    const struct settings *settings = list->item->settings;
    const struct setting *naming = settings_find(settings, "name");
    unsigned line = config_setting_source_line(tree);
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s.[%d]", at, index);
    if (!config_setting_is_group(tree)) {
        parser_fault(outer->parser, line, path, "must be a group, e.g. { %s }", settings->example);
        return false;
    }
    struct place place = {outer->parser, settings, append_group(outer, list), tree, path};
    uint32_t others = setting_item_count(list, outer->base) - 1;
    const char *name = naming ? read_name(&place, naming) : NULL;
    if (name != NULL)
        snprintf(path, sizeof path, "%s.%s", at, name);
    bool fine = read_members(&place, tree, "");
    if (fine && settings->check)
        settings->check(place.base, &place);
    bool twice = name != NULL && find_group(list, outer->base, others, name) < others;
    bool stays = !twice && (naming == NULL || name != NULL);
    if (twice)
        parser_fault(outer->parser, line, path, "named twice; put all its settings into one group");
    if (!stays)
        setting_drop_last_item(list, outer->base);
    return fine && stays;
}

static bool read_groups(const struct place *place, const struct setting *setting, const char *at,
                        const config_setting_t *list) {
    unsigned line = config_setting_source_line(list);
    int count = config_setting_length(list);
    bool fine = true;
    if (!config_setting_is_list(list)) {
        parser_fault(place->parser, line, at, "must be a list of groups, e.g. %s = ( { %s } );",
                     setting->path, setting->item->settings->example);
        return false;
    }
    if (count > LIST_ITEMS_MAX) {
        parser_fault(place->parser, line, at, "must hold at most %d, has %d", LIST_ITEMS_MAX, count);
        return false;
    }
    for (int i = 0; i < count; i++)
        fine &= read_group(place, setting, at, config_setting_get_elem(list, (unsigned)i), i);
    return fine;
}

static void put_default_first(const struct place *place, const struct setting *list) {
    const struct setting *naming = settings_find(list->item->settings, "name");
    uint32_t count = setting_item_count(list, place->base);
    uint32_t at = find_group(list, place->base, count, naming->text);
    if (at == count)
        append_group(place, list);
    char *items = setting_item(list, place->base, 0);
    size_t size = list->item->size;
    void *first = xmalloc(size);
    memcpy(first, items + at * size, size);
    memmove(items + size, items, at * size);
    memcpy(items, first, size);
    free(first);
}

/* ---- all settings ---- */

static bool is_group_of_settings(const struct settings *settings, const char *path) {
    size_t len = strlen(path);
    for (size_t i = 0; i < settings->count; i++) {
        const char *known = settings->items[i].path;
        if (strncmp(known, path, len) == 0 && known[len] == '.')
            return true;
    }
    return false;
}

static bool read_setting(const struct place *place, const struct setting *setting, const char *at,
                         const config_setting_t *item) {
    if (setting_is_list_of_groups(setting))
        return read_groups(place, setting, at, item);
    if (setting->type == &setting_list)
        return read_list(place, setting, at, item);
    return read_value(place, setting, setting->type->set, at, item);
}

/* Settings nest one group deep. `prefix` is "" or the name of the group and a dot. */
static bool read_members(const struct place *place, const config_setting_t *tree, const char *prefix) {
    struct parser *parser = place->parser;
    bool all_fine = true;
    for (int i = 0; i < config_setting_length(tree); i++) {
        const config_setting_t *item = config_setting_get_elem(tree, (unsigned)i);
        unsigned line = config_setting_source_line(item);
        char path[PATH_BYTES], at[2 * PATH_BYTES];
        bool fine = false;
        snprintf(path, sizeof path, "%s%.100s", prefix, config_setting_name(item));
        snprintf(at, sizeof at, "%s%s%s", place->path, *place->path ? "." : "", path);
        const struct setting *setting = settings_find(place->settings, path);
        if (setting != NULL) {
            fine = read_setting(place, setting, at, item);
            if (place->settings == parser->settings)
                *parser_source(parser, setting) =
                    (struct source){.line = line, .in_file = true, .is_refused = !fine};
        } else if (*prefix != '\0' || !is_group_of_settings(place->settings, path)) {
            unknown_setting(place, line, at, path);
        } else if (config_setting_is_group(item)) {
            strcat(path, ".");
            fine = read_members(place, item, path);
        } else {
            parser_fault(parser, line, at, "must be a group, e.g. %s = { ... };", path);
        }
        all_fine &= fine;
    }
    return all_fine;
}

/* ---- the file ---- */

/* The first line that is not UTF-8; 0: all is. */
static unsigned broken_line(struct bytes text) {
    for (unsigned line = 1; text.len > 0; line++) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) + 1 : text.len;
        if (!text_is_utf8(bytes_make(text.data, len)))
            return line;
        text = bytes_skip(text, len);
    }
    return 0;
}

static void read_tree(const struct place *place, struct bytes text) {
    struct parser *parser = place->parser;
    config_t tree;
    struct buf widened;
    unsigned include_line = config_text_include_line(text);
    if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL) {
        parser_fault(parser, 1, "", "holds a zero byte: not a text file");
        return;
    }
    if (include_line > 0) {
        parser_fault(parser, include_line, "",
                     "@include is not supported; secrets may come from the environment");
        return;
    }
    buf_init(&widened, 0);
    config_text_widen_integers(text, &widened);
    buf_append_char(&widened, '\0');
    config_init(&tree);
    if (config_read_string(&tree, widened.data) == CONFIG_TRUE) {
        read_members(place, config_root_setting(&tree), "");
    } else {
        const char *what = config_error_text(&tree);
        parser_fault(parser, (unsigned)config_error_line(&tree), "",
                     "%s; settings look like name = value; or name = { ... };", what ? what : "syntax error");
    }
    config_destroy(&tree);
    buf_finish(&widened);
}

void parser_read_text(struct parser *parser, struct bytes text) {
    struct place whole = {.parser = parser, .settings = parser->settings, .base = parser->base, .path = ""};
    read_tree(&whole, text);
    /* Comments too: the text goes to the workers as JSON. */
    if (!parser->failed && broken_line(text) > 0)
        parser_fault(parser, broken_line(text), "", "is not UTF-8; an editor can save the file so");
    for (size_t i = 0; i < parser->settings->count; i++) {
        const struct setting *setting = &parser->settings->items[i];
        if (setting_is_list_of_groups(setting) && setting->item->settings->begins_with_default)
            put_default_first(&whole, setting);
    }
}

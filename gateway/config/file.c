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

enum {
    NAMESPACES_MAX = 1024,
    NAMESPACE_NAME_MAX = 254, /* With the colon, a channel name. */
    PATH_BYTES = 300,
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

static void unknown_setting(struct parser *parser, struct settings settings, unsigned line, const char *path,
                            const char *name) {
    const char *meant = settings_suggest(settings, name);
    if (meant != NULL)
        parser_fault(parser, line, path, "unknown setting, did you mean %s?", meant);
    else
        parser_fault(parser, line, path, "unknown setting; fantail --help-settings lists those there are");
}

static bool read_value(struct parser *parser, const struct setting *setting, void *base, const char *path,
                       const config_setting_t *item) {
    struct setting_value value = value_of(item);
    struct buf why;
    buf_init(&why, 0);
    bool fine = setting_set(setting, base, &value, &why);
    if (!fine)
        parser_fault(parser, config_setting_source_line(item), path, "%.*s", BYTES_FMT(buf_bytes(&why)));
    buf_finish(&why);
    return fine;
}

static bool read_list(struct parser *parser, const struct setting *setting, const config_setting_t *list) {
    if (!config_setting_is_aggregate(list) || config_setting_is_group(list)) {
        parser_fault(parser, config_setting_source_line(list), setting->path,
                     "must be a list of texts, e.g. %s = [ \"...\", \"...\" ];", setting->path);
        return false;
    }
    bool fine = true;
    for (int i = 0; i < config_setting_length(list); i++) {
        const config_setting_t *item = config_setting_get_elem(list, (unsigned)i);
        struct setting_value value = value_of(item);
        struct buf why;
        buf_init(&why, 0);
        if (!setting_add_item(setting, parser->config, &value, &why)) {
            parser_fault(parser, config_setting_source_line(item), setting->path, "%.*s",
                         BYTES_FMT(buf_bytes(&why)));
            fine = false;
        }
        buf_finish(&why);
    }
    return fine;
}

/* ---- namespaces ---- */

static void namespace_init(struct parser *parser, struct namespace_config *space) {
    *space = (struct namespace_config){0};
    settings_init(namespace_settings, space);
    space->client_publish = parser->options->dev;
}

/* The line of a namespace's setting, or of the namespace itself. */
static unsigned line_in(const config_setting_t *group, const char *name) {
    const config_setting_t *member = config_setting_get_member(group, name);
    return config_setting_source_line(member ? member : group);
}

static void check_namespace(struct parser *parser, const struct namespace_config *space, const char *path,
                            const config_setting_t *group) {
    char at[PATH_BYTES + 64];
    if (space->history_size > 0 && space->history_ttl_seconds == 0) {
        snprintf(at, sizeof at, "%s.history_size", path);
        parser_fault(parser, line_in(group, "history_size"), at,
                     "history needs a lifetime too, e.g. history_ttl_seconds = 300;");
    }
    if (space->history_size == 0 && space->history_ttl_seconds > 0) {
        snprintf(at, sizeof at, "%s.history_ttl_seconds", path);
        parser_fault(parser, line_in(group, "history_ttl_seconds"), at,
                     "history needs a size too, e.g. history_size = 100;");
    }
    if (space->position_ttl_seconds < space->history_ttl_seconds) {
        snprintf(at, sizeof at, "%s.position_ttl_seconds", path);
        parser_fault(parser, line_in(group, "position_ttl_seconds"), at,
                     "must be at least history_ttl_seconds (%" PRIu32 "), is %" PRIu32,
                     space->history_ttl_seconds, space->position_ttl_seconds);
    }
    if ((space->batch_count > 0 || space->batch_bytes > 0) && space->batch_delay_ms == 0) {
        const char *name = space->batch_count > 0 ? "batch_count" : "batch_bytes";
        snprintf(at, sizeof at, "%s.%s", path, name);
        parser_fault(parser, line_in(group, name), at,
                     "batching needs an end to the wait too, e.g. batch_delay_ms = 250;");
    }
}

/* Takes over `space` unless its name is taken. */
static bool add_namespace(struct config *config, const struct namespace_config *space) {
    for (uint32_t i = 0; i < config->namespace_count; i++) {
        if (strcmp(config->namespaces[i].name, space->name) == 0)
            return false;
    }
    config->namespaces =
        xrealloc(config->namespaces, (config->namespace_count + 1) * sizeof *config->namespaces);
    config->namespaces[config->namespace_count++] = *space;
    return true;
}

/* Its name, or NULL where that is missing or refused. */
static const char *name_of(const config_setting_t *group) {
    const char *name = NULL;
    struct buf why;
    buf_init(&why, 0);
    if (config_setting_lookup_string(group, "name", &name) &&
        (strlen(name) > NAMESPACE_NAME_MAX || !check_namespace_name(bytes_of(name), &why)))
        name = NULL;
    buf_finish(&why);
    return name;
}

static void read_namespace(struct parser *parser, const config_setting_t *group, int index) {
    unsigned line = config_setting_source_line(group);
    char path[PATH_BYTES];
    struct namespace_config space;
    bool fine = true;
    snprintf(path, sizeof path, "namespaces.[%d]", index);
    if (!config_setting_is_group(group)) {
        parser_fault(parser, line, path, "must be a group, e.g. { name = \"chat\"; }");
        return;
    }
    namespace_init(parser, &space);
    const char *name = name_of(group);
    if (name != NULL)
        snprintf(path, sizeof path, "namespaces.%s", name);
    else if (config_setting_get_member(group, "name") == NULL)
        parser_fault(parser, line, path, "needs a name, e.g. name = \"chat\";");
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *item = config_setting_get_elem(group, (unsigned)i);
        const char *key = config_setting_name(item);
        const struct setting *setting = settings_find(namespace_settings, bytes_of(key));
        char at[PATH_BYTES + 64];
        snprintf(at, sizeof at, "%s.%.60s", path, key);
        if (setting == NULL)
            unknown_setting(parser, namespace_settings, config_setting_source_line(item), at, key);
        else
            fine &= read_value(parser, setting, &space, at, item);
    }
    if (fine)
        check_namespace(parser, &space, path, group);
    bool added = name != NULL && add_namespace(parser->config, &space);
    if (name != NULL && !added)
        parser_fault(parser, line, path, "named twice; put all its settings into one group");
    if (!added)
        settings_finish(namespace_settings, &space);
}

static void read_namespaces(struct parser *parser, const config_setting_t *list) {
    if (!config_setting_is_list(list)) {
        parser_fault(parser, config_setting_source_line(list), "namespaces",
                     "must be a list of groups, e.g. namespaces = ( { name = \"chat\"; } );");
        return;
    }
    int count = config_setting_length(list);
    if (count > NAMESPACES_MAX) {
        parser_fault(parser, config_setting_source_line(list), "namespaces", "must hold at most %d, has %d",
                     NAMESPACES_MAX, count);
        return;
    }
    for (int i = 0; i < count; i++)
        read_namespace(parser, config_setting_get_elem(list, (unsigned)i), i);
}

static void put_default_first(struct parser *parser) {
    struct config *config = parser->config;
    struct namespace_config fallback;
    uint32_t at = 0;
    namespace_init(parser, &fallback); /* Its built-in name is "default". */
    if (!add_namespace(config, &fallback))
        settings_finish(namespace_settings, &fallback);
    while (strcmp(config->namespaces[at].name, "default") != 0)
        at++;
    struct namespace_config first = config->namespaces[at];
    memmove(config->namespaces + 1, config->namespaces, at * sizeof *config->namespaces);
    config->namespaces[0] = first;
}

/* ---- the file ---- */

static bool is_group_of_settings(const char *path) {
    size_t len = strlen(path);
    for (size_t i = 0; i < config_settings.count; i++) {
        const char *known = config_settings.items[i].path;
        if (strncmp(known, path, len) == 0 && known[len] == '.')
            return true;
    }
    return false;
}

/* Settings nest one group deep. `prefix` is "" or the name of the group and a dot. */
static void read_group(struct parser *parser, const config_setting_t *group, const char *prefix) {
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *item = config_setting_get_elem(group, (unsigned)i);
        unsigned line = config_setting_source_line(item);
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s%.100s", prefix, config_setting_name(item));
        const struct setting *setting = settings_find(config_settings, bytes_of(path));
        if (setting == NULL && *prefix == '\0' && is_group_of_settings(path)) {
            if (config_setting_is_group(item)) {
                strcat(path, ".");
                read_group(parser, item, path);
            } else {
                parser_fault(parser, line, path, "must be a group, e.g. %s = { ... };", path);
            }
            continue;
        }
        if (setting == NULL) {
            unknown_setting(parser, config_settings, line, path, path);
            continue;
        }
        bool fine = true;
        if (setting->kind == SETTING_NAMESPACES)
            read_namespaces(parser, item);
        else if (setting_is_list(setting))
            fine = read_list(parser, setting, item);
        else
            fine = read_value(parser, setting, parser->config, path, item);
        *parser_source(parser, setting) = (struct source){.line = line, .in_file = true, .is_refused = !fine};
    }
}

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

static void read_tree(struct parser *parser, struct bytes text) {
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
        read_group(parser, config_root_setting(&tree), "");
    } else {
        const char *what = config_error_text(&tree);
        parser_fault(parser, (unsigned)config_error_line(&tree), "",
                     "%s; settings look like name = value; or name = { ... };", what ? what : "syntax error");
    }
    config_destroy(&tree);
    buf_finish(&widened);
}

void parser_read_text(struct parser *parser, struct bytes text) {
    read_tree(parser, text);
    /* Comments too: the text goes to the workers as JSON. */
    if (!parser->failed && broken_line(text) > 0)
        parser_fault(parser, broken_line(text), "", "is not UTF-8; an editor can save the file so");
    put_default_first(parser);
}

/* What a setting can be. Each part ends with its type; nobody else asks what kind a setting is, except whether it is
 * a list. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/config/settings.h"

static void *member_of(const struct setting *setting, void *base) {
    return (char *)base + setting->offset;
}

static const void *const_member_of(const struct setting *setting, const void *base) {
    return (const char *)base + setting->offset;
}

/* What was refused, for a person: a text in quotes, clipped and printable. Returns false. */
static bool refuse(const struct setting *setting, const struct setting_value *value, struct buf *why) {
    enum { SHOWN_MAX = 60 };
    if (value->kind == VALUE_OTHER) {
        buf_printf(why, ", is %s", value->text);
    } else if (setting->secret) {
        return false;
    } else if (value->kind == VALUE_NUMBER) {
        buf_printf(why, ", is %" PRId64, value->number);
    } else if (value->kind == VALUE_BOOLEAN) {
        buf_printf(why, ", is %s", value->number ? "true" : "false");
    } else {
        size_t len = strnlen(value->text, SHOWN_MAX + 1);
        buf_append_text(why, ", is \"");
        for (size_t i = 0; i < len && i < SHOWN_MAX; i++)
            buf_append_char(why, (unsigned char)value->text[i] < ' ' ? '?' : value->text[i]);
        buf_append_text(why, len > SHOWN_MAX ? "...\"" : "\"");
    }
    return false;
}

/* ---- plain memory ---- */

static bool is_equal_memory(const struct setting *setting, const void *a, const void *b) {
    return memcmp(const_member_of(setting, a), const_member_of(setting, b), setting->size) == 0;
}

static void copy_memory(const struct setting *setting, void *to, const void *from) {
    memcpy(member_of(setting, to), const_member_of(setting, from), setting->size);
}

static void store_number(const struct setting *setting, void *base, uint64_t number) {
    void *member = member_of(setting, base);
    switch (setting->size) {
    case 1:
        *(uint8_t *)member = (uint8_t)number;
        break;
    case 2:
        *(uint16_t *)member = (uint16_t)number;
        break;
    case 4:
        *(uint32_t *)member = (uint32_t)number;
        break;
    default:
        *(uint64_t *)member = number;
    }
}

static void init_number(const struct setting *setting, void *base) {
    store_number(setting, base, setting->number);
}

/* ---- numbers ---- */

static bool set_number(const struct setting *setting, void *base, const struct setting_value *value,
                       struct buf *why) {
    if (value->kind == VALUE_NUMBER && value->number >= 0 && (uint64_t)value->number >= setting->min &&
        (uint64_t)value->number <= setting->max) {
        store_number(setting, base, (uint64_t)value->number);
        return true;
    }
    buf_printf(why, "must be a number from %" PRIu64 " to %" PRIu64, setting->min, setting->max);
    return refuse(setting, value, why);
}

static void parse_number(const char *text, struct setting_value *value) {
    uint64_t number;
    if (text_parse_u64(bytes_of(text), &number) && number <= INT64_MAX)
        *value = (struct setting_value){VALUE_NUMBER, (int64_t)number, NULL};
}

static void print_number(const struct setting *setting, FILE *out) {
    fprintf(out, "%" PRIu64, setting->number);
}

static void print_number_range(const struct setting *setting, FILE *out) {
    fprintf(out, "number from %" PRIu64 " to %" PRIu64, setting->min, setting->max);
}

const struct setting_type setting_number = {
    .noun = "number",
    .example = "1",
    .init = init_number,
    .set = set_number,
    .parse = parse_number,
    .is_equal = is_equal_memory,
    .copy = copy_memory,
    .print_default = print_number,
    .print_range = print_number_range,
};

/* ---- booleans ---- */

static bool set_boolean(const struct setting *setting, void *base, const struct setting_value *value,
                        struct buf *why) {
    if (value->kind == VALUE_BOOLEAN) {
        store_number(setting, base, (uint64_t)value->number);
        return true;
    }
    buf_append_text(why, "must be true or false");
    return refuse(setting, value, why);
}

static void parse_boolean(const char *text, struct setting_value *value) {
    static const char *const names[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (text_equal_nocase(bytes_of(text), names[i]))
            *value = (struct setting_value){VALUE_BOOLEAN, i % 2, NULL};
    }
}

static void print_boolean(const struct setting *setting, FILE *out) {
    fputs(setting->number ? "true" : "false", out);
}

static void print_boolean_range(const struct setting *setting, FILE *out) {
    (void)setting;
    fputs("true or false", out);
}

const struct setting_type setting_boolean = {
    .noun = "boolean",
    .example = "true",
    .init = init_number,
    .set = set_boolean,
    .parse = parse_boolean,
    .is_equal = is_equal_memory,
    .copy = copy_memory,
    .print_default = print_boolean,
    .print_range = print_boolean_range,
};

/* ---- choices ---- */

static bool set_choice(const struct setting *setting, void *base, const struct setting_value *value,
                       struct buf *why) {
    const char *const *choices = setting->choices;
    for (size_t i = 0; value->kind == VALUE_TEXT && choices[i] != NULL; i++) {
        if (strcmp(choices[i], value->text) == 0) {
            store_number(setting, base, i);
            return true;
        }
    }
    buf_append_text(why, "must be ");
    for (size_t i = 0; choices[i] != NULL; i++)
        buf_printf(why, "%s\"%s\"", i == 0 ? "" : choices[i + 1] ? ", " : " or ", choices[i]);
    return refuse(setting, value, why);
}

static void print_choice(const struct setting *setting, FILE *out) {
    fprintf(out, "\"%s\"", setting->choices[setting->number]);
}

static void print_choices(const struct setting *setting, FILE *out) {
    for (size_t i = 0; setting->choices[i] != NULL; i++)
        fprintf(out, "%s\"%s\"", i == 0 ? "" : ", ", setting->choices[i]);
}

const struct setting_type setting_choice = {
    .noun = "choice",
    .example = "\"...\"",
    .init = init_number,
    .set = set_choice,
    .is_equal = is_equal_memory,
    .copy = copy_memory,
    .print_default = print_choice,
    .print_range = print_choices,
};

/* ---- texts ---- */

static char **text_of(const struct setting *setting, void *base) {
    return member_of(setting, base);
}

static const char *const_text_of(const struct setting *setting, const void *base) {
    return *(char *const *)const_member_of(setting, base);
}

static void store_text(const struct setting *setting, void *base, const char *text) {
    char **member = text_of(setting, base);
    free(*member);
    *member = xstrdup(text);
}

static void init_text(const struct setting *setting, void *base) {
    store_text(setting, base, setting->text);
}

/* What holds for every value that is a text in the file. */
static bool is_plain_text(const struct setting *setting, const struct setting_value *value, struct buf *why) {
    if (value->kind != VALUE_TEXT) {
        buf_append_text(why, "must be a text in double quotes");
        return refuse(setting, value, why);
    }
    if (text_is_utf8(bytes_of(value->text)) && strpbrk(value->text, "\r\n\t\v\f\b\a\033") == NULL)
        return true;
    buf_append_text(why, "must be UTF-8 without control characters");
    return false;
}

static bool set_text(const struct setting *setting, void *base, const struct setting_value *value,
                     struct buf *why) {
    if (!is_plain_text(setting, value, why))
        return false;
    struct bytes text = bytes_of(value->text);
    if (text.len < setting->min) {
        buf_append_text(why, "must not be empty");
        return false;
    }
    if (setting->max > 0 && text.len > setting->max) {
        buf_printf(why, "must be at most %" PRIu64 " bytes long, has %zu", setting->max, text.len);
        return false;
    }
    if (setting->check != NULL && !setting->check(text, why))
        return refuse(setting, value, why);
    store_text(setting, base, value->text);
    return true;
}

static bool is_equal_text(const struct setting *setting, const void *a, const void *b) {
    return strcmp(const_text_of(setting, a), const_text_of(setting, b)) == 0;
}

static void copy_text(const struct setting *setting, void *to, const void *from) {
    store_text(setting, to, const_text_of(setting, from));
}

static void finish_text(const struct setting *setting, void *base) {
    free(*text_of(setting, base));
}

static void print_text(const struct setting *setting, FILE *out) {
    fprintf(out, "\"%s\"", setting->text);
}

static void print_text_range(const struct setting *setting, FILE *out) {
    (void)setting;
    fputs("text", out);
}

const struct setting_type setting_text = {
    .noun = "text",
    .example = "\"...\"",
    .is_empty_a_value = true,
    .init = init_text,
    .set = set_text,
    .is_equal = is_equal_text,
    .copy = copy_text,
    .finish = finish_text,
    .print_default = print_text,
    .print_range = print_text_range,
};

/* ---- networks ---- */

static bool set_network(const struct setting *setting, void *base, const struct setting_value *value,
                        struct buf *why) {
    if (!is_plain_text(setting, value, why))
        return false;
    return check_network(bytes_of(value->text), member_of(setting, base), why) || refuse(setting, value, why);
}

const struct setting_type setting_network = {
    .noun = "text",
    .example = "\"...\"",
    .set = set_network,
    .is_equal = is_equal_memory,
    .copy = copy_memory,
    .print_range = print_text_range,
};

/* ---- groups ---- */

static void init_group(const struct setting *setting, void *base) {
    settings_init(setting->settings, member_of(setting, base));
}

static bool is_equal_group(const struct setting *setting, const void *a, const void *b) {
    return settings_are_equal(setting->settings, const_member_of(setting, a), const_member_of(setting, b));
}

static void copy_group(const struct setting *setting, void *to, const void *from) {
    settings_copy(setting->settings, member_of(setting, to), const_member_of(setting, from));
}

static void finish_group(const struct setting *setting, void *base) {
    settings_finish(setting->settings, member_of(setting, base));
}

const struct setting_type setting_group = {
    .noun = "group",
    .init = init_group,
    .is_equal = is_equal_group,
    .copy = copy_group,
    .finish = finish_group,
};

/* ---- lists ---- */

/* The pointer of a list has its items' type, so that it is not touched as a void *. */
struct list {
    char *items;
    uint32_t count;
};

static struct list load_list(const struct setting *setting, const void *base) {
    struct list list;
    memcpy(&list.items, const_member_of(setting, base), sizeof list.items);
    memcpy(&list.count, (const char *)base + setting->count_offset, sizeof list.count);
    return list;
}

static void store_list(const struct setting *setting, void *base, struct list list) {
    memcpy(member_of(setting, base), &list.items, sizeof list.items);
    memcpy((char *)base + setting->count_offset, &list.count, sizeof list.count);
}

/* Zeroed. */
static void *append(struct list *list, const struct setting *item) {
    list->items = xrealloc(list->items, (list->count + 1) * item->size);
    return memset(list->items + list->count++ * item->size, 0, item->size);
}

static void free_items(struct list list, const struct setting *item) {
    for (uint32_t i = 0; i < list.count && item->type->finish; i++)
        item->type->finish(item, list.items + i * item->size);
    free(list.items);
}

static bool append_value(struct list *list, const struct setting *item, const struct setting_value *value,
                         struct buf *why) {
    if (list->count == LIST_ITEMS_MAX) {
        buf_printf(why, "must hold at most %d", LIST_ITEMS_MAX);
        return false;
    }
    if (item->type->set(item, append(list, item), value, why))
        return true;
    list->count--;
    return false;
}

/* Items are separated by commas; blanks around them do not count. All of them replace those that were there. */
static bool set_list(const struct setting *setting, void *base, const struct setting_value *value,
                     struct buf *why) {
    struct list list = {0};
    bool fine = true;
    if (setting->item->type->set == NULL) {
        buf_printf(why, "is not a single value: %s are set in the file", setting->path);
        return false;
    }
    char *copy = xstrdup(value->text);
    char *rest = copy;
    for (char *item; fine && (item = strsep(&rest, ",")) != NULL;) {
        struct setting_value one = {VALUE_TEXT, 0, item + strspn(item, " ")};
        for (size_t len = strlen(item); len > 0 && item[len - 1] == ' '; len--)
            item[len - 1] = '\0';
        if (*one.text == '\0')
            continue;
        if (setting->item->type->parse)
            setting->item->type->parse(one.text, &one);
        fine = append_value(&list, setting->item, &one, why);
    }
    free(copy);
    free_items(fine ? load_list(setting, base) : list, setting->item);
    if (fine)
        store_list(setting, base, list);
    return fine;
}

static bool is_equal_list(const struct setting *setting, const void *a, const void *b) {
    const struct setting *item = setting->item;
    struct list one = load_list(setting, a), other = load_list(setting, b);
    bool equal = one.count == other.count;
    for (uint32_t i = 0; equal && i < one.count; i++)
        equal = item->type->is_equal(item, one.items + i * item->size, other.items + i * item->size);
    return equal;
}

static void copy_list(const struct setting *setting, void *to, const void *from) {
    const struct setting *item = setting->item;
    struct list theirs = load_list(setting, from), ours = {0};
    for (uint32_t i = 0; i < theirs.count; i++)
        item->type->copy(item, append(&ours, item), theirs.items + i * item->size);
    free_items(load_list(setting, to), item);
    store_list(setting, to, ours);
}

static void finish_list(const struct setting *setting, void *base) {
    free_items(load_list(setting, base), setting->item);
}

static void print_list(const struct setting *setting, FILE *out) {
    if (!setting_is_list_of_groups(setting))
        fputs("[ ]", out);
    else if (setting->item->settings->begins_with_default)
        fprintf(out, "( { name = \"%s\"; } )", settings_find(setting->item->settings, "name")->text);
    else
        fputs("( )", out);
}

static void print_list_range(const struct setting *setting, FILE *out) {
    fprintf(out, "list of %ss", setting->item->type->noun);
}

const struct setting_type setting_list = {
    .noun = "list",
    .set = set_list,
    .is_equal = is_equal_list,
    .copy = copy_list,
    .finish = finish_list,
    .print_default = print_list,
    .print_range = print_list_range,
};

bool setting_is_list_of_groups(const struct setting *setting) {
    return setting->type == &setting_list && setting->item->type == &setting_group;
}

bool setting_add_item(const struct setting *setting, void *base, const struct setting_value *value,
                      struct buf *why) {
    struct list list = load_list(setting, base);
    bool fine = append_value(&list, setting->item, value, why);
    store_list(setting, base, list);
    return fine;
}

uint32_t setting_item_count(const struct setting *setting, const void *base) {
    return load_list(setting, base).count;
}

void *setting_item(const struct setting *setting, const void *base, uint32_t index) {
    return load_list(setting, base).items + index * setting->item->size;
}

void *setting_append_item(const struct setting *setting, void *base) {
    struct list list = load_list(setting, base);
    void *fresh = append(&list, setting->item);
    if (setting->item->type->init)
        setting->item->type->init(setting->item, fresh);
    store_list(setting, base, list);
    return fresh;
}

void setting_drop_last_item(const struct setting *setting, void *base) {
    struct list list = load_list(setting, base);
    list.count--;
    if (setting->item->type->finish)
        setting->item->type->finish(setting->item, list.items + list.count * setting->item->size);
    store_list(setting, base, list);
}

/* ---- all of a table ---- */

void settings_init(const struct settings *settings, void *base) {
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *setting = &settings->items[i];
        if (setting->type->init)
            setting->type->init(setting, base);
    }
}

void settings_copy(const struct settings *settings, void *base, const void *from) {
    for (size_t i = 0; i < settings->count; i++)
        settings->items[i].type->copy(&settings->items[i], base, from);
}

bool settings_are_equal(const struct settings *settings, const void *a, const void *b) {
    bool equal = true;
    for (size_t i = 0; equal && i < settings->count; i++)
        equal = settings->items[i].type->is_equal(&settings->items[i], a, b);
    return equal;
}

void settings_finish(const struct settings *settings, void *base) {
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *setting = &settings->items[i];
        if (setting->type->finish)
            setting->type->finish(setting, base);
    }
}

bool setting_set_from_environment(const struct setting *setting, void *base, const char *text,
                                  struct buf *why) {
    struct setting_value value = {VALUE_TEXT, 0, text};
    if (setting->type->parse)
        setting->type->parse(text, &value);
    if (setting->type->set(setting, base, &value, why))
        return true;
    if (setting->type == &setting_number && strncmp(text, "tcp://", 6) == 0)
        buf_append_text(why,
                        ". Kubernetes sets this variable for a Service of that name: rename the Service, "
                        "or set enableServiceLinks: false in the pod");
    return false;
}

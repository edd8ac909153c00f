/* Values of settings: stored, checked, compared, copied. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/config/settings.h"

/* Enough for any sensible list, and an end for a generated one. */
enum { LIST_ITEMS_MAX = 1024 };

static void *member_of(const struct setting *setting, void *base) {
    return (char *)base + setting->offset;
}

static char **text_of(const struct setting *setting, void *base) {
    return member_of(setting, base);
}

static char ***texts_of(const struct setting *setting, void *base) {
    return member_of(setting, base);
}

static uint32_t *text_count_of(const struct setting *setting, void *base) {
    return (uint32_t *)((char *)base + setting->count_offset);
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

static void store_text(const struct setting *setting, void *base, const char *text) {
    char **member = text_of(setting, base);
    free(*member);
    *member = xstrdup(text);
}

/* ---- life ---- */

static void finish_namespaces(struct config *config) {
    for (uint32_t i = 0; i < config->namespace_count; i++)
        settings_finish(namespace_settings, &config->namespaces[i]);
    free(config->namespaces);
}

static void finish_texts(const struct setting *setting, void *base) {
    char **texts = *texts_of(setting, base);
    for (uint32_t i = 0; i < *text_count_of(setting, base); i++)
        free(texts[i]);
    free(texts);
}

void settings_init(struct settings settings, void *base) {
    for (size_t i = 0; i < settings.count; i++) {
        const struct setting *setting = &settings.items[i];
        if (setting->kind == SETTING_TEXT)
            store_text(setting, base, setting->text);
        else if (!setting_is_list(setting))
            store_number(setting, base, setting->number);
    }
}

void settings_finish(struct settings settings, void *base) {
    for (size_t i = 0; i < settings.count; i++) {
        const struct setting *setting = &settings.items[i];
        switch (setting->kind) {
        case SETTING_TEXT:
            free(*text_of(setting, base));
            break;
        case SETTING_TEXTS:
            finish_texts(setting, base);
            break;
        case SETTING_NETWORKS:
            free(((struct config *)base)->trusted_proxies);
            break;
        case SETTING_NAMESPACES:
            finish_namespaces(base);
            break;
        default:
            break;
        }
    }
}

/* ---- setting ---- */

/* What the value is, for a person: a text in quotes, clipped and printable. */
static void append_value(const struct setting *setting, const struct setting_value *value, struct buf *why) {
    enum { SHOWN_MAX = 60 };
    if (value->kind == VALUE_OTHER) {
        buf_printf(why, ", is %s", value->text);
    } else if (setting->secret) {
        return;
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
}

static bool refuse_value(const struct setting *setting, const struct setting_value *value, struct buf *why) {
    switch (setting->kind) {
    case SETTING_NUMBER:
        buf_printf(why, "must be a number from %" PRIu64 " to %" PRIu64, setting->min, setting->max);
        break;
    case SETTING_BOOLEAN:
        buf_append_text(why, "must be true or false");
        break;
    case SETTING_CHOICE:
        buf_append_text(why, "must be ");
        for (size_t i = 0; setting->choices[i] != NULL; i++)
            buf_printf(why, "%s\"%s\"",
                       i == 0                    ? ""
                       : setting->choices[i + 1] ? ", "
                                                 : " or ",
                       setting->choices[i]);
        break;
    default:
        buf_append_text(why, "must be a text in double quotes");
        break;
    }
    append_value(setting, value, why);
    return false;
}

static bool set_choice(const struct setting *setting, void *base, const char *text) {
    for (size_t i = 0; setting->choices[i] != NULL; i++) {
        if (strcmp(setting->choices[i], text) == 0) {
            store_number(setting, base, i);
            return true;
        }
    }
    return false;
}

/* What holds for every text, also for the items of a list. */
static bool is_plain_text(const char *text, struct buf *why) {
    if (text_is_utf8(bytes_of(text)) && strpbrk(text, "\r\n\t\v\f\b\a\033") == NULL)
        return true;
    buf_append_text(why, "must be UTF-8 without control characters");
    return false;
}

static bool set_text(const struct setting *setting, void *base, const struct setting_value *value,
                     struct buf *why) {
    struct bytes text = bytes_of(value->text);
    if (!is_plain_text(value->text, why))
        return false;
    if (text.len < setting->min) {
        buf_append_text(why, "must not be empty");
        return false;
    }
    if (text.len > setting->max) {
        buf_printf(why, "must be at most %" PRIu64 " bytes long, has %zu", setting->max, text.len);
        return false;
    }
    if (setting->check != NULL && !setting->check(text, why)) {
        append_value(setting, value, why);
        return false;
    }
    store_text(setting, base, value->text);
    return true;
}

bool setting_set(const struct setting *setting, void *base, const struct setting_value *value,
                 struct buf *why) {
    switch (setting->kind) {
    case SETTING_NUMBER:
        if (value->kind != VALUE_NUMBER || value->number < 0 || (uint64_t)value->number < setting->min ||
            (uint64_t)value->number > setting->max)
            return refuse_value(setting, value, why);
        store_number(setting, base, (uint64_t)value->number);
        return true;
    case SETTING_BOOLEAN:
        if (value->kind != VALUE_BOOLEAN)
            return refuse_value(setting, value, why);
        store_number(setting, base, (uint64_t)value->number);
        return true;
    case SETTING_CHOICE:
        return (value->kind == VALUE_TEXT && set_choice(setting, base, value->text)) ||
               refuse_value(setting, value, why);
    default:
        return value->kind == VALUE_TEXT ? set_text(setting, base, value, why)
                                         : refuse_value(setting, value, why);
    }
}

static void add_text(const struct setting *setting, struct config *config, const char *text) {
    char ***texts = texts_of(setting, config);
    uint32_t *count = text_count_of(setting, config);
    *texts = xrealloc(*texts, (*count + 1) * sizeof **texts);
    (*texts)[(*count)++] = xstrdup(text);
}

static void add_network(struct config *config, const struct network *network) {
    uint32_t *count = &config->trusted_proxy_count;
    config->trusted_proxies = xrealloc(config->trusted_proxies, (*count + 1) * sizeof *network);
    config->trusted_proxies[(*count)++] = *network;
}

bool setting_add_item(const struct setting *setting, struct config *config, const struct setting_value *item,
                      struct buf *why) {
    bool networks = setting->kind == SETTING_NETWORKS;
    uint32_t count = networks ? config->trusted_proxy_count : *text_count_of(setting, config);
    struct network network;
    if (item->kind != VALUE_TEXT)
        return refuse_value(setting, item, why);
    if (count == LIST_ITEMS_MAX) {
        buf_printf(why, "must hold at most %d", LIST_ITEMS_MAX);
        return false;
    }
    if (!is_plain_text(item->text, why))
        return false;
    struct bytes text = bytes_of(item->text);
    if (networks ? !check_network(text, &network, why) : !setting->check(text, why)) {
        append_value(setting, item, why);
        return false;
    }
    if (networks)
        add_network(config, &network);
    else
        add_text(setting, config, item->text);
    return true;
}

static bool parse_boolean(const char *text, int64_t *value) {
    static const char *const names[] = {"false", "true", "0", "1", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (text_equal_nocase(bytes_of(text), names[i])) {
            *value = i % 2;
            return true;
        }
    }
    return false;
}

/* Items are separated by commas; blanks around them do not count. All of them replace those of the file. */
static bool set_list(const struct setting *setting, struct config *config, const char *text,
                     struct buf *why) {
    struct config fresh = {0};
    bool fine = true;
    char *copy = xstrdup(text);
    char *rest = copy;
    for (char *item; fine && (item = strsep(&rest, ",")) != NULL;) {
        item += strspn(item, " ");
        size_t len = strlen(item);
        while (len > 0 && item[len - 1] == ' ')
            item[--len] = '\0';
        if (len > 0)
            fine = setting_add_item(setting, &fresh, &(struct setting_value){VALUE_TEXT, 0, item}, why);
    }
    free(copy);
    if (fine && setting->kind == SETTING_NETWORKS) {
        free(config->trusted_proxies);
        config->trusted_proxies = fresh.trusted_proxies;
        config->trusted_proxy_count = fresh.trusted_proxy_count;
    } else if (fine) {
        finish_texts(setting, config);
        *texts_of(setting, config) = *texts_of(setting, &fresh);
        *text_count_of(setting, config) = *text_count_of(setting, &fresh);
    } else {
        settings_finish((struct settings){setting, 1}, &fresh);
    }
    return fine;
}

bool setting_set_from_environment(const struct setting *setting, struct config *config, const char *text,
                                  struct buf *why) {
    struct setting_value value = {VALUE_TEXT, 0, text};
    uint64_t number;
    if (setting->kind == SETTING_TEXTS || setting->kind == SETTING_NETWORKS)
        return set_list(setting, config, text, why);
    if (setting->kind == SETTING_NAMESPACES) {
        buf_append_text(why, "is not a single value: namespaces are set in the file");
        return false;
    }
    if (setting->kind == SETTING_NUMBER && text_parse_u64(bytes_of(text), &number) && number <= INT64_MAX) {
        value.kind = VALUE_NUMBER;
        value.number = (int64_t)number;
    } else if (setting->kind == SETTING_BOOLEAN && parse_boolean(text, &value.number)) {
        value.kind = VALUE_BOOLEAN;
    }
    if (setting_set(setting, config, &value, why))
        return true;
    if (setting->kind == SETTING_NUMBER && strncmp(text, "tcp://", 6) == 0)
        buf_append_text(why,
                        ". Kubernetes sets this variable for a Service of that name: rename the Service, "
                        "or set enableServiceLinks: false in the pod");
    return false;
}

/* ---- comparing and copying ---- */

bool setting_is_list(const struct setting *setting) {
    return setting->kind >= SETTING_TEXTS;
}

static bool texts_are_equal(const struct setting *setting, void *a, void *b) {
    uint32_t count = *text_count_of(setting, a);
    if (count != *text_count_of(setting, b))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp((*texts_of(setting, a))[i], (*texts_of(setting, b))[i]) != 0)
            return false;
    }
    return true;
}

static bool networks_are_equal(const struct config *a, const struct config *b) {
    return a->trusted_proxy_count == b->trusted_proxy_count &&
           (a->trusted_proxy_count == 0 || memcmp(a->trusted_proxies, b->trusted_proxies,
                                                  a->trusted_proxy_count * sizeof *a->trusted_proxies) == 0);
}

static bool namespaces_are_equal(const struct config *a, const struct config *b) {
    if (a->namespace_count != b->namespace_count)
        return false;
    for (uint32_t i = 0; i < a->namespace_count; i++) {
        for (size_t j = 0; j < namespace_settings.count; j++) {
            if (!setting_is_equal(&namespace_settings.items[j], &a->namespaces[i], &b->namespaces[i]))
                return false;
        }
    }
    return true;
}

bool setting_is_equal(const struct setting *setting, const void *a, const void *b) {
    switch (setting->kind) {
    case SETTING_TEXT:
        return strcmp(*text_of(setting, (void *)a), *text_of(setting, (void *)b)) == 0;
    case SETTING_TEXTS:
        return texts_are_equal(setting, (void *)a, (void *)b);
    case SETTING_NETWORKS:
        return networks_are_equal(a, b);
    case SETTING_NAMESPACES:
        return namespaces_are_equal(a, b);
    default:
        return memcmp((const char *)a + setting->offset, (const char *)b + setting->offset, setting->size) ==
               0;
    }
}

static void copy_networks(struct config *to, const struct config *from) {
    size_t bytes = from->trusted_proxy_count * sizeof *from->trusted_proxies;
    free(to->trusted_proxies);
    to->trusted_proxies = NULL;
    to->trusted_proxy_count = from->trusted_proxy_count;
    if (bytes == 0)
        return;
    to->trusted_proxies = xmalloc(bytes);
    memcpy(to->trusted_proxies, from->trusted_proxies, bytes);
}

void setting_copy(const struct setting *setting, struct config *to, const struct config *from) {
    assert(setting->kind != SETTING_TEXTS && setting->kind != SETTING_NAMESPACES);
    if (setting->kind == SETTING_TEXT)
        store_text(setting, to, *text_of(setting, (void *)from));
    else if (setting->kind == SETTING_NETWORKS)
        copy_networks(to, from);
    else
        memcpy(member_of(setting, to), member_of(setting, (void *)from), setting->size);
}

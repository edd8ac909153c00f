#include <inttypes.h>
#include <string.h>

#include "gateway/config/settings.h"

static void print_default(const struct setting *setting, FILE *out) {
    switch (setting->kind) {
    case SETTING_NUMBER:
        fprintf(out, "%" PRIu64, setting->number);
        break;
    case SETTING_BOOLEAN:
        fputs(setting->number ? "true" : "false", out);
        break;
    case SETTING_CHOICE:
        fprintf(out, "\"%s\"", setting->choices[setting->number]);
        break;
    case SETTING_TEXT:
        fprintf(out, "\"%s\"", setting->text);
        break;
    case SETTING_NAMESPACES:
        fputs("( { name = \"default\"; } )", out);
        break;
    default:
        fputs("[ ]", out);
    }
}

static void print_type(const struct setting *setting, FILE *out) {
    switch (setting->kind) {
    case SETTING_NUMBER:
        fprintf(out, "number from %" PRIu64 " to %" PRIu64, setting->min, setting->max);
        break;
    case SETTING_BOOLEAN:
        fputs("true or false", out);
        break;
    case SETTING_CHOICE:
        for (size_t i = 0; setting->choices[i] != NULL; i++)
            fprintf(out, "%s\"%s\"", i == 0 ? "" : ", ", setting->choices[i]);
        break;
    case SETTING_TEXT:
        fputs("text", out);
        break;
    case SETTING_NAMESPACES:
        fputs("list of groups", out);
        break;
    default:
        fputs("list of texts", out);
    }
}

/* Breaks lines between words. */
static void print_wrapped(const char *text, FILE *out) {
    enum { WIDTH = 92 };
    size_t column = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column == 0 || column + 1 + len > WIDTH)
            column = (size_t)fprintf(out, "%s    ", column == 0 ? "" : "\n");
        else
            column += (size_t)fprintf(out, " ");
        column += (size_t)fprintf(out, "%.*s", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_settings(struct settings settings, const char *prefix, FILE *out) {
    for (size_t i = 0; i < settings.count; i++) {
        const struct setting *setting = &settings.items[i];
        char name[ENVIRONMENT_NAME_BYTES];
        fprintf(out, "\n%s%s = ", prefix, setting->path);
        print_default(setting, out);
        fputs("\n    (", out);
        print_type(setting, out);
        if (settings.items == config_settings.items && setting->kind != SETTING_NAMESPACES) {
            setting_environment_name(setting, name);
            fprintf(out, "; %s", name);
        }
        fprintf(out, "; %s)\n", setting->reloadable ? "reload" : "restart");
        print_wrapped(setting->help, out);
    }
}

void config_print_settings(FILE *out) {
    fputs("Settings, each with its default, what it may hold, its name in the environment, and whether a "
          "change\n"
          "takes effect by a reload (SIGHUP) or needs a restart. Lists in the environment are separated by "
          "commas.\n",
          out);
    print_settings(config_settings, "", out);
    print_settings(namespace_settings, "namespaces.", out);
}

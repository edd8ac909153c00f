#include <string.h>

#include "gateway/config/settings.h"

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

/* `list` is the path of the list whose groups have these settings; NULL: they have names in the environment. */
static void print_table(const struct settings *settings, const char *list, FILE *out) {
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *setting = &settings->items[i];
        char name[ENVIRONMENT_NAME_BYTES];
        fprintf(out, "\n%s%s%s = ", list ? list : "", list ? "." : "", setting->path);
        setting->type->print_default(setting, out);
        fputs("\n    (", out);
        setting->type->print_range(setting, out);
        if (list == NULL && !setting_is_list_of_groups(setting)) {
            setting_environment_name(setting, name);
            fprintf(out, "; %s", name);
        }
        fprintf(out, "; %s)\n", setting->reloadable ? "reload" : "restart");
        print_wrapped(setting->help, out);
    }
}

void settings_print(const struct settings *settings, FILE *out) {
    print_table(settings, NULL, out);
    for (size_t i = 0; i < settings->count; i++) {
        const struct setting *setting = &settings->items[i];
        if (setting_is_list_of_groups(setting))
            print_table(setting->item->settings, setting->path, out);
    }
}

void config_print_settings(FILE *out) {
    fputs("Settings, each with its default, what it may hold, its name in the environment, and whether a "
          "change\n"
          "takes effect by a reload (SIGHUP) or needs a restart. Lists in the environment are separated by "
          "commas.\n",
          out);
    settings_print(&config_settings, out);
}

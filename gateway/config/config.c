#include "gateway/config/config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/xalloc.h"
#include "gateway/config/parser.h"

enum { FILE_BYTES_MAX = 1 << 20 };

/* ---- the environment ---- */

/* Kubernetes sets FANTAIL_REDIS_PORT_6379_TCP_ADDR and the like for a Service named fantail-redis. */
static bool is_of_kubernetes(const char *name, const char *value) {
    return strstr(name, "_SERVICE_") != NULL || strstr(name, "_PORT_") != NULL ||
           strncmp(value, "tcp://", 6) == 0;
}

static bool begins_like_a_group(const struct settings *settings, const char *name) {
    char known[ENVIRONMENT_NAME_BYTES];
    for (size_t i = 0; i < settings->count; i++) {
        const char *path = settings->items[i].path;
        const char *dot = strchr(path, '.');
        size_t group_len = dot ? strlen("FANTAIL_") + (size_t)(dot - path) + 1 : 0;
        setting_environment_name(&settings->items[i], known);
        if (dot != NULL && strncmp(name, known, group_len) == 0)
            return true;
    }
    return false;
}

/* A variable that is no setting is a fault where its name begins like a group's. Others are named only: they may be
 * somebody else's, e.g. FANTAIL_VERSION in an image. */
static void unknown_variable(struct parser *parser, const char *name, const char *value) {
    char meant[ENVIRONMENT_NAME_BYTES];
    if (is_of_kubernetes(name, value))
        return;
    bool is_fault = begins_like_a_group(parser->settings, name);
    struct buf *out = is_fault ? parser->errors : parser->options->warnings;
    parser->failed = parser->failed || is_fault;
    if (out == NULL)
        return;
    if (settings_suggest_variable(parser->settings, name, meant))
        buf_printf(out, "%.100s: unknown setting, did you mean %s?\n", name, meant);
    else
        buf_printf(out, "%.100s: unknown setting; fantail --help-settings lists those there are\n", name);
}

static void read_variable(struct parser *parser, const char *name, const char *value) {
    for (size_t i = 0; i < parser->settings->count; i++) {
        const struct setting *setting = &parser->settings->items[i];
        char known[ENVIRONMENT_NAME_BYTES];
        struct buf why;
        setting_environment_name(setting, known);
        if (strcmp(known, name) != 0)
            continue;
        /* Compose files pass on variables that nobody set as empty ones. */
        if (*value == '\0' && !setting->type->is_empty_a_value)
            return;
        buf_init(&why, 0);
        bool fine = setting_set_from_environment(setting, parser->base, value, &why);
        *parser_source(parser, setting) = (struct source){.in_environment = true, .is_refused = !fine};
        if (!fine) {
            buf_printf(parser->errors, "%s: %.*s\n", name, BYTES_FMT(buf_bytes(&why)));
            parser->failed = true;
        }
        buf_finish(&why);
        return;
    }
    unknown_variable(parser, name, value);
}

static void read_environment(struct parser *parser) {
    for (char *const *variable = parser->options->environment; variable && *variable; variable++) {
        char name[128];
        size_t len = strspn(*variable, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
        if (strncmp(*variable, "FANTAIL_", 8) != 0 || (*variable)[len] != '=' || len >= sizeof name)
            continue;
        memcpy(name, *variable, len);
        name[len] = '\0';
        read_variable(parser, name, *variable + len + 1);
    }
}

/* ---- what nobody has set ---- */

static bool is_given(struct parser *parser, const char *path) {
    const struct source *source = parser_source(parser, settings_find(parser->settings, path));
    return source->in_file || source->in_environment;
}

static void replace_text(char **member, const char *text) {
    free(*member);
    *member = xstrdup(text);
}

/* Those of the demo pages, whose visitors come back to what was said. */
static void add_dev_namespaces(struct parser *parser) {
    static const char text[] = "namespaces = ("
                               "{ name = \"chat\"; history_size = 100; history_ttl_seconds = 3600; },"
                               "{ name = \"live\"; history_size = 200; history_ttl_seconds = 3600;"
                               "  slow_consumer = \"drop_oldest\"; }"
                               ");";
    parser_read_text(parser, bytes_of(text));
}

static void apply_dev(struct parser *parser) {
    struct config *config = parser->base;
    const char *static_dir = parser->options->dev_static_dir;
    if (!is_given(parser, "broker") && !is_given(parser, "redis.url"))
        config->broker = BROKER_MEMORY;
    if (!is_given(parser, "origins")) {
        config->origins = xcalloc(1, sizeof *config->origins);
        config->origins[config->origin_count++] = xstrdup("*");
    }
    if (!is_given(parser, "static_dir") && static_dir != NULL)
        replace_text(&config->static_dir, static_dir);
    if (!is_given(parser, "namespaces"))
        add_dev_namespaces(parser);
}

static void apply_host_name(struct config *config) {
    char name[64] = ""; /* As long as a node's name may be; a longer host name is cut. */
    struct buf why;
    gethostname(name, sizeof name - 1);
    buf_init(&why, 0);
    replace_text(&config->node, *name && check_node_name(bytes_of(name), &why) ? name : "localhost");
    buf_finish(&why);
}

/* 0.0.0.0 and :: take the port on every address. */
static bool share_an_address(const char *a, const char *b) {
    static const char *const every[] = {"0.0.0.0", "::"};
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(a, every[i]) == 0 || strcmp(b, every[i]) == 0)
            return true;
    }
    return strcmp(a, b) == 0;
}

/* ---- between settings ---- */

/* A fault between the settings of `paths`, which end with NULL. It is told at the first that somebody has
 * set: with the defaults alone nothing is wrong. Where one of them was refused by itself, its default says
 * nothing about the others. */
static void fault_between(struct parser *parser, const char *const *paths, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fault_between(struct parser *parser, const char *const *paths, const char *format, ...) {
    const struct setting *told = NULL;
    char text[512];
    va_list args;
    for (size_t i = 0; paths[i] != NULL; i++) {
        const struct setting *setting = settings_find(parser->settings, paths[i]);
        if (parser_source(parser, setting)->is_refused)
            return;
        if (told == NULL && is_given(parser, paths[i]))
            told = setting;
    }
    assert(told != NULL);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (parser_source(parser, told)->in_environment) {
        char name[ENVIRONMENT_NAME_BYTES];
        setting_environment_name(told, name);
        buf_printf(parser->errors, "%s: %s\n", name, text);
        parser->failed = true;
    } else {
        parser_fault(parser, parser_source(parser, told)->line, told->path, "%s", text);
    }
}

#define PATHS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Reading its list is not needed, only its files. */
static void check_static_dir(struct parser *parser) {
    const char *dir = ((const struct config *)parser->base)->static_dir;
    struct stat found;
    if (*dir == '\0')
        return;
    if (stat(dir, &found) == 0 && !S_ISDIR(found.st_mode))
        errno = ENOTDIR;
    else if (access(dir, X_OK) == 0)
        return;
    fault_between(parser, PATHS("static_dir"), "%s: %s", dir, strerror(errno));
}

/* What must hold between settings that are fine each by itself. */
static void check_whole(struct parser *parser) {
    const struct config *config = parser->base;
    const struct limits_config *limits = &config->limits;
    if (config->broker == BROKER_MEMORY && config->workers > 1)
        fault_between(parser, PATHS("workers", "broker"),
                      "the memory broker serves one process: use workers = 1, or broker = \"redis\"");
    /* Workers share the public port, so that the system would not refuse the second listener. */
    if (config->listen.port == config->admin.port &&
        share_an_address(config->listen.address, config->admin.address))
        fault_between(parser, PATHS("admin.port", "listen.port"),
                      "clients connect to the same port: admin.port and listen.port must differ");
    if (config->listen.proxy_protocol && config->trusted_proxy_count == 0)
        fault_between(parser, PATHS("listen.proxy_protocol", "trusted_proxies"),
                      "needs to know from whom, e.g. trusted_proxies = [ \"10.0.0.0/8\" ];");
    if (parser->options->checks_files && is_given(parser, "static_dir"))
        check_static_dir(parser);
    if (config->redis.probe_timeout_ms <= config->redis.probe_ms)
        fault_between(parser, PATHS("redis.probe_timeout_ms", "redis.probe_ms"),
                      "redis.probe_timeout_ms (%" PRIu32 ") must be more than redis.probe_ms (%" PRIu32 ")",
                      config->redis.probe_timeout_ms, config->redis.probe_ms);
    if (limits->outbox_bytes < limits->message_bytes)
        fault_between(parser, PATHS("limits.outbox_bytes", "limits.message_bytes"),
                      "limits.outbox_bytes (%" PRIu64 ") must be at least limits.message_bytes (%" PRIu32
                      "), or the largest message reaches nobody",
                      limits->outbox_bytes, limits->message_bytes);
    if (limits->outbox_total_bytes < limits->outbox_bytes)
        fault_between(parser, PATHS("limits.outbox_total_bytes", "limits.outbox_bytes"),
                      "limits.outbox_total_bytes (%" PRIu64 ") must be at least limits.outbox_bytes (%" PRIu64
                      ")",
                      limits->outbox_total_bytes, limits->outbox_bytes);
}

/* ---- the whole ---- */

struct config *config_parse(struct bytes text, const char *file, const struct config_options *options,
                            struct buf *errors) {
    struct config *config = xcalloc(1, sizeof *config);
    struct parser parser = {
        .settings = &config_settings,
        .base = config,
        .options = options,
        .file = file,
        .errors = errors,
        .sources = xcalloc(config_settings.count, sizeof *parser.sources),
    };
    settings_init(&config_settings, config);
    parser_read_text(&parser, text);
    read_environment(&parser);
    if (options->dev)
        apply_dev(&parser);
    if (*config->node == '\0')
        apply_host_name(config);
    check_whole(&parser);
    free(parser.sources);
    if (parser.failed) {
        config_free(config);
        return NULL;
    }
    if (config->broker == BROKER_MEMORY)
        config->workers = 1;
    return config;
}

void config_free(struct config *config) {
    if (config == NULL)
        return;
    settings_finish(&config_settings, config);
    free(config);
}

bool config_load_file(const char *file, struct buf *text, struct buf *errors) {
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    size_t start = text->len;
    ssize_t count = -1;
    while (fd >= 0 && text->len - start <= FILE_BYTES_MAX) {
        char *room = buf_reserve(text, 16384);
        if (room == NULL) {
            errno = EFBIG;
            count = -1;
            break;
        }
        count = read(fd, room, 16384);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        text->len += (size_t)count;
    }
    int reason = errno;
    if (fd >= 0)
        close(fd);
    if (count == 0)
        return true;
    if (count > 0)
        buf_printf(errors, "%s: is larger than %d bytes: not a configuration\n", file, FILE_BYTES_MAX);
    else
        buf_printf(errors, "%s: cannot be read: %s\n", file, strerror(reason));
    return false;
}

const char *config_needs_restart(const struct config *running, const struct config *fresh) {
    for (size_t i = 0; i < config_settings.count; i++) {
        const struct setting *setting = &config_settings.items[i];
        if (!setting->reloadable && !setting->type->is_equal(setting, running, fresh))
            return setting->path;
    }
    return NULL;
}

void config_keep_fixed(struct config *fresh, const struct config *running) {
    for (size_t i = 0; i < config_settings.count; i++) {
        const struct setting *setting = &config_settings.items[i];
        if (!setting->reloadable && !setting->type->is_equal(setting, running, fresh))
            setting->type->copy(setting, fresh, running);
    }
}

bool network_contains(const struct network *network, const uint8_t address[16]) {
    size_t whole = network->prefix_bits / 8;
    unsigned rest = network->prefix_bits % 8;
    if (memcmp(network->address, address, whole) != 0)
        return false;
    return rest == 0 || ((network->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

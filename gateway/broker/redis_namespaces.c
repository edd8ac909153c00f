#include "gateway/broker/redis_namespaces.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/xalloc.h"

#define HASH_KEY BYTES_LITERAL("fantail:namespaces")

struct setting {
    struct buf field;
    struct buf value;
};

struct redis_namespaces {
    struct bytes prefix;
    struct redis_commands *commands;
    bool is_refused; /* Redis does not let us; said once for each connection. */
    struct setting *settings;
    size_t count;
};

static void on_written(void *arg, const redisReply *reply) {
    struct redis_namespaces *namespaces = arg;
    if (reply == NULL || reply->type != REDIS_REPLY_ERROR || namespaces->is_refused)
        return;
    namespaces->is_refused = true;
    log_warn("redis", "settings of namespaces not written error=\"%s\"", reply->str);
}

static void write_all(struct redis_namespaces *namespaces) {
    for (size_t i = 0; i < namespaces->count; i++) {
        const struct setting *setting = &namespaces->settings[i];
        struct bytes words[] = {BYTES_LITERAL("HSET"), HASH_KEY, buf_bytes(&setting->field),
                                buf_bytes(&setting->value)};
        redis_commands_send(namespaces->commands, words, 4, on_written, namespaces);
    }
}

static void take_away(struct redis_namespaces *namespaces, struct bytes field) {
    struct bytes words[] = {BYTES_LITERAL("HDEL"), HASH_KEY, field};
    redis_commands_send(namespaces->commands, words, 3, on_written, namespaces);
}

static bool has_field(const struct redis_namespaces *namespaces, struct bytes field) {
    for (size_t i = 0; i < namespaces->count; i++) {
        if (bytes_equal(buf_bytes(&namespaces->settings[i].field), field))
            return true;
    }
    return false;
}

static void free_settings(struct setting *settings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        buf_finish(&settings[i].field);
        buf_finish(&settings[i].value);
    }
    free(settings);
}

static struct setting setting_of(const struct redis_namespaces *namespaces,
                                 const struct namespace_config *options) {
    struct setting setting;
    buf_init(&setting.field, 0);
    buf_init(&setting.value, 0);
    buf_append_bytes(&setting.field, namespaces->prefix);
    if (!bytes_equal_text(bytes_of(options->name), "default"))
        buf_printf(&setting.field, "%s:", options->name);
    buf_printf(&setting.value, "%u %u %u", (unsigned)options->history_size,
               (unsigned)options->history_ttl_seconds, (unsigned)options->position_ttl_seconds);
    return setting;
}

void redis_namespaces_set_config(struct redis_namespaces *namespaces, const struct config *config) {
    struct setting *old = namespaces->settings;
    size_t old_count = namespaces->count;
    namespaces->count = config->namespace_count;
    namespaces->settings = xcalloc(namespaces->count, sizeof *namespaces->settings);
    for (size_t i = 0; i < namespaces->count; i++)
        namespaces->settings[i] = setting_of(namespaces, &config->namespaces[i]);
    if (namespaces->commands != NULL) {
        for (size_t i = 0; i < old_count; i++) {
            if (!has_field(namespaces, buf_bytes(&old[i].field)))
                take_away(namespaces, buf_bytes(&old[i].field));
        }
        write_all(namespaces);
    }
    free_settings(old, old_count);
}

void redis_namespaces_start(struct redis_namespaces *namespaces, struct redis_commands *commands) {
    namespaces->commands = commands;
    namespaces->is_refused = false;
    if (commands != NULL)
        write_all(namespaces);
}

static void on_exists(void *arg, const redisReply *reply) {
    struct redis_namespaces *namespaces = arg;
    if (namespaces->commands != NULL && reply != NULL && reply->type == REDIS_REPLY_INTEGER &&
        reply->integer == 0)
        write_all(namespaces);
    else
        on_written(namespaces, reply);
}

void redis_namespaces_check(struct redis_namespaces *namespaces) {
    struct bytes words[] = {BYTES_LITERAL("EXISTS"), HASH_KEY};
    if (namespaces->commands != NULL && !namespaces->is_refused)
        redis_commands_send(namespaces->commands, words, 2, on_exists, namespaces);
}

struct redis_namespaces *redis_namespaces_create(struct bytes prefix) {
    struct redis_namespaces *namespaces = xcalloc(1, sizeof *namespaces);
    namespaces->prefix = prefix;
    return namespaces;
}

void redis_namespaces_destroy(struct redis_namespaces *namespaces) {
    free_settings(namespaces->settings, namespaces->count);
    free(namespaces);
}

#include "gateway/core/channel.h"

#include "common/text.h"

/* The names that Redis (__keyspace@0__, __redis__, __sentinel__) and we ourselves (probes) send on. */
#define REDIS_OWN BYTES_LITERAL("__")
#define FANTAIL_OWN "fantail"

static bool is_plain(struct bytes name) {
    if (name.len == 0 || name.len > CHANNEL_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c <= ' ' || c == 0x7F || c == '{' || c == '}')
            return false;
        /* C1 control characters, U+0080 to U+009F, are C2 80 to C2 9F in UTF-8. */
        if (c == 0xC2 && i + 1 < name.len && (unsigned char)name.data[i + 1] <= 0x9F)
            return false;
    }
    return text_is_utf8(name);
}

bool channel_name_is_valid(struct bytes name) {
    return is_plain(name) && !bytes_start_with(name, REDIS_OWN) &&
           !bytes_start_with(name, BYTES_LITERAL(FANTAIL_OWN ":"));
}

bool channel_namespace_name_is_valid(struct bytes name) {
    return channel_name_is_valid(name) && memchr(name.data, ':', name.len) == NULL &&
           !bytes_equal_text(name, FANTAIL_OWN);
}

bool channel_prefix_is_valid(struct bytes prefix) {
    return prefix.len == 0 || is_plain(prefix);
}

bool channel_prefix_is_of_redis(struct bytes prefix) {
    return prefix.len > 0 && (bytes_start_with(prefix, REDIS_OWN) || bytes_start_with(REDIS_OWN, prefix));
}

const struct namespace_config *channel_namespace(const struct config *config, struct bytes name) {
    const char *colon = memchr(name.data, ':', name.len);
    if (colon != NULL) {
        struct bytes prefix = bytes_make(name.data, (size_t)(colon - name.data));
        for (uint32_t i = 0; i < config->namespace_count; i++) {
            if (bytes_equal_text(prefix, config->namespaces[i].name))
                return &config->namespaces[i];
        }
    }
    return &config->namespaces[0];
}

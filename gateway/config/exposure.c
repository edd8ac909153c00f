/* What a configuration leaves open, for those who did not mean to. */
#include <string.h>

#include "common/address.h"
#include "gateway/config/config.h"

static bool is_loopback(const char *text) {
    static const uint8_t v6[ADDRESS_BYTES] = {[15] = 1};
    uint8_t address[ADDRESS_BYTES];
    return address_parse(bytes_of(text), address) &&
           (memcmp(address, v6, sizeof v6) == 0 || (address_is_v4(address) && address[12] == 127));
}

static void warn_of_pages(const struct config *config, struct buf *out) {
    for (uint32_t i = 0; i < config->origin_count; i++)
        if (strcmp(config->origins[i], "*") == 0)
            buf_append_text(out, "origins: \"*\" lets the pages of every site connect\n");
    if (config->host_count == 0)
        buf_append_text(
            out,
            "hosts: empty, so the gateway answers by any name, also one that a stranger has turned to its "
            "address (DNS rebinding); list its own, e.g. hosts = [ \"chat.example.com\" ];\n");
}

static void warn_of_publishers(const struct config *config, struct buf *out) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->namespace_count; i++)
        if (config->namespaces[i].client_publish)
            buf_printf(out, "%s%s",
                       count++ == 0 ? "namespaces: client_publish lets whoever may connect publish to "
                                    : ", ",
                       config->namespaces[i].name);
    if (count > 0)
        buf_printf(out, "%s\n",
                   config->limits.publishes_per_second
                       ? ""
                       : ", as often as they like (limits.publishes_per_second)");
}

static void warn_of_redis(const struct config *config, struct buf *out) {
    if (config->broker == BROKER_REDIS && *config->redis.prefix == '\0')
        buf_printf(out,
                   "redis.prefix: empty, so clients can subscribe%s to the channels of whoever else uses "
                   "this Redis; set one, or "
                   "let nobody else use it\n",
                   config->namespaces[0].client_publish ? " and publish" : "");
}

static void warn_of_limits(const struct config *config, struct buf *out) {
    if (config->limits.connections_per_ip == 0 && config->limits.accepts_per_second == 0)
        buf_append_text(out,
                        "limits: without connections_per_ip and accepts_per_second one client can take all "
                        "connections\n");
}

static void warn_of_admin(const struct config *config, struct buf *out) {
    if (!is_loopback(config->admin.address))
        buf_printf(out,
                   "admin.address: %s, so health and metrics answer whoever reaches port %u%s; keep it off "
                   "public networks\n",
                   config->admin.address, (unsigned)config->admin.port,
                   *config->admin.api_key ? ", and the API whoever has the key besides"
                                          : ", and there is no admin.api_key, hence no API");
}

static void warn_of_proxies(const struct config *config, struct buf *out) {
    for (uint32_t i = 0; i < config->trusted_proxy_count; i++) {
        const struct network *network = &config->trusted_proxies[i];
        if (network->prefix_bits == 0 || (network->prefix_bits <= 96 && address_is_v4(network->address)))
            buf_append_text(
                out, "trusted_proxies: holds every address, so that clients may say they are anybody\n");
    }
}

void config_warn_of_exposure(const struct config *config, struct buf *warnings) {
    warn_of_pages(config, warnings);
    warn_of_publishers(config, warnings);
    warn_of_redis(config, warnings);
    warn_of_limits(config, warnings);
    warn_of_admin(config, warnings);
    warn_of_proxies(config, warnings);
}

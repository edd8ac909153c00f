/* Where a Redis is and how to log in:
 *   redis://[user[:password]@]host[:port][/database]
 *   unix://[user[:password]@]/path/to/socket[?db=database]      (redis+unix:// is the same) */
#ifndef GATEWAY_CONFIG_REDIS_URL_H
#define GATEWAY_CONFIG_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

struct redis_url {
    char *host; /* NULL for a socket. */
    uint16_t port;
    char *path; /* NULL for a host. */
    char *user; /* NULL: none given. */
    char *password;
    uint32_t database;
};

/* False when the text is no such URL; `*error` is then a static text that says what is wrong. */
bool redis_url_parse(const char *text, struct redis_url *url, const char **error);
void redis_url_finish(struct redis_url *url);

#endif

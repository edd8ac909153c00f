/* An address out of a URL: ws://host:port/path, http://..., redis://user:password@host:port/db, unix:/path.
 */
#ifndef LOADTEST_ENDPOINT_H
#define LOADTEST_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { ENDPOINT_TEXT_BYTES = 256 };

struct endpoint {
    char host[ENDPOINT_TEXT_BYTES]; /* For the Host header; the path of a unix socket. */
    uint16_t port;
    char path[ENDPOINT_TEXT_BYTES]; /* With its slash; "" when the URL had none. */
    char user[ENDPOINT_TEXT_BYTES];
    char password[ENDPOINT_TEXT_BYTES];
    struct sockaddr_storage address;
    socklen_t address_bytes;
    bool is_loopback;
};

/* Parses and resolves. False: not such a URL, TLS, or no such host; `*reason` is then a static string. */
bool endpoint_parse(struct endpoint *endpoint, const char *url, uint16_t default_port, const char **reason);

/* A non-blocking socket on its way to `endpoint`, or -1 with errno. `source` of more than 0 binds an address
 * of 127.0.0.0/8 first, so that one machine can hold more connections than it has ports. */
int endpoint_connect(const struct endpoint *endpoint, uint32_t source);

#endif

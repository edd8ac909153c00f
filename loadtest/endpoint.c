#include "loadtest/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/text.h"

static bool copy_text(char *out, struct bytes text) {
    if (text.len >= ENDPOINT_TEXT_BYTES)
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

static bool parse_unix(struct endpoint *endpoint, const char *path) {
    struct sockaddr_un *address = (struct sockaddr_un *)&endpoint->address;
    if (strlen(path) >= sizeof address->sun_path)
        return false;
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
    endpoint->address_bytes = sizeof *address;
    endpoint->is_loopback = false;
    return copy_text(endpoint->host, bytes_of(path));
}

static bool parse_credentials(struct endpoint *endpoint, struct bytes text) {
    const char *colon = memchr(text.data, ':', text.len);
    size_t user_len = colon == NULL ? text.len : (size_t)(colon - text.data);
    return copy_text(endpoint->user, bytes_make(text.data, user_len)) &&
           (colon == NULL || copy_text(endpoint->password, bytes_skip(text, user_len + 1)));
}

static bool parse_authority(struct endpoint *endpoint, struct bytes text) {
    const char *at = memrchr(text.data, '@', text.len);
    if (at != NULL) {
        size_t len = (size_t)(at - text.data);
        if (!parse_credentials(endpoint, bytes_make(text.data, len)))
            return false;
        text = bytes_skip(text, len + 1);
    }
    struct bytes host = text;
    const char *colon = memrchr(text.data, ':', text.len);
    if (text.len > 0 && text.data[0] == '[') {
        const char *bracket = memchr(text.data, ']', text.len);
        if (bracket == NULL)
            return false;
        host = bytes_make(text.data + 1, (size_t)(bracket - text.data) - 1);
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
    } else if (colon != NULL) {
        host.len = (size_t)(colon - text.data);
    }
    if (colon != NULL) {
        uint64_t port;
        if (!text_parse_u64(bytes_skip(text, (size_t)(colon + 1 - text.data)), &port) || port > UINT16_MAX)
            return false;
        endpoint->port = (uint16_t)port;
    }
    return host.len > 0 && copy_text(endpoint->host, host);
}

static bool resolve(struct endpoint *endpoint) {
    char port[8];
    snprintf(port, sizeof port, "%u", endpoint->port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (getaddrinfo(endpoint->host, port, &hints, &found) != 0)
        return false;
    memcpy(&endpoint->address, found->ai_addr, found->ai_addrlen);
    endpoint->address_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    const struct sockaddr_in *in = (const struct sockaddr_in *)&endpoint->address;
    endpoint->is_loopback = in->sin_family == AF_INET && ntohl(in->sin_addr.s_addr) >> 24 == 127;
    return true;
}

bool endpoint_parse(struct endpoint *endpoint, const char *url, uint16_t default_port, const char **reason) {
    *endpoint = (struct endpoint){.port = default_port};
    *reason = "not an address: expected e.g. ws://127.0.0.1:8000, http://..., redis://... or unix:/path";
    if (strncmp(url, "unix:", 5) == 0)
        return parse_unix(endpoint, url + 5 + (strncmp(url + 5, "//", 2) == 0 ? 2 : 0));
    const char *scheme_end = strstr(url, "://");
    const char *rest = scheme_end == NULL ? url : scheme_end + 3;
    if (scheme_end != NULL && scheme_end > url && scheme_end[-1] == 's' && strncmp(url, "ws:", 3) != 0 &&
        strncmp(url, "redis:", 6) != 0) {
        *reason = "TLS is not spoken here: measure behind the TLS proxy, or without it";
        return false;
    }
    size_t authority_len = strcspn(rest, "/?");
    if (!parse_authority(endpoint, bytes_make(rest, authority_len)) ||
        !copy_text(endpoint->path, bytes_of(rest + authority_len)))
        return false;
    *reason = "no such host";
    return resolve(endpoint);
}

int endpoint_connect(const struct endpoint *endpoint, uint32_t source) {
    int family = endpoint->address.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    if (family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (source > 0 && family == AF_INET) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(UINT32_C(0x7f000000) + source);
        /* The port is chosen at connect, when the destination is known: else each would be used only once. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
            goto fail;
    }
    if (connect(fd, (const struct sockaddr *)&endpoint->address, endpoint->address_bytes) != 0 &&
        errno != EINPROGRESS && errno != EAGAIN)
        goto fail;
    return fd;
fail:;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

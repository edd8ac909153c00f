#include "loadtest/publish_link.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 3000 };

int publish_connect(const struct endpoint *endpoint, struct publisher_counts *counts) {
    int error = 0;
    int fd = endpoint_connect(endpoint, 0);
    if (fd < 0) {
        error = errno;
    } else {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        socklen_t len = sizeof error;
        if (poll(&ready, 1, CONNECT_MS) != 1)
            error = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
    if (error == 0)
        return fd;
    snprintf(counts->error, sizeof counts->error, "cannot reach %.80s port %u to publish: %s", endpoint->host,
             endpoint->port, strerror(error));
    if (fd >= 0)
        close(fd);
    return -1;
}

void publish_fail(struct publish_link *link, const char *format, ...) {
    if (link->counts->is_broken)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(link->counts->error, sizeof link->counts->error, format, arguments);
    va_end(arguments);
    link->counts->is_broken = true;
}

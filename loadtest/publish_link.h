/* One publisher's way to the server: Redis, HTTP or a WebSocket client, behind one contract. Non-blocking;
 * lives in the publisher's epoll loop. */
#ifndef LOADTEST_PUBLISH_LINK_H
#define LOADTEST_PUBLISH_LINK_H

#include "common/bytes.h"
#include "loadtest/board.h"
#include "loadtest/options.h"

struct publish_link;

/* What every kind of link begins with. */
struct publish_kind {
    /* Connects, blocking for at most a few seconds. NULL, with the reason in counts->error, when that fails.
     */
    struct publish_link *(*open)(const struct options *options, int epoll_fd,
                                 struct publisher_counts *counts);
    /* Queues a message. */
    void (*publish)(struct publish_link *link, struct bytes channel, struct bytes payload);
    /* Sends what is queued, as far as the socket takes it. */
    void (*flush)(struct publish_link *link);
    /* Something happened on the link's socket. */
    void (*on_ready)(struct publish_link *link, uint32_t events);
    void (*close)(struct publish_link *link);
};

/* First member of each link; the pointer that epoll gives back. */
struct publish_link {
    const struct publish_kind *kind;
    const struct options *options;
    struct publisher_counts *counts;
    int epoll_fd;
};

extern const struct publish_kind publish_redis; /* PUBLISH, or FCALL fantail_publish. */
extern const struct publish_kind publish_http;
extern const struct publish_kind publish_ws;

/* A non-blocking socket, connected within three seconds, or -1 with counts->error. */
int publish_connect(const struct endpoint *endpoint, struct publisher_counts *counts);

/* Marks the publisher as broken. */
void publish_fail(struct publish_link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum { PUBLISH_QUEUE_BYTES_MAX = 64 << 20 };

#endif

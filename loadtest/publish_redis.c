#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "loadtest/peer.h"
#include "loadtest/publish_link.h"

struct redis_link {
    struct publish_link link;
    int fd;
    redisReader *reader;
    struct buf out;
    struct buf channel; /* Scratch for peers that dress messages up. */
    struct buf payload;
    uint32_t greetings; /* Replies to AUTH and SELECT still to come. */
    bool wants_write;
};

static void append_argument(struct buf *out, struct bytes argument) {
    buf_append_char(out, '$');
    buf_append_u64(out, argument.len);
    buf_append_text(out, "\r\n");
    buf_append_bytes(out, argument);
    buf_append_text(out, "\r\n");
}

static void greet(struct redis_link *redis, const struct endpoint *endpoint) {
    if (endpoint->password[0] != '\0') {
        bool has_user = endpoint->user[0] != '\0';
        buf_append_text(&redis->out, has_user ? "*3\r\n" : "*2\r\n");
        append_argument(&redis->out, BYTES_LITERAL("AUTH"));
        if (has_user)
            append_argument(&redis->out, bytes_of(endpoint->user));
        append_argument(&redis->out, bytes_of(endpoint->password));
        redis->greetings++;
    }
    if (endpoint->path[0] == '/' && endpoint->path[1] != '\0' && endpoint->address.ss_family != AF_UNIX) {
        buf_append_text(&redis->out, "*2\r\n");
        append_argument(&redis->out, BYTES_LITERAL("SELECT"));
        append_argument(&redis->out, bytes_of(endpoint->path + 1));
        redis->greetings++;
    }
}

static struct publish_link *redis_open(const struct options *options, int epoll_fd,
                                       struct publisher_counts *counts) {
    int fd = publish_connect(&options->redis, counts);
    if (fd < 0)
        return NULL;
    struct redis_link *redis = xcalloc(1, sizeof *redis);
    redis->link = (struct publish_link){&publish_redis, options, counts, epoll_fd};
    redis->fd = fd;
    redis->reader = redisReaderCreate();
    buf_init(&redis->out, PUBLISH_QUEUE_BYTES_MAX);
    buf_init(&redis->channel, 0);
    buf_init(&redis->payload, 0);
    greet(redis, &options->redis);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = redis};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    publish_redis.flush(&redis->link);
    return &redis->link;
}

static void redis_publish_one(struct publish_link *link, struct bytes channel, struct bytes payload) {
    struct redis_link *redis = (struct redis_link *)link;
    const struct peer *peer = link->options->peer;
    size_t before = redis->out.len;
    if (peer->redis_channel != NULL) {
        buf_clear(&redis->channel);
        buf_clear(&redis->payload);
        peer->redis_channel(&redis->channel, channel);
        peer->redis_payload(&redis->payload, channel, payload);
        channel = buf_bytes(&redis->channel);
        payload = buf_bytes(&redis->payload);
    }
    if (link->options->via == VIA_FCALL) {
        buf_append_text(&redis->out, "*5\r\n$5\r\nFCALL\r\n$15\r\nfantail_publish\r\n$1\r\n1\r\n");
    } else {
        buf_append_text(&redis->out, "*3\r\n$7\r\nPUBLISH\r\n");
    }
    append_argument(&redis->out, channel);
    append_argument(&redis->out, payload);
    if (redis->out.overflow) {
        /* Redis does not keep up at all: the message counts as failed, and the link stays usable. */
        redis->out.len = before;
        redis->out.overflow = false;
        link->counts->failed++;
    }
}

static void want_write(struct redis_link *redis, bool wants) {
    if (redis->wants_write == wants)
        return;
    redis->wants_write = wants;
    struct epoll_event event = {.events = EPOLLIN | (wants ? EPOLLOUT : 0), .data.ptr = redis};
    epoll_ctl(redis->link.epoll_fd, EPOLL_CTL_MOD, redis->fd, &event);
}

static void redis_flush(struct publish_link *link) {
    struct redis_link *redis = (struct redis_link *)link;
    if (redis->out.len == 0 || link->counts->is_broken)
        return;
    ssize_t sent = write(redis->fd, redis->out.data, redis->out.len);
    if (sent > 0)
        buf_consume(&redis->out, (size_t)sent);
    else if (errno != EAGAIN)
        publish_fail(link, "Redis: %s", strerror(errno));
    want_write(redis, redis->out.len > 0);
}

static void take_reply(struct redis_link *redis, const redisReply *reply) {
    struct publisher_counts *counts = redis->link.counts;
    if (redis->greetings > 0) {
        redis->greetings--;
        if (reply->type == REDIS_REPLY_ERROR)
            publish_fail(&redis->link, "Redis: %s", reply->str);
        return;
    }
    counts->answered++;
    if (reply->type == REDIS_REPLY_ERROR) {
        if (counts->failed++ == 0)
            publish_fail(&redis->link, "Redis: %s", reply->str);
    } else if (reply->type == REDIS_REPLY_INTEGER && reply->integer == 0) {
        counts->unheard++;
    }
}

static void redis_on_ready(struct publish_link *link, uint32_t events) {
    struct redis_link *redis = (struct redis_link *)link;
    char data[65536];
    if (events & EPOLLOUT)
        redis_flush(link);
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    ssize_t got = read(redis->fd, data, sizeof data);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        publish_fail(link, "Redis closed the connection");
        epoll_ctl(link->epoll_fd, EPOLL_CTL_DEL, redis->fd, NULL);
        return;
    }
    redisReaderFeed(redis->reader, data, (size_t)got);
    void *reply;
    while (redisReaderGetReply(redis->reader, &reply) == REDIS_OK && reply != NULL) {
        take_reply(redis, reply);
        freeReplyObject(reply);
    }
}

static void redis_close(struct publish_link *link) {
    struct redis_link *redis = (struct redis_link *)link;
    close(redis->fd);
    redisReaderFree(redis->reader);
    buf_finish(&redis->out);
    buf_finish(&redis->channel);
    buf_finish(&redis->payload);
    free(redis);
}

const struct publish_kind publish_redis = {
    .open = redis_open,
    .publish = redis_publish_one,
    .flush = redis_flush,
    .on_ready = redis_on_ready,
    .close = redis_close,
};

#include "gateway/transport/hangup.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/xalloc.h"

/* An epoll of our own, itself watched by the loop: a file descriptor may be in several, and libwebsockets has
 * it in the loop's. */
struct hangup_watch {
    int epoll;
    uv_poll_t *poll;
    struct hangup_events events;
};

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct hangup_watch *watch = poll->data;
    struct epoll_event ready[64];
    (void)status;
    (void)events;
    int count = epoll_wait(watch->epoll, ready, sizeof ready / sizeof *ready, 0);
    for (int i = 0; i < count; i++)
        if (ready[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            watch->events.on_hangup(ready[i].data.ptr);
        else
            watch->events.on_writable(ready[i].data.ptr);
}

struct hangup_watch *hangup_watch_create(struct loop *loop, const struct hangup_events *events) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        return NULL;
    struct hangup_watch *watch = xcalloc(1, sizeof *watch);
    watch->epoll = epoll;
    watch->events = *events;
    watch->poll = xmalloc(sizeof *watch->poll);
    uv_poll_init(&loop->uv, watch->poll, epoll);
    watch->poll->data = watch;
    uv_poll_start(watch->poll, UV_READABLE, on_ready);
    return watch;
}

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

void hangup_watch_destroy(struct hangup_watch *watch) {
    if (watch == NULL)
        return;
    uv_poll_stop(watch->poll);
    uv_close((uv_handle_t *)watch->poll, on_closed);
    close(watch->epoll);
    free(watch);
}

static void watch_for(struct hangup_watch *watch, int operation, int fd, uint32_t events, void *who) {
    struct epoll_event event = {.events = events | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = who};
    epoll_ctl(watch->epoll, operation, fd, &event);
}

void hangup_watch_add(struct hangup_watch *watch, int fd, void *who) {
    watch_for(watch, EPOLL_CTL_ADD, fd, 0, who);
}

void hangup_watch_change(struct hangup_watch *watch, int fd, bool wants_writable, void *who) {
    watch_for(watch, EPOLL_CTL_MOD, fd, wants_writable ? EPOLLOUT : 0, who);
}

void hangup_watch_remove(struct hangup_watch *watch, int fd) {
    epoll_ctl(watch->epoll, EPOLL_CTL_DEL, fd, NULL);
}

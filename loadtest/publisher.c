#include "loadtest/publisher.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/xalloc.h"
#include "loadtest/peer.h"
#include "loadtest/publish_link.h"

enum {
    ORDERS_MS = 10,   /* How often orders are looked at. */
    BATCH_MAX = 4096, /* Messages sent before replies are read again. */
    STALL_NS =
        2000000000, /* Closed loop: when no message came home for so long, those in flight are given up. */
};

static const struct publish_kind *const kinds[] = {
    [VIA_REDIS] = &publish_redis,
    [VIA_FCALL] = &publish_redis,
    [VIA_HTTP] = &publish_http,
    [VIA_WS] = &publish_ws,
};

struct publisher {
    const struct options *options;
    struct board *board;
    struct publisher_counts *counts;
    int epoll_fd;
    int timer_fd;
    struct publish_link **links;
    char *payload;
    struct buf channel;
    uint64_t turn;         /* Which publisher and, round robin, which channel is next. */
    uint64_t random;       /* State of the generator. */
    unsigned plan;         /* The one that is being followed. */
    uint64_t plan_from_ns; /* When it began. */
    uint64_t plan_sent;
    uint64_t left;
    uint32_t slot; /* Where the search for a free one begins. */
    uint32_t in_flight;
    uint64_t progress_ns; /* Closed loop: when a message last came home. */
    bool *slot_used;
};

/* xorshift64*: a fast and even choice of channels, the same in every run. */
static uint64_t next_random(struct publisher *publisher) {
    publisher->random ^= publisher->random >> 12;
    publisher->random ^= publisher->random << 25;
    publisher->random ^= publisher->random >> 27;
    return publisher->random * UINT64_C(2685821657736338717);
}

static void publish(struct publisher *publisher, uint64_t due_ns, uint32_t slot) {
    const struct options *options = publisher->options;
    uint32_t which = (uint32_t)(publisher->turn % options->publishers);
    uint32_t channel = options->random_channel
                           ? (uint32_t)((next_random(publisher) >> 32) % options->channels)
                           : (uint32_t)(publisher->turn / options->publishers % options->channels);
    publisher->turn++;
    uint32_t *published = &publisher->board->published[which * options->channels + channel];
    struct payload_mark mark = {
        .run = publisher->board->run,
        .publisher = which,
        .channel = channel,
        .slot = slot,
        .sequence = *published,
        .sent_ns = due_ns,
    };
    payload_write(publisher->payload, options->payload_bytes, &mark);
    buf_clear(&publisher->channel);
    peer_channel(&publisher->channel, options, channel);
    if (options->window > 0)
        atomic_store(&publisher->board->slots[slot].missing,
                     (int)options_listeners(options, options->subscribers, channel));
    uint64_t failed = publisher->counts->failed;
    publisher->links[which]->kind->publish(publisher->links[which], buf_bytes(&publisher->channel),
                                           bytes_make(publisher->payload, options->payload_bytes));
    if (publisher->counts->failed == failed) {
        (*published)++;
        publisher->counts->published++;
    }
}

static void flush(struct publisher *publisher) {
    for (uint32_t i = 0; i < publisher->options->publishers; i++)
        publisher->links[i]->kind->flush(publisher->links[i]);
}

static void wake_at(struct publisher *publisher, uint64_t at_ns) {
    struct itimerspec when = {.it_value = {(time_t)(at_ns / 1000000000u), (long)(at_ns % 1000000000u)}};
    timerfd_settime(publisher->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Sends what is due; the plan is kept whatever happens, so that a late message counts as late. */
static void follow_rate(struct publisher *publisher) {
    uint64_t millis = atomic_load(&publisher->board->orders.rate_millis);
    uint64_t now_ns = clock_monotonic_ns();
    uint32_t sent = 0;
    if (millis == 0)
        return;
    for (;;) {
        /* Message k is due k / rate after the start: computed afresh, so that no rounding adds up. */
        uint64_t due_ns =
            publisher->plan_from_ns + (uint64_t)((__uint128_t)publisher->plan_sent * 1000000000000u / millis);
        if (publisher->left == 0)
            break;
        if (due_ns > now_ns || sent == BATCH_MAX) {
            wake_at(publisher, due_ns);
            break;
        }
        if (now_ns - due_ns > publisher->counts->late_max_ns)
            publisher->counts->late_max_ns = now_ns - due_ns;
        publish(publisher, due_ns, 0);
        publisher->plan_sent++;
        publisher->left -= publisher->left != UINT64_MAX;
        sent++;
    }
    if (sent > 0)
        flush(publisher);
}

/* Counts home what every subscriber has. */
static void collect_slots(struct publisher *publisher) {
    uint32_t before = publisher->in_flight;
    for (uint32_t i = 0; i < publisher->options->window; i++) {
        if (publisher->slot_used[i] && atomic_load(&publisher->board->slots[i].missing) <= 0) {
            publisher->slot_used[i] = false;
            publisher->in_flight--;
        }
    }
    uint64_t now_ns = clock_monotonic_ns();
    if (publisher->in_flight < before || publisher->in_flight == 0) {
        publisher->progress_ns = now_ns;
    } else if (now_ns - publisher->progress_ns > STALL_NS) {
        publisher->counts->stalled += publisher->in_flight;
        memset(publisher->slot_used, 0, publisher->options->window * sizeof *publisher->slot_used);
        publisher->in_flight = 0;
        publisher->progress_ns = now_ns;
    }
}

static void fill_window(struct publisher *publisher) {
    uint32_t sent = 0;
    collect_slots(publisher);
    for (uint32_t i = 0; i < publisher->options->window && publisher->left > 0; i++) {
        if (publisher->slot_used[i])
            continue;
        publisher->slot_used[i] = true;
        publisher->in_flight++;
        publish(publisher, clock_monotonic_ns(), i);
        publisher->left -= publisher->left != UINT64_MAX;
        sent++;
    }
    if (sent > 0)
        flush(publisher);
}

static void take_orders(struct publisher *publisher) {
    struct board_orders *orders = &publisher->board->orders;
    unsigned plan = atomic_load(&orders->plan);
    struct timespec cpu;
    if (plan != publisher->plan) {
        publisher->plan = plan;
        publisher->plan_from_ns = clock_monotonic_ns();
        publisher->plan_sent = 0;
        publisher->left = atomic_load(&orders->messages_left);
        publisher->counts->late_max_ns = 0;
        publisher->progress_ns = publisher->plan_from_ns;
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    publisher->counts->cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
}

static void serve(struct publisher *publisher) {
    struct board_orders *orders = &publisher->board->orders;
    struct epoll_event events[64];
    while (!atomic_load(&orders->finish)) {
        int count = epoll_wait(publisher->epoll_fd, events, 64, ORDERS_MS);
        for (int i = 0; i < count; i++) {
            uint64_t ticks;
            struct publish_link *link = events[i].data.ptr;
            if (link != NULL)
                link->kind->on_ready(link, events[i].events);
            else if (read(publisher->timer_fd, &ticks, sizeof ticks) < 0 &&
                     read(publisher->board->window_event, &ticks, sizeof ticks) < 0)
                continue;
        }
        take_orders(publisher);
        if (!atomic_load(&orders->publish) || publisher->counts->is_broken)
            continue;
        if (publisher->options->window > 0)
            fill_window(publisher);
        else
            follow_rate(publisher);
    }
}

static bool open_links(struct publisher *publisher) {
    const struct options *options = publisher->options;
    publisher->links = xcalloc(options->publishers, sizeof *publisher->links);
    for (uint32_t i = 0; i < options->publishers; i++) {
        publisher->links[i] = kinds[options->via]->open(options, publisher->epoll_fd, publisher->counts);
        if (publisher->links[i] == NULL) {
            publisher->counts->is_broken = true;
            return false;
        }
    }
    return true;
}

static void watch(int epoll_fd, int fd) {
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void publisher_run(const struct options *options, struct board *board) {
    struct publisher publisher = {
        .options = options,
        .board = board,
        .counts = &board->publisher,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
        .payload = xmalloc(options->payload_bytes),
        .random = 88172645463325252u,
        .slot_used = xcalloc(PAYLOAD_SLOTS_MAX, sizeof *publisher.slot_used),
    };
    buf_init(&publisher.channel, 0);
    /* Wake when asked, not up to 50 us later. */
    prctl(PR_SET_TIMERSLACK, 1);
    if (open_links(&publisher)) {
        watch(publisher.epoll_fd, publisher.timer_fd);
        watch(publisher.epoll_fd, board->window_event);
        publisher.counts->is_ready = true;
        serve(&publisher);
    }
    atomic_fetch_add(&board->finished, 1);
}

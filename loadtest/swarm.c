#include "loadtest/swarm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/deflate.h"
#include "common/xalloc.h"
#include "loadtest/inflate.h"
#include "loadtest/subscriber.h"

enum {
    EVENTS_PER_TURN = 1024,
    RECEIVE_BYTES = 256 << 10,
    TICK_MS = 10,        /* How often orders are looked at. */
    TIMERS_MS = 100,     /* How often timeouts and retries are: it walks all subscribers. */
    BEGINS_PER_TURN = 64 /* Connects begun before what is there already is served again. */
};

static void create_subscribers(struct swarm *swarm, uint32_t first) {
    const struct options *options = swarm->options;
    uint32_t sequences = options->channels_per_subscriber * options->publishers;
    struct sequence *all = xcalloc((size_t)swarm->count * sequences, sizeof *all);
    swarm->subscribers = xcalloc(swarm->count, sizeof *swarm->subscribers);
    for (uint32_t i = 0; i < swarm->count; i++) {
        struct subscriber *subscriber = &swarm->subscribers[i];
        subscriber->fd = -1;
        subscriber->index = first + i;
        subscriber->transport = (uint8_t)options_transport(options, first + i);
        subscriber->is_slow = first + i < options->slow;
        subscriber->sequences = all + (size_t)i * sequences;
        if (options->recover && subscriber->transport == TRANSPORT_WS)
            subscriber->positions = xcalloc(options->channels_per_subscriber, POSITION_BYTES);
        buf_init(&subscriber->in, 0);
        buf_init(&subscriber->out, 0);
        buf_init(&subscriber->fragments, 0);
        buf_init(&subscriber->cursor, 0);
        subscriber_enqueue(swarm, subscriber);
    }
}

static bool has_room_for_connects(const struct swarm *swarm) {
    return swarm->queue != NULL && swarm->counts->under_way < swarm->under_way_max;
}

static void begin_some(struct swarm *swarm) {
    for (int i = 0; i < BEGINS_PER_TURN && has_room_for_connects(swarm); i++) {
        struct subscriber *subscriber = swarm->queue;
        swarm->queue = subscriber->next;
        if (swarm->queue == NULL)
            swarm->queue_end = &swarm->queue;
        subscriber_begin(swarm, subscriber);
    }
}

static void on_event(struct swarm *swarm, struct subscriber *subscriber, uint32_t events) {
    if (subscriber->fd < 0)
        return; /* Ended by an earlier event of this turn. */
    if (subscriber->state == SUBSCRIBER_CONNECTING) {
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
            subscriber_on_connect(swarm, subscriber, (events & (EPOLLERR | EPOLLHUP)) != 0);
        return;
    }
    if (subscriber->is_slow && subscriber->state == SUBSCRIBER_LIVE &&
        (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))) {
        subscriber_fail(swarm, subscriber, FAILURE_CLOSED);
        return;
    }
    if (events & EPOLLOUT && subscriber->out.len > 0)
        subscriber_on_writable(subscriber);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        subscriber_drain(swarm, subscriber, (events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) != 0);
}

static void check_timers(struct swarm *swarm) {
    bool has_work = swarm->counts->under_way > 0 || swarm->sleepers > 0;
    for (uint32_t i = 0; has_work && i < swarm->count; i++) {
        struct subscriber *subscriber = &swarm->subscribers[i];
        bool is_under_way =
            subscriber->state >= SUBSCRIBER_CONNECTING && subscriber->state <= SUBSCRIBER_GREETING;
        if (is_under_way && swarm->now_ns - subscriber->began_ns > CONNECT_TIMEOUT_MS * UINT64_C(1000000) &&
            swarm->now_ns > subscriber->began_ns)
            subscriber_fail(swarm, subscriber, FAILURE_TIMEOUT);
        if (subscriber->retry_ns != 0 && swarm->now_ns >= subscriber->retry_ns) {
            subscriber->retry_ns = 0;
            swarm->sleepers--;
            subscriber_enqueue(swarm, subscriber);
        }
    }
}

/* What the slow ones read, if anything: their share since the last time. */
static void read_slowly(struct swarm *swarm) {
    uint32_t bytes = swarm->options->slow_bytes_per_second / (1000 / TIMERS_MS);
    for (uint32_t i = 0; bytes > 0 && i < swarm->count && swarm->subscribers[i].is_slow; i++) {
        struct subscriber *subscriber = &swarm->subscribers[i];
        if (subscriber->state == SUBSCRIBER_LIVE)
            subscriber_read(swarm, subscriber, bytes);
    }
}

static void cut(struct swarm *swarm) {
    for (uint32_t i = 0; i < swarm->count; i++) {
        struct subscriber *subscriber = &swarm->subscribers[i];
        if (subscriber->state == SUBSCRIBER_LIVE && !subscriber->is_slow &&
            subscriber->index % 100 < swarm->options->cut_percent)
            subscriber_cut(swarm, subscriber);
    }
}

static void count_missing(struct swarm *swarm) {
    const struct options *options = swarm->options;
    for (uint32_t i = 0; i < swarm->count; i++) {
        struct subscriber *subscriber = &swarm->subscribers[i];
        if (!subscriber->was_live || subscriber->is_slow)
            continue;
        for (uint32_t which = 0; which < options->channels_per_subscriber; which++) {
            uint32_t channel = options_channel(options, subscriber->index, which);
            for (uint32_t publisher = 0; publisher < options->publishers; publisher++)
                sequence_end(&subscriber->sequences[which * options->publishers + publisher],
                             swarm->board->published[publisher * options->channels + channel],
                             &swarm->counts->sequences);
        }
    }
}

static uint64_t cpu_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void serve(struct swarm *swarm) {
    struct board_orders *orders = &swarm->board->orders;
    unsigned cuts = 0;
    uint64_t next_tick_ns = 0;
    uint64_t next_timers_ns = 0;
    struct epoll_event events[EVENTS_PER_TURN];
    while (!atomic_load(&orders->finish)) {
        bool may_connect = atomic_load(&orders->connect);
        int timeout_ms = may_connect && has_room_for_connects(swarm) ? 0 : TICK_MS;
        int count = epoll_wait(swarm->epoll_fd, events, EVENTS_PER_TURN, timeout_ms);
        for (int i = 0; i < count; i++)
            on_event(swarm, events[i].data.ptr, events[i].events);
        if (may_connect)
            begin_some(swarm);
        uint64_t now_ns = clock_monotonic_ns();
        if (now_ns < next_tick_ns)
            continue;
        next_tick_ns = now_ns + TICK_MS * UINT64_C(1000000);
        swarm->now_ns = now_ns;
        swarm->counts->cpu_ns = cpu_ns();
        swarm->measure_from_ns = atomic_load(&orders->measure_from_ns);
        swarm->measure_until_ns = atomic_load(&orders->measure_until_ns);
        if (now_ns >= next_timers_ns) {
            next_timers_ns = now_ns + TIMERS_MS * UINT64_C(1000000);
            check_timers(swarm);
            read_slowly(swarm);
        }
        if (atomic_load(&orders->cut) != cuts) {
            cuts++;
            cut(swarm);
        }
    }
}

void swarm_run(const struct options *options, struct board *board, uint32_t process, uint32_t first,
               uint32_t count) {
    struct swarm swarm = {
        .options = options,
        .board = board,
        .counts = &board->clients[process],
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .count = count,
        .under_way_max = (options->connecting + options->processes - 1) / options->processes,
        .now_ns = clock_monotonic_ns(),
        .measure_from_ns = UINT64_MAX,
        .buffer = xmalloc(RECEIVE_BYTES),
        .buffer_bytes = RECEIVE_BYTES,
    };
    swarm.queue_end = &swarm.queue;
    if (options->deflate || options->browser_headers) { /* Browsers offer it. */
        swarm.deflater = deflater_create();
        swarm.inflater = inflate_memo_create();
    }
    srand(board->run + process);
    create_subscribers(&swarm, first);
    serve(&swarm);
    count_missing(&swarm);
    for (uint32_t i = 0; i < count; i++)
        subscriber_close(&swarm, &swarm.subscribers[i]);
    swarm.counts->cpu_ns = cpu_ns();
    atomic_fetch_add(&board->finished, 1);
}

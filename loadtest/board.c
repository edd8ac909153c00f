#include "loadtest/board.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "common/clock.h"

static void *shared(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("fantail-load: shared memory");
        exit(1);
    }
    return memory;
}

struct board *board_create(const struct options *options) {
    struct board *board = shared(sizeof *board);
    board->run = (uint32_t)(clock_wall_ms() * 2654435761u);
    board->window_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    board->published = shared((size_t)options->publishers * options->channels * sizeof *board->published);
    board->clients = shared(options->processes * sizeof *board->clients);
    board->client_count = options->processes;
    atomic_store(&board->orders.measure_from_ns, UINT64_MAX);
    atomic_store(&board->orders.measure_until_ns, UINT64_MAX);
    return board;
}

static void add_one(struct client_counts *sum, const struct client_counts *one) {
    sum->cpu_ns += one->cpu_ns;
    sum->live += one->live;
    sum->under_way += one->under_way;
    sum->cut += one->cut;
    sum->open_slow += one->open_slow;
    sum->connects += one->connects;
    sum->reconnects += one->reconnects;
    sum->deflated += one->deflated;
    for (int i = 0; i < FAILURE_COUNT; i++)
        sum->failures[i] += one->failures[i];
    if (one->last_status != 0)
        sum->last_status = one->last_status;
    if (one->last_close_code != 0)
        sum->last_close_code = one->last_close_code;
    if (one->last_error[0] != '\0')
        memcpy(sum->last_error, one->last_error, sizeof sum->last_error);
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        sum->delivered[i] += one->delivered[i];
        histogram_merge(&sum->latency[i], &one->latency[i]);
    }
    sum->delivered_slow += one->delivered_slow;
    sum->bytes += one->bytes;
    sum->reads += one->reads;
    sum->sequences.lost += one->sequences.lost;
    sum->sequences.told += one->sequences.told;
    sum->sequences.doubled += one->sequences.doubled;
    sum->sequences.out_of_order += one->sequences.out_of_order;
    sum->foreign += one->foreign;
    sum->misrouted += one->misrouted;
    sum->gaps += one->gaps;
    sum->drains += one->drains;
    sum->recovered += one->recovered;
    sum->not_recovered += one->not_recovered;
    histogram_merge(&sum->connect, &one->connect);
    histogram_merge(&sum->away, &one->away);
}

void board_sum(const struct board *board, struct client_counts *sum) {
    memset(sum, 0, sizeof *sum);
    for (uint32_t i = 0; i < board->client_count; i++)
        add_one(sum, &board->clients[i]);
}

uint64_t board_delivered(const struct client_counts *counts) {
    uint64_t delivered = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++)
        delivered += counts->delivered[i];
    return delivered;
}

const char *failure_text(enum failure failure) {
    static const char *const texts[FAILURE_COUNT] = {
        [FAILURE_CONNECT] = "could not connect",          [FAILURE_TIMEOUT] = "not subscribed in time",
        [FAILURE_STATUS] = "refused with an HTTP status", [FAILURE_SUBSCRIBE] = "subscription refused",
        [FAILURE_PROTOCOL] = "broken protocol",           [FAILURE_CLOSED] = "closed by the server",
    };
    return texts[failure];
}

#include "loadtest/run.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "loadtest/monitor.h"
#include "loadtest/publisher.h"
#include "loadtest/search.h"
#include "loadtest/swarm.h"

enum {
    SAMPLE_MS = 250,
    POLL_MS = 10,
    QUIET_MS = 1000,     /* Without a delivery for so long, what is missing does not come any more. */
    BACK_MS_MAX = 60000, /* How long a reconnect storm may take. */
    FINISH_MS = 10000,
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

/* Children are told through the board; a Ctrl-C reaches the whole group and must not end them first. */
static void start_child(struct run *run, pid_t *pid, uint32_t process, uint32_t first, uint32_t count) {
    *pid = fork();
    if (*pid != 0)
        return;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (count == 0)
        publisher_run(run->options, run->board);
    else
        swarm_run(run->options, run->board, process, first, count);
    _exit(0);
}

static void start_children(struct run *run) {
    const struct options *options = run->options;
    uint32_t first = 0;
    run->children = xcalloc(options->processes + 1, sizeof *run->children);
    fflush(NULL);
    for (uint32_t i = 0; i < options->processes; i++) {
        uint32_t end = (uint32_t)((uint64_t)options->subscribers * (i + 1) / options->processes);
        start_child(run, &run->children[i], i, first, end - first);
        first = end;
    }
    run->child_count = options->processes;
    if (run->publishes)
        start_child(run, &run->children[run->child_count++], 0, 0, 0);
}

static bool child_died(struct run *run) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0)
        return false;
    for (uint32_t i = 0; i < run->child_count; i++) {
        if (run->children[i] == pid)
            run->children[i] = 0;
    }
    /* A publisher that cannot reach its server ends by itself and says why. */
    if (!run->board->publisher.is_broken)
        result_warn(run->result, "a process of the load tool ended early (status %d)", status);
    return true;
}

bool run_should_stop(struct run *run) {
    if (interrupted)
        run->result->is_interrupted = true;
    if (child_died(run))
        run->is_broken = true;
    if (run->board->publisher.is_broken)
        run->is_broken = true;
    return run->result->is_interrupted || run->is_broken;
}

bool run_wait(struct run *run, double seconds, bool (*is_done)(struct run *)) {
    uint64_t until_ns = clock_monotonic_ns() + (uint64_t)(seconds * 1e9);
    while (!run_should_stop(run)) {
        uint64_t now_ns = clock_monotonic_ns();
        if (now_ns >= run->next_sample_ns) {
            monitor_sample(&run->monitor);
            run->next_sample_ns = now_ns + SAMPLE_MS * UINT64_C(1000000);
        }
        if (is_done != NULL && is_done(run))
            return true;
        if (now_ns >= until_ns)
            return is_done == NULL;
        uint64_t left_ns = until_ns - now_ns;
        uint64_t nap_ns = left_ns < POLL_MS * 1000000 ? left_ns : POLL_MS * 1000000;
        nanosleep(&(struct timespec){.tv_nsec = (long)nap_ns}, NULL);
    }
    return false;
}

void run_publish(struct run *run, double rate, uint64_t messages) {
    struct board_orders *orders = &run->board->orders;
    atomic_store(&orders->rate_millis, (uint64_t)(rate * 1000));
    atomic_store(&orders->messages_left, messages);
    atomic_fetch_add(&orders->plan, 1);
    atomic_store(&orders->publish, true);
}

static uint64_t live_now(const struct run *run) {
    uint64_t live = 0;
    for (uint32_t i = 0; i < run->board->client_count; i++)
        live += run->board->clients[i].live;
    return live;
}

static uint64_t failed_now(const struct run *run) {
    uint64_t failed = 0;
    for (uint32_t i = 0; i < run->board->client_count; i++) {
        for (int k = 0; k < FAILURE_COUNT; k++)
            failed += run->board->clients[i].failures[k];
    }
    return failed;
}

static bool all_tried(struct run *run) {
    return live_now(run) + failed_now(run) >= run->options->subscribers;
}

static bool publisher_ready(struct run *run) {
    return run->board->publisher.is_ready;
}

static uint64_t delivered_now(const struct run *run) {
    uint64_t delivered = 0;
    for (uint32_t i = 0; i < run->board->client_count; i++)
        delivered += board_delivered(&run->board->clients[i]);
    return delivered;
}

/* All that was published, to all who listen and read. */
uint64_t run_expected(const struct run *run) {
    const struct options *options = run->options;
    uint64_t expected = 0;
    for (uint32_t channel = 0; channel < options->channels; channel++) {
        uint64_t listeners = options_listeners(options, options->subscribers, channel) -
                             options_listeners(options, options->slow, channel);
        for (uint32_t publisher = 0; publisher < options->publishers; publisher++)
            expected += listeners * run->board->published[publisher * options->channels + channel];
    }
    return expected;
}

static bool is_drained(struct run *run) {
    uint64_t delivered = delivered_now(run);
    uint64_t now_ns = clock_monotonic_ns();
    if (delivered != run->drain_delivered) {
        run->drain_delivered = delivered;
        run->drain_change_ns = now_ns;
    }
    return delivered >= run->drain_expected || now_ns - run->drain_change_ns > QUIET_MS * UINT64_C(1000000);
}

void run_drain(struct run *run) {
    /* What the publisher is just sending counts as published a little later. */
    atomic_store(&run->board->orders.publish, false);
    run_wait(run, 0.05, NULL);
    monitor_enter(&run->monitor, PHASE_DRAIN, run->options->drain_seconds);
    run->drain_expected = run_expected(run);
    run->drain_delivered = delivered_now(run);
    run->drain_change_ns = clock_monotonic_ns();
    run_wait(run, run->options->drain_seconds, is_drained);
}

static void connect_all(struct run *run) {
    struct reading before, after, settled;
    struct result *result = run->result;
    monitor_enter(&run->monitor, PHASE_CONNECT, 0);
    monitor_read(&run->monitor, true, &before);
    atomic_store(&run->board->orders.connect, true);
    run_wait(run, 86400, all_tried);
    monitor_read(&run->monitor, false, &after);
    result->live_after_connect = (uint32_t)live_now(run);
    result->connect = monitor_span(&before, &after);
    monitor_enter(&run->monitor, PHASE_SETTLE, run->options->settle_seconds);
    run_wait(run, run->options->settle_seconds, NULL);
    monitor_read(&run->monitor, true, &settled);
    result->rss_before = before.server.rss_bytes;
    result->rss_after = settled.server.rss_bytes;
    result->pss_before = before.server.pss_bytes;
    result->pss_after = settled.server.pss_bytes;
}

static bool all_back(struct run *run) {
    uint64_t cut = 0;
    for (uint32_t i = 0; i < run->board->client_count; i++)
        cut += run->board->clients[i].cut;
    return cut == 0 && clock_monotonic_ns() - run->cut_ns > 50 * UINT64_C(1000000);
}

static void cut_and_return(struct run *run) {
    struct result *result = run->result;
    run->cut_ns = clock_monotonic_ns();
    result->cut_at_seconds = (double)(run->cut_ns - run->monitor.began_ns) / 1e9;
    result->cut_count = (uint32_t)((uint64_t)run->options->subscribers * run->options->cut_percent / 100);
    atomic_fetch_add(&run->board->orders.cut, 1);
    if (run_wait(run, BACK_MS_MAX / 1000.0, all_back))
        result->back_seconds = (double)(clock_monotonic_ns() - run->cut_ns) / 1e9;
    else if (!run_should_stop(run))
        result_warn(result, "after %d s not all were back", BACK_MS_MAX / 1000);
}

/* Of one client process alone: a core of its own is all it can use. */
static void check_clients(struct run *run, const uint64_t *cpu_before, double seconds) {
    for (uint32_t i = 0; i < run->board->client_count; i++) {
        double share = (double)(run->board->clients[i].cpu_ns - cpu_before[i]) / 1e9 / seconds;
        if (share > 0.85)
            result_warn(
                run->result,
                "client process %u used %.0f %% of a core: the load tool is the bottleneck; latencies are "
                "partly its own (more --processes on more cores, or less load)",
                i + 1, share * 100);
    }
}

static void check_self(struct run *run) {
    const struct span *span = &run->result->measure;
    cpu_set_t cpus;
    int allowed = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    double used = (double)span->own_cpu_ns / 1e9 / span->seconds;
    if (used > 0.85 * allowed)
        result_warn(run->result,
                    "the load tool used %.2f of the %d core%s it may run on: it is the bottleneck", used,
                    allowed, allowed == 1 ? "" : "s");
    if (run->options->window == 0 && run->board->publisher.late_max_ns > 20000000)
        result_warn(run->result,
                    "messages left up to %.0f ms after their time: the publisher or its way in does not keep "
                    "up (latencies include that)",
                    (double)run->board->publisher.late_max_ns / 1e6);
}

static void measure(struct run *run) {
    const struct options *options = run->options;
    struct result *result = run->result;
    struct reading from, to;
    uint64_t *cpu_before = xcalloc(options->processes, sizeof *cpu_before);
    atomic_store(&run->board->orders.measure_from_ns, clock_monotonic_ns());
    monitor_enter(&run->monitor, PHASE_MEASURE, options->duration_seconds);
    monitor_read(&run->monitor, false, &from);
    for (uint32_t i = 0; i < options->processes; i++)
        cpu_before[i] = run->board->clients[i].cpu_ns;
    if (options->scenario == SCENARIO_RECONNECT) {
        run_wait(run, options->duration_seconds / 5, NULL);
        cut_and_return(run);
        run_wait(run, options->duration_seconds * 4 / 5 - result->back_seconds, NULL);
    } else {
        run_wait(run, options->duration_seconds, NULL);
    }
    monitor_read(&run->monitor, false, &to);
    atomic_store(&run->board->orders.measure_until_ns, clock_monotonic_ns());
    result->measure = monitor_span(&from, &to);
    if (result->measure.seconds > 0) {
        check_clients(run, cpu_before, result->measure.seconds);
        check_self(run);
    }
    free(cpu_before);
}

/* Idle: one message to every channel shows that the connections are alive. */
static void final_message(struct run *run) {
    struct reading from, to;
    atomic_store(&run->board->orders.measure_from_ns, clock_monotonic_ns());
    atomic_store(&run->board->orders.measure_until_ns, UINT64_MAX);
    monitor_enter(&run->monitor, PHASE_FINAL, 0);
    run_wait(run, 0.05, NULL); /* The clients look at orders every 10 ms. */
    monitor_read(&run->monitor, false, &from);
    run_publish(run, 10000, run->options->channels);
    run->drain_expected = 0;
    for (uint32_t channel = 0; channel < run->options->channels; channel++)
        run->drain_expected += options_listeners(run->options, run->options->subscribers, channel);
    run->result->final_expected = run->drain_expected;
    run->drain_delivered = 0;
    run->drain_change_ns = clock_monotonic_ns() + UINT64_C(1000000000) * (run->options->channels / 10000);
    run_wait(run, run->options->drain_seconds + run->options->channels / 10000.0, is_drained);
    monitor_read(&run->monitor, false, &to);
    run->result->final = monitor_span(&from, &to);
}

static void measured_phases(struct run *run) {
    const struct options *options = run->options;
    bool flows = options->rate > 0 || options->window > 0;
    if (options->find_rate) {
        search_rate(run);
    } else if (options->duration_seconds > 0) {
        if (flows) {
            monitor_enter(&run->monitor, PHASE_WARMUP, options->warmup_seconds);
            run_publish(run, options->rate, UINT64_MAX);
            run_wait(run, options->warmup_seconds, NULL);
        }
        measure(run);
    }
    if (flows || options->find_rate)
        run_drain(run);
    if (options->final_message && !flows && !run_should_stop(run))
        final_message(run);
}

static bool all_finished(struct run *run) {
    return atomic_load(&run->board->finished) >= run->child_count;
}

static void end_children(struct run *run) {
    atomic_store(&run->board->orders.finish, true);
    uint64_t until_ns = clock_monotonic_ns() + FINISH_MS * UINT64_C(1000000);
    while (!all_finished(run) && clock_monotonic_ns() < until_ns)
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
    for (uint32_t i = 0; i < run->child_count; i++) {
        if (run->children[i] == 0)
            continue;
        if (!all_finished(run))
            kill(run->children[i], SIGKILL);
        waitpid(run->children[i], NULL, 0);
    }
}

static void collect(struct run *run) {
    struct result *result = run->result;
    board_sum(run->board, &result->totals);
    result->publisher = run->board->publisher;
    result->expected = run_expected(run);
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        result->latency[i] = result->totals.latency[i];
        histogram_merge(&result->latency_all, &result->latency[i]);
    }
    if (result->publisher.unheard > 0 && result->publisher.unheard * 10 > result->publisher.published)
        result_warn(result,
                    "Redis knew no subscriber for %llu of the messages: is the gateway on this Redis?",
                    (unsigned long long)result->publisher.unheard);
    if (result->totals.foreign > 0)
        result_warn(result, "%llu messages of another run came in on the same channels",
                    (unsigned long long)result->totals.foreign);
    if (run->options->deflate && result->totals.deflated < result->totals.connects)
        result_warn(result, "the server agreed on permessage-deflate with %llu connections only",
                    (unsigned long long)result->totals.deflated);
    if (result->options->server_pid_count > 0 && !result->has_server)
        result_warn(result, "no process of --server-pid is running");
}

/* Why nobody got in: the most frequent reason, with what the last of them was told. */
static void print_refusal(const struct run *run) {
    struct client_counts *sum = xmalloc(sizeof *sum);
    int worst = 0;
    board_sum(run->board, sum);
    for (int i = 1; i < FAILURE_COUNT; i++) {
        if (sum->failures[i] > sum->failures[worst])
            worst = i;
    }
    fprintf(stderr, "fantail-load: nobody could subscribe: %s", failure_text((enum failure)worst));
    if (worst == FAILURE_STATUS)
        fprintf(stderr, " %u", sum->last_status);
    else if (worst == FAILURE_CLOSED && sum->last_close_code != 0)
        fprintf(stderr, " with code %u", sum->last_close_code);
    else if (sum->last_error[0] != '\0')
        fprintf(stderr, ": %s", sum->last_error);
    fputs("\n", stderr);
    free(sum);
}

static bool may_go_on(struct run *run) {
    struct result *result = run->result;
    uint32_t live = result->live_after_connect;
    if (live == 0) {
        print_refusal(run);
        return false;
    }
    if (live < run->options->subscribers)
        result_warn(result, "only %u of %u subscribers are connected", live, run->options->subscribers);
    if (live < run->options->subscribers && run->options->window > 0 && !run->result->is_interrupted) {
        fprintf(stderr, "fantail-load: a closed loop needs all of its subscribers\n");
        return false;
    }
    return true;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool run_scenario(const struct options *options, struct result *result) {
    struct run run = {.options = options, .result = result};
    result->options = options;
    result->started_wall_ms = clock_wall_ms();
    run.board = board_create(options);
    run.publishes = options->rate > 0 || options->window > 0 || options->find_rate || options->final_message;
    catch_signals();
    start_children(&run);
    monitor_start(&run.monitor, options, run.board, result);
    bool is_possible = true;
    if (run.publishes)
        run_wait(&run, 10, publisher_ready);
    if (!run_should_stop(&run)) {
        connect_all(&run);
        is_possible = may_go_on(&run);
        if (is_possible && !run_should_stop(&run))
            measured_phases(&run);
    }
    atomic_store(&run.board->orders.publish, false);
    end_children(&run);
    monitor_end_line(&run.monitor);
    collect(&run);
    if (result->publisher.is_broken) {
        fprintf(stderr, "fantail-load: %s\n", result->publisher.error);
        is_possible = is_possible && result->measure.delivered > 0;
    }
    free(run.children);
    result->is_impossible = !is_possible;
    return is_possible;
}

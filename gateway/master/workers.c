#include "gateway/master/workers.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/master/control.h"
#include "gateway/worker.h"

enum {
    /* A worker that dies at once is started again after this, then after twice as long, and so on. */
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10000,
    /* One that has lived for so long has started well: the next death begins a new series. */
    HEALTHY_MS = 10000,
    WATCH_MS = 1000, /* How often it is looked whether workers live. */
    START_MS = 1000, /* Whoever lives longer than this had found all it needs. */
};

struct worker_process {
    struct workers *workers;
    unsigned index;
    bool is_running;
    uv_process_t process;
    struct control control;
    struct worker_board *board; /* Shared with the worker. */
    int board_fd;
    uint64_t beats;          /* On the board when it was last looked at, */
    uint32_t silent_seconds; /* and for how long they have been so few. */
    uint64_t started_ms;
    unsigned failures;     /* In a row. */
    char redis_error[256]; /* Why it has no link to Redis; good while it has none. */
    struct wheel_timer restart;
};

/* --- Telling them ---------------------------------------------------------------------------- */

unsigned workers_running(const struct workers *workers) {
    unsigned count = 0;
    for (unsigned i = 0; i < workers->options.count; i++)
        count += workers->processes[i].is_running;
    return count;
}

bool workers_tell(struct workers *workers, unsigned worker, json_t *message) {
    return control_send(&workers->processes[worker].control, message);
}

void workers_tell_all(struct workers *workers, json_t *message) {
    for (unsigned i = 0; i < workers->options.count; i++)
        if (workers->processes[i].is_running && !workers_tell(workers, i, json_incref(message)))
            log_error("master", "a worker cannot be told worker=%u", i);
    json_decref(message);
}

void workers_kill(struct workers *workers) {
    for (unsigned i = 0; i < workers->options.count; i++)
        if (workers->processes[i].is_running)
            uv_process_kill(&workers->processes[i].process, SIGKILL);
}

void workers_stop(struct workers *workers, json_t *message) {
    const struct workers_options *options = &workers->options;
    workers->is_stopping = true;
    for (unsigned i = 0; i < options->count; i++)
        wheel_cancel(&workers->processes[i].restart);
    workers_tell_all(workers, message);
    if (workers_running(workers) == 0)
        options->events->on_all_gone(options->context);
}

/* --- Start, death and restart ---------------------------------------------------------------- */

static void schedule_restart(struct worker_process *worker) {
    struct workers *workers = worker->workers;
    struct loop *loop = workers->options.loop;
    uint64_t now_ms = loop_now_ms(loop);
    if (now_ms - worker->started_ms >= HEALTHY_MS)
        worker->failures = 0;
    uint64_t delay_ms = (uint64_t)BACKOFF_FIRST_MS << (worker->failures < 10 ? worker->failures : 10);
    if (delay_ms > BACKOFF_MAX_MS)
        delay_ms = BACKOFF_MAX_MS;
    worker->failures++;
    workers->restarts++;
    log_info("master", "worker restarts worker=%u delay_ms=%u", worker->index, (unsigned)delay_ms);
    wheel_arm(&loop->wheel, &worker->restart, now_ms + delay_ms);
}

/* Keeps what it had counted, and makes place for the next. */
static void retire(struct worker_process *worker) {
    struct workers *workers = worker->workers;
    worker->is_running = false;
    uv_close((uv_handle_t *)&worker->process, NULL);
    control_close(&worker->control);
    if (loop_now_ms(workers->options.loop) - worker->started_ms >= START_MS)
        workers->has_served = true;
    metrics_clear_gauges(&worker->board->metrics);
    metrics_add(&workers->retired, &worker->board->metrics);
    memset(worker->board, 0, sizeof *worker->board);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal_number) {
    struct worker_process *worker = process->data;
    struct workers *workers = worker->workers;
    const struct workers_options *options = &workers->options;
    retire(worker);
    options->events->on_exit(options->context, worker->index);
    if (workers->is_stopping) {
        if (workers_running(workers) == 0)
            options->events->on_all_gone(options->context);
    } else if (status == WORKER_CANNOT_START && !workers->has_served) {
        options->events->on_cannot_start(options->context);
    } else {
        log_error("master", "worker died worker=%u status=%d signal=%d", worker->index, (int)status,
                  signal_number);
        schedule_restart(worker);
    }
}

static void on_control_message(void *context, const json_t *message) {
    struct worker_process *worker = context;
    const struct workers_options *options = &worker->workers->options;
    const char *redis_error = json_string_value(json_object_get(message, "redis_error"));
    if (redis_error != NULL)
        snprintf(worker->redis_error, sizeof worker->redis_error, "%s", redis_error);
    else
        options->events->on_message(options->context, worker->index, message);
}

static void on_control_end(void *context) {
    (void)context; /* The worker's exit tells more. */
}

/* Returns libuv's error, or 0. */
static int spawn(struct worker_process *worker, int control_fd) {
    const struct workers_options *options = &worker->workers->options;
    char index[16];
    snprintf(index, sizeof index, "%u", worker->index);
    char *args[] = {(char *)"fantail", (char *)"--worker", index, NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        [WORKER_CONTROL_FD] = {.flags = UV_INHERIT_FD, .data.fd = control_fd},
        [WORKER_BOARD_FD] = {.flags = UV_INHERIT_FD, .data.fd = worker->board_fd},
    };
    uv_process_options_t process = {
        .exit_cb = on_process_exit,
        .file = options->program,
        .args = args,
        .stdio = stdio,
        .stdio_count = sizeof stdio / sizeof *stdio,
    };
    worker->process.data = worker;
    return uv_spawn(&options->loop->uv, &worker->process, &process);
}

static void start(struct worker_process *worker) {
    const struct workers_options *options = &worker->workers->options;
    int sockets[2];
    worker->started_ms = loop_now_ms(options->loop);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        log_error("master", "no socket for a worker error=\"%s\"", strerror(errno));
        schedule_restart(worker);
        return;
    }
    int failure = spawn(worker, sockets[1]);
    close(sockets[1]);
    if (failure != 0) {
        log_error("master", "worker does not start error=\"%s\"", uv_strerror(failure));
        close(sockets[0]);
        uv_close((uv_handle_t *)&worker->process, NULL);
        schedule_restart(worker);
        return;
    }
    worker->is_running = true;
    worker->silent_seconds = 0;
    worker->control =
        (struct control){.on_message = on_control_message, .on_end = on_control_end, .context = worker};
    control_open(&worker->control, options->loop, sockets[0]);
    options->events->on_start(options->context, worker->index);
}

static void on_restart(struct wheel_timer *timer, uint64_t now_ms) {
    (void)now_ms;
    start(list_entry(timer, struct worker_process, restart));
}

/* --- Those that hang ------------------------------------------------------------------------- */

/* Silent for half of the time after which it is killed: nobody new should come. */
bool workers_hangs(const struct workers *workers, unsigned worker) {
    uint32_t silent_seconds = workers->processes[worker].silent_seconds;
    uint32_t timeout_seconds = workers->options.config->worker_timeout_seconds;
    return silent_seconds > 0 && timeout_seconds > 0 && silent_seconds >= timeout_seconds / 2;
}

/* Seconds are counted by how often we have looked, not by a clock: when the machine sleeps, or all of us are stopped,
 * nobody looks, and nobody hangs. */
static void watch_worker(struct worker_process *worker) {
    struct workers *workers = worker->workers;
    uint32_t timeout_seconds = workers->options.config->worker_timeout_seconds;
    uint64_t beats = worker->board->beats;
    bool is_silent = worker->is_running && beats == worker->beats;
    worker->silent_seconds = is_silent ? worker->silent_seconds + 1 : 0;
    worker->beats = beats;
    /* One more: the first look may have come just after the last beat. Once: SIGKILL is not refused. */
    if (timeout_seconds == 0 || worker->silent_seconds != timeout_seconds + 1)
        return;
    log_error("master", "worker hangs, killing it worker=%u silent_seconds=%u", worker->index,
              (unsigned)worker->silent_seconds);
    workers->hangs++;
    uv_process_kill(&worker->process, SIGKILL);
}

static void on_watch(struct wheel_timer *timer, uint64_t now_ms) {
    struct workers *workers = list_entry(timer, struct workers, watch);
    for (unsigned i = 0; i < workers->options.count; i++)
        watch_worker(&workers->processes[i]);
    wheel_arm(&workers->options.loop->wheel, &workers->watch, now_ms + WATCH_MS);
}

/* --- What they show -------------------------------------------------------------------------- */

bool workers_serves(const struct workers *workers, unsigned worker) {
    const struct worker_process *process = &workers->processes[worker];
    return process->is_running && process->board->metrics.workers > 0;
}

const char *workers_why_not_ready(const struct workers *workers) {
    static char reason[300];
    unsigned serving = 0;
    if (workers->is_stopping)
        return "draining";
    for (unsigned i = 0; i < workers->options.count; i++) {
        const struct worker_process *worker = &workers->processes[i];
        const struct metrics *metrics = &worker->board->metrics;
        if (workers_hangs(workers, i)) {
            snprintf(reason, sizeof reason, "worker %u hangs: no sign of life for %u seconds", i,
                     (unsigned)worker->silent_seconds);
            return reason;
        }
        if (metrics->workers == 0)
            continue;
        serving++;
        if (metrics->redis_up == 0) {
            const char *error = worker->redis_error;
            snprintf(reason, sizeof reason, "the link to Redis is lost%s%s", error[0] ? ": " : "", error);
            return reason;
        }
    }
    return serving > 0 ? NULL : "no worker serves yet";
}

void workers_print_metrics(const struct workers *workers, struct buf *out) {
    struct metrics sum = workers->retired;
    for (unsigned i = 0; i < workers->options.count; i++)
        metrics_add(&sum, &workers->processes[i].board->metrics);
    metrics_print(&sum, workers->options.config->node, out);
    buf_printf(out,
               "# HELP fantail_worker_restarts_total Workers started again after they died.\n"
               "# TYPE fantail_worker_restarts_total counter\n"
               "fantail_worker_restarts_total %llu\n"
               "# HELP fantail_worker_hangs_total Workers killed because they gave no sign of life.\n"
               "# TYPE fantail_worker_hangs_total counter\n"
               "fantail_worker_hangs_total %llu\n",
               (unsigned long long)workers->restarts, (unsigned long long)workers->hangs);
}

/* --- Life ------------------------------------------------------------------------------------ */

static struct worker_board *create_board(int *fd) {
    *fd = memfd_create("fantail-board", MFD_CLOEXEC);
    void *board = MAP_FAILED;
    if (*fd >= 0 && ftruncate(*fd, sizeof(struct worker_board)) == 0)
        board = mmap(NULL, sizeof(struct worker_board), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (board != MAP_FAILED)
        return board;
    log_error("master", "no memory to share with a worker error=\"%s\"", strerror(errno));
    return NULL;
}

bool workers_init(struct workers *workers, const struct workers_options *options) {
    bool has_boards = true;
    *workers = (struct workers){
        .options = *options,
        .processes = xcalloc(options->count, sizeof *workers->processes),
    };
    wheel_timer_init(&workers->watch, on_watch);
    for (unsigned i = 0; i < options->count; i++) {
        struct worker_process *worker = &workers->processes[i];
        worker->workers = workers;
        worker->index = i;
        wheel_timer_init(&worker->restart, on_restart);
        worker->board = create_board(&worker->board_fd);
        has_boards = has_boards && worker->board != NULL;
    }
    return has_boards;
}

void workers_start(struct workers *workers) {
    struct loop *loop = workers->options.loop;
    for (unsigned i = 0; i < workers->options.count; i++)
        start(&workers->processes[i]);
    wheel_arm(&loop->wheel, &workers->watch, loop_now_ms(loop) + WATCH_MS);
}

void workers_finish(struct workers *workers) {
    for (unsigned i = 0; i < workers->options.count; i++) {
        struct worker_process *worker = &workers->processes[i];
        if (worker->board != NULL)
            munmap(worker->board, sizeof *worker->board);
        if (worker->board_fd >= 0)
            close(worker->board_fd);
    }
    free(workers->processes);
}

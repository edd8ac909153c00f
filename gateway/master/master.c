#include "gateway/master/master.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/admin/admin.h"
#include "gateway/admin/api.h"
#include "gateway/config/config.h"
#include "gateway/loop.h"
#include "gateway/master/control.h"
#include "gateway/transport/acceptor.h"
#include "gateway/transport/server.h"
#include "gateway/worker.h"

enum {
    /* A worker that dies at once is started again after this, then after twice as long, and so on. */
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10000,
    /* One that has lived for so long has started well: the next death begins a new series. */
    HEALTHY_MS = 10000,
    WATCH_MS = 1000, /* How often it is looked whether workers live. */
    START_MS = 1000, /* Whoever lives longer than this had found all it needs. */
    API_TIMEOUT_MS = 5000,
    API_BODY_BYTES_MAX = 8 * 1024 * 1024,
    /* Of a list that an API call answers, all workers together; each builds and we add up trees of several times the
     * size. */
    LIST_BYTES_MAX = 8 * 1024 * 1024,
    /* What workers may take to end beyond the time of the drain, before they are killed. */
    DRAIN_GRACE_MS = 5000,
};

struct worker_process {
    struct master *master;
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

struct master {
    struct master_options options;
    struct loop loop;
    struct buf boot_text;   /* What was checked at the start, and what the last reload has changed it to: */
    struct buf config_text; /* empty until there is one. */
    struct config *config;
    struct worker_process *workers;
    unsigned worker_count;
    struct metrics retired; /* What dead workers had counted. */
    struct metrics own;     /* Of the admin server. */
    uint64_t restarts;
    uint64_t hangs;
    uint64_t reload_failures;
    struct server *server;
    struct admin admin;
    struct list calls; /* API calls under way. */
    json_int_t last_call;
    uv_signal_t signals[3];
    bool is_stopping;
    bool is_reloaded;
    bool has_served; /* A worker has got as far as serving clients. */
    struct wheel_timer stop_timer;
    struct wheel_timer watch;
    int status;
};

/* --- Workers --------------------------------------------------------------------------------- */

static void start_worker(struct worker_process *worker);
static void on_worker_reply(void *context, json_t *message);
static void forget_worker(struct worker_process *worker);
static void drain(struct master *master, uint32_t seconds);
static json_t *reload_message(const struct master *master);

static unsigned running_workers(const struct master *master) {
    unsigned count = 0;
    for (unsigned i = 0; i < master->worker_count; i++)
        count += master->workers[i].is_running;
    return count;
}

static void on_restart(struct wheel_timer *timer, uint64_t now_ms) {
    (void)now_ms;
    start_worker(list_entry(timer, struct worker_process, restart));
}

static void on_control_end(void *context) {
    (void)context; /* The worker's exit tells more. */
}

static void schedule_restart(struct worker_process *worker) {
    struct master *master = worker->master;
    uint64_t now_ms = loop_now_ms(&master->loop);
    if (now_ms - worker->started_ms >= HEALTHY_MS)
        worker->failures = 0;
    uint64_t delay_ms = (uint64_t)BACKOFF_FIRST_MS << (worker->failures < 10 ? worker->failures : 10);
    if (delay_ms > BACKOFF_MAX_MS)
        delay_ms = BACKOFF_MAX_MS;
    worker->failures++;
    master->restarts++;
    log_info("master", "worker restarts worker=%u delay_ms=%u", worker->index, (unsigned)delay_ms);
    wheel_arm(&master->loop.wheel, &worker->restart, now_ms + delay_ms);
}

static void on_worker_exit(uv_process_t *process, int64_t status, int signal_number) {
    struct worker_process *worker = process->data;
    struct master *master = worker->master;
    worker->is_running = false;
    uv_close((uv_handle_t *)process, NULL);
    control_close(&worker->control);
    if (loop_now_ms(&master->loop) - worker->started_ms >= START_MS)
        master->has_served = true;
    metrics_clear_gauges(&worker->board->metrics);
    metrics_add(&master->retired, &worker->board->metrics);
    memset(worker->board, 0, sizeof *worker->board);
    forget_worker(worker);
    if (master->is_stopping) {
        if (running_workers(master) == 0)
            loop_stop(&master->loop);
        return;
    }
    /* What keeps the first worker from serving keeps all others: better to say so than to try for ever. */
    if (status == WORKER_CANNOT_START && !master->has_served) {
        log_error("master", "no worker can start, giving up");
        master->status = 1;
        drain(master, 0);
        return;
    }
    log_error("master", "worker died worker=%u status=%d signal=%d", worker->index, (int)status,
              signal_number);
    schedule_restart(worker);
}

static void start_worker(struct worker_process *worker) {
    struct master *master = worker->master;
    char index[16];
    int sockets[2];
    snprintf(index, sizeof index, "%u", worker->index);
    worker->started_ms = loop_now_ms(&master->loop);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        log_error("master", "no socket for a worker error=\"%s\"", strerror(errno));
        schedule_restart(worker);
        return;
    }
    char *args[] = {(char *)"fantail", (char *)"--worker", index, NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        [WORKER_CONTROL_FD] = {.flags = UV_INHERIT_FD, .data.fd = sockets[1]},
        [WORKER_BOARD_FD] = {.flags = UV_INHERIT_FD, .data.fd = worker->board_fd},
    };
    uv_process_options_t options = {
        .exit_cb = on_worker_exit,
        .file = master->options.program,
        .args = args,
        .stdio = stdio,
        .stdio_count = sizeof stdio / sizeof *stdio,
    };
    worker->process.data = worker;
    int failure = uv_spawn(&master->loop.uv, &worker->process, &options);
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
        (struct control){.on_message = on_worker_reply, .on_end = on_control_end, .context = worker};
    control_open(&worker->control, &master->loop, sockets[0]);
    /* The text that was checked, not the file: a broken file must not keep a worker from coming back. */
    control_send(&worker->control,
                 json_pack("{s:s,s:s%,s:b,s:s?}", "op", "configure", "config",
                           master->boot_text.len ? master->boot_text.data : "", master->boot_text.len, "dev",
                           master->options.dev, "static_dir", master->options.static_dir));
    /* What takes a restart of the node must not change with that of one worker. */
    if (master->is_reloaded)
        control_send(&worker->control, reload_message(master));
}

static void tell_workers(struct master *master, json_t *message) {
    for (unsigned i = 0; i < master->worker_count; i++)
        if (master->workers[i].is_running && !control_send(&master->workers[i].control, json_incref(message)))
            log_error("master", "a worker cannot be told worker=%u", i);
    json_decref(message);
}

static int create_workers(struct master *master) {
    master->workers = xcalloc(master->worker_count, sizeof *master->workers);
    for (unsigned i = 0; i < master->worker_count; i++) {
        struct worker_process *worker = &master->workers[i];
        worker->master = master;
        worker->index = i;
        wheel_timer_init(&worker->restart, on_restart);
        worker->board_fd = memfd_create("fantail-board", MFD_CLOEXEC);
        if (worker->board_fd < 0 || ftruncate(worker->board_fd, sizeof *worker->board) != 0)
            return -1;
        worker->board =
            mmap(NULL, sizeof *worker->board, PROT_READ | PROT_WRITE, MAP_SHARED, worker->board_fd, 0);
        if (worker->board == MAP_FAILED)
            return -1;
    }
    return 0;
}

/* --- Workers that hang ----------------------------------------------------------------------- */

/* Silent for half of the time after which it is killed: nobody new should come. */
static bool is_hanging(const struct worker_process *worker) {
    uint32_t timeout_seconds = worker->master->config->worker_timeout_seconds;
    return worker->silent_seconds > 0 && timeout_seconds > 0 && worker->silent_seconds >= timeout_seconds / 2;
}

/* Seconds are counted by how often we have looked, not by a clock: when the machine sleeps, or all of us are stopped,
 * nobody looks, and nobody hangs. */
static void watch_worker(struct worker_process *worker) {
    struct master *master = worker->master;
    uint32_t timeout_seconds = master->config->worker_timeout_seconds;
    uint64_t beats = worker->board->beats;
    bool is_silent = worker->is_running && beats == worker->beats;
    worker->silent_seconds = is_silent ? worker->silent_seconds + 1 : 0;
    worker->beats = beats;
    /* One more: the first look may have come just after the last beat. Once: SIGKILL is not refused. */
    if (timeout_seconds == 0 || worker->silent_seconds != timeout_seconds + 1)
        return;
    log_error("master", "worker hangs, killing it worker=%u silent_seconds=%u", worker->index,
              (unsigned)worker->silent_seconds);
    master->hangs++;
    uv_process_kill(&worker->process, SIGKILL);
}

static void on_watch(struct wheel_timer *timer, uint64_t now_ms) {
    struct master *master = list_entry(timer, struct master, watch);
    for (unsigned i = 0; i < master->worker_count; i++)
        watch_worker(&master->workers[i]);
    wheel_arm(&master->loop.wheel, &master->watch, now_ms + WATCH_MS);
}

/* --- The admin port -------------------------------------------------------------------------- */

static const char *why_not_ready(void *context) {
    static char reason[300];
    const struct master *master = context;
    unsigned serving = 0;
    if (master->is_stopping)
        return "draining";
    for (unsigned i = 0; i < master->worker_count; i++) {
        const struct worker_process *worker = &master->workers[i];
        const struct metrics *metrics = &worker->board->metrics;
        if (is_hanging(worker)) {
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

static void print_metrics(void *context, struct buf *out) {
    const struct master *master = context;
    struct metrics sum = master->retired;
    for (unsigned i = 0; i < master->worker_count; i++)
        metrics_add(&sum, &master->workers[i].board->metrics);
    metrics_print(&sum, master->config->node, out);
    buf_printf(out,
               "# HELP fantail_worker_restarts_total Workers started again after they died.\n"
               "# TYPE fantail_worker_restarts_total counter\n"
               "fantail_worker_restarts_total %llu\n"
               "# HELP fantail_worker_hangs_total Workers killed because they gave no sign of life.\n"
               "# TYPE fantail_worker_hangs_total counter\n"
               "fantail_worker_hangs_total %llu\n"
               "# HELP fantail_reload_failures_total Reloads whose configuration was refused.\n"
               "# TYPE fantail_reload_failures_total counter\n"
               "fantail_reload_failures_total %llu\n",
               (unsigned long long)master->restarts, (unsigned long long)master->hangs,
               (unsigned long long)master->reload_failures);
}

/* An API call that waits for workers. */
struct api_wait {
    struct list link;
    struct master *master;
    json_int_t id;
    bool is_waited_for[WORKERS_MAX];
    unsigned waiting;
    json_t *sum;
    api_done *on_done;
    void *arg;
    struct wheel_timer timeout;
};

static void finish_call(struct api_wait *wait) {
    list_unlink(&wait->link);
    wheel_cancel(&wait->timeout);
    wait->on_done(wait->arg, wait->sum);
    free(wait);
}

/* Adds what a worker replied: numbers add up, lists follow each other, objects do so member by member, and what is
 * true of one is true of all. */
static void add_reply(json_t *sum, json_t *reply) {
    const char *name;
    json_t *value;
    json_object_foreach(reply, name, value) {
        json_t *present = json_object_get(sum, name);
        if (present == NULL)
            json_object_set(sum, name, value);
        else if (json_is_integer(present) && json_is_integer(value))
            json_integer_set(present, json_integer_value(present) + json_integer_value(value));
        else if (json_is_true(value))
            json_object_set(sum, name, value);
        else if (json_is_array(present) && json_is_array(value))
            json_array_extend(present, value);
        else if (json_is_object(present) && json_is_object(value))
            add_reply(present, value);
    }
}

static void on_call_timeout(struct wheel_timer *timer, uint64_t now_ms) {
    struct api_wait *wait = list_entry(timer, struct api_wait, timeout);
    (void)now_ms;
    log_warn("master", "api call timed out waiting=%u", wait->waiting);
    json_decref(wait->sum);
    wait->sum = api_error(ERR_INTERNAL);
    finish_call(wait);
}

static void worker_replied(struct api_wait *wait, unsigned index, json_t *reply) {
    if (!wait->is_waited_for[index])
        return;
    wait->is_waited_for[index] = false;
    if (reply != NULL)
        add_reply(wait->sum, reply);
    if (--wait->waiting > 0)
        return;
    if (json_object_size(wait->sum) == 0) {
        json_decref(wait->sum);
        wait->sum = api_error(ERR_BROKER_UNAVAILABLE);
    }
    finish_call(wait);
}

static void on_worker_reply(void *context, json_t *message) {
    struct worker_process *worker = context;
    json_int_t id = json_integer_value(json_object_get(message, "id"));
    const char *redis_error = json_string_value(json_object_get(message, "redis_error"));
    if (redis_error != NULL)
        snprintf(worker->redis_error, sizeof worker->redis_error, "%s", redis_error);
    list_each_safe (node, &worker->master->calls) {
        struct api_wait *wait = list_entry(node, struct api_wait, link);
        if (wait->id == id)
            worker_replied(wait, worker->index, json_object_get(message, "reply"));
    }
}

static void forget_worker(struct worker_process *worker) {
    list_each_safe (node, &worker->master->calls)
        worker_replied(list_entry(node, struct api_wait, link), worker->index, NULL);
}

static bool ask_worker(struct api_wait *wait, struct worker_process *worker, const char *call, json_t *body) {
    json_int_t list_bytes_max = LIST_BYTES_MAX / wait->master->worker_count;
    json_t *message = json_pack("{s:s,s:I,s:s,s:O,s:I}", "op", "api", "id", wait->id, "call", call, "body",
                                body, "list_bytes_max", list_bytes_max);
    wait->is_waited_for[worker->index] = true;
    wait->waiting++;
    return control_send(&worker->control, message);
}

/* Asks all, or one, which is another one each time. What of all one cannot be asked is not answered by the others. */
static enum error ask_workers(struct api_wait *wait, const char *call, json_t *body) {
    struct master *master = wait->master;
    bool asks_all = api_asks_all(call);
    if (body == NULL)
        return ERR_BAD_JSON;
    for (unsigned i = 0; i < master->worker_count && (asks_all || wait->waiting == 0); i++) {
        struct worker_process *worker = &master->workers[(i + (unsigned)wait->id) % master->worker_count];
        if (!worker->is_running || worker->board->metrics.workers == 0 || (!asks_all && is_hanging(worker)))
            continue;
        if (!ask_worker(wait, worker, call, body)) {
            log_error("master", "a worker cannot be asked worker=%u call=%s", worker->index, call);
            return ERR_INTERNAL;
        }
    }
    return wait->waiting > 0 ? ERR_OK : ERR_BROKER_UNAVAILABLE;
}

static void call_workers(void *context, const char *call, struct bytes body, api_done *on_done, void *arg) {
    struct master *master = context;
    struct api_wait *wait = xcalloc(1, sizeof *wait);
    json_t *text = json_stringn(body.data, body.len);
    *wait = (struct api_wait){
        .master = master, .id = ++master->last_call, .sum = json_object(), .on_done = on_done, .arg = arg};
    list_push_back(&master->calls, &wait->link);
    wheel_timer_init(&wait->timeout, on_call_timeout);
    wheel_arm(&master->loop.wheel, &wait->timeout, loop_now_ms(&master->loop) + API_TIMEOUT_MS);
    enum error error = ask_workers(wait, call, text);
    json_decref(text);
    if (error == ERR_OK)
        return;
    json_decref(wait->sum);
    wait->sum = api_error(error);
    finish_call(wait);
}

static bool start_admin(struct master *master) {
    master->admin = (struct admin){
        .backend = {.context = master,
                    .why_not_ready = why_not_ready,
                    .print_metrics = print_metrics,
                    .call = call_workers},
        .api_key = master->config->admin.api_key,
    };
    struct server_options options = {
        .loop = &master->loop,
        .config = master->config,
        .metrics = &master->own,
        .address = master->config->admin.address,
        .port = master->config->admin.port,
        .routes = admin_routes,
        .context = &master->admin,
        .body_bytes_max = API_BODY_BYTES_MAX,
    };
    master->server = server_create(&options);
    return master->server != NULL;
}

/* --- Configuration and signals --------------------------------------------------------------- */

static struct config *read_config(struct master *master, struct buf *text, struct buf *errors,
                                  struct buf *warnings) {
    const struct config_options options = {
        .dev = master->options.dev,
        .dev_static_dir = master->options.static_dir,
        .environment = environ,
        .checks_files = master->config == NULL, /* A reload changes none of these. */
        .warnings = warnings,
    };
    const char *file = master->options.config_file;
    if (file != NULL && !config_load_file(file, text, errors))
        return NULL;
    return config_parse(buf_bytes(text), file ? file : "defaults", &options, errors);
}

/* An event per line, so that each can be found and none is cut. */
static void log_lines(enum log_level level, struct bytes lines) {
    while (lines.len > 0) {
        const char *end = memchr(lines.data, '\n', lines.len);
        size_t len = end ? (size_t)(end - lines.data) : lines.len;
        log_write(level, "config", "%.*s", (int)len, lines.data);
        lines = bytes_skip(lines, len < lines.len ? len + 1 : len);
    }
}

static json_t *reload_message(const struct master *master) {
    return json_pack("{s:s,s:s%}", "op", "reload", "config",
                     master->config_text.len ? master->config_text.data : "", master->config_text.len);
}

static void reload(struct master *master) {
    struct buf text, errors;
    buf_init(&text, 0);
    buf_init(&errors, 0);
    struct config *config = read_config(master, &text, &errors, NULL);
    if (config == NULL) {
        log_lines(LOG_LEVEL_ERROR, buf_bytes(&errors));
        log_error("master", "reload refused, the running configuration stays");
        master->reload_failures++;
        buf_finish(&text);
    } else {
        const char *fixed = config_needs_restart(master->config, config);
        if (fixed != NULL)
            log_warn("master", "a setting takes effect only with a restart setting=%s", fixed);
        log_set_level(config->log.level);
        buf_finish(&master->config_text);
        master->config_text = text;
        master->is_reloaded = true;
        tell_workers(master, reload_message(master));
        config_free(config); /* The master itself has no use for what a reload changes. */
    }
    buf_finish(&errors);
}

static void kill_workers(struct master *master) {
    for (unsigned i = 0; i < master->worker_count; i++)
        if (master->workers[i].is_running)
            uv_process_kill(&master->workers[i].process, SIGKILL);
}

static void on_stop_late(struct wheel_timer *timer, uint64_t now_ms) {
    struct master *master = list_entry(timer, struct master, stop_timer);
    (void)now_ms;
    log_error("master", "workers do not end, killing them workers=%u", running_workers(master));
    master->status = 1;
    kill_workers(master);
}

static void drain(struct master *master, uint32_t seconds) {
    if (master->is_stopping) {
        log_info("master", "asked again to stop, killing the workers");
        kill_workers(master);
        return;
    }
    master->is_stopping = true;
    log_info("master", "stopping drain_seconds=%u", (unsigned)seconds);
    for (unsigned i = 0; i < master->worker_count; i++)
        wheel_cancel(&master->workers[i].restart);
    if (running_workers(master) == 0) {
        loop_stop(&master->loop);
        return;
    }
    tell_workers(master, json_pack("{s:s,s:i}", "op", "drain", "seconds", (int)seconds));
    wheel_timer_init(&master->stop_timer, on_stop_late);
    wheel_arm(&master->loop.wheel, &master->stop_timer,
              loop_now_ms(&master->loop) + seconds * 1000ull + DRAIN_GRACE_MS);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct master *master = handle->data;
    if (number == SIGHUP)
        reload(master);
    else
        drain(master, number == SIGTERM ? master->config->drain_seconds : 0); /* Ctrl-C is in a hurry. */
}

static void watch_signals(struct master *master) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_init(&master->loop.uv, &master->signals[i]);
        master->signals[i].data = master;
        uv_signal_start(&master->signals[i], on_signal, numbers[i]);
    }
}

/* --- Life ------------------------------------------------------------------------------------ */

static void raise_fd_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static unsigned cpu_count(void) {
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return 1;
    unsigned count = (unsigned)CPU_COUNT(&cpus);
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static bool on_turn_end(void *context) {
    (void)context;
    return false;
}

static void greet(const struct master *master) {
    const struct config *config = master->config;
    log_info("master", "started version=%s workers=%u broker=%s listen=%s:%u admin=%s:%u", FANTAIL_VERSION,
             master->worker_count, config->broker == BROKER_REDIS ? "redis" : "memory",
             config->listen.address, (unsigned)config->listen.port, config->admin.address,
             (unsigned)config->admin.port);
    if (master->options.dev)
        log_warn("master", "--dev is open to everybody: any origin may connect, any client may publish");
}

int master_run(const struct master_options *options) {
    struct master master = {.options = *options};
    struct buf errors, warnings;
    buf_init(&errors, 0);
    buf_init(&warnings, 0);
    buf_init(&master.boot_text, 0);
    buf_init(&master.config_text, 0);
    list_init(&master.calls);
    master.config = read_config(&master, &master.boot_text, &errors, &warnings);
    if (master.config == NULL) {
        fprintf(stderr, "%.*s", BYTES_FMT(buf_bytes(&errors)));
        buf_finish(&errors);
        buf_finish(&warnings);
        buf_finish(&master.boot_text);
        return 2;
    }
    buf_finish(&errors);
    log_configure(master.config->log.level, master.config->log.format, master.config->node);
    log_lines(LOG_LEVEL_WARN, buf_bytes(&warnings));
    buf_finish(&warnings);
    raise_fd_limit();
    srandom((unsigned)clock_monotonic_ns());
    loop_init(&master.loop, on_turn_end, &master);
    master.worker_count = master.config->workers ? master.config->workers : cpu_count();
    if (master.config->broker == BROKER_MEMORY)
        master.worker_count = 1;
    watch_signals(&master);
    if (create_workers(&master) != 0 || !start_admin(&master) ||
        !acceptor_may_listen(master.config->listen.address, master.config->listen.port)) {
        master.status = 1;
    } else {
        greet(&master);
        for (unsigned i = 0; i < master.worker_count; i++)
            start_worker(&master.workers[i]);
        wheel_timer_init(&master.watch, on_watch);
        wheel_arm(&master.loop.wheel, &master.watch, loop_now_ms(&master.loop) + WATCH_MS);
        loop_run(&master.loop);
        log_info("master", "stopped");
    }
    if (master.server != NULL)
        server_destroy(master.server);
    for (size_t i = 0; i < sizeof master.signals / sizeof *master.signals; i++)
        uv_close((uv_handle_t *)&master.signals[i], NULL);
    loop_finish(&master.loop, 1);
    for (unsigned i = 0; i < master.worker_count; i++) {
        munmap(master.workers[i].board, sizeof *master.workers[i].board);
        close(master.workers[i].board_fd);
    }
    free(master.workers);
    config_free(master.config);
    buf_finish(&master.boot_text);
    buf_finish(&master.config_text);
    return master.status;
}

#include "gateway/master/master.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "gateway/admin/admin.h"
#include "gateway/config/config.h"
#include "gateway/loop.h"
#include "gateway/master/calls.h"
#include "gateway/master/workers.h"
#include "gateway/transport/acceptor.h"
#include "gateway/transport/server.h"

enum {
    API_BODY_BYTES_MAX = 8 * 1024 * 1024,
    /* What workers may take to end beyond the time of the drain, before they are killed. */
    DRAIN_GRACE_MS = 5000,
};

struct master {
    struct master_options options;
    struct loop loop;
    struct buf boot_text;   /* What was checked at the start, and what the last reload has changed it to: */
    struct buf config_text; /* empty until there is one. */
    struct config *config;
    struct workers workers;
    struct calls calls;
    struct metrics own; /* Of the admin server. */
    uint64_t reload_failures;
    struct server *server;
    struct admin admin;
    uv_signal_t signals[3];
    bool is_reloaded;
    struct wheel_timer stop_timer;
    int status;
};

/* --- Configuration --------------------------------------------------------------------------- */

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

/* The text that was checked, not the file: a broken file must not keep a worker from coming back. */
static json_t *configure_message(const struct master *master) {
    return json_pack("{s:s,s:s%,s:b,s:s?}", "op", "configure", "config",
                     master->boot_text.len ? master->boot_text.data : "", master->boot_text.len, "dev",
                     master->options.dev, "static_dir", master->options.static_dir);
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
        workers_tell_all(&master->workers, reload_message(master));
        config_free(config); /* The master itself has no use for what a reload changes. */
    }
    buf_finish(&errors);
}

/* --- The end --------------------------------------------------------------------------------- */

static void on_stop_late(struct wheel_timer *timer, uint64_t now_ms) {
    struct master *master = list_entry(timer, struct master, stop_timer);
    (void)now_ms;
    log_error("master", "workers do not end, killing them workers=%u", workers_running(&master->workers));
    master->status = 1;
    workers_kill(&master->workers);
}

static void drain(struct master *master, uint32_t seconds) {
    if (master->workers.is_stopping) {
        log_info("master", "asked again to stop, killing the workers");
        workers_kill(&master->workers);
        return;
    }
    log_info("master", "stopping drain_seconds=%u", (unsigned)seconds);
    wheel_timer_init(&master->stop_timer, on_stop_late);
    wheel_arm(&master->loop.wheel, &master->stop_timer,
              loop_now_ms(&master->loop) + seconds * 1000ull + DRAIN_GRACE_MS);
    workers_stop(&master->workers, json_pack("{s:s,s:i}", "op", "drain", "seconds", (int)seconds));
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

/* --- Workers --------------------------------------------------------------------------------- */

static void on_worker_start(void *context, unsigned worker) {
    struct master *master = context;
    workers_tell(&master->workers, worker, configure_message(master));
    /* What takes a restart of the node must not change with that of one worker. */
    if (master->is_reloaded)
        workers_tell(&master->workers, worker, reload_message(master));
}

static void on_worker_message(void *context, unsigned worker, const json_t *message) {
    struct master *master = context;
    calls_on_message(&master->calls, worker, message);
}

static void on_worker_exit(void *context, unsigned worker) {
    struct master *master = context;
    calls_forget_worker(&master->calls, worker);
}

static void on_workers_cannot_start(void *context) {
    struct master *master = context;
    /* Better to say so than to try for ever. */
    log_error("master", "no worker can start, giving up");
    master->status = 1;
    drain(master, 0);
}

static void on_workers_gone(void *context) {
    struct master *master = context;
    loop_stop(&master->loop);
}

static const struct workers_events workers_events = {
    .on_start = on_worker_start,
    .on_message = on_worker_message,
    .on_exit = on_worker_exit,
    .on_cannot_start = on_workers_cannot_start,
    .on_all_gone = on_workers_gone,
};

static unsigned cpu_count(void) {
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return 1;
    unsigned count = (unsigned)CPU_COUNT(&cpus);
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static unsigned worker_count(const struct config *config) {
    if (config->broker == BROKER_MEMORY)
        return 1;
    return config->workers ? config->workers : cpu_count();
}

static bool init_workers(struct master *master) {
    const struct workers_options options = {
        .loop = &master->loop,
        .config = master->config,
        .program = master->options.program,
        .count = worker_count(master->config),
        .events = &workers_events,
        .context = master,
    };
    return workers_init(&master->workers, &options);
}

/* --- API calls ------------------------------------------------------------------------------- */

static bool may_ask(void *context, unsigned worker, bool any_will_do) {
    const struct master *master = context;
    return workers_serves(&master->workers, worker) &&
           !(any_will_do && workers_hangs(&master->workers, worker));
}

static bool ask(void *context, unsigned worker, json_t *message) {
    struct master *master = context;
    return workers_tell(&master->workers, worker, message);
}

static void init_calls(struct master *master) {
    const struct calls_options options = {
        .wheel = &master->loop.wheel,
        .now_ms = loop_clock,
        .now_context = &master->loop,
        .worker_count = master->workers.options.count,
        .may_ask = may_ask,
        .ask = ask,
        .context = master,
    };
    calls_init(&master->calls, &options);
}

/* --- The admin port -------------------------------------------------------------------------- */

static const char *why_not_ready(void *context) {
    const struct master *master = context;
    return workers_why_not_ready(&master->workers);
}

static void print_metrics(void *context, struct buf *out) {
    const struct master *master = context;
    workers_print_metrics(&master->workers, out);
    buf_printf(out,
               "# HELP fantail_reload_failures_total Reloads whose configuration was refused.\n"
               "# TYPE fantail_reload_failures_total counter\n"
               "fantail_reload_failures_total %llu\n",
               (unsigned long long)master->reload_failures);
}

static void call_workers(void *context, const char *call, struct bytes body, api_done *on_done, void *arg) {
    struct master *master = context;
    calls_begin(&master->calls, call, body, on_done, arg);
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

/* --- Life ------------------------------------------------------------------------------------ */

static void raise_fd_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool on_turn_end(void *context) {
    (void)context;
    return false;
}

static void greet(const struct master *master) {
    const struct config *config = master->config;
    log_info("master", "started version=%s workers=%u broker=%s listen=%s:%u admin=%s:%u", FANTAIL_VERSION,
             master->workers.options.count, config->broker == BROKER_REDIS ? "redis" : "memory",
             config->listen.address, (unsigned)config->listen.port, config->admin.address,
             (unsigned)config->admin.port);
    if (master->options.dev)
        log_warn("master", "--dev is open to everybody: any origin may connect, any client may publish");
}

/* Reads and checks it; says on standard error what is wrong with it. */
static bool load_config(struct master *master) {
    struct buf errors, warnings;
    buf_init(&errors, 0);
    buf_init(&warnings, 0);
    master->config = read_config(master, &master->boot_text, &errors, &warnings);
    if (master->config == NULL) {
        fprintf(stderr, "%.*s", BYTES_FMT(buf_bytes(&errors)));
    } else {
        log_configure(master->config->log.level, master->config->log.format, master->config->node);
        log_lines(LOG_LEVEL_WARN, buf_bytes(&warnings));
    }
    buf_finish(&errors);
    buf_finish(&warnings);
    return master->config != NULL;
}

/* False when something is missing without which no worker needs to be started. */
static bool prepare(struct master *master) {
    const struct config *config = master->config;
    bool has_workers = init_workers(master);
    init_calls(master);
    return has_workers && start_admin(master) &&
           acceptor_may_listen(config->listen.address, config->listen.port);
}

static void serve(struct master *master) {
    raise_fd_limit();
    srandom((unsigned)clock_monotonic_ns());
    loop_init(&master->loop, on_turn_end, master);
    watch_signals(master);
    if (prepare(master)) {
        greet(master);
        workers_start(&master->workers);
        loop_run(&master->loop);
        log_info("master", "stopped");
    } else {
        master->status = 1;
    }
    if (master->server != NULL)
        server_destroy(master->server);
    for (size_t i = 0; i < sizeof master->signals / sizeof *master->signals; i++)
        uv_close((uv_handle_t *)&master->signals[i], NULL);
    loop_finish(&master->loop, 1);
    workers_finish(&master->workers);
}

int master_run(const struct master_options *options) {
    struct master master = {.options = *options};
    buf_init(&master.boot_text, 0);
    buf_init(&master.config_text, 0);
    if (load_config(&master))
        serve(&master);
    else
        master.status = 2;
    config_free(master.config);
    buf_finish(&master.boot_text);
    buf_finish(&master.config_text);
    return master.status;
}

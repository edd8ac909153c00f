#include "gateway/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/admin/api.h"
#include "gateway/broker/memory.h"
#include "gateway/broker/redis.h"
#include "gateway/config/config.h"
#include "gateway/core/hub.h"
#include "gateway/core/session.h"
#include "gateway/forms.h"
#include "gateway/loop.h"
#include "gateway/master/control.h"
#include "gateway/protocol/native.h"
#include "gateway/public.h"
#include "gateway/transport/server.h"

enum {
    /* How long a draining worker stays at least, so that a balancer may find out before the port is closed.
     */
    DRAIN_STAY_MS = 1000,
    /* How long sessions that were told to close may take for it. */
    DRAIN_GRACE_MS = 2000,
    /* Connections that are still closed one by one at the very end; tens of thousands would take longer than
     * the master waits, and the kernel closes them as well. */
    ORDERLY_CONNECTIONS_MAX = 1000,
    /* The master looks once a second. */
    BEAT_MS = 500,
};

struct worker {
    unsigned index;
    struct loop loop;
    struct control control;
    struct worker_board *board;
    struct metrics *metrics; /* The board's. */
    struct wheel_timer beat;
    struct config *boot_config; /* Lives on: the broker and others borrow what only a restart changes. */
    struct config *config;
    struct config_options config_options;
    char *static_dir;
    char *name; /* "NODE-GENERATION" */
    struct hub *hub;
    struct broker *broker;
    struct server *server;
    struct public_site site;
    struct wheel_timer drain;
    uint64_t drain_end_ms;
    uint64_t drain_stay_ms;
    int status;
};

static bool on_turn_end(void *context) {
    struct worker *worker = context;
    return worker->hub != NULL && hub_end_turn(worker->hub);
}

static void on_lag(void *context, uint64_t lag_us) {
    struct worker *worker = context;
    metrics_observe(&worker->metrics->loop_lag, lag_us);
}

/* A worker that hangs beats no more, by which the master knows. */
static void on_beat(struct wheel_timer *timer, uint64_t now_ms) {
    struct worker *worker = list_entry(timer, struct worker, beat);
    worker->board->beats++;
    wheel_arm(&worker->loop.wheel, &worker->beat, now_ms + BEAT_MS);
}

/* The master tells it at /readyz. */
static void on_redis_trouble(void *context, const char *why) {
    struct worker *worker = context;
    const char *text = text_is_utf8(bytes_of(why)) ? why : "an error that is no text";
    control_send(&worker->control, json_pack("{s:s}", "redis_error", text));
}

static void stop(struct worker *worker, int status) {
    worker->status = status;
    loop_stop(&worker->loop);
}

/* --- Configuration --------------------------------------------------------------------------- */

static struct config *read_config(struct worker *worker, const json_t *message) {
    const json_t *text = json_object_get(message, "config");
    struct buf errors;
    buf_init(&errors, 0);
    struct config *config = config_parse(bytes_make(json_string_value(text), json_string_length(text)),
                                         "config", &worker->config_options, &errors);
    if (config == NULL) /* The master has checked it, so this is between us. */
        log_error("worker", "configuration refused: %.*s", BYTES_FMT(buf_bytes(&errors)));
    buf_finish(&errors);
    return config;
}

static void create_hub(struct worker *worker) {
    const struct config *config = worker->config;
    const struct hub_options options = {
        .config = config,
        .metrics = worker->metrics,
        .wheel = &worker->loop.wheel,
        .node = bytes_of(config->node),
        .generation = (uint32_t)random(),
        .seed = (uint64_t)random() << 31 ^ (uint64_t)random(),
        .now_ms = loop_clock,
        .now_context = &worker->loop,
        .wall_ms = clock_wall_ms,
    };
    struct buf name;
    buf_init(&name, 0);
    buf_printf(&name, "%s-%08x%c", config->node, options.generation, '\0');
    worker->name = name.data;
    worker->hub = hub_create(&options);
}

static bool create_broker(struct worker *worker) {
    if (worker->config->broker == BROKER_REDIS) {
        const struct redis_broker_options options = {
            .loop = &worker->loop,
            .config = worker->config,
            .metrics = worker->metrics,
            .name = worker->name,
            .on_trouble = on_redis_trouble,
            .trouble_context = worker,
        };
        worker->broker = redis_broker_create(&options, &hub_broker_events, worker->hub);
    } else {
        worker->broker = memory_broker_create(&hub_broker_events, worker->hub);
        worker->metrics->redis_up = 1;
    }
    if (worker->broker != NULL)
        hub_set_broker(worker->hub, worker->broker);
    return worker->broker != NULL;
}

static bool create_server(struct worker *worker) {
    const struct config *config = worker->config;
    worker->site = (struct public_site){
        .config = config,
        .hub = worker->hub,
        .loop = &worker->loop,
        .metrics = worker->metrics,
    };
    const struct server_options options = {
        .loop = &worker->loop,
        .config = config,
        .metrics = worker->metrics,
        .address = config->listen.address,
        .port = config->listen.port,
        .is_public = true,
        .routes = public_routes,
        .context = &worker->site,
        .body_bytes_max = config->limits.message_bytes,
        .append_refusal_headers = public_append_refusal_headers,
        .on_websocket = public_on_websocket,
    };
    worker->server = server_create(&options);
    return worker->server != NULL;
}

static bool start(struct worker *worker) {
    forms_set_compression(worker->config->websocket.compression_min_bytes, worker->metrics);
    create_hub(worker);
    if (!create_broker(worker) || !create_server(worker))
        return false;
    worker->metrics->workers = 1;
    return true;
}

static void on_configure(struct worker *worker, const json_t *message) {
    const char *static_dir = json_string_value(json_object_get(message, "static_dir"));
    worker->static_dir = static_dir ? xstrdup(static_dir) : NULL;
    worker->config_options = (struct config_options){
        .dev = json_is_true(json_object_get(message, "dev")),
        .dev_static_dir = worker->static_dir,
        .environment = environ,
    };
    worker->config = worker->boot_config = read_config(worker, message);
    if (worker->config == NULL) {
        stop(worker, 1);
        return;
    }
    struct buf name;
    buf_init(&name, 0);
    buf_printf(&name, "%s/%u%c", worker->config->node, worker->index, '\0');
    log_configure(worker->config->log.level, worker->config->log.format, name.data);
    buf_finish(&name);
    if (!start(worker))
        stop(worker, WORKER_CANNOT_START);
}

/* Namespaces, limits, origins and the log level; the master has warned of the rest. */
static void on_reload(struct worker *worker, const json_t *message) {
    struct config *config = read_config(worker, message);
    if (config == NULL || worker->hub == NULL) {
        config_free(config);
        return;
    }
    struct config *old = worker->config;
    /* Otherwise each would change where somebody happens to read it anew, and clients have been told some. */
    config_keep_fixed(config, worker->boot_config);
    worker->config = config;
    hub_set_config(worker->hub, config);
    if (worker->boot_config->broker == BROKER_REDIS)
        redis_broker_set_config(worker->broker, config);
    server_set_config(worker->server, config);
    forms_set_compression(config->websocket.compression_min_bytes, worker->metrics);
    worker->site.config = config;
    log_set_level(config->log.level);
    if (old != worker->boot_config)
        config_free(old);
    log_info("worker", "configuration reloaded");
}

/* --- Draining -------------------------------------------------------------------------------- */

static void on_drain_check(struct wheel_timer *timer, uint64_t now_ms) {
    struct worker *worker = list_entry(timer, struct worker, drain);
    bool is_empty = list_is_empty(&worker->hub->sessions) && worker->metrics->connections == 0;
    if ((is_empty && now_ms >= worker->drain_stay_ms) || now_ms >= worker->drain_end_ms)
        stop(worker, 0);
    else
        wheel_arm(&worker->loop.wheel, &worker->drain, now_ms + 50);
}

static void on_drain(struct worker *worker, const json_t *message) {
    uint32_t seconds = (uint32_t)json_integer_value(json_object_get(message, "seconds"));
    uint64_t now_ms = loop_now_ms(&worker->loop);
    uint64_t stay_ms = seconds * 1000ull / 4 < DRAIN_STAY_MS ? seconds * 1000ull / 4 : DRAIN_STAY_MS;
    if (worker->hub == NULL) {
        stop(worker, 0);
        return;
    }
    hub_drain(worker->hub, seconds);
    worker->drain_stay_ms = now_ms + stay_ms;
    worker->drain_end_ms = now_ms + seconds * 1000ull + DRAIN_GRACE_MS;
    wheel_timer_init(&worker->drain, on_drain_check);
    wheel_arm(&worker->loop.wheel, &worker->drain, now_ms);
}

/* --- The master ------------------------------------------------------------------------------ */

struct answer {
    struct worker *worker;
    json_int_t id;
};

static void on_api_done(void *arg, json_t *reply) {
    struct answer *answer = arg;
    struct control *control = &answer->worker->control;
    if (!control_send(control, json_pack("{s:I,s:o}", "id", answer->id, "reply", reply))) {
        log_error("worker", "an api reply cannot be sent id=%u", (unsigned)answer->id);
        control_send(control, json_pack("{s:I,s:o}", "id", answer->id, "reply", api_error(ERR_INTERNAL)));
    }
    free(answer);
}

static void on_api(struct worker *worker, const json_t *message) {
    const json_t *body = json_object_get(message, "body");
    json_int_t list_bytes_max = json_integer_value(json_object_get(message, "list_bytes_max"));
    struct answer *answer = xmalloc(sizeof *answer);
    *answer = (struct answer){worker, json_integer_value(json_object_get(message, "id"))};
    if (worker->hub == NULL)
        on_api_done(answer, api_error(ERR_BROKER_UNAVAILABLE));
    else
        api_call(worker->hub, json_string_value(json_object_get(message, "call")),
                 bytes_make(json_string_value(body), json_string_length(body)), (size_t)list_bytes_max,
                 on_api_done, answer);
}

static void on_control(void *context, const json_t *message) {
    static const struct {
        const char *op;
        void (*handle)(struct worker *worker, const json_t *message);
    } ops[] = {{"configure", on_configure}, {"reload", on_reload}, {"drain", on_drain}, {"api", on_api}};
    const char *op = json_string_value(json_object_get(message, "op"));
    for (size_t i = 0; op != NULL && i < sizeof ops / sizeof *ops; i++)
        if (strcmp(op, ops[i].op) == 0)
            ops[i].handle(context, message);
}

static void on_master_gone(void *context) {
    log_error("worker", "the master is gone, stopping");
    stop(context, 1);
}

/* Every worker has a seed of its own: jitter that is the same everywhere is none. */
static void seed_random(void) {
    unsigned seed = (unsigned)clock_monotonic_ns() ^ (unsigned)getpid() * 2654435761u;
    if (getentropy(&seed, sizeof seed) != 0)
        log_warn("worker", "no entropy for jitter");
    srandom(seed);
}

static void finish(struct worker *worker) {
    if (worker->metrics->connections > ORDERLY_CONNECTIONS_MAX) {
        log_info("worker", "leaving at once connections=%u", (unsigned)worker->metrics->connections);
        metrics_clear_gauges(worker->metrics);
        _exit(worker->status);
    }
    worker->metrics->workers = 0;
    if (worker->server != NULL)
        server_destroy(worker->server);
    control_close(&worker->control);
    hub_destroy(worker->hub);
    if (worker->boot_config != NULL && worker->boot_config->broker == BROKER_REDIS)
        redis_broker_destroy(worker->broker);
    else
        memory_broker_destroy(worker->broker);
    forms_finish_compression();
    loop_finish(&worker->loop, 1); /* Nobody has a handle on it any more: those that were closed end now. */
    if (worker->config != worker->boot_config)
        config_free(worker->config);
    config_free(worker->boot_config);
    free(worker->static_dir);
    free(worker->name);
}

int worker_run(unsigned index) {
    struct worker worker = {.index = index};
    /* Ctrl-C goes to the whole process group; the master decides what it means. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    worker.board = mmap(NULL, sizeof *worker.board, PROT_READ | PROT_WRITE, MAP_SHARED, WORKER_BOARD_FD, 0);
    if (worker.board == MAP_FAILED) {
        log_error("worker", "--worker is for the master only; start fantail without it");
        return 2;
    }
    worker.metrics = &worker.board->metrics;
    seed_random();
    loop_init(&worker.loop, on_turn_end, &worker);
    worker.loop.on_lag = on_lag;
    wheel_timer_init(&worker.beat, on_beat);
    on_beat(&worker.beat, loop_now_ms(&worker.loop));
    worker.control = (struct control){.on_message = on_control, .on_end = on_master_gone, .context = &worker};
    control_open(&worker.control, &worker.loop, WORKER_CONTROL_FD);
    loop_run(&worker.loop);
    finish(&worker);
    return worker.status;
}

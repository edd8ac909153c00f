#include "gateway/broker/redis.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/text.h"
#include "common/xalloc.h"
#include "gateway/broker/envelope.h"
#include "gateway/broker/redis_commands.h"
#include "gateway/broker/redis_functions.h"
#include "gateway/broker/redis_link.h"

enum {
    /* Redis that comes back is found within a second by every node; the jitter keeps them from coming all at
     * once. */
    BACKOFF_FIRST_MS = 50,
    BACKOFF_MAX_MS = 1000,
    /* Publishes without an answer, and their bytes: more, and Redis does not keep up with us. */
    IN_FLIGHT_MAX = 10000,
    IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024,
};

enum redis_state {
    REDIS_WAITING,    /* For the moment of the next attempt. */
    REDIS_RESOLVING,  /* The host's name. */
    REDIS_CONNECTING, /* Until the first probe has come back. */
    REDIS_UP,
};

struct redis_broker {
    struct broker base;
    struct redis_broker_options options;
    struct redis_url url;
    struct bytes prefix;
    enum redis_state state;
    struct redis_link *link;
    struct redis_commands *commands;
    struct redis_functions *functions;
    struct resolve *resolve;
    struct wheel_timer timer; /* The next attempt, or the next probe. */
    unsigned attempts;
    bool is_link_ready;
    bool is_held; /* Nothing is read from the link for now. */
    bool are_commands_ready;
    char *probe_channel; /* Without the prefix. */
    uint64_t probe_sent;
    uint64_t probe_ms; /* When the last one came back, or the attempt began. */
    char refusal[192]; /* What Redis says of probes since. */
    char why[256];     /* Why the link is to be given up; given up outside of its own callbacks. */
    char told[256];    /* What was logged last: the next attempts that fail for the same reason are not. */
    bool is_giving_up;
};

/* A name being resolved; outlives the broker if need be. */
struct resolve {
    uv_getaddrinfo_t request;
    struct redis_broker *broker;
};

static uint64_t now_ms(const struct redis_broker *redis) {
    return loop_now_ms(redis->options.loop);
}

static void arm(struct redis_broker *redis, uint64_t delay_ms) {
    wheel_arm(&redis->options.loop->wheel, &redis->timer, now_ms(redis) + delay_ms);
}

/* --- Losing the link, and coming back ------------------------------------------------------- */

static void schedule_attempt(struct redis_broker *redis) {
    unsigned shift = redis->attempts < 6 ? redis->attempts : 6;
    uint64_t delay_ms = (uint64_t)BACKOFF_FIRST_MS << shift;
    if (delay_ms > BACKOFF_MAX_MS)
        delay_ms = BACKOFF_MAX_MS;
    redis->attempts++;
    redis->state = REDIS_WAITING;
    arm(redis, delay_ms / 2 + (uint64_t)random() % (delay_ms / 2 + 1));
}

static void drop_connections(struct redis_broker *redis) {
    struct redis_link *link = redis->link;
    struct redis_commands *commands = redis->commands;
    redis->link = NULL;
    redis->commands = NULL;
    redis->is_held = redis->is_link_ready = redis->are_commands_ready = redis->is_giving_up = false;
    redis_functions_stop(redis->functions);
    redis_link_destroy(link);
    redis_commands_destroy(commands); /* Answers what waits. */
}

static void give_up(struct redis_broker *redis) {
    bool was_up = redis->state == REDIS_UP;
    if (was_up) {
        redis->attempts = 0;
        redis->options.metrics->redis_up = 0;
        redis->options.metrics->redis_lost++;
    }
    if (was_up || strcmp(redis->why, redis->told) != 0) {
        log_warn("redis", "%s error=\"%s\"", was_up ? "link lost, reconnecting" : "no link, will keep trying",
                 redis->why);
        redis->options.on_trouble(redis->options.trouble_context, redis->why);
        memcpy(redis->told, redis->why, sizeof redis->told);
    }
    redis->state = REDIS_WAITING;
    drop_connections(redis);
    if (was_up)
        redis->base.events->on_link_lost(redis->base.context);
    schedule_attempt(redis);
}

/* From within callbacks of the connections, which must survive them. */
static void on_lost(void *context, const char *why) {
    struct redis_broker *redis = context;
    if (redis->is_giving_up)
        return;
    snprintf(redis->why, sizeof redis->why, "%s", why);
    redis->is_giving_up = true;
    arm(redis, 0);
}

/* --- Being up ------------------------------------------------------------------------------- */

/* A Redis that is busy with a script says so, and is well a moment later: what counts is whether probes come back. */
static void on_probe_sent(void *arg, const redisReply *reply) {
    struct redis_broker *redis = arg;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        snprintf(redis->refusal, sizeof redis->refusal, "%s", reply->str);
}

static void send_probe(struct redis_broker *redis) {
    char channel[512];
    char payload[24];
    int channel_len =
        snprintf(channel, sizeof channel, "%.*s%s", BYTES_FMT(redis->prefix), redis->probe_channel);
    int payload_len = snprintf(payload, sizeof payload, "%" PRIu64, ++redis->probe_sent);
    struct bytes words[] = {
        BYTES_LITERAL("PUBLISH"),
        bytes_make(channel, (size_t)channel_len),
        bytes_make(payload, (size_t)payload_len),
    };
    redis_commands_send(redis->commands, words, 3, on_probe_sent, redis);
}

static void on_probe_back(struct redis_broker *redis) {
    redis->probe_ms = now_ms(redis);
    redis->refusal[0] = '\0';
    if (redis->state == REDIS_UP)
        return;
    redis->state = REDIS_UP;
    redis->attempts = 0;
    redis->told[0] = '\0';
    redis->options.metrics->redis_up = 1;
    log_info("redis", "link up");
    /* Until now the timer stood at the end of the attempt: left there, it would fire when this very probe is
     * as old as a lost one. */
    arm(redis, redis->options.config->redis.probe_ms);
    redis->base.events->on_link_up(redis->base.context);
}

static void probe_when_ready(struct redis_broker *redis) {
    if (redis->is_link_ready && redis->are_commands_ready)
        send_probe(redis);
}

static void on_functions_ready(void *context) {
    struct redis_broker *redis = context;
    redis->are_commands_ready = true;
    probe_when_ready(redis);
}

static void on_commands_ready(void *context) {
    struct redis_broker *redis = context;
    redis_functions_start(redis->functions, redis->commands, on_functions_ready, redis);
}

static void on_link_message(void *context, struct bytes channel, struct bytes payload) {
    struct redis_broker *redis = context;
    if (!bytes_start_with(channel, redis->prefix))
        return;
    channel = bytes_skip(channel, redis->prefix.len);
    if (bytes_equal_text(channel, redis->probe_channel)) {
        on_probe_back(redis);
        return;
    }
    struct entry entry;
    redis->options.metrics->envelope_errors += !envelope_parse(payload, &entry);
    redis->base.events->on_entry(redis->base.context, channel, &entry);
}

static void on_link_subscribed(void *context, struct bytes channel) {
    struct redis_broker *redis = context;
    if (!bytes_start_with(channel, redis->prefix))
        return;
    channel = bytes_skip(channel, redis->prefix.len);
    if (bytes_equal_text(channel, redis->probe_channel)) {
        redis->is_link_ready = true;
        probe_when_ready(redis);
    } else {
        redis->base.events->on_subscribed(redis->base.context, channel);
    }
}

/* Without the probes there is no link; any other channel is a matter of who wants it. */
static void on_link_refused(void *context, struct bytes channel, const char *why) {
    struct redis_broker *redis = context;
    if (!bytes_start_with(channel, redis->prefix))
        return;
    channel = bytes_skip(channel, redis->prefix.len);
    if (bytes_equal_text(channel, redis->probe_channel)) {
        on_lost(redis, why);
        return;
    }
    redis->options.metrics->subscribe_errors++;
    redis_functions_complain(redis->functions, "subscribe refused", why);
    redis->base.events->on_refused(redis->base.context, channel);
}

/* --- Attempts ------------------------------------------------------------------------------- */

static void connect_to(struct redis_broker *redis, const char *ip) {
    struct redis_link_options link = {
        .loop = redis->options.loop,
        .url = &redis->url,
        .ip = ip,
        .name = redis->options.name,
        .context = redis,
        .on_message = on_link_message,
        .on_subscribed = on_link_subscribed,
        .on_refused = on_link_refused,
        .on_lost = on_lost,
    };
    struct redis_commands_options commands = {
        .loop = redis->options.loop,
        .url = &redis->url,
        .ip = ip,
        .name = redis->options.name,
        .context = redis,
        .on_ready = on_commands_ready,
        .on_lost = on_lost,
    };
    redis->state = REDIS_CONNECTING;
    redis->probe_ms = now_ms(redis);
    redis->refusal[0] = '\0';
    redis->link = redis_link_create(&link);
    redis->commands = redis_commands_create(&commands);
    if (redis->link == NULL || redis->commands == NULL) {
        on_lost(redis, "cannot connect");
        return;
    }
    redis_link_subscribe(redis->link, redis->prefix, bytes_of(redis->probe_channel));
    redis_link_flush(redis->link);
    arm(redis, redis->options.config->redis.probe_timeout_ms);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
    struct resolve *resolve = (struct resolve *)request;
    struct redis_broker *redis = resolve->broker;
    char ip[INET6_ADDRSTRLEN] = "";
    free(resolve);
    if (redis == NULL) {
        uv_freeaddrinfo(found);
        return;
    }
    redis->resolve = NULL;
    if (status == 0)
        getnameinfo(found->ai_addr, found->ai_addrlen, ip, sizeof ip, NULL, 0, NI_NUMERICHOST);
    uv_freeaddrinfo(found);
    if (ip[0] != '\0')
        connect_to(redis, ip);
    else
        on_lost(redis, status ? uv_strerror(status) : "the host has no address");
}

static void attempt(struct redis_broker *redis) {
    if (redis->url.path != NULL) {
        connect_to(redis, NULL);
        return;
    }
    /* Asynchronous, because a resolver that is down as well would hold up every client. */
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct resolve *resolve = xcalloc(1, sizeof *resolve);
    resolve->broker = redis;
    redis->resolve = resolve;
    redis->state = REDIS_RESOLVING;
    int failure = uv_getaddrinfo(&redis->options.loop->uv, &resolve->request, on_resolved, redis->url.host,
                                 NULL, &hints);
    if (failure != 0) {
        redis->resolve = NULL;
        free(resolve);
        on_lost(redis, uv_strerror(failure));
    }
}

static void on_timer(struct wheel_timer *timer, uint64_t now) {
    struct redis_broker *redis = list_entry(timer, struct redis_broker, timer);
    const struct config *config = redis->options.config;
    if (redis->is_giving_up) {
        give_up(redis);
    } else if (redis->state == REDIS_WAITING) {
        attempt(redis);
    } else if (redis->state == REDIS_UP || redis->state == REDIS_CONNECTING) {
        if (!redis->is_held && now - redis->probe_ms >= config->redis.probe_timeout_ms) {
            snprintf(redis->why, sizeof redis->why, "no message came back for %u ms%s%s",
                     (unsigned)config->redis.probe_timeout_ms, redis->refusal[0] ? ": " : "", redis->refusal);
            give_up(redis);
        } else {
            if (redis->state == REDIS_UP) {
                send_probe(redis);
                redis_functions_check(redis->functions);
            }
            arm(redis, config->redis.probe_ms);
        }
    }
}

/* --- The broker ----------------------------------------------------------------------------- */

static struct redis_broker *redis_of(struct broker *broker) {
    return (struct redis_broker *)broker;
}

static void redis_subscribe(struct broker *broker, struct bytes channel) {
    if (redis_of(broker)->state == REDIS_UP)
        redis_link_subscribe(redis_of(broker)->link, redis_of(broker)->prefix, channel);
}

static void redis_unsubscribe(struct broker *broker, struct bytes channel) {
    if (redis_of(broker)->state == REDIS_UP)
        redis_link_unsubscribe(redis_of(broker)->link, redis_of(broker)->prefix, channel);
}

struct publish {
    publish_done *on_done;
    void *arg;
    struct redis_broker *redis;
};

static void on_published(void *arg, const redisReply *reply) {
    struct publish *publish = arg;
    enum error error = ERR_OK;
    if (reply == NULL) {
        error = ERR_BROKER_UNAVAILABLE;
    } else if (reply->type != REDIS_REPLY_INTEGER) {
        bool is_error = reply->type == REDIS_REPLY_ERROR;
        redis_functions_complain(publish->redis->functions, "publish refused",
                                 is_error ? reply->str : "unexpected reply");
        error = ERR_BROKER_REFUSED;
        if (!is_error) /* It is some other command's: from here on nothing can be believed. */
            on_lost(publish->redis, "Redis does not answer what it was asked");
    }
    publish->redis->options.metrics->publish_errors += error != ERR_OK;
    publish->on_done(publish->arg, error, NULL);
    free(publish);
}

static bool may_publish(const struct redis_broker *redis) {
    return redis->state == REDIS_UP && redis_commands_in_flight(redis->commands) < IN_FLIGHT_MAX &&
           redis_commands_bytes_in_flight(redis->commands) < IN_FLIGHT_BYTES_MAX;
}

static void redis_publish(struct broker *broker, const struct publish_request *request, publish_done *on_done,
                          void *arg) {
    struct redis_broker *redis = redis_of(broker);
    if (!may_publish(redis)) {
        redis->options.metrics->publish_errors++;
        on_done(arg, ERR_BROKER_UNAVAILABLE, NULL);
        return;
    }
    if (request->options != NULL && request->options->history_size > 0) {
        redis_functions_publish(redis->functions, request, on_done, arg);
        return;
    }
    struct publish *publish = xmalloc(sizeof *publish);
    *publish = (struct publish){.on_done = on_done, .arg = arg, .redis = redis};
    struct buf channel;
    buf_init(&channel, 0);
    buf_append_bytes(&channel, redis->prefix);
    buf_append_bytes(&channel, request->channel);
    struct bytes words[] = {BYTES_LITERAL("PUBLISH"), buf_bytes(&channel), request->payload};
    redis_commands_send(redis->commands, words, 3, on_published, publish);
    buf_finish(&channel);
}

static void redis_sync(struct broker *broker, struct bytes channel, const struct namespace_config *options,
                       const struct position *seen, sync_done *on_done, void *arg) {
    redis_functions_sync(redis_of(broker)->functions, channel, options, seen, on_done, arg);
}

static bool redis_is_up(const struct broker *broker) {
    return ((const struct redis_broker *)broker)->state == REDIS_UP;
}

static void redis_flush(struct broker *broker) {
    struct redis_broker *redis = redis_of(broker);
    redis_functions_flush(redis->functions); /* May lead to more. */
    if (redis->link != NULL)
        redis_link_flush(redis->link);
    if (redis->commands != NULL)
        redis_commands_flush(redis->commands);
}

static void redis_hold(struct broker *broker, bool is_held) {
    struct redis_broker *redis = redis_of(broker);
    if (redis->state != REDIS_UP)
        return;
    redis->is_held = is_held;
    redis_link_hold(redis->link, is_held);
    redis->probe_ms = now_ms(redis); /* A probe that we did not read says nothing of the link. */
}

static const struct broker_ops redis_ops = {
    .name = "redis",
    .subscribe = redis_subscribe,
    .unsubscribe = redis_unsubscribe,
    .publish = redis_publish,
    .sync = redis_sync,
    .is_up = redis_is_up,
    .flush = redis_flush,
    .hold = redis_hold,
};

struct broker *redis_broker_create(const struct redis_broker_options *options,
                                   const struct broker_events *events, void *context) {
    struct redis_url url;
    const char *error;
    char probe[256];
    if (!redis_url_parse(options->config->redis.url, &url, &error)) {
        log_error("redis", "redis.url is not usable: %s", error);
        return NULL;
    }
    struct redis_broker *redis = xcalloc(1, sizeof *redis);
    redis->base = (struct broker){.ops = &redis_ops, .events = events, .context = context};
    redis->options = *options;
    redis->url = url;
    redis->prefix = bytes_of(options->config->redis.prefix);
    snprintf(probe, sizeof probe, "fantail:probe:%s", options->name);
    redis->probe_channel = xstrdup(probe);
    redis->functions = redis_functions_create(options->loop, options->metrics, redis->prefix);
    redis_functions_set_config(redis->functions, options->config);
    wheel_timer_init(&redis->timer, on_timer);
    redis->state = REDIS_WAITING;
    arm(redis, 0);
    return &redis->base;
}

void redis_broker_set_config(struct broker *broker, const struct config *config) {
    redis_functions_set_config(redis_of(broker)->functions, config);
}

void redis_broker_destroy(struct broker *broker) {
    struct redis_broker *redis = redis_of(broker);
    if (redis == NULL)
        return;
    wheel_cancel(&redis->timer);
    if (redis->resolve != NULL) {
        redis->resolve->broker = NULL;
        uv_cancel((uv_req_t *)&redis->resolve->request);
    }
    redis->state = REDIS_WAITING;
    drop_connections(redis);
    redis_functions_destroy(redis->functions);
    redis_url_finish(&redis->url);
    free(redis->probe_channel);
    free(redis);
}

#include "gateway/broker/redis_commands.h"

#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/xalloc.h"

enum { WORDS_MAX = 32 };

struct redis_commands {
    struct redis_commands_options options;
    redisAsyncContext *redis; /* NULL once hiredis has freed it. */
    uv_poll_t *poll;
    int watched; /* UV_READABLE, UV_WRITABLE */
    uint32_t in_flight;
    bool is_lost;
};

/* A command under way. */
struct call {
    struct redis_commands *commands;
    redis_on_reply *on_reply;
    void *arg;
};

static void lose(struct redis_commands *commands, const char *why) {
    if (commands->is_lost)
        return;
    commands->is_lost = true;
    commands->options.on_lost(commands->options.context, why);
}

/* --- hiredis on the loop -------------------------------------------------------------------- */

/* hiredis brings an adapter for libuv, but that of 0.14 asserts on errors and arms anew at every command. */

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct redis_commands *commands = poll->data;
    if (commands->redis != NULL && (events & UV_READABLE || status < 0))
        redisAsyncHandleRead(commands->redis);
    if (commands->redis != NULL && (events & UV_WRITABLE || status < 0))
        redisAsyncHandleWrite(commands->redis);
}

static void watch(struct redis_commands *commands, int events) {
    if (events == commands->watched || commands->poll == NULL)
        return;
    commands->watched = events;
    if (events == 0)
        uv_poll_stop(commands->poll);
    else
        uv_poll_start(commands->poll, events, on_ready);
}

static void add_read(void *data) {
    struct redis_commands *commands = data;
    watch(commands, commands->watched | UV_READABLE);
}

static void del_read(void *data) {
    struct redis_commands *commands = data;
    watch(commands, commands->watched & ~UV_READABLE);
}

static void add_write(void *data) {
    struct redis_commands *commands = data;
    watch(commands, commands->watched | UV_WRITABLE);
}

static void del_write(void *data) {
    struct redis_commands *commands = data;
    watch(commands, commands->watched & ~UV_WRITABLE);
}

static void on_poll_closed(uv_handle_t *handle) {
    free(handle);
}

/* Called once, when hiredis is about to close the socket and to free its context. The handle goes now: closed
 * later, it would take the descriptor's next owner, a client perhaps, off the loop. */
static void cleanup(void *data) {
    struct redis_commands *commands = data;
    uv_close((uv_handle_t *)commands->poll, on_poll_closed);
    commands->poll = NULL;
    commands->redis = NULL;
}

static void on_connected(const redisAsyncContext *redis, int status) {
    if (status != REDIS_OK)
        lose(redis->data, redis->errstr);
}

static void on_disconnected(const redisAsyncContext *redis, int status) {
    lose(redis->data, status != REDIS_OK && redis->errstr[0] ? redis->errstr : "Redis closed the connection");
}

/* --- Commands ------------------------------------------------------------------------------- */

static void on_reply(redisAsyncContext *redis, void *reply, void *data) {
    struct call *call = data;
    (void)redis;
    call->commands->in_flight--;
    if (call->on_reply != NULL)
        call->on_reply(call->arg, reply);
    free(call);
}

void redis_commands_send(struct redis_commands *commands, const struct bytes *words, size_t count,
                         redis_on_reply *callback, void *arg) {
    const char *texts[WORDS_MAX];
    size_t lens[WORDS_MAX];
    struct call *call = xmalloc(sizeof *call);
    *call = (struct call){.commands = commands, .on_reply = callback, .arg = arg};
    for (size_t i = 0; i < count && i < WORDS_MAX; i++) {
        texts[i] = words[i].data;
        lens[i] = words[i].len;
    }
    commands->in_flight++;
    if (commands->redis == NULL || commands->is_lost ||
        redisAsyncCommandArgv(commands->redis, on_reply, call, (int)count, texts, lens) != REDIS_OK)
        on_reply(NULL, NULL, call);
}

uint32_t redis_commands_in_flight(const struct redis_commands *commands) {
    return commands->in_flight;
}

static void on_log_in(void *arg, const redisReply *reply) {
    struct redis_commands *commands = arg;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        lose(commands, reply->str);
}

static void on_ping(void *arg, const redisReply *reply) {
    struct redis_commands *commands = arg;
    if (reply == NULL || commands->is_lost)
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        lose(commands, reply->str);
    else
        commands->options.on_ready(commands->options.context);
}

static void log_in(struct redis_commands *commands) {
    const struct redis_url *url = commands->options.url;
    struct bytes words[3] = {BYTES_LITERAL("AUTH")};
    size_t count = 1;
    if (url->password != NULL) {
        if (url->user != NULL)
            words[count++] = bytes_of(url->user);
        words[count++] = bytes_of(url->password);
        redis_commands_send(commands, words, count, on_log_in, commands);
    }
    if (url->database > 0) {
        char number[16];
        snprintf(number, sizeof number, "%u", (unsigned)url->database);
        words[0] = BYTES_LITERAL("SELECT");
        words[1] = bytes_of(number);
        redis_commands_send(commands, words, 2, on_log_in, commands);
    }
    words[0] = BYTES_LITERAL("CLIENT");
    words[1] = BYTES_LITERAL("SETNAME");
    words[2] = bytes_of(commands->options.name);
    redis_commands_send(commands, words, 3, NULL, NULL);
    words[0] = BYTES_LITERAL("PING");
    redis_commands_send(commands, words, 1, on_ping, commands);
}

/* --- Life ----------------------------------------------------------------------------------- */

struct redis_commands *redis_commands_create(const struct redis_commands_options *options) {
    redisAsyncContext *redis = options->ip ? redisAsyncConnect(options->ip, options->url->port)
                                           : redisAsyncConnectUnix(options->url->path);
    if (redis == NULL || redis->err) {
        if (redis != NULL) {
            log_debug("redis", "connect refused error=\"%s\"", redis->errstr);
            redisAsyncFree(redis);
        }
        return NULL;
    }
    struct redis_commands *commands = xcalloc(1, sizeof *commands);
    commands->options = *options;
    commands->redis = redis;
    commands->poll = xmalloc(sizeof *commands->poll);
    uv_poll_init(&options->loop->uv, commands->poll, redis->c.fd);
    commands->poll->data = commands;
    redis->data = commands;
    redis->ev.data = commands;
    redis->ev.addRead = add_read;
    redis->ev.delRead = del_read;
    redis->ev.addWrite = add_write;
    redis->ev.delWrite = del_write;
    redis->ev.cleanup = cleanup;
    redisAsyncSetConnectCallback(redis, on_connected);
    redisAsyncSetDisconnectCallback(redis, on_disconnected);
    log_in(commands);
    return commands;
}

void redis_commands_destroy(struct redis_commands *commands) {
    if (commands == NULL)
        return;
    commands->is_lost = true;
    if (commands->redis != NULL)
        redisAsyncFree(commands->redis);
    free(commands);
}

#include "gateway/broker/redis_commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/broker/redis_socket.h"

struct redis_commands {
    struct redis_commands_options options;
    struct redis_socket *socket;
    struct redis_replies replies;
};

static const char *on_bytes(void *context, struct bytes piece) {
    struct redis_commands *commands = context;
    return redis_replies_feed(&commands->replies, piece);
}

static void on_lost(void *context, const char *why) {
    struct redis_commands *commands = context;
    commands->options.on_lost(commands->options.context, why);
}

/* --- Commands ------------------------------------------------------------------------------- */

void redis_commands_send(struct redis_commands *commands, const struct bytes *words, size_t count,
                         redis_on_reply *callback, void *arg) {
    if (redis_socket_is_lost(commands->socket)) {
        if (callback != NULL)
            callback(arg, NULL);
        return;
    }
    const struct buf *out = redis_socket_out(commands->socket);
    size_t before = out->len;
    redis_socket_append_command(commands->socket, words, count);
    redis_replies_expect(&commands->replies, out->len - before, callback, arg);
}

void redis_commands_flush(struct redis_commands *commands) {
    redis_socket_flush(commands->socket);
}

uint32_t redis_commands_in_flight(const struct redis_commands *commands) {
    return commands->replies.count;
}

size_t redis_commands_bytes_in_flight(const struct redis_commands *commands) {
    return commands->replies.bytes;
}

static void on_log_in(void *arg, const redisReply *reply) {
    struct redis_commands *commands = arg;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        redis_socket_lose(commands->socket, reply->str);
}

static void on_ping(void *arg, const redisReply *reply) {
    struct redis_commands *commands = arg;
    if (reply == NULL || redis_socket_is_lost(commands->socket))
        return;
    if (reply->type == REDIS_REPLY_ERROR)
        redis_socket_lose(commands->socket, reply->str);
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
    struct redis_commands *commands = xcalloc(1, sizeof *commands);
    struct redis_socket_options socket = {
        .loop = options->loop,
        .url = options->url,
        .ip = options->ip,
        .context = commands,
        .on_bytes = on_bytes,
        .on_lost = on_lost,
    };
    commands->options = *options;
    commands->socket = redis_socket_create(&socket);
    if (commands->socket == NULL) {
        free(commands);
        return NULL;
    }
    redis_replies_init(&commands->replies, redis_socket_reader(commands->socket));
    log_in(commands);
    return commands;
}

void redis_commands_destroy(struct redis_commands *commands) {
    if (commands == NULL)
        return;
    redis_socket_stop(commands->socket);
    redis_replies_finish(&commands->replies);
    redis_socket_destroy(commands->socket);
    free(commands);
}

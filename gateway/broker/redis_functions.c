#include "gateway/broker/redis_functions.h"

#include <stdlib.h>

#include "common/list.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/broker/fantail_lua.h"
#include "gateway/broker/redis_namespaces.h"
#include "gateway/broker/sync_reply.h"

enum { WORDS_MAX = 16, COMPLAIN_MS = 1000 };

struct redis_functions {
    struct loop *loop;
    struct metrics *metrics;
    struct bytes prefix;
    struct redis_commands *commands; /* NULL while there is no connection. */
    struct redis_namespaces *namespaces;
    void (*on_ready)(void *context);
    void *context;
    bool is_loading;    /* The library is under way to Redis; commands after it find it there. */
    bool is_in_sync;    /* Within redis_functions_sync, which must not answer. */
    struct list failed; /* Syncs to be answered at the end of the turn. */
    uint64_t complained_ms;
    uint64_t suppressed; /* Complaints since. */
};

/* A call of a function, with its words: it is sent again when Redis has lost the library. */
struct call {
    struct redis_functions *functions;
    const char *command; /* FCALL, or FCALL_RO. */
    const char *name;
    struct list in_failed;
    struct buf data;
    size_t ends[WORDS_MAX];
    size_t count;
    bool is_repeated;
    publish_done *on_published; /* One of the two. */
    sync_done *on_synced;
    void *arg;
};

void redis_functions_complain(struct redis_functions *functions, const char *what, const char *error) {
    uint64_t now_ms = loop_now_ms(functions->loop);
    if (functions->complained_ms != 0 && now_ms - functions->complained_ms < COMPLAIN_MS) {
        functions->suppressed++;
        return;
    }
    log_warn("redis", "%s error=\"%s\" suppressed=%llu", what, error,
             (unsigned long long)functions->suppressed);
    functions->complained_ms = now_ms;
    functions->suppressed = 0;
}

static const char *error_of(const redisReply *reply) {
    return reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected reply";
}

/* --- The library ---------------------------------------------------------------------------- */

static bool is_not_found(const redisReply *reply) {
    return reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "Function not found") != NULL;
}

/* A connection that is given up answers what waits as well; nothing may follow from that. */
static bool is_gone(const struct redis_functions *functions, const redisReply *reply) {
    return reply == NULL || functions->commands == NULL;
}

static void on_loaded(void *arg, const redisReply *reply) {
    struct redis_functions *functions = arg;
    functions->is_loading = false;
    if (is_gone(functions, reply))
        return;
    /* Another node may have been faster. */
    if (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "already exists") == NULL)
        log_warn("redis", "functions not loaded, channels with history will fail error=\"%s\"", reply->str);
    else
        log_info("redis", "functions loaded version=%u", fantail_lua_version);
    if (functions->on_ready != NULL)
        functions->on_ready(functions->context);
    functions->on_ready = NULL;
}

static void load(struct redis_functions *functions, bool replace) {
    struct bytes words[4] = {BYTES_LITERAL("FUNCTION"), BYTES_LITERAL("LOAD")};
    size_t count = 2;
    if (replace)
        words[count++] = BYTES_LITERAL("REPLACE");
    words[count++] = bytes_make(fantail_lua, fantail_lua_len);
    functions->is_loading = true;
    redis_commands_send(functions->commands, words, count, on_loaded, functions);
}

static void on_version(void *arg, const redisReply *reply) {
    struct redis_functions *functions = arg;
    if (is_gone(functions, reply))
        return;
    if (is_not_found(reply)) {
        load(functions, false);
    } else if (reply->type == REDIS_REPLY_INTEGER && reply->integer < (long long)fantail_lua_version) {
        log_info("redis", "functions are older, replacing them version=%lld", reply->integer);
        load(functions, true);
    } else {
        if (reply->type == REDIS_REPLY_ERROR)
            log_warn("redis", "functions not usable, channels with history will fail error=\"%s\"",
                     reply->str);
        functions->on_ready(functions->context);
        functions->on_ready = NULL;
    }
}

void redis_functions_start(struct redis_functions *functions, struct redis_commands *commands,
                           void (*on_ready)(void *context), void *context) {
    struct bytes words[] = {BYTES_LITERAL("FCALL_RO"), BYTES_LITERAL("fantail_version"), BYTES_LITERAL("0")};
    functions->commands = commands;
    functions->on_ready = on_ready;
    functions->context = context;
    functions->is_loading = false;
    redis_commands_send(commands, words, 3, on_version, functions);
    redis_namespaces_start(functions->namespaces, commands);
}

void redis_functions_stop(struct redis_functions *functions) {
    functions->commands = NULL;
    redis_namespaces_start(functions->namespaces, NULL);
}

void redis_functions_check(struct redis_functions *functions) {
    redis_namespaces_check(functions->namespaces);
}

void redis_functions_set_config(struct redis_functions *functions, const struct config *config) {
    redis_namespaces_set_config(functions->namespaces, config);
}

/* --- Calls ---------------------------------------------------------------------------------- */

static struct call *create_call(struct redis_functions *functions, const char *command, const char *name,
                                void *arg) {
    struct call *call = xcalloc(1, sizeof *call);
    call->functions = functions;
    call->command = command;
    call->name = name;
    call->arg = arg;
    buf_init(&call->data, 0);
    list_init(&call->in_failed);
    return call;
}

static void free_call(struct call *call) {
    buf_finish(&call->data);
    free(call);
}

/* What has been appended to the data since is a word. */
static void end_word(struct call *call) {
    call->ends[call->count++] = call->data.len;
}

static void add_word(struct call *call, struct bytes word) {
    buf_append_bytes(&call->data, word);
    end_word(call);
}

static void add_text(struct call *call, const char *word) {
    add_word(call, bytes_of(word));
}

static void add_number(struct call *call, const char *name, uint64_t value) {
    add_text(call, name);
    buf_append_u64(&call->data, value);
    end_word(call);
}

static void add_key(struct call *call, struct bytes channel) {
    add_text(call, "1");
    buf_append_bytes(&call->data, call->functions->prefix);
    add_word(call, channel);
}

static void add_settings(struct call *call, const struct namespace_config *options) {
    add_number(call, "size", options->history_size);
    add_number(call, "ttl", options->history_ttl_seconds);
    add_number(call, "position_ttl", options->position_ttl_seconds);
}

static void send_call(struct call *call, redis_on_reply *on_reply) {
    struct bytes words[2 + WORDS_MAX] = {bytes_of(call->command), bytes_of(call->name)};
    size_t start = 0;
    for (size_t i = 0; i < call->count; i++) {
        words[2 + i] = bytes_make(call->data.data + start, call->ends[i] - start);
        start = call->ends[i];
    }
    if (call->functions->commands != NULL)
        redis_commands_send(call->functions->commands, words, 2 + call->count, on_reply, call);
    else
        on_reply(call, NULL);
}

/* After FUNCTION FLUSH, or a failover to a Redis without the library: loads it, for all calls under way, and
 * sends this one again behind it, once. */
static bool is_sent_again(struct call *call, const redisReply *reply, redis_on_reply *on_reply) {
    struct redis_functions *functions = call->functions;
    if (is_gone(functions, reply) || !is_not_found(reply) || call->is_repeated)
        return false;
    if (!functions->is_loading)
        load(functions, false);
    call->is_repeated = true;
    send_call(call, on_reply);
    return true;
}

/* --- Publish -------------------------------------------------------------------------------- */

static void on_published(void *arg, const redisReply *reply) {
    struct call *call = arg;
    struct position id;
    enum error error = ERR_OK;
    if (is_sent_again(call, reply, on_published))
        return;
    if (reply == NULL) {
        error = ERR_BROKER_UNAVAILABLE;
    } else if (reply->type != REDIS_REPLY_STRING ||
               !position_parse(bytes_make(reply->str, reply->len), &id)) {
        redis_functions_complain(call->functions, "publish refused", error_of(reply));
        error = ERR_BROKER_REFUSED;
    }
    call->functions->metrics->publish_errors += error != ERR_OK;
    call->on_published(call->arg, error, error == ERR_OK ? &id : NULL);
    free_call(call);
}

void redis_functions_publish(struct redis_functions *functions, const struct publish_request *request,
                             publish_done *on_done, void *arg) {
    struct call *call = create_call(functions, "FCALL", "fantail_publish", arg);
    call->on_published = on_done;
    add_key(call, request->channel);
    add_word(call, request->payload);
    add_settings(call, request->options);
    if (request->is_urgent) {
        add_text(call, "priority");
        add_text(call, "high");
    }
    if (request->idempotency_key.len > 0) {
        add_text(call, "idempotency_key");
        add_word(call, request->idempotency_key);
    }
    send_call(call, on_published);
}

/* --- Sync ----------------------------------------------------------------------------------- */

static void fail(struct call *call, enum error error) {
    call->on_synced(call->arg, error, NULL);
    free_call(call);
}

/* Reading is a read, so that a Redis that takes no writes (for want of memory, of a disk, or because it is a replica)
 * serves those who subscribe. An empty answer says that something has to be written first: the mark of a loss. */
static bool has_to_write(struct call *call, const redisReply *reply) {
    bool is_read = strcmp(call->command, "FCALL_RO") == 0;
    if (!is_read || reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements > 0)
        return false;
    call->command = "FCALL";
    call->name = "fantail_sync";
    return true;
}

static void on_synced(void *arg, const redisReply *reply) {
    struct call *call = arg;
    struct redis_functions *functions = call->functions;
    struct sync_reply parsed;
    if (is_sent_again(call, reply, on_synced))
        return;
    if (has_to_write(call, reply)) {
        send_call(call, on_synced);
        return;
    }
    if (reply == NULL && functions->is_in_sync) {
        list_push_back(&functions->failed, &call->in_failed);
    } else if (reply == NULL) {
        fail(call, ERR_BROKER_UNAVAILABLE);
    } else if (!sync_reply_parse(reply, &parsed)) {
        redis_functions_complain(functions, "sync refused", error_of(reply));
        fail(call, ERR_BROKER_REFUSED);
    } else {
        functions->metrics->envelope_errors += parsed.unknown;
        call->on_synced(call->arg, ERR_OK, &parsed.result);
        sync_reply_finish(&parsed);
        free_call(call);
    }
}

void redis_functions_sync(struct redis_functions *functions, struct bytes channel,
                          const struct namespace_config *options, const struct position *seen,
                          sync_done *on_done, void *arg) {
    struct call *call = create_call(functions, "FCALL_RO", "fantail_read", arg);
    call->on_synced = on_done;
    add_key(call, channel);
    if (seen != NULL)
        position_append(seen, &call->data);
    end_word(call);
    add_settings(call, options);
    functions->is_in_sync = true;
    send_call(call, on_synced);
    functions->is_in_sync = false;
}

void redis_functions_flush(struct redis_functions *functions) {
    /* Only those that are there now: an answer may lead to the next attempt, which fails as well. */
    struct list failed;
    list_init(&failed);
    list_splice_back(&failed, &functions->failed);
    while (!list_is_empty(&failed)) {
        struct call *call = list_entry(failed.next, struct call, in_failed);
        list_unlink(&call->in_failed);
        fail(call, ERR_BROKER_UNAVAILABLE);
    }
}

/* --- Life ----------------------------------------------------------------------------------- */

struct redis_functions *redis_functions_create(struct loop *loop, struct metrics *metrics,
                                               struct bytes prefix) {
    struct redis_functions *functions = xcalloc(1, sizeof *functions);
    functions->loop = loop;
    functions->metrics = metrics;
    functions->prefix = prefix;
    functions->namespaces = redis_namespaces_create(prefix);
    list_init(&functions->failed);
    return functions;
}

void redis_functions_destroy(struct redis_functions *functions) {
    if (functions == NULL)
        return;
    redis_functions_flush(functions);
    redis_namespaces_destroy(functions->namespaces);
    free(functions);
}

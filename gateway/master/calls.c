#include "gateway/master/calls.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/config/config.h"

enum {
    TIMEOUT_MS = 5000,
    /* Of a list that a call answers, all workers together; each builds and we add up trees of several times the size. */
    LIST_BYTES_MAX = 8 * 1024 * 1024,
};

/* One that waits for workers. */
struct call {
    struct list link;
    struct calls *calls;
    json_int_t id;
    bool is_waited_for[WORKERS_MAX];
    unsigned waiting;
    json_t *sum;
    api_done *on_done;
    void *arg;
    struct wheel_timer timeout;
};

void calls_init(struct calls *calls, const struct calls_options *options) {
    *calls = (struct calls){.options = *options};
    list_init(&calls->waiting);
}

/* --- Replies --------------------------------------------------------------------------------- */

static void finish(struct call *call, enum error error) {
    list_unlink(&call->link);
    wheel_cancel(&call->timeout);
    if (error != ERR_OK) {
        json_decref(call->sum);
        call->sum = api_error(error);
    }
    call->on_done(call->arg, call->sum);
    free(call);
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

/* `reply` is NULL of a worker that has died. */
static void worker_replied(struct call *call, unsigned worker, json_t *reply) {
    if (!call->is_waited_for[worker])
        return;
    call->is_waited_for[worker] = false;
    if (reply != NULL)
        add_reply(call->sum, reply);
    if (--call->waiting == 0)
        finish(call, json_object_size(call->sum) > 0 ? ERR_OK : ERR_BROKER_UNAVAILABLE);
}

void calls_on_message(struct calls *calls, unsigned worker, const json_t *message) {
    json_int_t id = json_integer_value(json_object_get(message, "id"));
    list_each_safe (node, &calls->waiting) {
        struct call *call = list_entry(node, struct call, link);
        if (call->id == id)
            worker_replied(call, worker, json_object_get(message, "reply"));
    }
}

void calls_forget_worker(struct calls *calls, unsigned worker) {
    list_each_safe (node, &calls->waiting)
        worker_replied(list_entry(node, struct call, link), worker, NULL);
}

static void on_timeout(struct wheel_timer *timer, uint64_t now_ms) {
    struct call *call = list_entry(timer, struct call, timeout);
    (void)now_ms;
    log_warn("master", "api call timed out waiting=%u", call->waiting);
    finish(call, ERR_INTERNAL);
}

/* --- Questions ------------------------------------------------------------------------------- */

static bool ask_worker(struct call *call, unsigned worker, const char *name, json_t *body) {
    const struct calls_options *options = &call->calls->options;
    json_int_t list_bytes_max = LIST_BYTES_MAX / options->worker_count;
    json_t *message = json_pack("{s:s,s:I,s:s,s:O,s:I}", "op", "api", "id", call->id, "call", name, "body",
                                body, "list_bytes_max", list_bytes_max);
    call->is_waited_for[worker] = true;
    call->waiting++;
    return options->ask(options->context, worker, message);
}

/* Asks all, or one, which is another one each time. What of all one cannot be asked is not answered by the others. */
static enum error ask_workers(struct call *call, const char *name, json_t *body) {
    const struct calls_options *options = &call->calls->options;
    bool asks_all = api_asks_all(name);
    if (body == NULL)
        return ERR_BAD_JSON;
    for (unsigned i = 0; i < options->worker_count && (asks_all || call->waiting == 0); i++) {
        unsigned worker = (i + (unsigned)call->id) % options->worker_count;
        if (!options->may_ask(options->context, worker, !asks_all))
            continue;
        if (!ask_worker(call, worker, name, body)) {
            log_error("master", "a worker cannot be asked worker=%u call=%s", worker, name);
            return ERR_INTERNAL;
        }
    }
    return call->waiting > 0 ? ERR_OK : ERR_BROKER_UNAVAILABLE;
}

void calls_begin(struct calls *calls, const char *name, struct bytes body, api_done *on_done, void *arg) {
    const struct calls_options *options = &calls->options;
    struct call *call = xcalloc(1, sizeof *call);
    json_t *text = json_stringn(body.data, body.len);
    *call = (struct call){
        .calls = calls, .id = ++calls->last_id, .sum = json_object(), .on_done = on_done, .arg = arg};
    list_push_back(&calls->waiting, &call->link);
    wheel_timer_init(&call->timeout, on_timeout);
    wheel_arm(options->wheel, &call->timeout, options->now_ms(options->now_context) + TIMEOUT_MS);
    enum error error = ask_workers(call, name, text);
    json_decref(text);
    if (error != ERR_OK)
        finish(call, error);
}

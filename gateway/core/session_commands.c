#include <stdlib.h>
#include <utlist.h>

#include "common/xalloc.h"
#include "gateway/core/channel.h"
#include "gateway/core/session_internal.h"

enum {
    /* A client that sends nothing but what we do not understand is talking another language. */
    STRIKES_MAX = 16,
    /* A client's share of what may be on its way to Redis. */
    PUBLISHES_MAX = 2000,
    PUBLISH_BYTES_MAX = 4 * 1024 * 1024,
};

void session_reply_error(struct session *session, const struct command *command, enum error error) {
    struct event event = {
        .kind = EVENT_ERROR,
        .error = error,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .channel = command->channel,
    };
    session_metrics(session)->command_errors++;
    session_reply(session, &event);
}

struct pending_reply *session_pend(struct session *session, const struct command *command) {
    struct pending_reply *reply = xmalloc(sizeof *reply);
    *reply = (struct pending_reply){
        .session = session,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .start = command->start,
        .is_history = command->kind == COMMAND_HISTORY,
    };
    list_init(&reply->in_channel);
    DL_APPEND(session->pending_replies, reply);
    return reply;
}

void session_forget_pending(struct pending_reply *reply) {
    if (reply->session != NULL)
        DL_DELETE(reply->session->pending_replies, reply);
    reply->session = NULL;
}

static void connect_session(struct session *session, const struct command *command) {
    struct buf id;
    /* Who sends a token relies on its being checked; let in without, nobody would find out. */
    if (command->has_token) {
        session_reply_error(session, command, ERR_TOKEN_UNSUPPORTED);
        return;
    }
    session->wants_visible_ping = command->visible_ping;
    buf_init(&id, 0);
    session_print_id(session, &id);
    struct event event = {
        .kind = EVENT_CONNECTED,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .session = buf_bytes(&id),
        .node = session->hub->options.node,
        .ping_seconds = session_config(session)->ping.interval_seconds,
    };
    session_reply(session, &event);
    buf_finish(&id);
}

static void on_published(void *arg, enum error error, const struct position *id) {
    struct pending_reply *reply = arg;
    if (reply->session != NULL) {
        struct event event = {
            .kind = error == ERR_OK ? EVENT_PUBLISHED : EVENT_ERROR,
            .error = error,
            .has_ref = reply->has_ref,
            .ref = reply->ref,
            .has_id = id != NULL,
        };
        if (id != NULL)
            event.id = *id;
        reply->session->publish_count--;
        reply->session->publish_bytes -= reply->bytes;
        session_reply(reply->session, &event);
    }
    session_forget_pending(reply);
    free(reply);
}

static struct pending_reply *pend_publish(struct session *session, const struct command *command) {
    struct pending_reply *reply = session_pend(session, command);
    reply->bytes = (uint32_t)command->payload.len;
    session->publish_count++;
    session->publish_bytes += reply->bytes;
    return reply;
}

static void publish(struct session *session, const struct command *command) {
    const struct config *config = session_config(session);
    enum error error = ERR_OK;
    if (!channel_name_is_valid(command->channel))
        error = ERR_CHANNEL_INVALID;
    else if (!channel_namespace(config, command->channel)->client_publish)
        error = ERR_PUBLISH_FORBIDDEN;
    else if (command->payload.len > config->limits.message_bytes)
        error = ERR_MESSAGE_TOO_LARGE;
    else if (session->publish_count >= PUBLISHES_MAX || session->publish_bytes >= PUBLISH_BYTES_MAX)
        error = ERR_TOO_MANY_WAITING;
    else if (!token_bucket_take(&session->publishes, config->limits.publishes_per_second,
                                hub_now_ms(session->hub))) {
        error = ERR_RATE_LIMITED;
        session_metrics(session)->rate_limited++;
    }
    if (error != ERR_OK) {
        session_reply_error(session, command, error);
        session_asked_in_vain(session);
        return;
    }
    struct publish_request request = {
        .channel = command->channel,
        .payload = command->payload,
        .options = channel_namespace(config, command->channel),
        .is_urgent = command->is_urgent,
        .idempotency_key = command->idempotency_key,
    };
    hub_publish(session->hub, &request, on_published, pend_publish(session, command));
}

static void ping(struct session *session, const struct command *command) {
    struct event event = {.kind = EVENT_PONG, .has_ref = command->has_ref, .ref = command->ref};
    session_reply(session, &event);
}

void session_execute(struct session *session, const struct command *command) {
    static void (*const handlers[])(struct session *, const struct command *) = {
        [COMMAND_CONNECT] = connect_session,
        [COMMAND_SUBSCRIBE] = session_subscribe,
        [COMMAND_UNSUBSCRIBE] = session_unsubscribe,
        [COMMAND_PUBLISH] = publish,
        [COMMAND_PING] = ping,
        [COMMAND_PONG] = NULL,
        [COMMAND_HISTORY] = session_history,
    };
    session_metrics(session)->commands++;
    session->strikes = 0;
    /* Publishes have a limit of their own, and count here when they are refused. */
    enum error error =
        command->kind == COMMAND_PUBLISH || session_may_ask(session, command) ? ERR_OK : ERR_RATE_LIMITED;
    if (handlers[command->kind] == NULL)
        return;
    session->command_ms = (uint32_t)hub_now_ms(session->hub);
    if (error == ERR_OK)
        handlers[command->kind](session, command);
    else
        session_reply_error(session, command, error);
}

void session_receive(struct session *session, struct bytes text) {
    session->is_ping_pending = false;
    while (session_is_open(session)) {
        struct command command = {0};
        size_t used = 0;
        enum error error = session_protocol(session)->decode(text, &used, &command);
        if (error == ERR_MORE)
            return;
        text = bytes_skip(text, used);
        if (error == ERR_OK) {
            session_execute(session, &command);
        } else {
            session_reply_error(session, &command, error);
            session_asked_in_vain(session);
            if (++session->strikes == STRIKES_MAX)
                session_close(session, CLOSE_BAD_REQUEST);
        }
    }
}

void session_on_pong(struct session *session) {
    session->is_ping_pending = false;
}

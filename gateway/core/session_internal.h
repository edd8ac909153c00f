/* What the files that make up a session share: session.c (its life), session_send.c (what it is sent),
 * session_subscribe.c (where its channels begin), session_commands.c (what the client asks) and session_limits.c (how
 * much). */
#ifndef CORE_SESSION_INTERNAL_H
#define CORE_SESSION_INTERNAL_H

#include "gateway/core/session.h"

static inline struct metrics *session_metrics(const struct session *session) {
    return session->hub->options.metrics;
}

static inline const struct config *session_config(const struct session *session) {
    return session->hub->options.config;
}

/* The node's count of what outboxes hold. */
static inline uint64_t *session_held_bytes(struct session *session) {
    return &session_metrics(session)->outbox_bytes;
}

/* --- session_send.c --- */

/* Replies and events are never dropped: a client that asks without reading the answers is too slow. */
void session_reply(struct session *session, const struct event *event);

/* Queues a message that the client missed, whatever the session's own limits say. */
void session_replay_message(struct subscription *subscription, struct message *message);

/* Takes note of what the transport said to a write. */
void session_after_write(struct session *session, enum write_result result);

/* --- session_commands.c --- */

void session_reply_error(struct session *session, const struct command *command, enum error error);

/* A reply to `command` that has to wait; session_subscribe_done or its like frees it. */
struct pending_reply *session_pend(struct session *session, const struct command *command);

/* Its session, if it still has one, knows no more of it. */
void session_forget_pending(struct pending_reply *reply);

/* --- session_limits.c: limits.commands_per_second --- */

/* Whether the client may ask for this, which it then has paid. Who goes on asking is closed. */
bool session_may_ask(struct session *session, const struct command *command);

/* It was answered with an error before anybody asked that. */
void session_asked_in_vain(struct session *session);

/* What the client got of what had been before. */
void session_pay_replay(struct session *session, uint32_t messages, size_t bytes);

/* Whether the client may still have something replayed that it asked for a while ago. Counts the refusal. */
bool session_may_have_replayed(struct session *session);

/* --- session_subscribe.c --- */

void session_subscribe(struct session *session, const struct command *command);
void session_unsubscribe(struct session *session, const struct command *command);
void session_history(struct session *session, const struct command *command);

/* Frees it, and what it has in the outbox. */
void session_remove_subscription(struct session *session, struct subscription *subscription);

#endif

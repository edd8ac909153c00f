#include "gateway/core/session.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "gateway/core/channel.h"

enum {
    /* A client that sends nothing but what we do not understand is talking another language. */
    STRIKES_MAX = 16,
    /* Bytes gathered into one write when a congested socket becomes writable. */
    FLUSH_BYTES_MAX = 64 * 1024,
    /* What a scratch buffer may keep between uses. */
    SCRATCH_BYTES_KEPT = 1024 * 1024,
};

struct buf *session_scratch(void) {
    static struct buf scratch = {.max = SIZE_MAX};
    if (scratch.capacity > SCRATCH_BYTES_KEPT)
        buf_finish(&scratch);
    return &scratch;
}

static struct metrics *metrics_of(const struct session *session) {
    return session->hub->options.metrics;
}

static const struct config *config_of(const struct session *session) {
    return session->hub->options.config;
}

void session_print_id(const struct session *session, struct buf *out) {
    const struct hub_options *options = &session->hub->options;
    buf_append_bytes(out, options->node);
    buf_printf(out, "-%08" PRIx32 "-%" PRIu64, options->generation, session->id);
}

struct subscription *session_find_subscription(const struct session *session, const struct channel *channel) {
    struct subscription *each = session->subscriptions;
    while (each != NULL && each->channel != channel)
        each = each->next;
    return each;
}

/* --- Sending ------------------------------------------------------------------------------------------- */

static void stage(struct session *session) {
    if (list_is_empty(&session->staged))
        list_push_back(&session->hub->staged, &session->staged);
}

static void on_write_result(struct session *session, enum write_result result) {
    if (result == WRITE_CONGESTED)
        session->is_congested = true;
    else if (result == WRITE_FAILED)
        session_close(session, CLOSE_LOST);
}

void session_write(struct session *session, struct bytes bytes, uint32_t count) {
    metrics_of(session)->deliveries += count;
    metrics_of(session)->writes++;
    on_write_result(session, session->transport->write(session->carrier, bytes));
}

static uint64_t *held_bytes(struct session *session) {
    return &metrics_of(session)->outbox_bytes;
}

static bool outbox_has_room(struct session *session, const struct wire *wire) {
    const struct limits_config *limits = &config_of(session)->limits;
    const struct outbox *outbox = session->outbox;
    uint64_t new_bytes = wire->queued > 0 ? 0 : wire->len;
    if (*held_bytes(session) + new_bytes > limits->outbox_total_bytes)
        return false;
    return outbox == NULL ||
           (outbox->bytes + wire->len <= limits->outbox_bytes && outbox->count < limits->outbox_messages);
}

static void push(struct session *session, struct wire *wire, struct subscription *subscription) {
    if (session->outbox == NULL)
        session->outbox = outbox_create();
    outbox_push(session->outbox, wire, subscription, held_bytes(session));
    if (!session->is_congested)
        stage(session);
}

/* Replies and events are never dropped: a client that asks without reading the answers is too slow. */
static void send_event(struct session *session, const struct event *event) {
    struct buf text, framed;
    if (!session_is_open(session))
        return;
    buf_init(&text, 0);
    buf_init(&framed, 0);
    session->protocol->encode_event(event, &text);
    session->transport->form->frame(buf_bytes(&text), &framed);
    struct wire *wire = wire_create(buf_bytes(&framed), BYTES_LITERAL(""));
    if (outbox_has_room(session, wire))
        push(session, wire, NULL);
    else
        session_close(session, CLOSE_SLOW_CONSUMER);
    wire_unref(wire);
    buf_finish(&text);
    buf_finish(&framed);
}

void session_send_gap(struct session *session, struct bytes channel) {
    struct event event = {.kind = EVENT_GAP, .channel = channel};
    send_event(session, &event);
}

static bool may_drop(const struct subscription *subscription) {
    return subscription->channel->options->slow_consumer != SLOW_DISCONNECT;
}

static void owe_gap(struct subscription *subscription) {
    subscription->gap_owed = true;
    subscription->session->gap_owed = true;
}

void session_queue_message(struct subscription *subscription, struct message *message) {
    struct session *session = subscription->session;
    struct metrics *metrics = metrics_of(session);
    struct wire *wire = message_wire(message, session->transport->form);
    enum slow_consumer policy = subscription->channel->options->slow_consumer;
    if (!session_is_open(session))
        return;
    if (policy == SLOW_CONFLATE && session->is_congested && session->outbox != NULL)
        metrics->drops[DROP_CONFLATED] += outbox_drop_all(session->outbox, subscription, held_bytes(session));
    while (!outbox_has_room(session, wire)) {
        if (policy == SLOW_DISCONNECT) {
            metrics->drops[DROP_DISCONNECTED] += 1 + (session->outbox ? session->outbox->messages : 0);
            session_close(session, CLOSE_SLOW_CONSUMER);
            return;
        }
        struct subscription *loser =
            session->outbox ? outbox_drop_oldest(session->outbox, may_drop, held_bytes(session)) : NULL;
        metrics->drops[DROP_OLDEST]++;
        owe_gap(loser ? loser : subscription);
        if (loser == NULL)
            return; /* There is nothing else to drop, so it is this one. */
    }
    push(session, wire, subscription);
}

static void append_gap(struct session *session, struct subscription *subscription, struct buf *out) {
    struct event event = {.kind = EVENT_GAP, .channel = channel_name(subscription->channel)};
    struct buf text;
    buf_init(&text, 0);
    session->protocol->encode_event(&event, &text);
    session->transport->form->frame(buf_bytes(&text), out);
    buf_finish(&text);
    subscription->gap_owed = false;
    metrics_of(session)->gaps++;
}

/* Takes entries from the outbox into one piece of bytes, each gap before the first message after it. */
static uint32_t gather(struct session *session, struct buf *out) {
    struct outbox_entry entry;
    uint32_t messages = 0;
    while (session->outbox->count > 0 &&
           (out->len == 0 || out->len + outbox_peek(session->outbox)->wire->len <= FLUSH_BYTES_MAX)) {
        outbox_pop(session->outbox, &entry, held_bytes(session));
        if (entry.subscription != NULL) {
            messages++;
            if (entry.subscription->gap_owed)
                append_gap(session, entry.subscription, out);
        }
        buf_append_bytes(out, wire_bytes(entry.wire));
        wire_unref(entry.wire);
    }
    if (session->outbox->count == 0 && session->gap_owed) {
        session->gap_owed = false;
        for (struct subscription *each = session->subscriptions; each != NULL; each = each->next)
            if (each->gap_owed)
                append_gap(session, each, out);
    }
    return messages;
}

void session_flush(struct session *session) {
    list_unlink(&session->staged);
    while (session_is_open(session) && !session->is_congested && session->outbox != NULL) {
        struct buf *scratch = session_scratch();
        buf_clear(scratch);
        uint32_t messages = gather(session, scratch);
        if (session->outbox->count == 0) {
            outbox_destroy(session->outbox, held_bytes(session));
            session->outbox = NULL;
        }
        if (messages > 0) {
            session_write(session, buf_bytes(scratch), messages);
        } else {
            on_write_result(session, session->transport->write(session->carrier, buf_bytes(scratch)));
        }
    }
}

void session_on_writable(struct session *session) {
    session->is_congested = false;
    session->heard_ms = hub_now_ms(session->hub); /* The peer's TCP took something. */
    session_flush(session);
}

/* --- Time ---------------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static void arm(struct session *session, uint64_t ping_ms) {
    uint32_t idle_seconds = config_of(session)->limits.idle_seconds;
    uint64_t deadline = earlier(ping_ms, session->drain_ms);
    if (idle_seconds > 0)
        deadline = earlier(deadline, session->command_ms + idle_seconds * 1000ull);
    if (deadline == TIME_NEVER)
        wheel_cancel(&session->timer);
    else
        wheel_arm(session->hub->options.wheel, &session->timer, deadline);
}

static void send_ping(struct session *session) {
    const struct form *form = session->transport->form;
    session->is_ping_pending = true;
    /* On a congested socket the ping would wait behind what the client does not read; that it reads at all
     * shows by the socket becoming writable. */
    if (!session_may_write(session) || form->ping.len == 0)
        return;
    on_write_result(session, session->transport->write(session->carrier, form->ping));
    if (session->wants_visible_ping && session_may_write(session))
        on_write_result(session, session->transport->write(session->carrier, form->visible_ping));
}

static void on_timer(struct wheel_timer *timer, uint64_t now_ms) {
    struct session *session = list_entry(timer, struct session, timer);
    uint64_t interval_ms = config_of(session)->ping.interval_seconds * 1000ull;
    uint64_t timeout_ms = config_of(session)->ping.timeout_seconds * 1000ull;
    uint32_t idle_seconds = config_of(session)->limits.idle_seconds;
    if (!session_is_open(session))
        return;
    if (now_ms >= session->drain_ms) {
        session_close(session, CLOSE_DRAIN);
    } else if (idle_seconds > 0 && now_ms >= session->command_ms + idle_seconds * 1000ull) {
        session_close(session, CLOSE_IDLE);
    } else if (interval_ms == 0) {
        arm(session, TIME_NEVER);
    } else if (session->is_ping_pending && session->heard_ms < session->pinged_ms) {
        if (now_ms >= session->pinged_ms + timeout_ms)
            session_close(session, CLOSE_PING_TIMEOUT);
        else
            arm(session, session->pinged_ms + timeout_ms);
    } else if (session->is_ping_pending && timeout_ms < interval_ms &&
               now_ms < session->pinged_ms + interval_ms) {
        session->is_ping_pending = false;
        arm(session, session->pinged_ms + interval_ms);
    } else {
        session->pinged_ms = now_ms;
        send_ping(session);
        arm(session, now_ms + earlier(timeout_ms, interval_ms));
    }
}

void session_drain(struct session *session, uint32_t seconds) {
    uint64_t span_ms = seconds * 1000ull;
    /* The first second belongs to the balancer: it has to notice that the node is not ready any more. */
    uint64_t start_ms = earlier(1000, span_ms / 4);
    uint32_t retry_ms =
        (uint32_t)(start_ms + (span_ms > start_ms ? (uint64_t)random() % (span_ms - start_ms) : 0));
    struct event event = {.kind = EVENT_DRAIN, .retry_ms = retry_ms};
    if (!session_is_open(session))
        return;
    send_event(session, &event);
    session->drain_ms = hub_now_ms(session->hub) + retry_ms;
    arm(session, wheel_timer_is_armed(&session->timer) ? session->timer.deadline_ms : TIME_NEVER);
}

/* --- Commands ------------------------------------------------------------------------------------------ */

static void reply_error(struct session *session, const struct command *command, enum error error) {
    struct event event = {
        .kind = EVENT_ERROR,
        .error = error,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .channel = command->channel,
    };
    metrics_of(session)->command_errors++;
    send_event(session, &event);
}

static struct pending_reply *pending_create(struct session *session, const struct command *command) {
    struct pending_reply *reply = xmalloc(sizeof *reply);
    *reply = (struct pending_reply){.session = session, .has_ref = command->has_ref, .ref = command->ref};
    list_init(&reply->in_channel);
    list_push_back(&session->pending_replies, &reply->in_session);
    return reply;
}

static void connect_session(struct session *session, const struct command *command) {
    struct buf id;
    session->wants_visible_ping = command->visible_ping;
    buf_init(&id, 0);
    session_print_id(session, &id);
    struct event event = {
        .kind = EVENT_CONNECTED,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .session = buf_bytes(&id),
        .node = session->hub->options.node,
        .ping_seconds = config_of(session)->ping.interval_seconds,
    };
    send_event(session, &event);
    buf_finish(&id);
}

static enum error add_subscription(struct session *session, struct bytes name) {
    if (!channel_name_is_valid(name))
        return ERR_CHANNEL_INVALID;
    struct channel *channel = hub_find_channel(session->hub, name);
    if (channel != NULL && session_find_subscription(session, channel) != NULL)
        return ERR_OK;
    if (session->channel_count >= config_of(session)->limits.channels_per_session)
        return ERR_CHANNEL_LIMIT;
    /* Whoever comes while a message is on its way to the others must not get what was before the reply. */
    hub_finish_pass(session->hub);
    channel = hub_open_channel(session->hub, name);
    struct subscription *subscription = xmalloc(sizeof *subscription);
    *subscription = (struct subscription){
        .session = session,
        .channel = channel,
        .next = session->subscriptions,
    };
    session->subscriptions = subscription;
    session->channel_count++;
    channel_add_subscriber(channel, subscription);
    return ERR_OK;
}

void session_subscribe_done(struct pending_reply *reply, struct channel *channel) {
    if (reply->session != NULL) {
        struct event event = {
            .kind = EVENT_SUBSCRIBED,
            .has_ref = reply->has_ref,
            .ref = reply->ref,
            .channel = channel_name(channel),
        };
        send_event(reply->session, &event);
    }
    list_unlink(&reply->in_session);
    free(reply);
}

static void subscribe(struct session *session, const struct command *command) {
    enum error error = add_subscription(session, command->channel);
    if (error != ERR_OK) {
        reply_error(session, command, error);
        return;
    }
    struct channel *channel = hub_find_channel(session->hub, command->channel);
    struct pending_reply *reply = pending_create(session, command);
    if (channel->is_subscribed || channel->gap_owed)
        session_subscribe_done(reply, channel);
    else
        list_push_back(&channel->pending_replies, &reply->in_channel);
}

/* A subscription that goes takes its place in the outbox with it: what is queued is still delivered, or not,
 * but belongs to nobody who could be told of a gap. */
static void unlink_subscription(struct session *session, struct subscription *subscription) {
    struct subscription **at = &session->subscriptions;
    while (*at != subscription)
        at = &(*at)->next;
    *at = subscription->next;
    session->channel_count--;
    channel_remove_subscriber(subscription->channel, subscription);
    free(subscription);
}

static void unsubscribe(struct session *session, const struct command *command) {
    struct channel *channel = hub_find_channel(session->hub, command->channel);
    struct subscription *subscription = channel ? session_find_subscription(session, channel) : NULL;
    if (subscription == NULL) {
        reply_error(session, command,
                    channel_name_is_valid(command->channel) ? ERR_NOT_SUBSCRIBED : ERR_CHANNEL_INVALID);
        return;
    }
    hub_finish_pass(session->hub);
    list_each_safe (node, &channel->pending_replies) {
        struct pending_reply *reply = list_entry(node, struct pending_reply, in_channel);
        if (reply->session == session) {
            list_unlink(&reply->in_channel);
            session_subscribe_done(reply, channel);
        }
    }
    if (session->outbox != NULL)
        outbox_drop_all(session->outbox, subscription, held_bytes(session));
    unlink_subscription(session, subscription);
    struct event event = {
        .kind = EVENT_UNSUBSCRIBED,
        .has_ref = command->has_ref,
        .ref = command->ref,
        .channel = command->channel,
    };
    send_event(session, &event);
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
        send_event(reply->session, &event);
    }
    list_unlink(&reply->in_session);
    free(reply);
}

static void publish(struct session *session, const struct command *command) {
    const struct config *config = config_of(session);
    enum error error = ERR_OK;
    if (!channel_name_is_valid(command->channel))
        error = ERR_CHANNEL_INVALID;
    else if (!channel_namespace(config, command->channel)->client_publish)
        error = ERR_PUBLISH_FORBIDDEN;
    else if (command->payload.len > config->limits.message_bytes)
        error = ERR_MESSAGE_TOO_LARGE;
    else if (!token_bucket_take(&session->publishes, config->limits.publishes_per_second,
                                hub_now_ms(session->hub)))
        error = ERR_RATE_LIMITED;
    if (error != ERR_OK) {
        reply_error(session, command, error);
        return;
    }
    struct publish_request request = {.channel = command->channel, .payload = command->payload};
    hub_publish(session->hub, &request, on_published, pending_create(session, command));
}

static void ping(struct session *session, const struct command *command) {
    struct event event = {.kind = EVENT_PONG, .has_ref = command->has_ref, .ref = command->ref};
    send_event(session, &event);
}

void session_execute(struct session *session, const struct command *command) {
    static void (*const handlers[])(struct session *, const struct command *) = {
        [COMMAND_CONNECT] = connect_session,
        [COMMAND_SUBSCRIBE] = subscribe,
        [COMMAND_UNSUBSCRIBE] = unsubscribe,
        [COMMAND_PUBLISH] = publish,
        [COMMAND_PING] = ping,
        [COMMAND_PONG] = NULL,
    };
    metrics_of(session)->commands++;
    session->strikes = 0;
    if (handlers[command->kind] == NULL)
        return;
    session->command_ms = hub_now_ms(session->hub);
    handlers[command->kind](session, command);
}

void session_receive(struct session *session, struct bytes text) {
    session->heard_ms = hub_now_ms(session->hub);
    while (session_is_open(session)) {
        struct command command = {0};
        size_t used = 0;
        enum error error = session->protocol->decode(text, &used, &command);
        if (error == ERR_MORE)
            return;
        text = bytes_skip(text, used);
        if (error == ERR_OK) {
            session_execute(session, &command);
        } else {
            reply_error(session, &command, error);
            if (++session->strikes == STRIKES_MAX)
                session_close(session, CLOSE_BAD_REQUEST);
        }
    }
}

void session_on_pong(struct session *session) {
    session->heard_ms = hub_now_ms(session->hub);
}

/* --- Life ---------------------------------------------------------------------------------------------- */

struct session *session_create(struct hub *hub, const struct transport *transport,
                               const struct protocol *protocol, void *carrier) {
    struct session *session = xcalloc(1, sizeof *session);
    uint64_t now_ms = hub_now_ms(hub);
    uint64_t interval_ms = hub->options.config->ping.interval_seconds * 1000ull;
    session->hub = hub;
    session->transport = transport;
    session->protocol = protocol;
    session->carrier = carrier;
    session->id = ++hub->last_session_id;
    session->heard_ms = session->command_ms = now_ms;
    session->drain_ms = TIME_NEVER;
    list_init(&session->staged);
    list_init(&session->pending_replies);
    wheel_timer_init(&session->timer, on_timer);
    list_push_back(&hub->sessions, &session->link);
    hub->options.metrics->sessions[transport->kind]++;
    /* Clients that came all at once are not all pinged at once. */
    arm(session,
        interval_ms ? now_ms + interval_ms / 2 + (uint64_t)random() % (interval_ms / 2) : TIME_NEVER);
    if (hub->is_draining)
        session_drain(session, config_of(session)->drain_seconds);
    return session;
}

static void schedule_reap(struct session *session) {
    list_unlink(&session->staged);
    list_push_back(&session->hub->closing, &session->staged);
}

void session_close(struct session *session, enum close_reason reason) {
    if (!session_is_open(session))
        return;
    /* What was answered before goes out before, if the socket takes it. */
    if (reason != CLOSE_SLOW_CONSUMER && reason != CLOSE_LOST)
        session_flush(session);
    if (!session_is_open(session))
        return;
    session->state = SESSION_CLOSING;
    metrics_of(session)->closes[reason]++;
    wheel_cancel(&session->timer);
    schedule_reap(session);
    session->transport->close(session->carrier, reason);
}

void session_on_closed(struct session *session, enum close_reason reason) {
    if (session_is_open(session))
        metrics_of(session)->closes[reason]++;
    session->state = SESSION_CLOSED;
    session->carrier = NULL;
    wheel_cancel(&session->timer);
    list_unlink(&session->link);
    metrics_of(session)->sessions[session->transport->kind]--;
    schedule_reap(session);
}

void session_reap(struct session *session) {
    list_unlink(&session->staged);
    while (!list_is_empty(&session->pending_replies)) {
        struct pending_reply *reply =
            list_entry(session->pending_replies.next, struct pending_reply, in_session);
        list_unlink(&reply->in_session);
        reply->session = NULL;
    }
    outbox_destroy(session->outbox, held_bytes(session));
    session->outbox = NULL;
    while (session->subscriptions != NULL)
        unlink_subscription(session, session->subscriptions);
    if (session->state == SESSION_CLOSED)
        free(session);
}

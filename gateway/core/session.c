#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "gateway/core/session_internal.h"

void session_print_id(const struct session *session, struct buf *out) {
    const struct hub_options *options = &session->hub->options;
    buf_append_bytes(out, options->node);
    buf_printf(out, "-%08" PRIx32 "-%" PRIu32, options->generation, session->id);
}

struct subscription *session_find_subscription(const struct session *session, const struct channel *channel) {
    struct subscription *each = session->subscriptions;
    while (each != NULL && each->channel != channel)
        each = each->next;
    return each;
}

/* --- Time ------------------------------------------------------------------------------------ */

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* When `span_ms` since the moment `since` are over: now, if that has been. */
static uint64_t end_of(uint64_t span_ms, uint32_t since, uint64_t now_ms) {
    uint32_t age_ms = (uint32_t)now_ms - since;
    return span_ms > age_ms ? now_ms + span_ms - age_ms : now_ms;
}

static uint64_t drain_end(const struct session *session, uint64_t now_ms) {
    int32_t left_ms = (int32_t)(session->drain_ms - (uint32_t)now_ms);
    return left_ms > 0 ? now_ms + (uint32_t)left_ms : now_ms;
}

static void arm(struct session *session, uint64_t now_ms, uint64_t ping_ms) {
    bool is_silent = !session->transport->form->has_pong; /* It cannot but be. */
    uint32_t idle_seconds = is_silent ? 0 : session_config(session)->limits.idle_seconds;
    uint64_t deadline = ping_ms;
    if (session->is_draining)
        deadline = earlier(deadline, drain_end(session, now_ms));
    if (idle_seconds > 0)
        deadline = earlier(deadline, end_of(idle_seconds * 1000ull, session->command_ms, now_ms));
    if (deadline == TIME_NEVER)
        wheel_cancel(&session->timer);
    else
        wheel_arm(session->hub->options.wheel, &session->timer, deadline);
}

static void send_ping(struct session *session) {
    const struct form *form = session->transport->form;
    session->is_ping_pending = true;
    /* What the turn has collected goes first; without the ping there would be nothing to answer. */
    if (!session->is_congested)
        session_flush(session);
    /* On a congested socket the ping would wait behind what the client does not read; that it reads at all
     * shows by the socket becoming writable. */
    if (!session_may_write(session) || form->ping.len == 0)
        return;
    session_after_write(session, session->transport->write(session->carrier, form->ping));
    if (session->wants_visible_ping && session_may_write(session))
        session_after_write(session, session->transport->write(session->carrier, form->visible_ping));
}

static uint64_t ping_interval_from(const struct session *session, uint64_t now_ms) {
    uint32_t seconds = session_config(session)->ping.interval_seconds;
    bool has_ping = session->transport->form->ping.len > 0;
    return seconds > 0 && has_ping ? now_ms + seconds * 1000ull : TIME_NEVER;
}

static void on_timer(struct wheel_timer *timer, uint64_t now_ms) {
    struct session *session = list_entry(timer, struct session, timer);
    uint64_t interval_ms = session_config(session)->ping.interval_seconds * 1000ull;
    uint64_t timeout_ms = session_config(session)->ping.timeout_seconds * 1000ull;
    uint32_t idle_seconds = session_config(session)->limits.idle_seconds;
    if (!session_is_open(session))
        return;
    uint64_t timeout_end_ms = end_of(timeout_ms, session->pinged_ms, now_ms);
    uint64_t interval_end_ms = end_of(interval_ms, session->pinged_ms, now_ms);
    if (session->is_draining && drain_end(session, now_ms) == now_ms) {
        session_close(session, CLOSE_DRAIN);
    } else if (!session->transport->form->has_pong) {
        /* Nothing to judge by: there is no answer, and a socket takes heartbeats for hours before it says no. But it
         * is the heartbeats that the peer's TCP has to acknowledge, and the kernel, which sees that, ends the connection
         * of one that does not, or does not read (TCP_USER_TIMEOUT, see transport/acceptor.c). */
        send_ping(session);
        arm(session, now_ms, ping_interval_from(session, now_ms));
    } else if (idle_seconds > 0 && end_of(idle_seconds * 1000ull, session->command_ms, now_ms) == now_ms) {
        session_close(session, CLOSE_IDLE);
    } else if (interval_ms == 0) {
        arm(session, now_ms, TIME_NEVER);
    } else if (session->is_ping_pending) {
        if (timeout_end_ms == now_ms)
            session_close(session, CLOSE_PING_TIMEOUT);
        else
            arm(session, now_ms, timeout_end_ms);
    } else if (interval_end_ms > now_ms) {
        arm(session, now_ms, interval_end_ms);
    } else {
        session->pinged_ms = (uint32_t)now_ms;
        send_ping(session);
        arm(session, now_ms, now_ms + earlier(timeout_ms, interval_ms));
    }
}

void session_drain(struct session *session) {
    uint64_t now_ms = hub_now_ms(session->hub);
    uint64_t end_ms = session->hub->drain_end_ms;
    uint64_t span_ms = end_ms > now_ms ? end_ms - now_ms : 0;
    /* The first second belongs to the balancer: it has to notice that the node is not ready any more. */
    uint64_t start_ms = earlier(1000, span_ms / 4);
    uint32_t retry_ms =
        (uint32_t)(start_ms + (span_ms > start_ms ? (uint64_t)random() % (span_ms - start_ms) : 0));
    struct event event = {.kind = EVENT_DRAIN, .retry_ms = retry_ms};
    if (!session_is_open(session))
        return;
    session_reply(session, &event);
    session->is_draining = true;
    session->drain_ms = (uint32_t)now_ms + retry_ms;
    arm(session, now_ms, wheel_timer_is_armed(&session->timer) ? session->timer.deadline_ms : TIME_NEVER);
}

/* --- Life ------------------------------------------------------------------------------------ */

struct session *session_create(struct hub *hub, const struct session_options *options) {
    struct session *session = xcalloc(1, sizeof *session);
    uint64_t now_ms = hub_now_ms(hub);
    uint64_t interval_ms = hub->options.config->ping.interval_seconds * 1000ull;
    session->hub = hub;
    session->transport = options->transport;
    session->carrier = options->carrier;
    session->keeps_positions = options->keeps_positions;
    session->client = options->client;
    session->is_collected = options->transport->collect != NULL;
    session->is_congested = session->is_collected;
    if (options->transport->form->ping.len == 0)
        interval_ms = 0;
    session->id = ++hub->last_session_id;
    session->command_ms = (uint32_t)now_ms;
    list_init(&session->staged);
    wheel_timer_init(&session->timer, on_timer);
    list_push_back(&hub->sessions, &session->link);
    hub->options.metrics->sessions[session->transport->kind]++;
    /* Clients that came all at once are not all pinged at once. */
    if (interval_ms > 0)
        session->pinged_ms = (uint32_t)(now_ms - (uint64_t)random() % (interval_ms / 2));
    arm(session, now_ms, interval_ms ? end_of(interval_ms, session->pinged_ms, now_ms) : TIME_NEVER);
    if (hub->is_draining)
        session_drain(session);
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
    assert(reason < CLOSE_REASON_COUNT);
    session->state = SESSION_CLOSING;
    session_metrics(session)->closes[reason]++;
    wheel_cancel(&session->timer);
    schedule_reap(session);
    session->transport->close(session->carrier, reason);
}

void session_on_closed(struct session *session, enum close_reason reason) {
    if (session_is_open(session))
        session_metrics(session)->closes[reason]++;
    session->state = SESSION_CLOSED;
    session->carrier = NULL;
    wheel_cancel(&session->timer);
    list_unlink(&session->link);
    session_metrics(session)->sessions[session->transport->kind]--;
    schedule_reap(session);
}

void session_reap(struct session *session) {
    list_unlink(&session->staged);
    while (session->pending_replies != NULL)
        session_forget_pending(session->pending_replies);
    outbox_destroy(session->outbox, session_held_bytes(session));
    session->outbox = NULL;
    while (session->subscriptions != NULL)
        session_remove_subscription(session, session->subscriptions);
    assert(session->channel_count == 0);
    if (session->state == SESSION_CLOSED)
        free(session);
}

#include "tests/sim/socket.h"

#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/forms.h"
#include "tests/sim/fail.h"

enum {
    NOTICE_MS = 40,        /* Within which an end notices that the other has closed. */
    NOTICE_LATE_MS = 3000, /* Or that it has vanished. */
};

/* What travels on a socket. */
struct shipment {
    struct socket *socket;
    bool is_end;
    bool is_pong;
    struct buf bytes;
};

static struct timeline *timeline_of(const struct socket *socket) {
    return socket->options.node->timeline;
}

static struct dice *dice_of(const struct socket *socket) {
    return socket->options.node->dice;
}

static void socket_unref(struct socket *socket) {
    if (--socket->refs > 0)
        return;
    hearing_finish(&socket->hearing);
    buf_finish(&socket->unsent);
    buf_finish(&socket->known);
    free(socket);
}

static struct shipment *shipment_create(struct socket *socket, struct bytes bytes) {
    struct shipment *shipment = xcalloc(1, sizeof *shipment);
    shipment->socket = socket;
    buf_init(&shipment->bytes, 0);
    if (bytes.len > 0)
        buf_append_bytes(&shipment->bytes, bytes);
    socket->refs++;
    return shipment;
}

static void shipment_free(struct shipment *shipment) {
    buf_finish(&shipment->bytes);
    socket_unref(shipment->socket);
    free(shipment);
}

/* --- To the client --------------------------------------------------------------------------------------- */

static void ship(struct socket *socket, size_t len);

static void on_writable(void *arg) {
    struct socket *socket = arg;
    if (socket->session != NULL && socket->is_congested && socket->unsent.len == 0 && !socket->is_closing &&
        !socket->is_broken) {
        node_touch(socket->options.node);
        socket->is_congested = false;
        session_on_writable(socket->session);
    }
    socket_unref(socket);
}

/* Sends as much of what waits as the window allows. */
static void pump(struct socket *socket) {
    while (socket->unsent.len > 0 && socket->in_flight < socket->options.room) {
        size_t room = socket->options.room - socket->in_flight;
        ship(socket, socket->unsent.len < room ? socket->unsent.len : room);
    }
    if (socket->unsent.len == 0 && socket->is_congested) {
        socket->refs++;
        timeline_after(timeline_of(socket), 0, on_writable, socket);
    }
}

static void on_arrived(void *arg) {
    struct shipment *shipment = arg;
    struct socket *socket = shipment->socket;
    socket->in_flight -= shipment->bytes.len;
    if (socket->has_client && shipment->is_end) {
        socket->has_client = false;
        socket->options.on_closed(socket->options.context);
        socket_unref(socket);
    } else if (socket->has_client) {
        hearing_feed(&socket->hearing, buf_bytes(&shipment->bytes));
    }
    pump(socket);
    shipment_free(shipment);
}

static void put_on_way(struct shipment *shipment) {
    struct socket *socket = shipment->socket;
    uint64_t at_ms =
        timeline_of(socket)->now_ms + dice_below(dice_of(socket), socket->options.delay_max_ms + 1);
    if (at_ms > socket->last_ms)
        socket->last_ms = at_ms;
    socket->in_flight += shipment->bytes.len;
    timeline_at(timeline_of(socket), socket->last_ms, on_arrived, shipment);
}

static void ship(struct socket *socket, size_t len) {
    struct shipment *shipment = shipment_create(socket, bytes_make(socket->unsent.data, len));
    buf_consume(&socket->unsent, len);
    put_on_way(shipment);
}

static void ship_end(struct socket *socket) {
    struct shipment *end = shipment_create(socket, BYTES_LITERAL(""));
    end->is_end = true;
    put_on_way(end);
}

void socket_end(struct socket *socket, enum close_reason reason) {
    struct session *session = socket->session;
    if (session == NULL)
        return;
    socket->session = NULL;
    list_unlink(&socket->in_node);
    poll_forget(socket);
    session_on_closed(session, reason);
    ship_end(socket);
    socket_unref(socket);
}

static void on_end(void *arg) {
    struct socket *socket = arg;
    node_touch(socket->options.node);
    socket_end(socket, CLOSE_LOST);
    socket_unref(socket);
}

static void end_soon(struct socket *socket, uint64_t delay_ms) {
    socket->refs++;
    timeline_after(timeline_of(socket), delay_ms, on_end, socket);
}

static enum write_result socket_write(void *carrier, struct bytes bytes) {
    struct socket *socket = carrier;
    if (bytes.len == 0 || socket->is_congested || socket->is_closing || socket->is_broken)
        sim_fail("a write of %zu bytes that must not be", bytes.len);
    if (dice_percent(dice_of(socket), socket->options.breaks_percent)) {
        socket->is_broken = true;
        end_soon(socket, dice_below(dice_of(socket), NOTICE_MS));
        return WRITE_FAILED;
    }
    buf_append_bytes(&socket->unsent, bytes);
    pump(socket);
    socket->is_congested = socket->unsent.len > 0;
    return socket->is_congested ? WRITE_CONGESTED : WRITE_DONE;
}

static void socket_close(void *carrier, enum close_reason reason) {
    struct socket *socket = carrier;
    if (socket->is_closing)
        sim_fail("closed twice");
    sim_note("%s: closes a session: %s", socket->options.node->name, close_label(reason));
    socket->is_closing = true;
    /* What waits may still reach the client, or be cut off. */
    if (reason != CLOSE_LOST && !socket->is_broken && socket->unsent.len > 0 &&
        dice_percent(dice_of(socket), 50))
        ship(socket, socket->unsent.len);
    end_soon(socket, dice_below(dice_of(socket), NOTICE_MS));
}

void socket_answer(struct socket *socket, struct bytes body) {
    socket->is_answered = true;
    if (body.len > 0)
        put_on_way(shipment_create(socket, body));
}

/* --- From the client ------------------------------------------------------------------------------------- */

static void on_said(void *arg) {
    struct shipment *shipment = arg;
    struct socket *socket = shipment->socket;
    node_touch(socket->options.node);
    if (socket->session != NULL && session_is_open(socket->session)) {
        if (shipment->is_pong)
            session_on_pong(socket->session);
        else
            session_receive(socket->session, buf_bytes(&shipment->bytes));
    }
    shipment_free(shipment);
}

void socket_say(struct socket *socket, struct bytes text) {
    timeline_after(timeline_of(socket), socket->options.delay_max_ms / 2, on_said,
                   shipment_create(socket, text));
}

static void on_ping(struct hearing *hearing) {
    struct socket *socket = list_entry(hearing, struct socket, hearing);
    struct shipment *pong = shipment_create(socket, BYTES_LITERAL(""));
    pong->is_pong = true;
    timeline_after(timeline_of(socket), socket->options.delay_max_ms / 2, on_said, pong);
}

void socket_leave(struct socket *socket) {
    bool is_late = dice_percent(dice_of(socket), 20);
    socket->has_client = false;
    end_soon(socket, dice_below(dice_of(socket), is_late ? NOTICE_LATE_MS : NOTICE_MS));
    socket_unref(socket);
}

void socket_kill(struct socket *socket) {
    socket->is_broken = true;
    socket_end(socket, CLOSE_LOST);
}

/* --- Life ------------------------------------------------------------------------------------------------ */

static void describe_peer(void *carrier, struct buf *out) {
    (void)carrier;
    buf_append_text(out, "sim");
}

#define SIM_TRANSPORT(transport_kind, transport_form)                                                        \
    {                                                                                                        \
        .name = "sim", .kind = (transport_kind), .form = (transport_form), .write = socket_write,            \
        .close = socket_close, .describe_peer = describe_peer,                                               \
    }

static const struct transport *transport_for(enum carriage carriage, bool is_list) {
    static const struct transport transports[][2] = {
        [CARRY_WEBSOCKET] = {SIM_TRANSPORT(TRANSPORT_WEBSOCKET, &native_websocket_form),
                             SIM_TRANSPORT(TRANSPORT_WEBSOCKET, &native_websocket_form)},
        [CARRY_SSE] = {SIM_TRANSPORT(TRANSPORT_SSE, &native_sse_form),
                       SIM_TRANSPORT(TRANSPORT_SSE, &native_sse_list_form)},
        [CARRY_CHUNK] = {SIM_TRANSPORT(TRANSPORT_STREAM, &native_chunk_form),
                         SIM_TRANSPORT(TRANSPORT_STREAM, &native_chunk_list_form)},
        [CARRY_LINE] = {SIM_TRANSPORT(TRANSPORT_STREAM, &native_line_form),
                        SIM_TRANSPORT(TRANSPORT_STREAM, &native_line_list_form)},
    };
    if (carriage >= CARRY_LONGPOLL)
        return carriage == CARRY_LONGPOLL ? &sim_longpoll : &sim_poll;
    return &transports[carriage][is_list];
}

static bool is_poll(const struct socket *socket) {
    return socket->options.carriage >= CARRY_LONGPOLL;
}

struct socket *socket_open(const struct socket_options *options) {
    static const enum framing framings[] = {
        [CARRY_WEBSOCKET] = FRAMING_WEBSOCKET, [CARRY_SSE] = FRAMING_SSE,       [CARRY_CHUNK] = FRAMING_CHUNK,
        [CARRY_LINE] = FRAMING_LINE,           [CARRY_LONGPOLL] = FRAMING_POLL, [CARRY_POLL] = FRAMING_POLL,
    };
    struct socket *socket = xcalloc(1, sizeof *socket);
    socket->options = *options;
    socket->refs = 2; /* Of both ends. */
    socket->has_client = true;
    socket->last_ms = options->node->timeline->now_ms;
    buf_init(&socket->unsent, 0);
    buf_init(&socket->known, 0);
    if (options->known.len > 0)
        buf_append_bytes(&socket->known, options->known);
    hearing_init(&socket->hearing, framings[options->carriage]);
    socket->hearing.on_heard = options->on_heard;
    socket->hearing.on_ping = on_ping;
    socket->hearing.context = options->context;
    list_push_back(&options->node->sockets, &socket->in_node);
    struct session_options session = {
        .transport = transport_for(options->carriage, options->is_list),
        .carrier = socket,
        .keeps_positions = options->carriage != CARRY_WEBSOCKET,
    };
    node_touch(options->node);
    socket->session = session_create(options->node->hub, &session);
    if (is_poll(socket))
        poll_begin(socket);
    return socket;
}

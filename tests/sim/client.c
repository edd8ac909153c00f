#include "tests/sim/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/core/command.h"
#include "gateway/core/cursor.h"
#include "tests/sim/fail.h"
#include "tests/sim/world.h"

enum {
    STEP_MAX_MS = 1500,
    RECONNECT_MAX_MS = 400,
    POLL_PAUSE_MAX_MS = 400,
    LONGPOLL_WAIT_MS = 3000,
    LAST = 3,
    REF_SUBSCRIBE = 1,     /* And the channel's number. */
    REF_UNSUBSCRIBE = 100, /* Likewise. */
    REF_AGAIN = 200,       /* Likewise. */
    REF_PUBLISH = 1000,
};

static struct dice *dice_of(const struct client *client) {
    return &client->world->dice;
}

static int channel_index(const struct client *client, struct bytes name) {
    for (unsigned i = 0; i < client->channel_count; i++)
        if (bytes_equal_text(name, client->channels[i]->name))
            return (int)i;
    return -1;
}

/* --- Connecting ------------------------------------------------------------------------------------------ */

static void connect_later(struct client *client, uint64_t delay_ms);

static void subscribe_websocket(struct client *client, unsigned i) {
    struct checker *checker = &client->checkers[i];
    struct buf text;
    buf_init(&text, 0);
    buf_printf(&text, "{\"ref\":%u,\"op\":\"subscribe\",\"channel\":\"%s\"", REF_SUBSCRIBE + i,
               client->channels[i]->name);
    client->is_asked_since[i] = checker->has_place && truth_has_history(client->channels[i]);
    if (client->is_asked_since[i]) {
        buf_append_text(&text, ",\"since\":\"");
        position_append(&checker->place, &text);
        buf_append_char(&text, '"');
    } else if (client->asks_for_last) {
        buf_printf(&text, ",\"last\":%d", LAST);
    }
    buf_append_char(&text, '}');
    checker_on_connect(checker);
    checker_forget_numbers(checker);
    socket_say(client->socket, buf_bytes(&text));
    buf_finish(&text);
}

/* What gateway/subscribe.c does with a URL. */
static void subscribe_by_url(struct client *client) {
    struct session *session = client->socket->session;
    session_hold(session);
    for (unsigned i = 0; i < client->channel_count && session_is_open(session); i++) {
        struct command command = {
            .kind = COMMAND_SUBSCRIBE,
            .channel = bytes_of(client->channels[i]->name),
        };
        if (client->cursor.len > 0 && cursor_find(buf_bytes(&client->cursor), command.channel,
                                                  client->channel_count == 1, &command.start.since)) {
            command.start.kind = START_SINCE;
        } else if (client->asks_for_last) {
            command.start.kind = START_LAST;
            command.start.last = LAST;
        }
        session_execute(session, &command);
    }
    session_release(session);
}

static void on_heard(void *context, const struct heard *heard);
static void on_closed(void *context);

/* With one channel the cursor is the id, so that any transport may follow any other; a cursor of several is
 * none that a WebSocket could go on from, nor make. */
static void choose_carriage(struct client *client) {
    if (!client->roams)
        return;
    if (client->channel_count > 1) {
        client->carriage = (enum carriage)dice_between(dice_of(client), CARRY_SSE, CARRY_POLL);
        return;
    }
    enum carriage old = client->carriage;
    client->carriage = (enum carriage)dice_below(dice_of(client), CARRIAGE_COUNT);
    const struct checker *checker = &client->checkers[0];
    if (truth_has_history(client->channels[0])) {
        buf_clear(&client->cursor);
        if (checker->has_place)
            position_append(&checker->place, &client->cursor);
    } else if (old == CARRY_WEBSOCKET) {
        buf_clear(&client->cursor);
        checker_forget_numbers(&client->checkers[0]);
    }
}

static void on_connected(void *arg) {
    struct client *client = arg;
    struct world *world = client->world;
    client->is_connecting = false;
    if (client->socket != NULL || world->is_over)
        return;
    if (client->node == NULL || !client->stays)
        client->node = world->nodes[dice_below(dice_of(client), world->node_count)];
    choose_carriage(client);
    struct socket_options options = {
        .node = client->node,
        .carriage = client->carriage,
        .is_list = client->channel_count > 1,
        .delay_max_ms = client->delay_max_ms,
        .room = client->room,
        .breaks_percent = world->is_calm ? 0 : world->breaks_percent,
        .wait_ms = client->carriage == CARRY_LONGPOLL ? LONGPOLL_WAIT_MS : 0,
        .known = buf_bytes(&client->cursor),
        .on_heard = on_heard,
        .on_closed = on_closed,
        .context = client,
    };
    sim_note("%s: connects to %s by %d from %.*s", client->name, client->node->name, (int)client->carriage,
             BYTES_FMT(buf_bytes(&client->cursor)));
    memset(client->is_unsubscribing, 0, sizeof client->is_unsubscribing);
    memset(client->again, 0, sizeof client->again);
    for (unsigned i = 0; i < client->channel_count; i++)
        checker_on_connect(&client->checkers[i]);
    client->socket = socket_open(&options);
    if (client->carriage == CARRY_WEBSOCKET)
        for (unsigned i = 0; i < client->channel_count; i++)
            subscribe_websocket(client, i);
    else
        subscribe_by_url(client);
}

static void connect_later(struct client *client, uint64_t delay_ms) {
    if (client->is_connecting || client->world->is_over)
        return;
    client->is_connecting = true;
    timeline_after(&client->world->timeline, delay_ms, on_connected, client);
}

static void on_closed(void *context) {
    struct client *client = context;
    client->socket = NULL;
    connect_later(client,
                  dice_below(dice_of(client), client->carriage == CARRY_LONGPOLL ? 20 : POLL_PAUSE_MAX_MS));
}

void client_leave(struct client *client) {
    struct socket *socket = client->socket;
    client->socket = NULL;
    if (socket == NULL)
        return;
    sim_note("%s: leaves", client->name);
    socket_leave(socket);
}

/* --- Asking again ---------------------------------------------------------------------------------------- */

static void ask_again(struct client *client) {
    unsigned i = (unsigned)dice_below(dice_of(client), client->channel_count);
    struct again *again = &client->again[i];
    const struct checker *checker = &client->checkers[i];
    if (again->state != AGAIN_NOT || client->is_unsubscribing[i] || !truth_has_history(client->channels[i]) ||
        !checker->has_latest)
        return;
    struct buf text;
    buf_init(&text, 0);
    *again = (struct again){.state = AGAIN_ASKED, .has_asked_since = dice_percent(dice_of(client), 60)};
    checker_init(&again->checker, client->name, client->channels[i]);
    buf_printf(&text, "{\"ref\":%u,\"op\":\"subscribe\",\"channel\":\"%s\"", REF_AGAIN + REF_SUBSCRIBE + i,
               client->channels[i]->name);
    if (again->has_asked_since) {
        /* From a place that it has been told of, a few messages back. */
        struct position since = checker->latest;
        uint64_t back = dice_below(dice_of(client), 6);
        since.offset -= back < since.offset ? back : 0;
        again->checker.has_place = true;
        again->checker.place = since;
        buf_append_text(&text, ",\"since\":\"");
        position_append(&since, &text);
        buf_append_char(&text, '"');
    } else {
        buf_printf(&text, ",\"last\":%d", LAST);
    }
    buf_append_char(&text, '}');
    sim_note("%s: asks again: %.*s", client->name, BYTES_FMT(buf_bytes(&text)));
    socket_say(client->socket, buf_bytes(&text));
    buf_finish(&text);
}

/* What is replayed has all been, up to where it was said to go. */
static void end_again(struct again *again) {
    if (again->state == AGAIN_HEARING)
        checker_on_replayed(&again->checker, &again->end);
    again->state = AGAIN_NOT;
}

static void on_again(struct client *client, unsigned i, const struct heard *heard) {
    struct again *again = &client->again[i];
    if (again->state != AGAIN_ASKED || !heard->has_position)
        return;
    sim_note("%s: is answered again, recovered %d", client->name, heard->recovered);
    again->state = AGAIN_HEARING;
    again->end = heard->position;
    if (again->has_asked_since != heard->has_recovered)
        sim_fail("%s: recovered says nothing of what was asked", client->name);
    if (!again->has_asked_since)
        checker_on_begin(&again->checker, client->node, &heard->position, true);
    else if (!heard->recovered)
        again->state = AGAIN_NOT; /* Nothing is replayed. */
}

/* Whether what was heard is part of a replay asked for again. What is owed for drops is everybody's. */
static bool is_again(struct client *client, unsigned i, const struct heard *heard) {
    struct again *again = &client->again[i];
    const struct position *place = heard->has_id ? &heard->id : heard->has_position ? &heard->position : NULL;
    if (again->state != AGAIN_HEARING)
        return false;
    if (place != NULL && position_compare(place, &again->end) > 0) {
        end_again(again);
        return false;
    }
    if (heard->kind == HEARD_GAP)
        checker_on_gap(&again->checker, client->node, place);
    else if (place != NULL)
        checker_on_message(&again->checker, client->node, place, heard->data);
    return place != NULL;
}

/* --- Receiving ------------------------------------------------------------------------------------------- */

static void keep_cursor(struct client *client, struct bytes cursor) {
    if (cursor.len == 0)
        return;
    buf_clear(&client->cursor);
    buf_append_bytes(&client->cursor, cursor);
}

static void begin_by_cursor(struct client *client, bool is_answer) {
    struct position place;
    for (unsigned i = 0; i < client->channel_count; i++) {
        if (!cursor_find(buf_bytes(&client->cursor), bytes_of(client->channels[i]->name),
                         client->channel_count == 1, &place))
            sim_fail("%s: no place in %s in the cursor", client->name, client->channels[i]->name);
        checker_on_begin(&client->checkers[i], client->node, &place, false);
        if (is_answer)
            checker_on_answer(&client->checkers[i], client->node);
    }
}

static void on_reply(struct client *client, const struct heard *heard) {
    unsigned i = (unsigned)(heard->ref % REF_UNSUBSCRIBE) - REF_SUBSCRIBE;
    if (heard->ref >= REF_PUBLISH) {
        world_on_published(client->world, heard->has_id ? &heard->id : NULL);
    } else if (heard->ref >= REF_AGAIN) {
        on_again(client, i, heard);
    } else if (heard->ref >= REF_UNSUBSCRIBE) {
        client->is_unsubscribing[i] = false;
        client->again[i].state = AGAIN_NOT; /* Whatever has not come will not. */
        subscribe_websocket(client, i);
    } else if (client->is_unsubscribing[i] && !heard->has_position) {
        return; /* It was not waited for. */
    } else if (client->is_asked_since[i]) {
        if (!heard->has_recovered || !heard->has_position)
            sim_fail("%s: an answer to since that does not say whether it is recovered", client->name);
        checker_on_recovered(&client->checkers[i], heard->recovered, &heard->position);
    } else {
        checker_on_begin(&client->checkers[i], client->node, heard->has_position ? &heard->position : NULL,
                         client->asks_for_last);
    }
}

/* A subscription was: the client tries elsewhere. */
static void on_refused(void *arg) {
    client_leave(arg);
}

static void on_heard(void *context, const struct heard *heard) {
    struct client *client = context;
    int i = channel_index(client, heard->channel);
    switch (heard->kind) {
    case HEARD_MESSAGE:
        keep_cursor(client, heard->cursor);
        if (is_again(client, (unsigned)i, heard))
            break;
        checker_on_message(&client->checkers[i], client->node, heard->has_id ? &heard->id : NULL,
                           heard->data);
        break;
    case HEARD_GAP:
        keep_cursor(client, heard->cursor);
        if (is_again(client, (unsigned)i, heard))
            break;
        checker_on_gap(&client->checkers[i], client->node, heard->has_position ? &heard->position : NULL);
        break;
    case HEARD_OPEN:
    case HEARD_REST:
        keep_cursor(client, heard->cursor);
        begin_by_cursor(client, heard->kind == HEARD_REST);
        break;
    case HEARD_REPLY:
        on_reply(client, heard);
        break;
    case HEARD_ERROR:
        sim_note("%s: error ref %" PRIu64, client->name, heard->ref);
        if (heard->ref < REF_PUBLISH)
            timeline_after(&client->world->timeline, 0, on_refused, client);
        break;
    default:
        break;
    }
}

/* --- Doing ----------------------------------------------------------------------------------------------- */

static void publish(struct client *client) {
    struct truth_channel *channel = client->channels[dice_below(dice_of(client), client->channel_count)];
    struct buf text;
    buf_init(&text, 0);
    buf_printf(&text, "{\"ref\":%" PRIu64 ",\"op\":\"publish\",\"channel\":\"%s\",\"data\":",
               REF_PUBLISH + ++client->last_ref, channel->name);
    world_append_payload(client->world, channel, &text);
    buf_printf(&text, "%s}", dice_percent(dice_of(client), 20) ? ",\"priority\":\"high\"" : "");
    socket_say(client->socket, buf_bytes(&text));
    buf_finish(&text);
}

static void resubscribe(struct client *client) {
    unsigned i = (unsigned)dice_below(dice_of(client), client->channel_count);
    struct buf text;
    if (client->is_unsubscribing[i])
        return;
    client->is_unsubscribing[i] = true;
    buf_init(&text, 0);
    buf_printf(&text, "{\"ref\":%u,\"op\":\"unsubscribe\",\"channel\":\"%s\"}",
               REF_UNSUBSCRIBE + REF_SUBSCRIBE + i, client->channels[i]->name);
    socket_say(client->socket, buf_bytes(&text));
    buf_finish(&text);
}

static void on_step(void *arg) {
    struct client *client = arg;
    if (client->world->is_over)
        return;
    bool is_calm = client->world->is_calm;
    if (client->socket == NULL)
        connect_later(client, dice_below(dice_of(client), RECONNECT_MAX_MS));
    else if (!is_calm && dice_percent(dice_of(client), client->leaves_percent))
        client_leave(client);
    else if (!is_calm && client->carriage == CARRY_WEBSOCKET && dice_percent(dice_of(client), 10))
        publish(client);
    else if (!is_calm && client->carriage == CARRY_WEBSOCKET && dice_percent(dice_of(client), 5))
        resubscribe(client);
    else if (!is_calm && client->carriage == CARRY_WEBSOCKET && dice_percent(dice_of(client), 10))
        ask_again(client);
    timeline_after(&client->world->timeline, dice_between(dice_of(client), 50, STEP_MAX_MS), on_step, client);
}

/* --- Life ------------------------------------------------------------------------------------------------ */

void client_init(struct client *client, struct world *world, unsigned number) {
    struct dice *dice = &world->dice;
    *client = (struct client){.world = world};
    snprintf(client->name, sizeof client->name, "c%u", number);
    client->carriage = (enum carriage)dice_below(dice, CARRIAGE_COUNT);
    client->channel_count = dice_percent(dice, 50) ? 1 : (unsigned)dice_between(dice, 2, CLIENT_CHANNELS_MAX);
    if (client->channel_count > world->truth.count)
        client->channel_count = world->truth.count;
    unsigned first = (unsigned)dice_below(dice, world->truth.count);
    for (unsigned i = 0; i < client->channel_count; i++) {
        client->channels[i] = &world->truth.channels[(first + i) % world->truth.count];
        checker_init(&client->checkers[i], client->name, client->channels[i]);
    }
    buf_init(&client->cursor, 0);
    client->stays = dice_percent(dice, 40);
    client->roams =
        dice_percent(dice, 40) && (client->channel_count == 1 || client->carriage != CARRY_WEBSOCKET);
    client->asks_for_last = dice_percent(dice, 30);
    client->delay_max_ms = dice_percent(dice, 20) ? dice_between(dice, 50, 800) : 10;
    client->room = dice_percent(dice, 40) ? dice_between(dice, 20, 2000) : SIZE_MAX;
    client->leaves_percent = (unsigned)dice_below(dice, 40);
    timeline_after(&world->timeline, dice_below(dice, STEP_MAX_MS), on_step, client);
}

void client_finish(struct client *client) {
    buf_finish(&client->cursor);
}

void client_settled(struct client *client) {
    for (unsigned i = 0; i < client->channel_count; i++)
        end_again(&client->again[i]);
    for (unsigned i = 0; i < client->channel_count; i++)
        checker_settled(&client->checkers[i]);
}

#include "tests/fake/fake_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/xalloc.h"
#include "gateway/core/cursor.h"
#include "gateway/protocol/native.h"
#include "tests/unit/unit.h"

/* --- Forms --------------------------------------------------------------------------------------------- */

static void frame_line(struct bytes text, struct bytes cursor, struct buf *out) {
    (void)cursor;
    buf_append_bytes(out, text);
    buf_append_char(out, '\n');
}

static void frame_quote(struct bytes text, struct bytes cursor, struct buf *out) {
    buf_append_text(out, "> ");
    frame_line(text, cursor, out);
}

static void frame_feed(struct bytes text, struct bytes cursor, struct buf *out) {
    buf_append_bytes(out, cursor);
    if (cursor.len > 0)
        buf_append_char(out, ' ');
    frame_line(text, cursor, out);
}

static void open_feed(struct bytes cursor, struct buf *out) {
    frame_feed(cursor, BYTES_LITERAL("open"), out);
}

static void frame_element(struct bytes text, struct bytes cursor, struct buf *out) {
    (void)cursor;
    buf_append_bytes(out, text);
    buf_append_char(out, ',');
}

/* What is framed for each session. */
static struct wire *encode_text(struct message *message) {
    struct buf text;
    buf_init(&text, 0);
    native_protocol.encode_message(message, &text);
    struct wire *wire = wire_create(buf_bytes(&text), BYTES_LITERAL(""));
    buf_finish(&text);
    return wire;
}

static struct wire *encode(const struct message *message,
                           void (*frame)(struct bytes, struct bytes, struct buf *)) {
    struct buf text, cursor, framed;
    buf_init(&text, 0);
    buf_init(&cursor, 0);
    buf_init(&framed, 0);
    native_protocol.encode_message(message, &text);
    position_append(&message->id, &cursor);
    frame(buf_bytes(&text), buf_bytes(&cursor), &framed);
    struct wire *wire = wire_create(buf_bytes(&framed), BYTES_LITERAL(""));
    buf_finish(&text);
    buf_finish(&cursor);
    buf_finish(&framed);
    return wire;
}

static struct wire *encode_feed(struct message *message) {
    return encode(message, frame_feed);
}

static struct wire *encode_line(struct message *message) {
    return encode(message, frame_line);
}

static struct wire *encode_quote(struct message *message) {
    return encode(message, frame_quote);
}

static const struct form lines_form = {
    .index = 0,
    .protocol = &native_protocol,
    .encode = encode_line,
    .frame = frame_line,
    .ping = BYTES_LITERAL(FAKE_PING "\n"),
    .visible_ping = BYTES_LITERAL(FAKE_VISIBLE_PING "\n"),
    .has_pong = true,
};

static const struct form quotes_form = {
    .index = 1,
    .protocol = &native_protocol,
    .encode = encode_quote,
    .frame = frame_quote,
    .ping = BYTES_LITERAL("> " FAKE_PING "\n"),
    .visible_ping = BYTES_LITERAL("> " FAKE_VISIBLE_PING "\n"),
    .has_pong = true,
};

static const struct form feed_form = {
    .index = 2,
    .protocol = &native_protocol,
    .encode = encode_feed,
    .frame = frame_feed,
    .open = open_feed,
    .ping = BYTES_LITERAL(FAKE_PING "\n"),
};

static const struct form feeds_form = {
    .index = 3,
    .protocol = &native_protocol,
    .encode = encode_text,
    .is_framed_per_session = true,
    .frame = frame_feed,
    .open = open_feed,
    .ping = BYTES_LITERAL(FAKE_PING "\n"),
};

static const struct form poll_form = {
    .index = 3,
    .protocol = &native_protocol,
    .encode = encode_text,
    .is_framed_per_session = true,
    .frame = frame_element,
};

/* --- The socket ---------------------------------------------------------------------------------------- */

static void send_some(struct fake_client *client) {
    size_t len = client->stuck.len < client->takes ? client->stuck.len : client->takes;
    buf_append(&client->heard, client->stuck.data, len);
    buf_consume(&client->stuck, len);
}

static enum write_result on_write(void *carrier, struct bytes bytes) {
    struct fake_client *client = carrier;
    assert_true(bytes.len > 0);
    assert_int_equal(client->stuck.len, 0);
    assert_false(client->is_dead);
    assert_false(client->is_closed);
    client->writes++;
    if (client->writes == client->fails_at) {
        client->is_dead = true;
        return WRITE_FAILED;
    }
    buf_append_bytes(&client->stuck, bytes);
    send_some(client);
    return client->stuck.len > 0 ? WRITE_CONGESTED : WRITE_DONE;
}

static void on_close(void *carrier, enum close_reason reason) {
    struct fake_client *client = carrier;
    assert_false(client->is_closed);
    client->is_closed = true;
    client->reason = reason;
}

static void on_describe_peer(void *carrier, struct buf *out) {
    (void)carrier;
    buf_append_text(out, "test:0");
}

static enum write_result on_poll_write(void *carrier, struct bytes bytes) {
    (void)carrier;
    (void)bytes;
    fail_msg("polls are collected");
    return WRITE_FAILED;
}

static void on_collect(void *carrier) {
    struct fake_client *client = carrier;
    struct session *session = client->session;
    if (session->waiting_count > 0 ||
        (session->outbox == NULL && !session->gap_owed && !client->wants_answer))
        return;
    struct buf texts;
    buf_init(&texts, 0);
    session_collect(session, &texts);
    cursor_print(session, &client->heard);
    buf_append_char(&client->heard, ' ');
    buf_append_bytes(&client->heard, buf_bytes(&texts));
    buf_append_char(&client->heard, '\n');
    buf_finish(&texts);
    client->session = NULL;
    session_on_closed(session, CLOSE_NORMAL);
}

const struct transport fake_lines = {
    .name = "lines",
    .kind = TRANSPORT_WEBSOCKET,
    .form = &lines_form,
    .write = on_write,
    .close = on_close,
    .describe_peer = on_describe_peer,
};

const struct transport fake_quotes = {
    .name = "quotes",
    .kind = TRANSPORT_SSE,
    .form = &quotes_form,
    .write = on_write,
    .close = on_close,
    .describe_peer = on_describe_peer,
};

const struct transport fake_feed = {
    .name = "feed",
    .kind = TRANSPORT_STREAM,
    .form = &feed_form,
    .write = on_write,
    .close = on_close,
    .describe_peer = on_describe_peer,
};

const struct transport fake_feeds = {
    .name = "feeds",
    .kind = TRANSPORT_STREAM,
    .form = &feeds_form,
    .write = on_write,
    .close = on_close,
    .describe_peer = on_describe_peer,
};

const struct transport fake_poll = {
    .name = "poll",
    .kind = TRANSPORT_POLL,
    .form = &poll_form,
    .write = on_poll_write,
    .close = on_close,
    .collect = on_collect,
    .describe_peer = on_describe_peer,
};

/* --- What the test calls ------------------------------------------------------------------------------- */

void fake_client_open(struct fake_client *client, struct hub *hub, const struct transport *transport) {
    *client = (struct fake_client){.takes = SIZE_MAX};
    buf_init(&client->heard, 0);
    buf_init(&client->stuck, 0);
    struct session_options options = {
        .transport = transport,
        .carrier = client,
        .keeps_positions = transport->form->open != NULL || transport->collect != NULL,
    };
    client->session = session_create(hub, &options);
}

void fake_client_finish(struct fake_client *client) {
    fake_client_hang_up(client);
    buf_finish(&client->heard);
    buf_finish(&client->stuck);
}

void fake_client_say(struct fake_client *client, const char *text) {
    /* Memory of exactly its size shows a read behind its end. */
    size_t len = strlen(text);
    char *copy = xmalloc(len);
    memcpy(copy, text, len);
    session_receive(client->session, bytes_make(copy, len));
    free(copy);
}

void fake_client_hang_up(struct fake_client *client) {
    struct session *session = client->session;
    client->session = NULL;
    if (session != NULL)
        session_on_closed(session, CLOSE_PEER);
}

bool fake_client_pump(struct fake_client *client) {
    if (client->stuck.len == 0)
        return false;
    send_some(client);
    if (client->stuck.len == 0 && client->session != NULL)
        session_on_writable(client->session);
    return client->stuck.len > 0;
}

bool fake_client_read(struct fake_client *client, struct bytes *line) {
    struct bytes rest = bytes_skip(buf_bytes(&client->heard), client->read);
    const char *end = rest.len > 0 ? memchr(rest.data, '\n', rest.len) : NULL;
    if (end == NULL)
        return false;
    *line = bytes_make(rest.data, (size_t)(end - rest.data));
    client->read += line->len + 1;
    return true;
}

void fake_client_hears_at(struct fake_client *client, const char *line, const char *file, int at) {
    struct bytes found = BYTES_LITERAL("");
    fake_client_read(client, &found);
    char *copy = xstrndup(found.data, found.len);
    _assert_string_equal(copy, line, file, at);
    free(copy);
}

void fake_client_hears_number_at(struct fake_client *client, const char *channel, unsigned number,
                                 const char *file, int at) {
    char line[128];
    snprintf(line, sizeof line, "{\"channel\":\"%s\",\"data\":%u}", channel, number);
    fake_client_hears_at(client, line, file, at);
}

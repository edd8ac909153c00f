#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/xalloc.h"
#include "loadtest/inflate.h"
#include "loadtest/subscriber.h"
#include "loadtest/ws.h"

/* What may stand behind the last payload of a frame without being worth a look: closing brackets,
 * with the rest of an escaped payload. */
enum { TAIL_BYTES = 10 };

/* Which of its channels the message is in; false: in none of them. */
static bool find_subscription(const struct swarm *swarm, const struct subscriber *subscriber,
                              uint32_t channel, uint32_t *which) {
    const struct options *options = swarm->options;
    if (channel >= options->channels)
        return false;
    uint32_t first = options_channel(options, subscriber->index, 0);
    *which = (channel + options->channels - first) % options->channels;
    return *which < options->channels_per_subscriber;
}

static void release_slot(struct swarm *swarm, uint32_t slot) {
    if (atomic_fetch_sub_explicit(&swarm->board->slots[slot].missing, 1, memory_order_acq_rel) != 1)
        return;
    uint64_t one = 1;
    if (write(swarm->board->window_event, &one, sizeof one) < 0)
        return; /* Full counter: the publisher has been told. */
}

static void keep_position(struct subscriber *subscriber, uint32_t which, struct bytes text, const char *key) {
    const char *found = text.len == 0 ? NULL : memmem(text.data, text.len, key, strlen(key));
    if (found == NULL)
        return;
    struct bytes value = bytes_skip(text, (size_t)(found - text.data) + strlen(key));
    const char *end = value.len == 0 ? NULL : memchr(value.data, '"', value.len);
    size_t len = end == NULL ? POSITION_BYTES : (size_t)(end - value.data);
    if (len >= POSITION_BYTES)
        return;
    char *position = subscriber->positions + which * POSITION_BYTES;
    memcpy(position, value.data, len);
    position[len] = '\0';
}

/* `envelope` is what stands before the mark. */
static void take_message(struct swarm *swarm, struct subscriber *subscriber, const struct payload_mark *mark,
                         struct bytes envelope) {
    struct client_counts *counts = swarm->counts;
    const struct options *options = swarm->options;
    uint32_t which = 0;
    if (mark->run != swarm->board->run) {
        counts->foreign++;
        return;
    }
    if (!find_subscription(swarm, subscriber, mark->channel, &which) ||
        mark->publisher >= options->publishers) {
        counts->misrouted++;
        return;
    }
    uint64_t doubled = counts->sequences.doubled;
    if (subscriber->is_slow) {
        counts->delivered_slow++;
    } else {
        counts->delivered[subscriber->transport]++;
        if (mark->sent_ns >= swarm->measure_from_ns && mark->sent_ns < swarm->measure_until_ns)
            histogram_add(&counts->latency[subscriber->transport],
                          swarm->now_ns > mark->sent_ns ? swarm->now_ns - mark->sent_ns : 0);
        sequence_add(&subscriber->sequences[which * options->publishers + mark->publisher], mark->sequence,
                     &counts->sequences);
    }
    if (subscriber->positions != NULL)
        keep_position(subscriber, which, envelope, "\"id\":\"");
    if (options->window > 0 && counts->sequences.doubled == doubled)
        release_slot(swarm, mark->slot);
}

static void note_refusal(struct swarm *swarm, struct bytes text) {
    size_t len =
        text.len < sizeof swarm->counts->last_error ? text.len : sizeof swarm->counts->last_error - 1;
    memcpy(swarm->counts->last_error, text.data, len);
    swarm->counts->last_error[len] = '\0';
}

static uint32_t reference_of(struct bytes text) {
    const char *found = memmem(text.data, text.len, "\"ref\":", 6);
    uint32_t reference = 0;
    for (const char *at = found + 6; found != NULL && at < text.data + text.len && *at >= '0' && *at <= '9';
         at++)
        reference = reference * 10 + (uint32_t)(*at - '0');
    return reference;
}

/* One line without a message in it. */
static void hear_line(struct swarm *swarm, struct subscriber *subscriber, struct bytes line) {
    struct dialogue dialogue = subscriber_dialogue(swarm, subscriber);
    struct buf answer;
    buf_init(&answer, 0);
    enum verdict verdict = swarm->options->peer->hear(&answer, &dialogue, line);
    if (answer.len > 0 && subscriber->transport == TRANSPORT_WS)
        subscriber_send(subscriber, buf_bytes(&answer));
    buf_finish(&answer);
    switch (verdict) {
    case VERDICT_NONE:
        break;
    case VERDICT_SUBSCRIBED:
    case VERDICT_RECOVERED:
    case VERDICT_NOT_RECOVERED:
        if (subscriber->positions != NULL) {
            uint32_t reference = reference_of(line);
            if (reference >= 1 && reference <= swarm->options->channels_per_subscriber)
                keep_position(subscriber, reference - 1, line, "\"position\":\"");
        }
        subscriber_confirm(swarm, subscriber, verdict);
        break;
    case VERDICT_REFUSED:
        note_refusal(swarm, line);
        subscriber_fail(swarm, subscriber, FAILURE_SUBSCRIBE);
        break;
    case VERDICT_GAP:
        swarm->counts->gaps++;
        subscriber_tell_gap(swarm, subscriber);
        break;
    case VERDICT_DRAIN:
        swarm->counts->drains++;
        break;
    }
}

static void hear(struct swarm *swarm, struct subscriber *subscriber, struct bytes text) {
    while (text.len > 0 && subscriber->fd >= 0) {
        const char *newline = memchr(text.data, '\n', text.len);
        size_t len = newline == NULL ? text.len : (size_t)(newline - text.data);
        if (len > 0)
            hear_line(swarm, subscriber, bytes_make(text.data, len));
        text = bytes_skip(text, newline == NULL ? text.len : len + 1);
    }
}

/* Any number of messages and other lines. */
static void take_text(struct swarm *swarm, struct subscriber *subscriber, struct bytes text) {
    const size_t behind_mark = swarm->options->payload_bytes - PAYLOAD_BYTES_MIN + 9;
    size_t *hint = &swarm->hints[0];
    struct payload_mark mark;
    size_t end;
    size_t expected = *hint;
    while (subscriber->fd >= 0 && payload_find(text, hint, &mark, &end)) {
        struct bytes envelope = bytes_make(text.data, end - PAYLOAD_MARK_BYTES);
        /* Found where the last one was not: perhaps another line stands before it. */
        const char *newline = *hint == expected ? NULL : memrchr(envelope.data, '\n', envelope.len);
        if (newline != NULL)
            hear(swarm, subscriber, bytes_make(envelope.data, (size_t)(newline - envelope.data)));
        take_message(swarm, subscriber, &mark, envelope);
        size_t whole = end + behind_mark;
        text = bytes_skip(text, whole < text.len ? whole : text.len);
        if (text.len <= TAIL_BYTES)
            return;
        hint = &swarm->hints[1];
        expected = *hint;
    }
    hear(swarm, subscriber, text);
}

static bool take_data_frame(struct swarm *swarm, struct subscriber *subscriber,
                            const struct ws_frame *frame) {
    struct bytes text = frame->payload;
    if (!frame->is_final || frame->opcode == WS_CONTINUATION) {
        /* The RSV1 of the first fragment speaks for all: we keep it as a byte before them. */
        if (frame->opcode != WS_CONTINUATION) {
            buf_clear(&subscriber->fragments);
            buf_append_char(&subscriber->fragments, frame->is_compressed ? 1 : 0);
        }
        buf_append_bytes(&subscriber->fragments, frame->payload);
        if (!frame->is_final || subscriber->fragments.len == 0)
            return true;
        text = bytes_skip(buf_bytes(&subscriber->fragments), 1);
    }
    bool is_compressed =
        frame->opcode == WS_CONTINUATION ? subscriber->fragments.data[0] == 1 : frame->is_compressed;
    if (is_compressed && (swarm->inflater == NULL || !inflate_memo_run(swarm->inflater, text, &text)))
        return false;
    take_text(swarm, subscriber, text);
    return true;
}

static void answer_ping(struct subscriber *subscriber, struct bytes payload) {
    struct buf pong;
    buf_init(&pong, 0);
    ws_append_frame(&pong, WS_PONG, payload);
    subscriber_send(subscriber, buf_bytes(&pong));
    buf_finish(&pong);
}

/* Each of these returns how many bytes it used; the rest is the beginning of something. When the subscriber
 * ended meanwhile that does not matter. */

static size_t take_frames(struct swarm *swarm, struct subscriber *subscriber, struct bytes in) {
    size_t total = 0;
    while (subscriber->fd >= 0) {
        struct ws_frame frame;
        size_t used;
        enum ws_result result = ws_parse(bytes_skip(in, total), &frame, &used);
        if (result == WS_MORE)
            break;
        if (result == WS_BROKEN) {
            subscriber_fail(swarm, subscriber, FAILURE_PROTOCOL);
            break;
        }
        total += used;
        if (frame.opcode == WS_PING) {
            answer_ping(subscriber, frame.payload);
        } else if (frame.opcode == WS_CLOSE) {
            swarm->counts->last_close_code = ws_close_code(frame.payload);
            subscriber_fail(swarm, subscriber, FAILURE_CLOSED);
        } else if (frame.opcode <= WS_BINARY && !take_data_frame(swarm, subscriber, &frame)) {
            subscriber_fail(swarm, subscriber, FAILURE_PROTOCOL);
        }
    }
    return total;
}

/* Takes the last value of `key` in `text`, up to `stop`. */
static void keep_cursor(struct subscriber *subscriber, struct bytes text, const char *key, char stop) {
    size_t key_len = strlen(key);
    const char *found = NULL;
    struct bytes rest = text;
    const char *next;
    while (rest.len > 0 && (next = memmem(rest.data, rest.len, key, key_len)) != NULL) {
        found = next + key_len;
        rest = bytes_skip(text, (size_t)(found - text.data));
    }
    if (found == NULL)
        return;
    const char *end = rest.len == 0 ? NULL : memchr(found, stop, rest.len);
    if (end == NULL)
        return;
    buf_clear(&subscriber->cursor);
    buf_append(&subscriber->cursor, found, (size_t)(end - found));
}

static void end_poll(struct swarm *swarm, struct subscriber *subscriber) {
    bool is_first = subscriber->state != SUBSCRIBER_LIVE;
    if (is_first)
        subscriber_go_live(swarm, subscriber);
    if (subscriber->head_closes) {
        subscriber_close(swarm, subscriber);
        subscriber_enqueue(swarm, subscriber);
        return;
    }
    subscriber->body = (struct http_body){.kind = HTTP_BODY_NONE}; /* The next thing to come is a head. */
    subscriber_request(swarm, subscriber);
}

static size_t take_poll(struct swarm *swarm, struct subscriber *subscriber, struct bytes in) {
    if (!subscriber->body.is_done)
        return 0;
    /* A reply is looked at when it is whole, as its cursor and its messages belong together. */
    keep_cursor(subscriber, in, "\"cursor\":\"", '"');
    take_text(swarm, subscriber, in);
    if (subscriber->fd >= 0)
        end_poll(swarm, subscriber);
    return in.len;
}

/* Whole lines only: neither an event nor a mark is split then. */
static size_t take_lines(struct swarm *swarm, struct subscriber *subscriber, struct bytes in) {
    const char *newline = in.len == 0 ? NULL : memrchr(in.data, '\n', in.len);
    if (newline == NULL)
        return 0;
    struct bytes lines = bytes_make(in.data, (size_t)(newline - in.data) + 1);
    if (swarm->options->recover) {
        if (subscriber->transport == TRANSPORT_SSE)
            keep_cursor(subscriber, lines, "id: ", '\n');
        else
            keep_cursor(subscriber, lines,
                        swarm->options->channels_per_subscriber > 1 ? "\"cursor\":\"" : "\"id\":\"", '"');
    }
    take_text(swarm, subscriber, lines);
    return lines.len;
}

static bool accept_head(struct swarm *swarm, struct subscriber *subscriber, const struct http_head *head) {
    bool is_ws = subscriber->transport == TRANSPORT_WS;
    if (head->status != (is_ws ? 101 : 200)) {
        swarm->counts->last_status = head->status;
        subscriber_fail(swarm, subscriber, FAILURE_STATUS);
        return false;
    }
    if (is_ws && !bytes_equal_text(head->accept, WS_ACCEPT)) {
        subscriber_fail(swarm, subscriber, FAILURE_PROTOCOL);
        return false;
    }
    return true;
}

/* The response to what subscriber_request() asked for. */
static size_t take_head(struct swarm *swarm, struct subscriber *subscriber, struct bytes in) {
    struct http_head head;
    enum http_result result = http_parse_head(in, &head);
    if (result == HTTP_MORE)
        return 0;
    if (result == HTTP_BROKEN) {
        subscriber_fail(swarm, subscriber, FAILURE_PROTOCOL);
        return 0;
    }
    if (!accept_head(swarm, subscriber, &head))
        return 0;
    subscriber->head_closes = head.closes;
    http_body_begin(&subscriber->body, &head);
    if (subscriber->transport == TRANSPORT_WS) {
        struct dialogue dialogue = subscriber_dialogue(swarm, subscriber);
        bool is_deflated = bytes_start_with(head.extensions, BYTES_LITERAL("permessage-deflate"));
        dialogue.deflater = is_deflated ? swarm->deflater : NULL;
        swarm->counts->deflated += is_deflated;
        struct buf greeting;
        buf_init(&greeting, 0);
        swarm->options->peer->greet(&greeting, &dialogue);
        subscriber->state = SUBSCRIBER_GREETING;
        if (greeting.len > 0)
            subscriber_send(subscriber, buf_bytes(&greeting));
        buf_finish(&greeting);
        if (swarm->options->peer->is_live_at_once)
            subscriber_confirm(swarm, subscriber, VERDICT_SUBSCRIBED);
    } else if (subscriber->transport != TRANSPORT_LONGPOLL) {
        /* Its request held all channels and the cursor; a gap would be told in the stream. */
        if (subscriber->was_live && subscriber->cursor.len == 0)
            subscriber_tell_gap(swarm, subscriber);
        subscriber_go_live(swarm, subscriber);
    }
    return head.len;
}

static bool awaits_head(const struct subscriber *subscriber) {
    if (subscriber->transport == TRANSPORT_LONGPOLL)
        return subscriber->body.kind == HTTP_BODY_NONE;
    return subscriber->state == SUBSCRIBER_HEAD;
}

/* `in` is the content that was left over from before, followed by `fresh` bytes just received. */
static size_t take_http(struct swarm *swarm, struct subscriber *subscriber, char *data, size_t have,
                        size_t fresh, size_t *left) {
    size_t used = 0;
    size_t count = http_body_decode(&subscriber->body, data + have, fresh, &used);
    if (count == SIZE_MAX) {
        subscriber_fail(swarm, subscriber, FAILURE_PROTOCOL);
        return 0;
    }
    *left = have + count;
    struct bytes content = bytes_make(data, *left);
    if (subscriber->transport == TRANSPORT_LONGPOLL)
        return take_poll(swarm, subscriber, content);
    size_t taken = take_lines(swarm, subscriber, content);
    if (subscriber->fd >= 0 && subscriber->body.is_done)
        subscriber_fail(swarm, subscriber, FAILURE_CLOSED);
    return taken;
}

/* Takes what stands in the buffer apart; what is left is kept for the next time. */
static void take(struct swarm *swarm, struct subscriber *subscriber, size_t have, size_t fresh) {
    char *data = swarm->buffer;
    if (awaits_head(subscriber)) {
        size_t used = take_head(swarm, subscriber, bytes_make(data, have + fresh));
        if (subscriber->fd < 0)
            return;
        if (used == 0) {
            buf_append(&subscriber->in, data, have + fresh);
            return;
        }
        data += used;
        fresh = have + fresh - used;
        have = 0;
        if (fresh == 0 && !subscriber->body.is_done)
            return;
    }
    size_t left = have + fresh;
    size_t used = subscriber->transport == TRANSPORT_WS
                      ? take_frames(swarm, subscriber, bytes_make(data, left))
                      : take_http(swarm, subscriber, data, have, fresh, &left);
    if (subscriber->fd >= 0 && used < left)
        buf_append(&subscriber->in, data + used, left - used);
}

bool subscriber_read(struct swarm *swarm, struct subscriber *subscriber, size_t bytes_max) {
    size_t have = subscriber->in.len;
    if (have > swarm->buffer_bytes / 2) {
        swarm->buffer_bytes = have * 4;
        swarm->buffer = xrealloc(swarm->buffer, swarm->buffer_bytes);
    }
    if (have > 0) {
        memcpy(swarm->buffer, subscriber->in.data, have);
        buf_finish(&subscriber->in);
    }
    size_t room = swarm->buffer_bytes - have;
    if (room > bytes_max)
        room = bytes_max;
    ssize_t got = recv(subscriber->fd, swarm->buffer + have, room, 0);
    if (got > 0) {
        swarm->now_ns = clock_monotonic_ns();
        swarm->counts->bytes += (uint64_t)got;
        swarm->counts->reads++;
        take(swarm, subscriber, have, (size_t)got);
        return (size_t)got == room;
    }
    if (got < 0 && errno == EAGAIN) {
        if (have > 0)
            buf_append(&subscriber->in, swarm->buffer, have);
        return false;
    }
    subscriber_fail(swarm, subscriber, FAILURE_CLOSED);
    return false;
}

void subscriber_drain(struct swarm *swarm, struct subscriber *subscriber, bool to_the_end) {
    bool has_more = true;
    while (subscriber->fd >= 0 && has_more) {
        uint64_t reads = swarm->counts->reads;
        has_more =
            subscriber_read(swarm, subscriber, SIZE_MAX) || (to_the_end && swarm->counts->reads != reads);
    }
}

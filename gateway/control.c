#include "gateway/control.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/xalloc.h"

/* A reply that lists thousands of clients fits; what does not is a mistake of ours. */
enum { LINE_BYTES_MAX = 64 * 1024 * 1024 };

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room) {
    static char piece[64 * 1024];
    (void)handle;
    (void)suggested;
    *room = uv_buf_init(piece, sizeof piece);
}

static void dispatch(struct control *control, struct bytes line) {
    json_t *message = json_loadb(line.data, line.len, 0, NULL);
    if (message == NULL)
        log_error("control", "a line is no JSON bytes=%zu", line.len);
    else
        control->on_message(control->context, message);
    json_decref(message);
}

static void end(struct control *control) {
    control_close(control);
    control->on_end(control->context);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *piece) {
    struct control *control = stream->data;
    if (len == 0)
        return;
    if (len < 0 || !buf_append(&control->received, piece->base, (size_t)len)) {
        end(control);
        return;
    }
    /* A message may have run the loop, as a server does that ends, and so led here again: it goes on below. */
    if (control->is_dispatching)
        return;
    size_t start = 0;
    control->is_dispatching = true;
    for (;;) {
        struct bytes rest = bytes_skip(buf_bytes(&control->received), start);
        const char *newline = memchr(rest.data, '\n', rest.len);
        if (newline == NULL)
            break;
        size_t line_len = (size_t)(newline - rest.data);
        dispatch(control, bytes_make(rest.data, line_len));
        if (control->pipe == NULL)
            return; /* Closed by what the line said. */
        start += line_len + 1;
    }
    control->is_dispatching = false;
    buf_consume(&control->received, start);
    if (control->received.len == 0)
        buf_finish(&control->received);
}

void control_open(struct control *control, struct loop *loop, int fd) {
    buf_init(&control->received, LINE_BYTES_MAX);
    control->pipe = xmalloc(sizeof *control->pipe);
    uv_pipe_init(&loop->uv, control->pipe, 0);
    uv_pipe_open(control->pipe, fd);
    control->pipe->data = control;
    uv_read_start((uv_stream_t *)control->pipe, on_room, on_read);
}

static void on_closed(uv_handle_t *handle) {
    free(handle);
}

void control_close(struct control *control) {
    if (control->pipe == NULL)
        return;
    uv_close((uv_handle_t *)control->pipe, on_closed);
    control->pipe = NULL;
    buf_finish(&control->received);
}

struct sending {
    uv_write_t request;
    char *text;
};

static void on_sent(uv_write_t *request, int status) {
    struct sending *sending = (struct sending *)request;
    (void)status; /* A failure shows as the end of the stream as well. */
    free(sending->text);
    free(sending);
}

void control_send(struct control *control, json_t *message) {
    char *text = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    if (control->pipe == NULL || text == NULL) {
        free(text);
        return;
    }
    struct sending *sending = xmalloc(sizeof *sending);
    sending->text = text;
    size_t len = strlen(text);
    text[len] = '\n'; /* In place of the terminator. */
    uv_buf_t line = uv_buf_init(text, (unsigned)len + 1);
    if (uv_write(&sending->request, (uv_stream_t *)control->pipe, &line, 1, on_sent) != 0)
        on_sent(&sending->request, -1);
}

#include "gateway/master/control.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/xalloc.h"

enum {
    /* An API call of the longest body, each of its bytes escaped, fits. */
    LINE_BYTES_MAX = 64 * 1024 * 1024,
    /* What may wait for a side that does not read: it hangs. */
    UNREAD_BYTES_MAX = LINE_BYTES_MAX,
};

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

static void dispatch_all(struct control *control) {
    struct bytes line;
    size_t left_out = control->lines.left_out;
    while (control->pipe != NULL && lines_next(&control->lines, &line))
        dispatch(control, line);
    if (control->pipe != NULL && control->lines.left_out > left_out)
        log_error("control", "a line is too long and left out bytes_max=%d", LINE_BYTES_MAX);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *piece) {
    struct control *control = stream->data;
    if (len < 0) {
        end(control);
        return;
    }
    lines_add(&control->lines, bytes_make(piece->base, (size_t)len));
    /* A message may have run the loop, as a server does that ends, and so led here again: it goes on there. */
    if (control->is_dispatching)
        return;
    control->is_dispatching = true;
    dispatch_all(control);
    control->is_dispatching = false;
}

void control_open(struct control *control, struct loop *loop, int fd) {
    lines_init(&control->lines, LINE_BYTES_MAX);
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
    lines_finish(&control->lines);
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

static bool may_send(const struct control *control, size_t len) {
    return control->pipe != NULL && len <= LINE_BYTES_MAX &&
           uv_stream_get_write_queue_size((const uv_stream_t *)control->pipe) + len <= UNREAD_BYTES_MAX;
}

bool control_send(struct control *control, json_t *message) {
    char *text = json_dumps(message, JSON_COMPACT);
    size_t len = text ? strlen(text) : 0;
    json_decref(message);
    if (text == NULL || !may_send(control, len)) {
        free(text);
        return false;
    }
    struct sending *sending = xmalloc(sizeof *sending);
    sending->text = text;
    text[len] = '\n'; /* In place of the terminator. */
    uv_buf_t line = uv_buf_init(text, (unsigned)len + 1);
    if (uv_write(&sending->request, (uv_stream_t *)control->pipe, &line, 1, on_sent) == 0)
        return true;
    on_sent(&sending->request, -1);
    return false;
}

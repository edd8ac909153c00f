/* JSON objects, one per line, over a socket between the master and a worker. */
#ifndef MASTER_CONTROL_H
#define MASTER_CONTROL_H

#include <jansson.h>

#include "gateway/loop.h"
#include "gateway/master/lines.h"

struct control {
    uv_pipe_t *pipe;
    struct lines lines;
    bool is_dispatching;
    void (*on_message)(void *context, const json_t *message); /* Borrowed. */
    void (*on_end)(void *context);                            /* The other side is gone. */
    void *context;
};

/* Takes over the socket `fd`. */
void control_open(struct control *control, struct loop *loop, int fd);
void control_close(struct control *control); /* May be called from within the callbacks, and twice. */

/* Takes over the reference to `message`. False when it cannot be sent, and only this one: it is no JSON, it is too
 * long, the other side has too much to read already, or is gone. */
bool control_send(struct control *control, json_t *message);

#endif

/* JSON objects, one per line, over a socket between the master and a worker. */
#ifndef GATEWAY_CONTROL_H
#define GATEWAY_CONTROL_H

#include <jansson.h>

#include "common/buf.h"
#include "gateway/loop.h"

struct control {
    uv_pipe_t *pipe;
    struct buf received;
    bool is_dispatching;
    void (*on_message)(void *context, json_t *message); /* Borrowed. */
    void (*on_end)(void *context);                      /* The other side is gone. */
    void *context;
};

/* Takes over the socket `fd`. */
void control_open(struct control *control, struct loop *loop, int fd);
void control_close(struct control *control); /* May be called from within the callbacks, and twice. */

/* Takes over the reference to `message`. What the other side does not read in time waits in memory: masters
 * and workers trust each other. */
void control_send(struct control *control, json_t *message);

#endif

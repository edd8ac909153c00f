/* Tells what happens to connections from which nothing is read: those whose request is being answered, and
 * streams without end. libwebsockets 4.1.6 would not notice that a client has left, or spin on what it does not
 * read; and of a connection that it may not read from, it does not take that it can be written to either. */
#ifndef TRANSPORT_HANGUP_H
#define TRANSPORT_HANGUP_H

#include "gateway/loop.h"

struct hangup_watch;

/* Called with the `who` it is about; then the watch has to be told anew what it is to tell. */
struct hangup_events {
    void (*on_hangup)(void *who);
    void (*on_writable)(void *who);
};

/* NULL when the system refuses. */
struct hangup_watch *hangup_watch_create(struct loop *loop, const struct hangup_events *events);
void hangup_watch_destroy(struct hangup_watch *watch); /* NULL is fine. */

void hangup_watch_add(struct hangup_watch *watch, int fd, void *who);
/* For one that was added: whether to tell when it can be written to, too. */
void hangup_watch_change(struct hangup_watch *watch, int fd, bool wants_writable, void *who);
void hangup_watch_remove(struct hangup_watch *watch, int fd); /* Harmless when it is not watched. */

#endif

/* Tells when a client has left a connection from which nothing is read: one whose request is being answered,
 * or that is a stream without end. libwebsockets 4.1.6 would not notice, or spin on what it does not read. */
#ifndef TRANSPORT_HANGUP_H
#define TRANSPORT_HANGUP_H

#include "gateway/loop.h"

struct hangup_watch;

/* `on_hangup` is told the `who` of hangup_watch_add, once. NULL when the system refuses. */
struct hangup_watch *hangup_watch_create(struct loop *loop, void (*on_hangup)(void *who));
void hangup_watch_destroy(struct hangup_watch *watch); /* NULL is fine. */

void hangup_watch_add(struct hangup_watch *watch, int fd, void *who);
void hangup_watch_remove(struct hangup_watch *watch, int fd); /* Harmless when it is not watched. */

#endif

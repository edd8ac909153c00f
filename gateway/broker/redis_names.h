/* What a link that listens has asked Redis for, and what of it is not answered: SUBSCRIBE and UNSUBSCRIBE with many names
 * each. Redis refuses a command as a whole, for a single name that its ACL denies, so a refused one is asked again in
 * halves until it is known which name it is. Pure. */
#ifndef BROKER_REDIS_NAMES_H
#define BROKER_REDIS_NAMES_H

#include <stdint.h>

#include "common/buf.h"
#include "common/list.h"

struct redis_names {
    struct list sent;           /* Commands in their order, without all their answers. */
    struct names_command *open; /* The one being collected; NULL: none. */
};

void redis_names_init(struct redis_names *names);
void redis_names_finish(struct redis_names *names);

/* Adds a name to the command being collected, or ends that and begins another, in `out`. */
void redis_names_add(struct redis_names *names, bool is_new, struct bytes prefix, struct bytes channel,
                     struct buf *out);

/* Appends what is collected. */
void redis_names_end(struct redis_names *names, struct buf *out);

/* Redis has said "subscribe" (`is_new`) or "unsubscribe" of a name. */
void redis_names_on_answer(struct redis_names *names, bool is_new);

enum names_error {
    NAMES_ASKED_AGAIN, /* By what was appended to `out`. */
    NAMES_REFUSED,     /* The one name is in `refused`. */
    NAMES_IGNORED,     /* Somebody is left that we want to leave. */
    NAMES_NONE,        /* Nothing was asked: the error belongs to no command. */
};

/* Redis has answered the oldest command with an error. */
enum names_error redis_names_on_error(struct redis_names *names, struct buf *out, struct buf *refused);

#endif

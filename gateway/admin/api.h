/* What the operators' API does within one worker: request in, reply out. The master asks one worker or all of
 * them, and adds their replies up. */
#ifndef ADMIN_API_H
#define ADMIN_API_H

#include <jansson.h>

#include "common/bytes.h"
#include "gateway/core/hub.h"

/* Called exactly once, possibly from within api_call. The reference to `reply` goes to the callee. */
typedef void api_done(void *arg, json_t *reply);

bool api_is_call(const char *call);

/* What there is to know of a call; false also for what is none: */
bool api_asks_all(const char *call); /* Every worker has to be asked; else any one will do. */
bool api_is_read(const char *call);  /* It changes nothing. */

/* `body` is the text of a JSON object. A reply is {"error":{"code","message"}} or what
 * docs/protocols/admin.md says; a list is cut so that its text has about `list_bytes_max` bytes at most. */
void api_call(struct hub *hub, const char *name, struct bytes body, size_t list_bytes_max, api_done *on_done,
              void *arg);

/* {"error":{"code","message"}}, the code of which master and worker share. */
json_t *api_error(enum error error);

#endif

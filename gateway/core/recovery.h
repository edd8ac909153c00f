/* How a channel with history stays whole: what comes live is spliced to what was seen, and what is missing in
 * between is read from the broker's stream before anything later is delivered. */
#ifndef CORE_RECOVERY_H
#define CORE_RECOVERY_H

#include "gateway/core/hub.h"

/* Something came live. Takes over the reference. */
void recovery_on_entry(struct channel *channel, struct message *message);

/* The broker carries the channel from here on: reads what came before. */
void recovery_start(struct channel *channel);

/* Somebody waits for the stream to be read: tries again if a read was refused. */
void recovery_retry(struct channel *channel);

/* The channel is about to go. */
void recovery_forget(struct channel *channel);

#endif

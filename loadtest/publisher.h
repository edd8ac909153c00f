/* Publishes by plan, from a process of its own: in the open loop at the times that the rate gives, whatever
 * the server does meanwhile; in the closed loop whenever a message has reached all its subscribers. */
#ifndef LOADTEST_PUBLISHER_H
#define LOADTEST_PUBLISHER_H

#include "loadtest/board.h"
#include "loadtest/options.h"

/* Runs until the board says finish. */
void publisher_run(const struct options *options, struct board *board);

#endif

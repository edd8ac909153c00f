/* The subscribers of one client process: one epoll loop, as cheap per delivery as it can be, since it shares
 * the machine with what it measures. */
#ifndef LOADTEST_SWARM_H
#define LOADTEST_SWARM_H

#include "loadtest/board.h"
#include "loadtest/options.h"

/* Runs the subscribers `first` .. `first + count - 1` until the board says finish. */
void swarm_run(const struct options *options, struct board *board, uint32_t process, uint32_t first,
               uint32_t count);

#endif

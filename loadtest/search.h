/* Finds the highest rate at which the 99th percentile of the latency stays within a limit and nothing is
 * lost. */
#ifndef LOADTEST_SEARCH_H
#define LOADTEST_SEARCH_H

#include "loadtest/run.h"

void search_rate(struct run *run);

#endif

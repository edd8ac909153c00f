/* The broker of a first run and of the tests: one process, nothing outside it. */
#ifndef BROKER_MEMORY_H
#define BROKER_MEMORY_H

#include "gateway/broker/broker.h"

struct broker *memory_broker_create(const struct broker_events *events, void *context);
void memory_broker_destroy(struct broker *broker); /* NULL is fine. */

#endif

/* Which requests of pages the public port answers, and the headers that let a page of another origin read the answer. */
#ifndef GATEWAY_PAGES_H
#define GATEWAY_PAGES_H

#include "common/buf.h"
#include "common/error.h"
#include "gateway/core/told.h"
#include "gateway/transport/server.h"

struct public_site;

/* ERR_OK: it was sent to a name of ours, by no page or by one that may. Refusals are counted, and logged once for each
 * origin and name. */
enum error pages_admit(const struct request *request, struct public_site *site);

/* The same where every page may ask: for files. */
enum error pages_admit_host(const struct request *request, struct public_site *site);

/* Appends the header lines that go with any answer to the request, also with its refusal. */
void pages_append_headers(const struct request *request, const struct public_site *site, struct buf *lines);

#endif

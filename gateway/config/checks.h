/* What settings may hold. Each of the texts' takes the value and returns whether it is fine; when it is not, it
 * appends to `why` what would be right, as in "must be ...". None repeats the value: some are secrets. */
#ifndef GATEWAY_CONFIG_CHECKS_H
#define GATEWAY_CONFIG_CHECKS_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/bytes.h"

struct network;
struct place; /* Where in the file a group is. */

typedef bool text_check(struct bytes value, struct buf *why);

text_check check_node_name;
text_check check_listen_address;
text_check check_api_key;
text_check check_redis_url;
text_check check_redis_prefix;
text_check check_namespace_name;
text_check check_origin;
text_check check_host;

/* "10.0.0.0/8", "::1" and the like. */
bool check_network(struct bytes value, struct network *network, struct buf *why);

/* What must hold between the settings of a group, each of them fine by itself. */
typedef void group_check(const void *group, const struct place *place);

group_check check_namespace;

/* Tells a fault of the group at one of its settings. */
void group_fault(const struct place *place, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

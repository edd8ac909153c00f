#include "gateway/core/wire.h"

#include <stdlib.h>

#include "common/xalloc.h"

struct wire *wire_create(struct bytes head, struct bytes body) {
    struct wire *wire = xmalloc(sizeof *wire + head.len + body.len);
    wire->refs = 1;
    wire->queued = 0;
    wire->len = head.len + body.len;
    if (head.len > 0)
        memcpy(wire->data, head.data, head.len);
    if (body.len > 0)
        memcpy(wire->data + head.len, body.data, body.len);
    return wire;
}

struct wire *wire_ref(struct wire *wire) {
    wire->refs++;
    return wire;
}

void wire_unref(struct wire *wire) {
    if (wire != NULL && --wire->refs == 0)
        free(wire);
}

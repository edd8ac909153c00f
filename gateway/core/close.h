/* Every reason to end a session, in one list: close.def. */
#ifndef CORE_CLOSE_H
#define CORE_CLOSE_H

#include <stdint.h>

enum close_reason {
#define CLOSE_REASON(name, code, label, text) CLOSE_##name,
#include "gateway/core/close.def"
#undef CLOSE_REASON
    CLOSE_REASON_COUNT
};

uint16_t close_code(enum close_reason reason);
const char *close_label(enum close_reason reason);
const char *close_text(enum close_reason reason);

#endif

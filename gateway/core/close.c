#include "gateway/core/close.h"

static const struct {
    uint16_t code;
    const char *label;
    const char *text;
} reasons[CLOSE_REASON_COUNT] = {
#define CLOSE_REASON(name, code, label, text) {code, label, text},
#include "gateway/core/close.def"
#undef CLOSE_REASON
};

uint16_t close_code(enum close_reason reason) {
    return reasons[reason].code;
}

const char *close_label(enum close_reason reason) {
    return reasons[reason].label;
}

const char *close_text(enum close_reason reason) {
    return reasons[reason].text;
}

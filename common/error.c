#include "common/error.h"

static const struct {
    const char *code;
    int status;
    enum { NEVER, AGAIN } retry;
    const char *text;
} errors[ERROR_COUNT] = {
#define ERROR(name, code, status, retry, text) {code, status, retry, text},
#include "common/error.def"
#undef ERROR
};

const char *error_code(enum error error) {
    return errors[error].code;
}

const char *error_text(enum error error) {
    return errors[error].text;
}

int error_http_status(enum error error) {
    return errors[error].status;
}

bool error_may_pass(enum error error) {
    return errors[error].retry == AGAIN;
}

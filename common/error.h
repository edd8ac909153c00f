/* Every error and its text, in one list: error.def. */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#include <stdbool.h>

enum error {
#define ERROR(name, code, status, retry, text) ERR_##name,
#include "common/error.def"
#undef ERROR
    ERROR_COUNT
};

/* Static strings, never NULL. */
const char *error_code(enum error error);
const char *error_text(enum error error);
int error_http_status(enum error error);

/* Whether the same may be asked again after a while; of others the answer would be the same. */
bool error_may_pass(enum error error);

#endif

/* Every error and its text, in one list: error.def. */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

enum error {
#define ERROR(name, code, status, text) ERR_##name,
#include "common/error.def"
#undef ERROR
    ERROR_COUNT
};

/* Static strings, never NULL. */
const char *error_code(enum error error);
const char *error_text(enum error error);
int error_http_status(enum error error);

#endif

/* Prints a result: as text for people, as JSON for programs, as a page with charts. */
#ifndef LOADTEST_REPORT_H
#define LOADTEST_REPORT_H

#include <stdio.h>

#include "common/buf.h"
#include "loadtest/result.h"

void report_text(const struct result *result, FILE *out);

/* False, with a message on standard error, when the file cannot be written. "-" is standard output. */
bool report_json(const struct result *result, const char *file);
bool report_html(const struct result *result, const char *file);

#endif

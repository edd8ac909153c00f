/* The process that users start: it runs the workers, restarts those that die, serves the admin port, and
 * passes on what signals mean. It handles no client. */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <stdbool.h>

struct master_options {
    const char *program;     /* To start workers with. */
    const char *config_file; /* NULL: defaults and the environment. */
    bool dev;
    const char *static_dir; /* For config_options.dev_static_dir; may be NULL. */
};

/* Runs until a signal ends it; returns the exit status. */
int master_run(const struct master_options *options);

#endif

/* What --help says. */
#ifndef LOADTEST_HELP_H
#define LOADTEST_HELP_H

void help_print(void); /* To standard output. */

#endif

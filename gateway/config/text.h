/* What has to be done to a text before libconfig may read it. Internal to the config library. */
#ifndef GATEWAY_CONFIG_TEXT_H
#define GATEWAY_CONFIG_TEXT_H

#include "common/buf.h"
#include "common/bytes.h"

/* The line of the first @include, or 0. libconfig would read the file it names, ending the process when that
 * is a directory; and a reload should not depend on files that nobody named on the command line. */
unsigned config_text_include_line(struct bytes text);

/* Appends the text to `out` with an L behind each integer of more than nine digits: without it libconfig
 * before 1.7 silently cuts 4294967297 to 1. Lines stay what they are. */
void config_text_widen_integers(struct bytes text, struct buf *out);

#endif

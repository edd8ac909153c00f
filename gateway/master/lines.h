/* Lines out of bytes that come in pieces. One that is longer than it may be is left out, and the next one read: the
 * mistake of one line is not to end what comes after it. */
#ifndef MASTER_LINES_H
#define MASTER_LINES_H

#include "common/buf.h"

struct lines {
    struct buf received;
    size_t start;    /* Of the line to be given next, */
    size_t looked;   /* and where to go on looking for its end. */
    size_t line_max; /* Bytes. */
    size_t left_out; /* Lines that were longer. */
    bool is_leaving_out;
};

void lines_init(struct lines *lines, size_t line_max);
void lines_finish(struct lines *lines);

void lines_add(struct lines *lines, struct bytes piece);

/* The next whole line, without its end; false when there is none yet. Good until the next call. */
bool lines_next(struct lines *lines, struct bytes *line);

#endif

/* Messages as permessage-deflate (RFC 7692) has them: each compressed by itself, its last four bytes, which are
 * always the same, left away. What is made here refers to nothing before it, so one result serves any number of
 * receivers; what is read may refer to nothing either ("no context takeover"). */
#ifndef COMMON_DEFLATE_H
#define COMMON_DEFLATE_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/bytes.h"

/* log2 of the bytes that what a deflater makes looks back at most. Less than the usual 15, so that receivers who keep
 * their memory small can have it too; 60 KB of JSON become less than 1 % larger by it, smaller messages not at all. */
enum { DEFLATE_WINDOW_BITS = 12 };

struct deflater;

struct deflater *deflater_create(void);
void deflater_destroy(struct deflater *deflater); /* NULL is fine. */

/* Appends the compressed message. `out` has no maximum. */
void deflater_run(struct deflater *deflater, struct bytes message, struct buf *out);

enum inflate_result {
    INFLATE_DONE,
    INFLATE_INVALID,  /* No deflate, or cut off. */
    INFLATE_TOO_LARGE /* Stopped as soon as `bytes_max` were passed. */
};

struct inflater;

/* For messages compressed with any window. */
struct inflater *inflater_create(void);
void inflater_destroy(struct inflater *inflater); /* NULL is fine. */

/* `*message` is set when done, and stays valid until the next call. */
enum inflate_result inflater_run(struct inflater *inflater, struct bytes compressed, size_t bytes_max,
                                 struct bytes *message);

#endif

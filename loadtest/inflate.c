#include "loadtest/inflate.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/deflate.h"
#include "common/xalloc.h"

enum { MESSAGE_BYTES_MAX = 16 << 20 };

struct inflate_memo {
    struct inflater *inflater;
    struct buf in;    /* What `out` was made from. */
    struct bytes out; /* Borrowed from the inflater. */
    bool is_kept;
};

struct inflate_memo *inflate_memo_create(void) {
    struct inflate_memo *memo = xcalloc(1, sizeof *memo);
    memo->inflater = inflater_create();
    buf_init(&memo->in, 0);
    return memo;
}

void inflate_memo_destroy(struct inflate_memo *memo) {
    inflater_destroy(memo->inflater);
    buf_finish(&memo->in);
    free(memo);
}

bool inflate_memo_run(struct inflate_memo *memo, struct bytes in, struct bytes *out) {
    if (!memo->is_kept || !bytes_equal(in, buf_bytes(&memo->in))) {
        buf_clear(&memo->in);
        buf_append_bytes(&memo->in, in);
        memo->is_kept = inflater_run(memo->inflater, in, MESSAGE_BYTES_MAX, &memo->out) == INFLATE_DONE;
    }
    *out = memo->out;
    return memo->is_kept;
}

#include "gateway/transport/http/path.h"

#include <string.h>

#include "common/text.h"

static bool is_plain(struct bytes path) {
    if (path.len == 0 || path.data[0] != '/' || memchr(path.data, '\0', path.len) != NULL)
        return false;
    for (size_t i = 0; i + 1 < path.len; i++)
        if (path.data[i] == '/' && path.data[i + 1] == '.')
            return false;
    return true;
}

bool http_path_decode(struct bytes path, struct buf *out) {
    size_t before = out->len;
    return path.len > 0 && text_percent_decode(path, out) && is_plain(bytes_skip(buf_bytes(out), before));
}

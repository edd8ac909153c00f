/* Small files kept in memory, as they are and compressed: pages are asked for again and again, and hold no file
 * descriptor that clients might need. Bounded in number and bytes; what was not asked for longest goes. */
#ifndef HTTP_FILES_H
#define HTTP_FILES_H

#include <sys/stat.h>

#include "common/bytes.h"

enum {
    CACHED_FILE_BYTES_MAX = 1024 * 1024,
    FILE_CACHE_BYTES_MAX = 32 * 1024 * 1024,
};

struct file_cache;

struct cached_file {
    struct bytes plain;
    struct bytes gzip; /* Empty where compressing does not make it smaller. */
};

struct file_cache *file_cache_create(void);
void file_cache_destroy(struct file_cache *cache); /* NULL is fine. */

/* The file as it is now, `found` being what stat says of it; valid until the next call. NULL when it cannot be read,
 * has changed meanwhile, or has more than CACHED_FILE_BYTES_MAX. */
const struct cached_file *file_cache_get(struct file_cache *cache, const char *path,
                                         const struct stat *found);

size_t file_cache_bytes(const struct file_cache *cache); /* What it holds. */

#endif

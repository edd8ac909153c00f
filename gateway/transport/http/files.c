#include "gateway/transport/http/files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "common/buf.h"
#include "common/list.h"
#include "common/xalloc.h"

enum {
    FILES_MAX = 256,
    GZIP_WINDOW_BITS = 15 + 16, /* zlib's way of asking for gzip in place of its own format. */
    GZIP_MEMORY_LEVEL = 9,
};

struct entry {
    struct list link; /* The one asked for last is the last. */
    char *path;
    struct timespec modified;
    struct cached_file file;
    size_t bytes;
};

struct file_cache {
    struct list entries;
    unsigned count;
    size_t bytes;
};

static void forget(struct file_cache *cache, struct entry *entry) {
    list_unlink(&entry->link);
    cache->count--;
    cache->bytes -= entry->bytes;
    free((char *)entry->file.plain.data);
    free((char *)entry->file.gzip.data);
    free(entry->path);
    free(entry);
}

struct file_cache *file_cache_create(void) {
    struct file_cache *cache = xcalloc(1, sizeof *cache);
    list_init(&cache->entries);
    return cache;
}

void file_cache_destroy(struct file_cache *cache) {
    if (cache == NULL)
        return;
    while (!list_is_empty(&cache->entries))
        forget(cache, list_entry(cache->entries.next, struct entry, link));
    free(cache);
}

static struct bytes read_whole(const char *path, size_t len) {
    char *data = xmalloc(len + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t got = 0;
    ssize_t more = 1;
    while (fd >= 0 && more > 0 && got <= len) {
        more = read(fd, data + got, len + 1 - got);
        got += more > 0 ? (size_t)more : 0;
    }
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && more >= 0 && got == len)
        return bytes_make(data, len);
    free(data);
    return bytes_make(NULL, 0);
}

static struct bytes compress_gzip(struct bytes plain) {
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return bytes_make(NULL, 0);
    char *out = xmalloc(plain.len + 1);
    stream.next_in = (unsigned char *)plain.data;
    stream.avail_in = (unsigned)plain.len;
    stream.next_out = (unsigned char *)out;
    stream.avail_out = (unsigned)plain.len;
    bool is_smaller = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    size_t len = plain.len - stream.avail_out;
    deflateEnd(&stream);
    if (is_smaller)
        return bytes_make(out, len);
    free(out);
    return bytes_make(NULL, 0);
}

static struct entry *find(struct file_cache *cache, const char *path) {
    for (struct list *at = cache->entries.next; at != &cache->entries; at = at->next) {
        struct entry *entry = list_entry(at, struct entry, link);
        if (strcmp(entry->path, path) == 0)
            return entry;
    }
    return NULL;
}

static bool is_current(const struct entry *entry, const struct stat *found) {
    return entry->modified.tv_sec == found->st_mtim.tv_sec &&
           entry->modified.tv_nsec == found->st_mtim.tv_nsec &&
           entry->file.plain.len == (size_t)found->st_size;
}

static struct entry *load(struct file_cache *cache, const char *path, const struct stat *found) {
    struct bytes plain = read_whole(path, (size_t)found->st_size);
    if (plain.data == NULL)
        return NULL;
    struct entry *entry = xcalloc(1, sizeof *entry);
    entry->path = xstrdup(path);
    entry->modified = found->st_mtim;
    entry->file.plain = plain;
    entry->file.gzip = compress_gzip(plain);
    entry->bytes = plain.len + entry->file.gzip.len;
    cache->count++;
    cache->bytes += entry->bytes;
    return entry;
}

const struct cached_file *file_cache_get(struct file_cache *cache, const char *path,
                                         const struct stat *found) {
    struct entry *entry = find(cache, path);
    if (entry != NULL && !is_current(entry, found)) {
        forget(cache, entry);
        entry = NULL;
    }
    if (found->st_size < 0 || found->st_size > CACHED_FILE_BYTES_MAX)
        return NULL;
    if (entry != NULL)
        list_unlink(&entry->link);
    else if ((entry = load(cache, path, found)) == NULL)
        return NULL;
    while (cache->count > FILES_MAX || cache->bytes > FILE_CACHE_BYTES_MAX)
        forget(cache, list_entry(cache->entries.next, struct entry, link));
    list_push_back(&cache->entries, &entry->link);
    return &entry->file;
}

size_t file_cache_bytes(const struct file_cache *cache) {
    return cache->bytes;
}

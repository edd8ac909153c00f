#include "gateway/transport/http/static.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/transport/connection.h"
#include "gateway/transport/http/files.h"
#include "gateway/transport/http/path.h"

enum { PATH_BYTES_MAX = 1024 };

/* Any page may use what is here, which is the same for everybody; none may frame it. What a page of static_dir
 * loads is for its author to say, as the demo pages do. */
static const char headers[] = "Cache-Control: no-cache\r\n"
                              "Referrer-Policy: same-origin\r\n"
                              "Access-Control-Allow-Origin: *\r\n"
                              "Cross-Origin-Resource-Policy: cross-origin\r\n"
                              "Content-Security-Policy: frame-ancestors 'none'; base-uri 'none'; "
                              "object-src 'none'\r\n";

static const char *content_type(struct bytes path) {
    static const struct {
        const char *ending;
        const char *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".json", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".txt", "text/plain; charset=utf-8"},
        {".webmanifest", "application/manifest+json"},
        {".wasm", "application/wasm"},
        {".map", "application/json"},
        {".ts", "text/plain; charset=utf-8"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t len = strlen(types[i].ending);
        if (path.len > len && memcmp(path.data + path.len - len, types[i].ending, len) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

/* The file that the path names, if there is one. */
static bool find_file(const struct request *request, const char *directory, struct buf *file,
                      struct stat *found) {
    struct buf path;
    buf_init(&path, PATH_BYTES_MAX);
    bool is_good = directory[0] != '\0' && http_path_decode(request->path, &path);
    if (is_good) {
        bool is_folder = path.data[path.len - 1] == '/';
        buf_printf(file, "%s%.*s%s%c", directory, BYTES_FMT(buf_bytes(&path)), is_folder ? "index.html" : "",
                   '\0');
        is_good = stat(file->data, found) == 0 && S_ISREG(found->st_mode);
    }
    buf_finish(&path);
    return is_good;
}

/* An element of a list, "gzip" or "gzip;q=0.5", and not "gzip;q=0" (RFC 9110, section 12.5.3). */
static bool accepts_gzip(const struct request *request) {
    struct buf accepted;
    bool is_accepted = false;
    buf_init(&accepted, 0);
    if (request_field(request, FIELD_ACCEPT_ENCODING, &accepted) && buf_append_char(&accepted, '\0')) {
        char *rest = NULL;
        for (char *one = strtok_r(accepted.data, ", \t", &rest); one; one = strtok_r(NULL, ", \t", &rest))
            if (strncasecmp(one, "gzip", 4) == 0 && (one[4] == '\0' || one[4] == ';'))
                is_accepted = strncmp(one + 4, ";q=0", 4) != 0 || strpbrk(one + 8, "123456789") != NULL;
    }
    buf_finish(&accepted);
    return is_accepted;
}

/* Whether the client has it already. The tag of what is compressed ends otherwise; either is of the same content. */
static bool is_known(const struct request *request, const char *tag) {
    struct buf known;
    buf_init(&known, 0);
    bool is_same = request_field(request, FIELD_IF_NONE_MATCH, &known) &&
                   memmem(known.data, known.len, tag, strlen(tag)) != NULL;
    buf_finish(&known);
    return is_same;
}

static void reply_open_file(struct exchange *exchange, const char *file, const char *type,
                            const char *lines) {
    struct stat found;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
        exchange_reply_file(exchange, fd, (uint64_t)found.st_size, type, lines);
        return;
    }
    if (fd >= 0)
        close(fd);
    exchange_reply_error(exchange, ERR_NOT_FOUND, "");
}

static void serve(struct exchange *exchange, struct bytes file, const struct stat *found) {
    const struct request *request = exchange_request(exchange);
    struct file_cache *cache = request->connection->server->files;
    const struct cached_file *cached = file_cache_get(cache, file.data, found);
    const char *type = content_type(file);
    bool is_gzip = cached != NULL && cached->gzip.len > 0 && accepts_gzip(request);
    char tag[64];
    struct buf lines;
    /* Without its quotes and ending: what both forms have in common. */
    snprintf(tag, sizeof tag, "\"%llx-%llx-%llx", (unsigned long long)found->st_mtim.tv_sec,
             (unsigned long long)found->st_mtim.tv_nsec, (unsigned long long)found->st_size);
    buf_init(&lines, 0);
    buf_printf(&lines, "%sVary: Accept-Encoding\r\nETag: %s%s\"\r\n%s%c", headers, tag,
               is_gzip ? "-gzip" : "", is_gzip ? "Content-Encoding: gzip\r\n" : "", '\0');
    if (is_known(request, tag))
        exchange_reply(exchange, 304, type, lines.data, BYTES_LITERAL(""));
    else if (cached != NULL)
        exchange_reply(exchange, 200, type, lines.data, is_gzip ? cached->gzip : cached->plain);
    else
        reply_open_file(exchange, file.data, type, lines.data);
    buf_finish(&lines);
}

void static_serve(struct exchange *exchange, const char *directory) {
    struct stat found;
    struct buf file;
    buf_init(&file, 0);
    if (find_file(exchange_request(exchange), directory, &file, &found))
        serve(exchange, bytes_make(file.data, file.len - 1), &found);
    else
        exchange_reply_error(exchange, ERR_NOT_FOUND, headers);
    buf_finish(&file);
}

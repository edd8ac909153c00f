#include "gateway/transport/static.h"

#include <stdio.h>
#include <sys/stat.h>

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

/* Whether no part of the path begins with a dot, which covers "..". */
static bool is_plain(struct bytes path) {
    if (path.len == 0 || path.data[0] != '/' || memchr(path.data, '\0', path.len) != NULL)
        return false;
    for (size_t i = 0; i + 1 < path.len; i++)
        if (path.data[i] == '/' && path.data[i + 1] == '.')
            return false;
    return true;
}

void static_serve(struct exchange *exchange, const char *directory) {
    /* Any page may use what is here, which is the same for everybody; none may frame it. What a page of static_dir
     * loads is for its author to say, as the demo pages do. */
    static const char headers[] = "X-Content-Type-Options: nosniff\r\n"
                                  "Cache-Control: no-cache\r\n"
                                  "Referrer-Policy: same-origin\r\n"
                                  "Access-Control-Allow-Origin: *\r\n"
                                  "Cross-Origin-Resource-Policy: cross-origin\r\n"
                                  "Content-Security-Policy: frame-ancestors 'none'; base-uri 'none'; "
                                  "object-src 'none'\r\n";
    struct bytes path = exchange_request(exchange)->path;
    struct stat found;
    char file[4096];
    bool is_folder = path.len > 0 && path.data[path.len - 1] == '/';
    int len =
        snprintf(file, sizeof file, "%s%.*s%s", directory, BYTES_FMT(path), is_folder ? "index.html" : "");
    if (directory[0] == '\0' || !is_plain(path) || len >= (int)sizeof file || stat(file, &found) != 0 ||
        !S_ISREG(found.st_mode)) {
        exchange_reply_error(exchange, ERR_NOT_FOUND, "");
        return;
    }
    exchange_reply_file(exchange, file, content_type(bytes_make(file, (size_t)len)), headers);
}

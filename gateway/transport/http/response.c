#include "gateway/transport/http/response.h"

static const char *status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}

void response_append_head(struct buf *out, const struct response *response, uint64_t body_len) {
    bool has_content = response->status != 204 && response->status != 304;
    buf_printf(out, "HTTP/1.1 %d %s\r\n", response->status, status_text(response->status));
    if (has_content && response->content_type != NULL)
        buf_printf(out, "Content-Type: %s\r\n", response->content_type);
    /* HEAD may leave the length open, and has to where only GET would find out. */
    if (has_content && (!response->has_no_body || body_len > 0))
        buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)body_len);
    if (response->status >= 200 && response->status != 304)
        buf_append_text(out, "X-Content-Type-Options: nosniff\r\n");
    if (response->connection != NULL)
        buf_printf(out, "Connection: %s\r\n", response->connection);
    buf_append_text(out, response->headers);
    buf_append_text(out, "\r\n");
}

void response_append(struct buf *out, const struct response *response) {
    response_append_head(out, response, response->body.len);
    if (!response->has_no_body)
        buf_append_bytes(out, response->body);
}

/* What a client needs to do better. */
static const char *headers_of(int status) {
    switch (status) {
    case 401:
        return "WWW-Authenticate: Bearer\r\n";
    case 426:
        return "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    case 429:
    case 503:
        return "Retry-After: 5\r\n";
    default:
        return "";
    }
}

void response_append_error(struct buf *out, const struct response *response, enum error error,
                           const char *text) {
    struct response answer = *response;
    struct buf body, headers;
    answer.status = error_http_status(error);
    buf_init(&body, 0);
    buf_append_text(&body, "{\"error\":{\"code\":");
    buf_append_json_string(&body, bytes_of(error_code(error)));
    buf_append_text(&body, ",\"message\":");
    buf_append_json_string(&body, bytes_of(text ? text : error_text(error)));
    buf_append_text(&body, "}}\n");
    buf_init(&headers, 0);
    buf_printf(&headers, "%s%s%c", response->headers, headers_of(answer.status), '\0');
    answer.content_type = "application/json";
    answer.headers = headers.data;
    answer.body = buf_bytes(&body);
    response_append(out, &answer);
    buf_finish(&headers);
    buf_finish(&body);
}

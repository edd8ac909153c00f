#include "gateway/pages.h"

#include "common/log.h"
#include "gateway/core/origin.h"
#include "gateway/public.h"

/* Longer values of Origin and Host are nobody's. */
enum { HEADER_BYTES_MAX = 1024 };

/* Who asks, and whom. */
struct asking {
    struct buf origin;
    struct buf host;
    bool is_own_host;
    enum page page;
};

static void read_asking(const struct request *request, const struct config *config, struct asking *asking) {
    buf_init(&asking->origin, HEADER_BYTES_MAX);
    buf_init(&asking->host, HEADER_BYTES_MAX);
    request_field(request, FIELD_ORIGIN, &asking->origin);
    buf_append_bytes(&asking->host, request_host(request));
    struct bytes host = buf_bytes(&asking->host);
    asking->is_own_host = host_is_own(host, config->hosts, config->host_count);
    asking->page = asking->origin.overflow ? PAGE_REFUSED
                                           : origin_judge(buf_bytes(&asking->origin), host, config->origins,
                                                          config->origin_count);
}

static void finish_asking(struct asking *asking) {
    buf_finish(&asking->origin);
    buf_finish(&asking->host);
}

/* A stranger's text may be long, and must not end the quotes that it stands in. */
static struct bytes make_quotable(struct buf *value) {
    enum { SHOWN_MAX = 200 };
    for (size_t i = 0; i < value->len; i++)
        if (value->data[i] == '"')
            value->data[i] = '?';
    return bytes_make(value->data, value->len < SHOWN_MAX ? value->len : SHOWN_MAX);
}

static void tell_refusal(struct asking *asking, struct public_site *site) {
    struct bytes origin = make_quotable(&asking->origin), host = make_quotable(&asking->host);
    struct buf both;
    buf_init(&both, 0);
    buf_printf(&both, "%.*s %.*s", BYTES_FMT(origin), BYTES_FMT(host));
    const char *what = asking->is_own_host
                           ? "page refused: its origin is neither this host nor in origins. A proxy in front "
                             "has to pass the header "
                             "Host on, port included (nginx: proxy_set_header Host $http_host)"
                           : "request refused: this host is not in hosts";
    if (told_is_new(&site->refusals_told, buf_bytes(&both), hub_now_ms(site->hub)))
        log_warn("pages", "%s origin=\"%.*s\" host=\"%.*s\"", what, BYTES_FMT(origin), BYTES_FMT(host));
    buf_finish(&both);
}

static enum error admit(const struct request *request, struct public_site *site, bool is_for_strangers) {
    struct asking asking;
    enum error error = ERR_OK;
    read_asking(request, site->config, &asking);
    if (!asking.is_own_host)
        error = ERR_HOST_FORBIDDEN;
    else if (asking.page == PAGE_REFUSED && !is_for_strangers)
        error = ERR_ORIGIN_FORBIDDEN;
    if (error != ERR_OK) {
        site->metrics->refusals[error == ERR_HOST_FORBIDDEN ? REFUSED_HOST : REFUSED_ORIGIN]++;
        tell_refusal(&asking, site);
    }
    finish_asking(&asking);
    return error;
}

enum error pages_admit(const struct request *request, struct public_site *site) {
    return admit(request, site, false);
}

enum error pages_admit_host(const struct request *request, struct public_site *site) {
    return admit(request, site, true);
}

/* A page that may not connect may read that it may not: without this its script learns no more than that the request
 * failed. The refusal holds nothing but its code, and says so to every page alike. Its preflights fail, so that no
 * request with effects is sent at all. */
void pages_append_headers(const struct request *request, const struct public_site *site, struct buf *lines) {
    struct asking asking;
    read_asking(request, site->config, &asking);
    bool is_open =
        asking.page == PAGE_ANY || (asking.page == PAGE_REFUSED && request->method != METHOD_OPTIONS);
    if (asking.is_own_host && asking.page == PAGE_KNOWN)
        buf_printf(lines, "Access-Control-Allow-Origin: %.*s\r\nAccess-Control-Allow-Credentials: true\r\n",
                   BYTES_FMT(buf_bytes(&asking.origin)));
    else if (asking.is_own_host && is_open)
        buf_append_text(lines, "Access-Control-Allow-Origin: *\r\n");
    if (asking.is_own_host && (asking.page == PAGE_KNOWN || is_open))
        buf_append_text(lines, "Access-Control-Expose-Headers: ETag, Retry-After\r\n");
    if (asking.page != PAGE_NONE)
        buf_append_text(lines, "Vary: Origin\r\n");
    finish_asking(&asking);
}

/* A request and its answer, now or later. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "gateway/transport/http/request.h"

struct exchange;

const struct request *exchange_request(const struct exchange *exchange);
struct bytes exchange_body(const struct exchange *exchange);

/* Calls `on_gone` when the client leaves before the answer; the exchange is then gone as well. */
void exchange_set_on_gone(struct exchange *exchange, void (*on_gone)(void *arg), void *arg);

/* Each answers; the exchange must not be used after that. `headers` are whole lines ending with CR LF, or "". */
void exchange_reply(struct exchange *exchange, int status, const char *content_type, const char *headers,
                    struct bytes body);
void exchange_reply_error(struct exchange *exchange, enum error error, const char *headers);

/* Answers with the `len` bytes of an open file, which is closed when they are sent. */
void exchange_reply_file(struct exchange *exchange, int fd, uint64_t len, const char *content_type,
                         const char *headers);

#endif

/* GET /v1/subscribe: channels in the URL, news in the form that the client asks for. */
#ifndef GATEWAY_SUBSCRIBE_H
#define GATEWAY_SUBSCRIBE_H

#include "gateway/public.h"

/* Answers with a stream or a poll's reply. `cors` are the header lines that let the page read it. */
void subscribe_handle(struct exchange *exchange, struct public_site *site, const char *cors);

/* The WebSocket form: remembers what the URL asks for until the WebSocket is open, and then asks for it. */
enum error subscribe_may_upgrade(const struct request *request, const struct public_site *site);
void subscribe_on_websocket(struct connection *connection, struct session *session);

#endif

/* Every way in which a message goes out: the products of protocols and framings. */
#ifndef GATEWAY_FORMS_H
#define GATEWAY_FORMS_H

#include "gateway/core/wire.h"

enum form_index { FORM_NATIVE_WEBSOCKET };

extern const struct form native_websocket_form;

#endif

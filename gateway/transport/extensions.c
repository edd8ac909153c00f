#include "gateway/transport/extensions.h"

#include "common/deflate.h"

/* --- RFC 6455, section 9.1: names with parameters ---------------------------------------------- */

static char peek(struct bytes rest) {
    return rest.len > 0 ? rest.data[0] : '\0';
}

static void skip_spaces(struct bytes *rest) {
    while (peek(*rest) == ' ' || peek(*rest) == '\t')
        *rest = bytes_skip(*rest, 1);
}

/* `c`, and the spaces around it. */
static bool take(struct bytes *rest, char c) {
    skip_spaces(rest);
    if (peek(*rest) != c || rest->len == 0)
        return false;
    *rest = bytes_skip(*rest, 1);
    skip_spaces(rest);
    return true;
}

/* RFC 9110, section 5.6.2. */
static bool is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool take_token(struct bytes *rest, struct bytes *token) {
    size_t len = 0;
    while (len < rest->len && is_token_char(rest->data[len]))
        len++;
    *token = bytes_make(rest->data, len);
    *rest = bytes_skip(*rest, len);
    return len > 0;
}

/* A token, which may stand in quotes. Escapes in them are for characters that no token has. */
static bool take_value(struct bytes *rest, struct bytes *value) {
    bool is_quoted = peek(*rest) == '"';
    if (is_quoted)
        *rest = bytes_skip(*rest, 1);
    if (!take_token(rest, value) || (is_quoted && peek(*rest) != '"'))
        return false;
    if (is_quoted)
        *rest = bytes_skip(*rest, 1);
    return true;
}

struct parameter {
    struct bytes name;
    struct bytes value;
    bool has_value;
};

static bool take_parameter(struct bytes *rest, struct parameter *parameter) {
    if (!take_token(rest, &parameter->name))
        return false;
    parameter->has_value = take(rest, '=');
    return !parameter->has_value || take_value(rest, &parameter->value);
}

/* --- RFC 7692, section 7.1: an offer --------------------------------------------------------- */

enum {
    SERVER_NO_CONTEXT_TAKEOVER = 1 << 0,
    CLIENT_NO_CONTEXT_TAKEOVER = 1 << 1,
    SERVER_MAX_WINDOW_BITS = 1 << 2,
    CLIENT_MAX_WINDOW_BITS = 1 << 3,
};

/* 8 to 15, without leading zeros; else 0. */
static unsigned window_bits(struct bytes value) {
    unsigned bits = 0;
    for (size_t i = 0; i < value.len && bits <= 15; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return 0;
        bits = bits * 10 + (unsigned)(value.data[i] - '0');
    }
    return bits >= 8 && bits <= 15 && value.data[0] != '0' ? bits : 0;
}

/* Which of the parameters it is, or 0 when we cannot take it. */
static unsigned parameter_bit(const struct parameter *parameter) {
    unsigned bits = parameter->has_value ? window_bits(parameter->value) : 0;
    if (bytes_equal_text(parameter->name, "server_no_context_takeover"))
        return parameter->has_value ? 0 : SERVER_NO_CONTEXT_TAKEOVER;
    if (bytes_equal_text(parameter->name, "client_no_context_takeover"))
        return parameter->has_value ? 0 : CLIENT_NO_CONTEXT_TAKEOVER;
    if (bytes_equal_text(parameter->name, "server_max_window_bits"))
        return bits >= DEFLATE_WINDOW_BITS ? SERVER_MAX_WINDOW_BITS : 0;
    if (bytes_equal_text(parameter->name, "client_max_window_bits"))
        return !parameter->has_value || bits > 0 ? CLIENT_MAX_WINDOW_BITS : 0;
    return 0;
}

/* An offer up to the comma or the end. False when it is malformed; `*given`: its parameters, if it is one that we
 * can take. */
static bool take_offer(struct bytes *rest, bool *is_acceptable, unsigned *given) {
    struct parameter parameter;
    struct bytes name;
    *given = 0;
    if (!take_token(rest, &name))
        return false;
    *is_acceptable = bytes_equal_text(name, "permessage-deflate");
    while (take(rest, ';')) {
        if (!take_parameter(rest, &parameter))
            return false;
        unsigned bit = parameter_bit(&parameter);
        if (bit == 0 || (*given & bit) != 0)
            *is_acceptable = false;
        *given |= bit;
    }
    return true;
}

/* Neither side looks back beyond a message: that is what lets all clients share one frame, and one inflater serve
 * them all. A server may ask for the latter without having been offered it (section 7.1.1.2). */
static void append_answer(unsigned given, struct buf *parameters) {
    buf_append_text(parameters, "; server_no_context_takeover; client_no_context_takeover");
    if (given & SERVER_MAX_WINDOW_BITS)
        buf_printf(parameters, "; server_max_window_bits=%d", DEFLATE_WINDOW_BITS);
}

bool extensions_accept_deflate(struct bytes header, struct buf *parameters) {
    bool is_found = false;
    unsigned found = 0;
    do {
        bool is_acceptable = false;
        unsigned given = 0;
        skip_spaces(&header);
        /* RFC 9110, section 5.6.1: elements of a list may be empty. */
        if (header.len == 0 || peek(header) == ',')
            continue;
        if (!take_offer(&header, &is_acceptable, &given))
            return false;
        if (is_acceptable && !is_found) {
            is_found = true;
            found = given;
        }
    } while (take(&header, ','));
    if (!is_found || header.len > 0)
        return false;
    append_answer(found, parameters);
    return true;
}

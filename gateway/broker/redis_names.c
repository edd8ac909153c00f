#include "gateway/broker/redis_names.h"

#include <stdlib.h>

#include "common/xalloc.h"

/* Names per command: Redis serves others between commands. */
enum { NAMES_MAX = 500 };

struct names_command {
    struct list in_sent;
    bool is_new;       /* SUBSCRIBE. */
    uint32_t count;    /* Of the names. */
    uint32_t answered; /* How many of them. */
    struct buf text;   /* The names, each with a zero byte, which none has within, behind it. */
};

static struct names_command *create_command(bool is_new) {
    struct names_command *command = xcalloc(1, sizeof *command);
    command->is_new = is_new;
    list_init(&command->in_sent);
    buf_init(&command->text, 0);
    return command;
}

static void destroy_command(struct names_command *command) {
    list_unlink(&command->in_sent);
    buf_finish(&command->text);
    free(command);
}

static void append_argument(struct buf *out, struct bytes word) {
    buf_printf(out, "$%zu\r\n", word.len);
    buf_append_bytes(out, word);
    buf_append_text(out, "\r\n");
}

static void send_command(struct redis_names *names, struct names_command *command, struct buf *out) {
    buf_printf(out, "*%u\r\n", command->count + 1);
    append_argument(out, bytes_of(command->is_new ? "SUBSCRIBE" : "UNSUBSCRIBE"));
    for (size_t at = 0; at < command->text.len; at += strlen(command->text.data + at) + 1)
        append_argument(out, bytes_of(command->text.data + at));
    list_push_back(&names->sent, &command->in_sent);
}

void redis_names_end(struct redis_names *names, struct buf *out) {
    if (names->open != NULL)
        send_command(names, names->open, out);
    names->open = NULL;
}

void redis_names_add(struct redis_names *names, bool is_new, struct bytes prefix, struct bytes channel,
                     struct buf *out) {
    if (names->open != NULL && (names->open->count == NAMES_MAX || names->open->is_new != is_new))
        redis_names_end(names, out);
    if (names->open == NULL)
        names->open = create_command(is_new);
    buf_append_bytes(&names->open->text, prefix);
    buf_append_bytes(&names->open->text, channel);
    buf_append_char(&names->open->text, '\0');
    names->open->count++;
}

static struct names_command *oldest(const struct redis_names *names) {
    return list_is_empty(&names->sent) ? NULL : list_entry(names->sent.next, struct names_command, in_sent);
}

void redis_names_on_answer(struct redis_names *names, bool is_new) {
    struct names_command *command = oldest(names);
    if (command != NULL && command->is_new == is_new && ++command->answered == command->count)
        destroy_command(command);
}

static void ask_in_halves(struct redis_names *names, const struct names_command *refused, struct buf *out) {
    size_t half = 0;
    for (uint32_t i = 0; i < refused->count / 2; i++)
        half += strlen(refused->text.data + half) + 1;
    struct names_command *first = create_command(true);
    struct names_command *second = create_command(true);
    first->count = refused->count / 2;
    second->count = refused->count - first->count;
    buf_append(&first->text, refused->text.data, half);
    buf_append(&second->text, refused->text.data + half, refused->text.len - half);
    send_command(names, first, out);
    send_command(names, second, out);
}

enum names_error redis_names_on_error(struct redis_names *names, struct buf *out, struct buf *refused) {
    struct names_command *command = oldest(names);
    enum names_error result = NAMES_IGNORED;
    if (command == NULL)
        return NAMES_NONE;
    if (command->is_new && command->count == 1) {
        buf_append_text(refused, command->text.data);
        result = NAMES_REFUSED;
    } else if (command->is_new) {
        ask_in_halves(names, command, out);
        result = NAMES_ASKED_AGAIN;
    }
    destroy_command(command);
    return result;
}

void redis_names_init(struct redis_names *names) {
    *names = (struct redis_names){0};
    list_init(&names->sent);
}

void redis_names_finish(struct redis_names *names) {
    while (!list_is_empty(&names->sent))
        destroy_command(oldest(names));
    if (names->open != NULL)
        destroy_command(names->open);
    names->open = NULL;
}

/* fantail.v1: commands as clients send them, and payloads as anybody may publish them. */
#include <string.h>

#include "common/json.h"
#include "gateway/protocol/native.h"
#include "tests/fuzz/fuzz.h"

/* Whatever the payload, what subscribers get is one line of JSON. */
static void check_payload(struct bytes payload) {
    struct buf out;
    buf_init(&out, 0);
    buf_append_char(&out, '{');
    native_append_payload(payload, &out);
    buf_append_char(&out, '}');
    FUZZ_CHECK(memchr(out.data, '\n', out.len) == NULL);
    struct bytes name, value, more;
    size_t at = 0;
    FUZZ_CHECK(json_is_valid(buf_bytes(&out)));
    FUZZ_CHECK(json_next_member(buf_bytes(&out), &at, &name, &value));
    FUZZ_CHECK(!json_next_member(buf_bytes(&out), &at, &name, &more));
    FUZZ_CHECK(!json_is_valid(payload) || value.len <= payload.len);
    buf_finish(&out);
}

static void check_command(const struct command *command, struct bytes frame) {
    FUZZ_CHECK(!command->has_ref || command->ref >= 0);
    FUZZ_CHECK(command->kind != COMMAND_PUBLISH || command->payload.len <= frame.len);
    if (command->kind == COMMAND_PUBLISH)
        check_payload(command->payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes frame = size > 0 ? bytes_make(data, size) : BYTES_LITERAL("");
    struct bytes rest = frame;
    for (;;) {
        struct command command = {0};
        size_t used = 0;
        enum error error = native_protocol.decode(rest, &used, &command);
        FUZZ_CHECK(used <= rest.len);
        if (error == ERR_MORE)
            break;
        FUZZ_CHECK(used > 0);
        if (error == ERR_OK)
            check_command(&command, frame);
        rest = bytes_skip(rest, used);
    }
    check_payload(frame);
    return 0;
}

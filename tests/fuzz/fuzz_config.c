/* The configuration. Up to the first zero byte the input is the file, behind it "NAME=value" strings of the
 * environment, each ended by a zero byte. */
#include <string.h>

#include "gateway/config/config.h"
#include "tests/fuzz/fuzz.h"

enum { VARIABLES_MAX = 16 };

/* libconfig 1.5 loses a few bytes with every text that breaks off within a string. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libconfig.so\n";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void) {
    return "print_suppressions=0";
}

/* A person reads them in a terminal or in a log: a line each, whatever the file holds. */
static void check_errors(struct bytes errors) {
    FUZZ_CHECK(errors.data[errors.len - 1] == '\n');
    for (size_t i = 0; i < errors.len; i++)
        FUZZ_CHECK(errors.data[i] == '\n' || (unsigned char)errors.data[i] >= ' ');
}

static void check_config(const struct config *config) {
    FUZZ_CHECK(config->namespace_count >= 1 && strcmp(config->namespaces[0].name, "default") == 0);
    FUZZ_CHECK(config->node[0] != '\0');
    FUZZ_CHECK(config->listen.port != 0 && config->admin.port != 0);
    FUZZ_CHECK(config->limits.outbox_total_bytes >= config->limits.outbox_bytes);
    FUZZ_CHECK(config_needs_restart(config, config) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *input = malloc(size + 1);
    char *variables[VARIABLES_MAX + 1] = {NULL};
    struct buf errors, warnings;
    if (size > 0)
        memcpy(input, data, size);
    input[size] = '\0';
    struct bytes text = bytes_of(input);
    size_t count = 0;
    for (size_t at = text.len + 1; at < size && count < VARIABLES_MAX; at += strlen(input + at) + 1)
        variables[count++] = input + at;
    buf_init(&errors, 0);
    buf_init(&warnings, 0);
    struct config_options options = {
        .dev = size % 2, .dev_static_dir = "/srv", .environment = variables, .warnings = &warnings};
    struct config *config = config_parse(text, "f", &options, &errors);
    FUZZ_CHECK((config == NULL) == (errors.len > 0));
    if (config != NULL) {
        check_config(config);
        config_warn_of_exposure(config, &warnings);
    } else {
        check_errors(buf_bytes(&errors));
    }
    FUZZ_CHECK(warnings.len == 0 || warnings.data[warnings.len - 1] == '\n');
    config_free(config);
    buf_finish(&errors);
    buf_finish(&warnings);
    free(input);
    return 0;
}

/* What a configuration may not hold: each refusal with its line, its setting and its words. */
#include "tests/unit/config_case.h"

#include <stdio.h>
#include <string.h>

struct refusal {
    const char *text;
    const char *expected;
};

static void refuse_all(const struct refusal *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        refuse(rows[i].text, rows[i].expected);
}

#define REFUSE_ALL(rows) refuse_all(rows, sizeof(rows) / sizeof((rows)[0]))

static void value_of_the_wrong_type_is_refused_with_its_line(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"\n\nworkers = \"two\";", "f.conf:3: workers: must be a number from 0 to 1024, is \"two\"\n"},
        {"listen = {\n port = true; };",
         "f.conf:2: listen.port: must be a number from 1 to 65535, is true\n"},
        {"drain_seconds = 1.5;",
         "f.conf:1: drain_seconds: must be a number from 0 to 3600, is a number with a fraction\n"},
        {"node = 5;", "f.conf:1: node: must be a text in double quotes, is 5\n"},
        {"node = { };", "f.conf:1: node: must be a text in double quotes, is a group\n"},
        {"node = [ \"a\" ];", "f.conf:1: node: must be a text in double quotes, is a list\n"},
        {"listen = { proxy_protocol = 1; };",
         "f.conf:1: listen.proxy_protocol: must be true or false, is 1\n"},
        {"broker = \"kafka\";", "f.conf:1: broker: must be \"memory\" or \"redis\", is \"kafka\"\n"},
        {"broker = 1;", "f.conf:1: broker: must be \"memory\" or \"redis\", is 1\n"},
        {"log = { level = \"trace\"; };",
         "f.conf:1: log.level: must be \"error\", \"warn\", \"info\" or \"debug\", is \"trace\"\n"},
        {"listen = 8000;", "f.conf:1: listen: must be a group, e.g. listen = { ... };\n"},
        {"limits = ( );", "f.conf:1: limits: must be a group, e.g. limits = { ... };\n"},
        {"origins = \"https://example.com\";",
         "f.conf:1: origins: must be a list of texts, e.g. origins = [ \"...\", \"...\" ];\n"},
        {"origins = { };",
         "f.conf:1: origins: must be a list of texts, e.g. origins = [ \"...\", \"...\" ];\n"},
        {"origins = [ 1 ];", "f.conf:1: origins: must be a text in double quotes, is 1\n"},
        {"namespaces = { name = \"chat\"; };",
         "f.conf:1: namespaces: must be a list of groups, e.g. namespaces = ( { name = \"chat\"; } );\n"},
        {"namespaces = (\n\"chat\" );",
         "f.conf:2: namespaces.[0]: must be a group, e.g. { name = \"chat\"; }\n"},
    };
    REFUSE_ALL(rows);
}

static void number_out_of_range_is_refused(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"workers = 1025;", "f.conf:1: workers: must be a number from 0 to 1024, is 1025\n"},
        {"workers = -1;", "f.conf:1: workers: must be a number from 0 to 1024, is -1\n"},
        {"listen = { port = 0; };", "f.conf:1: listen.port: must be a number from 1 to 65535, is 0\n"},
        {"listen = { port = 65536; };",
         "f.conf:1: listen.port: must be a number from 1 to 65535, is 65536\n"},
        {"limits = { connections = 4294967297L; };",
         "f.conf:1: limits.connections: must be a number from 1 to 10000000, is 4294967297\n"},
        {"limits = { channels_per_session = 65536; };", /* A session counts them in 16 bits. */
         "f.conf:1: limits.channels_per_session: must be a number from 1 to 65535, is 65536\n"},
        {"limits = { outbox_bytes = -1L; };",
         "f.conf:1: limits.outbox_bytes: must be a number from 1024 to 1099511627776, is -1\n"},
    };
    REFUSE_ALL(rows);
}

static void unknown_setting_is_refused_with_a_guess(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"worker = 2;", "f.conf:1: worker: unknown setting, did you mean workers?\n"},
        {"limits = {\n mesage_bytes = 2; };",
         "f.conf:2: limits.mesage_bytes: unknown setting, did you mean limits.message_bytes?\n"},
        {"message_bytes = 2;",
         "f.conf:1: message_bytes: unknown setting, did you mean limits.message_bytes?\n"},
        {"shards = 2;", "f.conf:1: shards: unknown setting; fantail --help-settings lists those there are\n"},
        {"redis = { tls = { on = true; }; };",
         "f.conf:1: redis.tls: unknown setting; fantail --help-settings lists those there are\n"},
        {"namespaces = ( { name = \"a\";\n histroy_size = 1; } );",
         "f.conf:2: namespaces.a.histroy_size: unknown setting, did you mean history_size?\n"},
        {"namespaces = ( { name = \"a\"; port = 1; } );",
         "f.conf:1: namespaces.a.port: unknown setting; fantail --help-settings lists those there are\n"},
    };
    REFUSE_ALL(rows);
}

static void broken_form_is_refused_with_its_line(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"workers = 2;\nlisten = {",
         "f.conf:2: syntax error; settings look like name = value; or name = { ... };\n"},
        {"workers = 1;\nworkers = 2;",
         "f.conf:2: duplicate setting name; settings look like name = value; or name = { ... };\n"},
        {"\n  @include \"other.conf\"\n",
         "f.conf:2: @include is not supported; secrets may come from the environment\n"},
    };
    REFUSE_ALL(rows);
}

static void zero_byte_is_refused(void **state) {
    (void)state;
    static const char text[] = "workers = 2;\0nonsense";
    struct config *config =
        config_parse(bytes_make(text, sizeof text - 1), "f.conf", &(struct config_options){0}, &errors);
    buf_append_char(&errors, '\0');
    assert_null(config);
    assert_string_equal(errors.data, "f.conf:1: holds a zero byte: not a text file\n");
}

static void text_setting_says_what_it_may_hold(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"node = \"a b\";",
         "f.conf:1: node: must be visible ASCII without spaces, quotes and backslashes, e.g. "
         "\"gateway-1\", is \"a b\"\n"},
        {"node = \"0123456789012345678901234567890123456789012345678901234567890123\";",
         "f.conf:1: node: must be at most 63 bytes long, has 64\n"},
        {"listen = { address = \"localhost\"; };", "f.conf:1: listen.address: must be an IPv4 or IPv6 "
                                                   "address, e.g. \"0.0.0.0\", \"::\" or \"127.0.0.1\", is "
                                                   "\"localhost\"\n"},
        {"listen = { address = \"\"; };", "f.conf:1: listen.address: must not be empty\n"},
        {"redis = { prefix = \"{a}\"; };", "f.conf:1: redis.prefix: must be without spaces, control "
                                           "characters, '{' and '}', e.g. \"myapp:\", is "
                                           "\"{a}\"\n"},
        {"hosts = [ \"a\", \"b:80\" ];", "f.conf:1: hosts: must be a host name or address without scheme and "
                                         "port, e.g. \"chat.example.com\", "
                                         "\"*.example.com\" or \"[::1]\", is \"b:80\"\n"},
        {"redis = { prefix = \"_\"; };", "f.conf:1: redis.prefix: must not begin like Redis' own channels, "
                                         "with \"__\", is \"_\"\n"},
        {"redis = { prefix = \"__x:\"; };",
         "f.conf:1: redis.prefix: must not begin like Redis' own channels, "
         "with \"__\", is \"__x:\"\n"},
        {"namespaces = ( { name = \"fantail\"; } );",
         "f.conf:1: namespaces.[0].name: is reserved: channels that begin with \"fantail:\" or \"__\" are "
         "nobody's, is \"fantail\"\n"},
        {"namespaces = ( { name = \"__keyspace@0__\"; } );",
         "f.conf:1: namespaces.[0].name: is reserved: channels that begin with \"fantail:\" or \"__\" are "
         "nobody's, is \"__keyspace@0__\"\n"},
        {"static_dir = \"a\\nb\";", "f.conf:1: static_dir: must be UTF-8 without control characters\n"},
        {"static_dir = \"\xff\";", "f.conf:1: static_dir: must be UTF-8 without control characters\n"},
    };
    REFUSE_ALL(rows);
}

static void short_api_key_is_refused_without_being_repeated(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"admin = { api_key = \"secret\"; };",
         "f.conf:1: admin.api_key: must be at least 16 bytes long, or empty for no API; it has 6. "
         "`openssl rand -hex 24` makes a good one\n"},
        {"admin = { api_key = \"0123456789abcde \"; };",
         "f.conf:1: admin.api_key: must be visible ASCII without spaces\n"},
    };
    REFUSE_ALL(rows);
}

static void redis_url_is_checked_without_being_repeated(void **state) {
    (void)state;
    static const struct {
        const char *url;
        const char *why;
    } rows[] = {
        {"http://:hunter2@example.com", "it has to begin with redis:// or unix://"},
        {"redis://", "the host is missing"},
        {"redis://:hunter2@:6379", "the host is missing"},
        {"redis://:%zz@h", "user or password have a broken %-escape"},
        {"redis://h:0", "the port is not a number from 1 to 65535"},
        {"redis://[::1", "the IPv6 address is not closed by ']'"},
        {"redis://h/one", "the database after the host is not a number"},
        {"unix://redis.sock", "the path of the socket has to be absolute"},
        {"unix:///r.sock?x=1", "after '?' only db=NUMBER is known"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128], expected[256];
        snprintf(text, sizeof text, "redis = { url = \"%s\"; };", rows[i].url);
        snprintf(expected, sizeof expected,
                 "f.conf:1: redis.url: must be redis://[[user]:password@]host[:port][/database] or "
                 "unix:///path/to/socket[?db=database]: %s\n",
                 rows[i].why);
        refuse(text, expected);
    }
    refuse("redis = { url = \"rediss://:hunter2@example.com\"; };",
           "f.conf:1: redis.url: TLS to Redis is not supported yet: use redis:// in a private network, or "
           "through a local TLS tunnel\n");
}

static void redis_url_may_have_these_forms(void **state) {
    (void)state;
    static const char *const urls[] = {
        "redis://h",         "redis://h/",           "redis://h:6380/15",  "redis://user:p@ss:w@h:1",
        "redis://[::1]",     "redis://:p@[::1]:1/2", "unix:///run/r.sock", "redis+unix:///run/r.sock",
        "unix://:p@/r.sock", "unix:///r.sock?db=3",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "redis = { url = \"%s\"; };", urls[i]);
        config_free(accept_text(text));
    }
}

static void list_item_is_refused_with_its_own_line(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"origins = [\n\"https://example.com\",\n\"https://example.com/\" ];",
         "f.conf:3: origins: must be \"*\" or scheme://host[:port] without a path, e.g. "
         "\"https://example.com\" or "
         "\"https://*.example.com\", is \"https://example.com/\"\n"},
        {"trusted_proxies = [\n\"10.0.0.0/33\" ];",
         "f.conf:2: trusted_proxies: must be an address or a network, e.g. \"127.0.0.1\", \"10.0.0.0/8\" or "
         "\"fd00::/8\", is \"10.0.0.0/33\"\n"},
    };
    REFUSE_ALL(rows);
}

static void only_a_network_is_a_trusted_proxy(void **state) {
    (void)state;
    static const char *const refused[] = {"",      "10.0.0.0/", "10.0.0.0/8x", "10.0.0/8", "::/129",
                                          "[::1]", "host/8",    "10.0.0.0/-1", "/8",       "1.2.3.4:80"};
    static const struct {
        const char *text;
        int bits;
    } taken[] = {
        {"10.0.0.0/8", 104},
        {"10.1.2.3", 128},
        {"0.0.0.0/0", 96},
        {"::/0", 0},
        {"fd00::/8", 8},
        {"::1/128", 128},
        {"::ffff:10.0.0.0/104", 104},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "trusted_proxies = [ \"%s\" ];", refused[i]);
        assert_null(parse(text));
    }
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "trusted_proxies = [ \"%s\" ];", taken[i].text);
        struct config *config = accept_text(text);
        assert_int_equal(config->trusted_proxies[0].prefix_bits, taken[i].bits);
        config_free(config);
    }
}

static void namespace_refusals_name_the_namespace(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"namespaces = ( { name = \"a\"; },\n{ } );",
         "f.conf:2: namespaces.[1]: needs a name, e.g. name = \"chat\";\n"},
        {"namespaces = ( { name = \"a b\"; } );",
         "f.conf:1: namespaces.[0].name: must be what stands before the first ':' of its channels: not "
         "empty, "
         "without spaces, control characters, ':', '{' and '}', e.g. \"chat\", is \"a b\"\n"},
        {"namespaces = ( { name = \"\"; } );", "f.conf:1: namespaces.[0].name: must not be empty\n"},
        {"namespaces = ( { name = 7; } );",
         "f.conf:1: namespaces.[0].name: must be a text in double quotes, is 7\n"},
        {"namespaces = ( { name = \"a\"; },\n { name = \"b\"; },\n { name = \"a\"; } );",
         "f.conf:3: namespaces.a: named twice; put all its settings into one group\n"},
        {"namespaces = ( { name = \"a\";\n history_size = 5; } );",
         "f.conf:2: namespaces.a.history_size: history needs a lifetime too, e.g. history_ttl_seconds = "
         "300;\n"},
        {"namespaces = ( { name = \"a\";\n history_ttl_seconds = 5; } );",
         "f.conf:2: namespaces.a.history_ttl_seconds: history needs a size too, e.g. history_size = 100;\n"},
        {"namespaces = ( { name = \"a\"; history_size = 5; history_ttl_seconds = 60;\n position_ttl_seconds "
         "= 59; } );",
         "f.conf:2: namespaces.a.position_ttl_seconds: must be at least history_ttl_seconds (60), is 59\n"},
        {"namespaces = ( { name = \"a\";\n batch_count = 5; } );",
         "f.conf:2: namespaces.a.batch_count: batching needs an end to the wait too, e.g. batch_delay_ms = "
         "250;\n"},
        {"namespaces = ( { name = \"a\";\n batch_bytes = 5; } );",
         "f.conf:2: namespaces.a.batch_bytes: batching needs an end to the wait too, e.g. batch_delay_ms = "
         "250;\n"},
        {"namespaces = ( { name = \"a\"; slow_consumer = \"block\"; } );",
         "f.conf:1: namespaces.a.slow_consumer: must be \"disconnect\", \"drop_oldest\" or \"conflate\", is "
         "\"block\"\n"},
    };
    REFUSE_ALL(rows);
}

static void namespace_name_may_be_any_language(void **state) {
    (void)state;
    struct config *config = accept_text("namespaces = ( { name = \"\xd1\x87\xd0\xb0\xd1\x82\"; } );");
    assert_string_equal(config->namespaces[1].name, "\xd1\x87\xd0\xb0\xd1\x82");
    config_free(config);
}

static void settings_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"broker = \"memory\";\nworkers = 2;",
         "f.conf:2: workers: the memory broker serves one process: use workers = 1, or broker = \"redis\"\n"},
        {"admin = {\n port = 8000; };",
         "f.conf:2: admin.port: clients connect to the same port: admin.port and listen.port must differ\n"},
        {"listen = {\n port = 8001; };",
         "f.conf:2: listen.port: clients connect to the same port: admin.port and listen.port must differ\n"},
        {"listen = { proxy_protocol = true; };", "f.conf:1: listen.proxy_protocol: needs to know from whom, "
                                                 "e.g. trusted_proxies = [ \"10.0.0.0/8\" ];\n"},
        {"redis = { probe_ms = 2500; };",
         "f.conf:1: redis.probe_ms: redis.probe_timeout_ms (2500) must be more than "
         "redis.probe_ms (2500)\n"},
        {"limits = {\n message_bytes = 2097152; };", "f.conf:2: limits.message_bytes: limits.outbox_bytes "
                                                     "(1048576) must be at least limits.message_bytes "
                                                     "(2097152), or the largest message reaches nobody\n"},
        {"limits = {\n outbox_bytes = 2147483648L; };",
         "f.conf:2: limits.outbox_bytes: limits.outbox_total_bytes (1073741824) must be at least "
         "limits.outbox_bytes (2147483648)\n"},
    };
    REFUSE_ALL(rows);
}

static void same_port_on_another_address_is_fine(void **state) {
    (void)state;
    config_free(accept_text("listen = { address = \"192.0.2.1\"; }; admin = { port = 8000; };"));
}

static void every_fault_is_told_not_only_the_first(void **state) {
    (void)state;
    refuse(
        "wrkers = 1;\nlisten = { port = 70000; };\nnamespaces = ( { name = \"a\"; history_size = -1; },\n"
        "{ name = \"a\"; } );\nredis = { probe_ms = 5000; };",
        "f.conf:1: wrkers: unknown setting, did you mean workers?\n"
        "f.conf:2: listen.port: must be a number from 1 to 65535, is 70000\n"
        "f.conf:3: namespaces.a.history_size: must be a number from 0 to 1000000, is -1\n"
        "f.conf:4: namespaces.a: named twice; put all its settings into one group\n"
        "f.conf:5: redis.probe_ms: redis.probe_timeout_ms (2500) must be more than redis.probe_ms (5000)\n");
}

/* What was refused has its default, which must not be held against the others. */
static void refused_value_causes_no_second_fault(void **state) {
    (void)state;
    refuse("listen = { port = \"x\"; };\nadmin = { port = 8000; };",
           "f.conf:1: listen.port: must be a number from 1 to 65535, is \"x\"\n");
    refuse("namespaces = ( { name = \"a\"; history_size = \"x\"; history_ttl_seconds = 5; } );",
           "f.conf:1: namespaces.a.history_size: must be a number from 0 to 1000000, is \"x\"\n");
    refuse(
        "listen = { proxy_protocol = true; }; trusted_proxies = 5;",
        "f.conf:1: trusted_proxies: must be a list of texts, e.g. trusted_proxies = [ \"...\", \"...\" ];\n");
}

static void long_value_is_clipped_in_the_message(void **state) {
    (void)state;
    refuse("broker = \"0123456789012345678901234567890123456789012345678901234567890\";",
           "f.conf:1: broker: must be \"memory\" or \"redis\", is "
           "\"012345678901234567890123456789012345678901234567890123456789...\"\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(value_of_the_wrong_type_is_refused_with_its_line),
        CONFIG_TEST(number_out_of_range_is_refused),
        CONFIG_TEST(unknown_setting_is_refused_with_a_guess),
        CONFIG_TEST(broken_form_is_refused_with_its_line),
        CONFIG_TEST(zero_byte_is_refused),
        CONFIG_TEST(text_setting_says_what_it_may_hold),
        CONFIG_TEST(short_api_key_is_refused_without_being_repeated),
        CONFIG_TEST(redis_url_is_checked_without_being_repeated),
        CONFIG_TEST(redis_url_may_have_these_forms),
        CONFIG_TEST(list_item_is_refused_with_its_own_line),
        CONFIG_TEST(only_a_network_is_a_trusted_proxy),
        CONFIG_TEST(namespace_refusals_name_the_namespace),
        CONFIG_TEST(namespace_name_may_be_any_language),
        CONFIG_TEST(settings_that_contradict_each_other_are_refused),
        CONFIG_TEST(same_port_on_another_address_is_fine),
        CONFIG_TEST(every_fault_is_told_not_only_the_first),
        CONFIG_TEST(refused_value_causes_no_second_fault),
        CONFIG_TEST(long_value_is_clipped_in_the_message),
    };
    return cmocka_run_group_tests_name("config_refusals", tests, NULL, NULL);
}

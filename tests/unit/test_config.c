#include "tests/unit/config_case.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address.h"
#include "gateway/config/settings.h"

/* ---- defaults ---- */

static void empty_text_means_all_defaults(void **state) {
    (void)state;
    struct config *config = accept_text("");
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    assert_int_equal(config->workers, 0);
    assert_string_equal(config->node, host);
    assert_int_equal(config->broker, BROKER_REDIS);
    assert_int_equal(config->drain_seconds, 10);
    assert_string_equal(config->listen.address, "0.0.0.0");
    assert_int_equal(config->listen.port, 8000);
    assert_false(config->listen.proxy_protocol);
    assert_string_equal(config->admin.address, "127.0.0.1");
    assert_int_equal(config->admin.port, 8001);
    assert_string_equal(config->admin.api_key, "");
    assert_string_equal(config->redis.url, "redis://127.0.0.1:6379/0");
    assert_string_equal(config->redis.prefix, "");
    assert_int_equal(config->redis.linger_ms, 5000);
    assert_int_equal(config->redis.probe_ms, 1000);
    assert_int_equal(config->redis.probe_timeout_ms, 2500);
    assert_int_equal(config->ping.interval_seconds, 25);
    assert_int_equal(config->ping.timeout_seconds, 10);
    assert_int_equal(config->log.level, LOG_LEVEL_INFO);
    assert_int_equal(config->log.format, LOG_FORMAT_TEXT);
    assert_string_equal(config->static_dir, "");
    assert_int_equal(config->origin_count, 0);
    assert_int_equal(config->trusted_proxy_count, 0);
    config_free(config);
}

static void empty_text_means_the_default_limits(void **state) {
    (void)state;
    struct config *config = accept_text("");
    const struct limits_config *limits = &config->limits;
    assert_int_equal(limits->connections, 100000);
    assert_int_equal(limits->connections_per_ip, 0);
    assert_int_equal(limits->accepts_per_second, 0);
    assert_int_equal(limits->channels_per_session, 128);
    assert_int_equal(limits->message_bytes, 65536);
    assert_int_equal(limits->outbox_bytes, 1048576);
    assert_int_equal(limits->outbox_messages, 10000);
    assert_int_equal(limits->outbox_total_bytes, 1073741824);
    assert_int_equal(limits->handshake_seconds, 10);
    assert_int_equal(limits->idle_seconds, 0);
    assert_int_equal(limits->publishes_per_second, 0);
    config_free(config);
}

static void default_namespace_is_always_there(void **state) {
    (void)state;
    struct config *config = accept_text("");
    assert_int_equal(config->namespace_count, 1);
    const struct namespace_config *space = &config->namespaces[0];
    assert_string_equal(space->name, "default");
    assert_false(space->client_publish);
    assert_int_equal(space->history_size, 0);
    assert_int_equal(space->history_ttl_seconds, 0);
    assert_int_equal(space->position_ttl_seconds, 604800);
    assert_int_equal(space->slow_consumer, SLOW_DISCONNECT);
    assert_int_equal(space->batch_count, 0);
    assert_int_equal(space->batch_bytes, 0);
    assert_int_equal(space->batch_delay_ms, 0);
    config_free(config);
}

typedef void look_at(const char *list, const char *path, const char *text);

/* Those of groups too; `list` is where the groups are, and NULL otherwise. */
static void for_each_setting(look_at *look, const char *text) {
    for (size_t i = 0; i < config_settings.count; i++) {
        const struct setting *setting = &config_settings.items[i];
        look(NULL, setting->path, text);
        for (size_t j = 0; setting_is_list_of_groups(setting) && j < setting->item->settings->count; j++)
            look(setting->path, setting->item->settings->items[j].path, text);
    }
}

static void expect_assignment(const char *list, const char *path, const char *text) {
    const char *dot = strrchr(path, '.');
    bool is_indented = dot != NULL || list != NULL;
    char assignment[80];
    snprintf(assignment, sizeof assignment, " %s = ", dot ? dot + 1 : path);
    if (strstr(text, assignment + !is_indented) == NULL)
        fail_msg("%s is missing", path);
}

static void example_file_holds_every_setting_with_its_default(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    assert_true(config_load_file(SOURCE_DIR "/deploy/fantail.example.conf", &text, &errors));
    buf_append_char(&text, '\0');
    struct config *shipped = accept_text(text.data);
    struct config *defaults = accept_text("");
    for (size_t i = 0; i < config_settings.count; i++) {
        const struct setting *setting = &config_settings.items[i];
        if (!setting->type->is_equal(setting, shipped, defaults))
            fail_msg("%s differs from its default", setting->path);
    }
    for_each_setting(expect_assignment, text.data);
    config_free(shipped);
    config_free(defaults);
    buf_finish(&text);
}

static void expect_row(const char *list, const char *path, const char *text) {
    char row[80];
    snprintf(row, sizeof row, "\n| `%s%s%s` |", list ? list : "", list ? "." : "", path);
    if (strstr(text, row) == NULL)
        fail_msg("no row%s", row);
}

static void guide_for_operators_has_a_row_per_setting(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    assert_true(config_load_file(SOURCE_DIR "/docs/OPERATIONS.md", &text, &errors));
    buf_append_char(&text, '\0');
    for_each_setting(expect_row, text.data);
    buf_finish(&text);
}

static void file_of_the_compose_cluster_is_fine(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    assert_true(config_load_file(SOURCE_DIR "/deploy/fantail.conf", &text, &errors));
    buf_append_char(&text, '\0');
    config_free(accept_text(text.data));
    buf_finish(&text);
}

/* ---- the file ---- */

static void file_sets_every_kind_of_setting(void **state) {
    (void)state;
    struct config *config =
        accept_text("workers = 3; node = \"n1\"; drain_seconds = 0;\n"
                    "listen: { address = \"::1\"; port = 0x1F40; };\n"
                    "admin = { api_key = \"0123456789abcdef\"; };\n"
                    "redis = { url = \"unix:///run/redis.sock?db=2\"; prefix = \"app:\"; };\n"
                    "log = { level = \"debug\"; format = \"json\"; };\n"
                    "static_dir = \"/srv/www\";\n"
                    "origins = [ \"https://example.com\", \"https://*.example.org:8443\" ];\n"
                    "trusted_proxies = ( \"10.0.0.0/8\", \"::1\" );\n");
    assert_int_equal(config->workers, 3);
    assert_string_equal(config->node, "n1");
    assert_int_equal(config->drain_seconds, 0);
    assert_string_equal(config->listen.address, "::1");
    assert_int_equal(config->listen.port, 8000);
    assert_string_equal(config->admin.api_key, "0123456789abcdef");
    assert_string_equal(config->redis.url, "unix:///run/redis.sock?db=2");
    assert_string_equal(config->redis.prefix, "app:");
    assert_int_equal(config->log.level, LOG_LEVEL_DEBUG);
    assert_int_equal(config->log.format, LOG_FORMAT_JSON);
    assert_string_equal(config->static_dir, "/srv/www");
    assert_int_equal(config->origin_count, 2);
    assert_string_equal(config->origins[1], "https://*.example.org:8443");
    assert_int_equal(config->trusted_proxy_count, 2);
    assert_int_equal(config->trusted_proxies[0].prefix_bits, 104);
    assert_int_equal(config->trusted_proxies[1].prefix_bits, 128);
    config_free(config);
}

static void number_of_64_bits_is_taken_with_and_without_its_suffix(void **state) {
    (void)state;
    static const struct {
        const char *number;
        uint64_t value;
    } rows[] = {
        {"8589934592L", 8589934592u},  {"8589934592", 8589934592u},    {"8589934592LL", 8589934592u},
        {"4294967297", 4294967297u},   {"3000000000", 3000000000u},    {"0xFFFFFFFF", 0xFFFFFFFFu},
        {"0x1FFFFFFFF", 0x1FFFFFFFFu}, {"0x100000001L", 0x100000001u}, {"1073741824", 1073741824u},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "limits = { outbox_bytes = 1048576L; outbox_total_bytes = %s; };",
                 rows[i].number);
        struct config *config = accept_text(text);
        assert_int_equal(config->limits.outbox_total_bytes, rows[i].value);
        assert_int_equal(config->limits.outbox_bytes, 1048576);
        config_free(config);
    }
}

/* libconfig 1.5 reads each as a small number. */
static void number_too_large_is_not_cut_to_a_small_one(void **state) {
    (void)state;
    refuse("workers = 4294967297;", "f.conf:1: workers: must be a number from 0 to 1024, is 4294967297\n");
    refuse("workers = 99999999999999999999;",
           "f.conf:1: workers: must be a number from 0 to 1024, is 9223372036854775807\n");
    assert_null(parse("workers = 0x100000001;"));
}

static void long_digits_in_texts_comments_and_names_stay_as_they_are(void **state) {
    (void)state;
    struct config *config = accept_text("# 99999999999\n// 99999999999\n/* 99999999999 \" */\n"
                                        "node = \"\\x6e99999999999\"; static_dir = \"\\\" 99999999999\";");
    assert_string_equal(config->node, "n99999999999");
    assert_string_equal(config->static_dir, "\" 99999999999");
    config_free(config);
    refuse("worker99999999999 = 1;",
           "f.conf:1: worker99999999999: unknown setting; fantail --help-settings lists those there are\n");
    refuse("workers = 1.99999999999;",
           "f.conf:1: workers: must be a number from 0 to 1024, is a number with a fraction\n");
}

static void namespaces_begin_with_the_default_one(void **state) {
    (void)state;
    struct config *config = accept_text(
        "namespaces = ( { name = \"chat\"; client_publish = true; history_size = 100;\n"
        "  history_ttl_seconds = 300; slow_consumer = \"drop_oldest\"; },\n"
        "  { name = \"ticker\"; slow_consumer = \"conflate\"; batch_delay_ms = 250; batch_count = 9; },\n"
        "  { name = \"default\"; client_publish = true; } );");
    assert_int_equal(config->namespace_count, 3);
    assert_string_equal(config->namespaces[0].name, "default");
    assert_true(config->namespaces[0].client_publish);
    assert_string_equal(config->namespaces[1].name, "chat");
    assert_int_equal(config->namespaces[1].history_size, 100);
    assert_int_equal(config->namespaces[1].slow_consumer, SLOW_DROP_OLDEST);
    assert_string_equal(config->namespaces[2].name, "ticker");
    assert_false(config->namespaces[2].client_publish);
    assert_int_equal(config->namespaces[2].batch_count, 9);
    config_free(config);
}

static void memory_broker_runs_one_worker(void **state) {
    (void)state;
    struct config *config = accept_text("broker = \"memory\";");
    assert_int_equal(config->workers, 1);
    config_free(config);
}

/* ---- the environment ---- */

static void environment_overrides_the_file(void **state) {
    (void)state;
    static const char *const environment[] = {
        "PATH=/bin",
        "FANTAIL_WORKERS=2",
        "FANTAIL_NODE=n7",
        "FANTAIL_LISTEN_PORT=9000",
        "FANTAIL_LISTEN_PROXY_PROTOCOL=yes",
        "FANTAIL_LIMITS_MESSAGE_BYTES=1000",
        "FANTAIL_LIMITS_OUTBOX_TOTAL_BYTES=8589934592",
        "FANTAIL_LOG_LEVEL=warn",
        "FANTAIL_REDIS_URL=redis://other:6379",
        "FANTAIL_ORIGINS=https://a.example, https://*.b.example",
        "FANTAIL_TRUSTED_PROXIES=10.0.0.0/8",
        NULL,
    };
    struct config *config = accept_environment("workers = 9; limits = { message_bytes = 5; };\n"
                                               "origins = [ \"https://file.example\" ];\n"
                                               "trusted_proxies = [ \"::1\", \"::2\" ];",
                                               environment);
    assert_int_equal(config->workers, 2);
    assert_string_equal(config->node, "n7");
    assert_int_equal(config->listen.port, 9000);
    assert_true(config->listen.proxy_protocol);
    assert_int_equal(config->limits.message_bytes, 1000);
    assert_int_equal(config->limits.outbox_total_bytes, 8589934592u);
    assert_int_equal(config->log.level, LOG_LEVEL_WARN);
    assert_string_equal(config->redis.url, "redis://other:6379");
    assert_int_equal(config->origin_count, 2);
    assert_string_equal(config->origins[0], "https://a.example");
    assert_string_equal(config->origins[1], "https://*.b.example");
    assert_int_equal(config->trusted_proxy_count, 1);
    assert_int_equal(config->trusted_proxies[0].prefix_bits, 104);
    config_free(config);
}

static void environment_booleans_have_many_names(void **state) {
    (void)state;
    static const char *const names[] = {"true", "1", "yes", "on", "TRUE", "false", "0", "no", "off", "No"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char variable[64];
        const char *environment[] = {variable, "FANTAIL_TRUSTED_PROXIES=::1", NULL};
        snprintf(variable, sizeof variable, "FANTAIL_LISTEN_PROXY_PROTOCOL=%s", names[i]);
        struct config *config = accept_environment("", environment);
        assert_int_equal(config->listen.proxy_protocol, i < 5);
        config_free(config);
    }
}

static void empty_variable_sets_texts_only(void **state) {
    (void)state;
    static const char *const environment[] = {
        "FANTAIL_REDIS_PREFIX=",
        "FANTAIL_WORKERS=",
        "FANTAIL_BROKER=",
        "FANTAIL_ORIGINS=",
        "FANTAIL_LISTEN_PROXY_PROTOCOL=",
        NULL,
    };
    struct config *config =
        accept_environment("workers = 2; redis = { prefix = \"a:\"; }; origins = [ \"*\" ];", environment);
    assert_int_equal(config->workers, 2);
    assert_string_equal(config->redis.prefix, "");
    assert_int_equal(config->origin_count, 1);
    config_free(config);
}

static void environment_is_checked_like_the_file(void **state) {
    (void)state;
    static const struct {
        const char *variable;
        const char *expected;
    } rows[] = {
        {"FANTAIL_WORKERS=two", "FANTAIL_WORKERS: must be a number from 0 to 1024, is \"two\"\n"},
        {"FANTAIL_WORKERS=-1", "FANTAIL_WORKERS: must be a number from 0 to 1024, is \"-1\"\n"},
        {"FANTAIL_WORKERS=99999999999999999999",
         "FANTAIL_WORKERS: must be a number from 0 to 1024, is \"99999999999999999999\"\n"},
        {"FANTAIL_LISTEN_PROXY_PROTOCOL=maybe",
         "FANTAIL_LISTEN_PROXY_PROTOCOL: must be true or false, is \"maybe\"\n"},
        {"FANTAIL_BROKER=kafka", "FANTAIL_BROKER: must be \"memory\" or \"redis\", is \"kafka\"\n"},
        {"FANTAIL_ORIGINS=https://a.example,b.example",
         "FANTAIL_ORIGINS: must be \"*\" or scheme://host[:port] without a path, e.g. "
         "\"https://example.com\" or "
         "\"https://*.example.com\", is \"b.example\"\n"},
        {"FANTAIL_REDIS_URL=", "FANTAIL_REDIS_URL: must not be empty\n"},
        {"FANTAIL_ADMIN_API_KEY=hunter2",
         "FANTAIL_ADMIN_API_KEY: must be at least 16 bytes long, or empty for no API; it has 7. "
         "`openssl rand -hex 24` makes a good one\n"},
        {"FANTAIL_LISTEN_PORT=8001", "FANTAIL_LISTEN_PORT: clients connect to the same port: admin.port and "
                                     "listen.port must differ\n"},
        {"FANTAIL_NAMESPACES=chat",
         "FANTAIL_NAMESPACES: is not a single value: namespaces are set in the file\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        refuse_environment("", rows[i].variable, rows[i].expected);
}

static void mistyped_variable_of_a_group_is_refused(void **state) {
    (void)state;
    refuse_environment(
        "", "FANTAIL_LIMITS_MESSAGES_BYTES=5",
        "FANTAIL_LIMITS_MESSAGES_BYTES: unknown setting, did you mean FANTAIL_LIMITS_MESSAGE_BYTES?\n");
    refuse_environment(
        "", "FANTAIL_LIMITS_MESSAGES=5",
        "FANTAIL_LIMITS_MESSAGES: unknown setting; fantail --help-settings lists those there are\n");
}

static void warnings_are(const char *variable, const char *expected) {
    struct buf warnings;
    const char *environment[] = {variable, "OTHER=1", NULL};
    buf_init(&warnings, 0);
    config_free(accept_with(
        "", &(struct config_options){.environment = (char *const *)environment, .warnings = &warnings}));
    buf_append_char(&warnings, '\0');
    assert_string_equal(warnings.data, expected);
    buf_finish(&warnings);
}

static void variable_that_is_nobodys_is_named(void **state) {
    (void)state;
    warnings_are("FANTAIL_LISTNE_PORT=3",
                 "FANTAIL_LISTNE_PORT: unknown setting, did you mean FANTAIL_LISTEN_PORT?\n");
    warnings_are("FANTAIL_WORKER=3", "FANTAIL_WORKER: unknown setting, did you mean FANTAIL_WORKERS?\n");
    warnings_are("FANTAIL_REDISURL=x",
                 "FANTAIL_REDISURL: unknown setting, did you mean FANTAIL_REDIS_URL?\n");
    warnings_are("FANTAIL_listen_port=3",
                 "FANTAIL_listen_port: unknown setting, did you mean FANTAIL_LISTEN_PORT?\n");
    warnings_are("FANTAIL_VERSION=1",
                 "FANTAIL_VERSION: unknown setting; fantail --help-settings lists those there are\n");
    warnings_are("FANTAIL_=1", "FANTAIL_: unknown setting; fantail --help-settings lists those there are\n");
    warnings_are("FANTAIL_REDIS_SERVICE_HOST=10.0.0.1", "");
    warnings_are("FANTAIL_WORKERS=2", "");
    warnings_are("FANTAILED=1", "");
}

/* Whether a warning begins so. */
static void exposes(const char *text, const char *expected) {
    struct buf warnings;
    struct config *config = accept_text(text);
    buf_init(&warnings, 0);
    buf_append_char(&warnings, '\n');
    config_warn_of_exposure(config, &warnings);
    buf_append_char(&warnings, '\0');
    char line[128];
    snprintf(line, sizeof line, "\n%s", expected);
    if (strstr(warnings.data, line) == NULL)
        fail_msg("%s: %s", text, warnings.data);
    buf_finish(&warnings);
    config_free(config);
}

static void what_is_open_is_told(void **state) {
    (void)state;
    exposes("origins = [ \"https://a.example\", \"*\" ];", "origins: \"*\"");
    exposes("", "hosts: empty");
    exposes("", "redis.prefix: empty, so clients can subscribe to");
    exposes("namespaces = ( { name = \"default\"; client_publish = true; } );",
            "redis.prefix: empty, so clients can subscribe and publish to");
    exposes("namespaces = ( { name = \"a\"; client_publish = true; }, { name = \"b\"; client_publish = true; "
            "} );",
            "namespaces: client_publish lets whoever may connect publish to a, b, as often as they like");
    exposes(
        "namespaces = ( { name = \"a\"; client_publish = true; } ); limits = { publishes_per_second = 5; };",
        "namespaces: client_publish lets whoever may connect publish to a\n");
    exposes("", "limits: without connections_per_ip");
    exposes("admin = { address = \"0.0.0.0\"; };", "admin.address: 0.0.0.0, so health and metrics answer");
    exposes("trusted_proxies = [ \"0.0.0.0/0\" ];", "trusted_proxies: holds every address");
    exposes("trusted_proxies = [ \"::/0\" ];", "trusted_proxies: holds every address");
}

static void what_is_closed_is_not_told(void **state) {
    (void)state;
    struct buf warnings;
    struct config *config =
        accept_text("hosts = [ \"chat.example.com\" ]; redis = { prefix = \"app:\"; }; limits = { "
                    "accepts_per_second = 100; };\n"
                    "admin = { address = \"::1\"; }; trusted_proxies = [ \"10.0.0.0/8\", \"fd00::/8\" ];\n"
                    "origins = [ \"https://*.example.com\" ];");
    buf_init(&warnings, 0);
    config_warn_of_exposure(config, &warnings);
    assert_int_equal(warnings.len, 0);
    config_free(config);
}

static void static_dir_has_to_be_there_where_files_are_checked(void **state) {
    (void)state;
    static const struct config_options options = {.checks_files = true};
    config_free(accept_with("static_dir = \"/usr\";", &options));
    config_free(accept_with("", &options));
    config_free(accept_text("static_dir = \"/nonexistent\";"));
    assert_null(parse_with("\nstatic_dir = \"/nonexistent\";", &options));
    assert_string_equal(errors.data, "f.conf:2: static_dir: /nonexistent: No such file or directory\n");
    assert_null(parse_with("static_dir = \"/dev/null\";", &options));
    assert_string_equal(errors.data, "f.conf:1: static_dir: /dev/null: Not a directory\n");
}

static void variables_of_others_are_left_alone(void **state) {
    (void)state;
    static const char *const environment[] = {
        "FANTAIL_VERSION=1",
        "FANTAIL_REDIS_SERVICE_HOST=10.0.0.1",
        "FANTAIL_REDIS_SERVICE_PORT=6379",
        "FANTAIL_REDIS_PORT=tcp://10.0.0.1:6379",
        "FANTAIL_REDIS_PORT_6379_TCP_ADDR=10.0.0.1",
        "FANTAIL_LIMITS_NOTHING",
        NULL,
    };
    config_free(accept_environment("", environment));
}

static void service_of_kubernetes_in_the_way_is_explained(void **state) {
    (void)state;
    refuse_environment("", "FANTAIL_ADMIN_PORT=tcp://10.0.0.1:8001",
                       "FANTAIL_ADMIN_PORT: must be a number from 1 to 65535, is \"tcp://10.0.0.1:8001\". "
                       "Kubernetes sets this variable for a Service of that name: rename the Service, or set "
                       "enableServiceLinks: false in the pod\n");
}

/* ---- --dev ---- */

static void dev_opens_what_a_first_try_needs(void **state) {
    (void)state;
    struct config *config = accept_with("namespaces = ( { name = \"chat\"; } );",
                                        &(struct config_options){.dev = true, .dev_static_dir = "/srv/demo"});
    assert_int_equal(config->broker, BROKER_MEMORY);
    assert_int_equal(config->workers, 1);
    assert_int_equal(config->origin_count, 1);
    assert_string_equal(config->origins[0], "*");
    assert_string_equal(config->static_dir, "/srv/demo");
    assert_true(config->namespaces[0].client_publish);
    assert_true(config->namespaces[1].client_publish);
    config_free(config);
}

static void dev_keeps_what_is_said_on_the_demo_pages(void **state) {
    (void)state;
    struct config *config = accept_with("", &(struct config_options){.dev = true});
    assert_int_equal(config->namespace_count, 3);
    assert_string_equal(config->namespaces[0].name, "default");
    assert_int_equal(config->namespaces[0].history_size, 0);
    for (uint32_t i = 1; i < 3; i++) {
        assert_true(config->namespaces[i].client_publish);
        assert_true(config->namespaces[i].history_size > 0);
    }
    config_free(config);
}

static void dev_uses_redis_where_redis_is_named(void **state) {
    (void)state;
    static const char *const environment[] = {"FANTAIL_REDIS_URL=redis://127.0.0.1", NULL};
    static const char *const texts[] = {"redis = { url = \"redis://127.0.0.1\"; };", "broker = \"redis\";"};
    struct config *config =
        accept_with("", &(struct config_options){.dev = true, .environment = (char *const *)environment});
    assert_int_equal(config->broker, BROKER_REDIS);
    config_free(config);
    for (size_t i = 0; i < 2; i++) {
        config = accept_with(texts[i], &(struct config_options){.dev = true});
        assert_int_equal(config->broker, BROKER_REDIS);
        config_free(config);
    }
}

static void dev_leaves_what_the_file_says(void **state) {
    (void)state;
    struct config *config = accept_with("origins = [ \"https://a.example\" ]; static_dir = \"/own\";\n"
                                        "namespaces = ( { name = \"default\"; client_publish = false; } );",
                                        &(struct config_options){.dev = true, .dev_static_dir = "/srv/demo"});
    assert_int_equal(config->origin_count, 1);
    assert_string_equal(config->origins[0], "https://a.example");
    assert_string_equal(config->static_dir, "/own");
    assert_false(config->namespaces[0].client_publish);
    assert_int_equal(config->namespace_count, 1);
    config_free(config);
}

/* ---- reload ---- */

static void needs_restart_for(const char *text, const char *expected) {
    struct config *running = accept_text("");
    struct config *fresh = accept_text(text);
    const char *path = config_needs_restart(running, fresh);
    if (expected == NULL) {
        assert_null(path);
        assert_false(settings_are_equal(&config_settings, running, fresh));
    } else {
        assert_non_null(path);
        assert_string_equal(path, expected);
    }
    config_free(running);
    config_free(fresh);
}

static void namespaces_limits_origins_and_log_level_reload(void **state) {
    (void)state;
    needs_restart_for("namespaces = ( { name = \"chat\"; } );", NULL);
    needs_restart_for("namespaces = ( { name = \"default\"; client_publish = true; } );", NULL);
    needs_restart_for("limits = { message_bytes = 5; };", NULL);
    needs_restart_for("origins = [ \"*\" ];", NULL);
    needs_restart_for("log = { level = \"debug\"; };", NULL);
}

static void everything_else_needs_a_restart(void **state) {
    (void)state;
    needs_restart_for("workers = 4;", "workers");
    needs_restart_for("node = \"n9\";", "node");
    needs_restart_for("broker = \"memory\";", "workers");
    needs_restart_for("listen = { port = 9000; };", "listen.port");
    needs_restart_for("admin = { api_key = \"0123456789abcdef\"; };", "admin.api_key");
    needs_restart_for("redis = { url = \"redis://h\"; };", "redis.url");
    needs_restart_for("ping = { interval_seconds = 1; };", "ping.interval_seconds");
    needs_restart_for("log = { format = \"json\"; };", "log.format");
    needs_restart_for("static_dir = \"/x\";", "static_dir");
    needs_restart_for("trusted_proxies = [ \"::1\" ];", "trusted_proxies");
}

/* Everything that needs one, of each kind, is as it was; the rest is new. */
static void what_needs_a_restart_stays_as_it_is(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "node = \"n9\"; listen = { port = 9000; proxy_protocol = true; }; ping = { interval_seconds = 1; };\n"
        "log = { format = \"json\"; }; trusted_proxies = [ \"::1\", \"10.0.0.0/8\" ]; static_dir = \"/x\";\n"
        "limits = { message_bytes = 5; }; origins = [ \"*\" ];",
    };
    for (int i = 0; i < 2; i++) {
        struct config *running = accept_text(texts[i]);
        struct config *fresh = accept_text(texts[!i]);
        struct config *expected = accept_text(texts[!i]);
        config_keep_fixed(fresh, running);
        assert_null(config_needs_restart(running, fresh));
        assert_int_equal(fresh->ping.interval_seconds, running->ping.interval_seconds);
        assert_int_equal(fresh->limits.message_bytes, expected->limits.message_bytes);
        assert_int_equal(fresh->origin_count, expected->origin_count);
        config_free(running);
        config_free(expected);
        assert_int_equal(fresh->trusted_proxy_count, i == 0 ? 0 : 2);
        config_free(fresh);
    }
}

static void same_text_needs_no_restart(void **state) {
    (void)state;
    static const char text[] = "trusted_proxies = [ \"::1\", \"10.0.0.0/8\" ]; origins = [ \"*\" ];";
    struct config *a = accept_text(text);
    struct config *b = accept_text(text);
    assert_null(config_needs_restart(a, b));
    assert_true(settings_are_equal(&config_settings, a, b));
    config_free(a);
    config_free(b);
}

/* ---- the rest ---- */

static void network_contains_by_its_leading_bits(void **state) {
    (void)state;
    static const struct {
        const char *network;
        const char *address;
        bool contains;
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/8", "::1", false},
        {"0.0.0.0/0", "192.0.2.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "192.0.2.1", true},
        {"192.168.4.0/22", "192.168.7.9", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/7", "fc00::1", true},
        {"fd00::/7", "fe00::1", false},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"10.1.2.3/8", "10.9.9.9", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct network network;
        uint8_t address[ADDRESS_BYTES];
        assert_true(check_network(bytes_of(rows[i].network), &network, &errors));
        assert_true(address_parse(bytes_of(rows[i].address), address));
        assert_int_equal(network_contains(&network, address), rows[i].contains);
    }
}

static void file_that_cannot_be_read_is_told(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 0);
    assert_false(config_load_file("/nonexistent/fantail.conf", &text, &errors));
    assert_false(config_load_file("/", &text, &errors));
    buf_append_char(&errors, '\0');
    assert_string_equal(errors.data, "/nonexistent/fantail.conf: cannot be read: No such file or directory\n"
                                     "/: cannot be read: Is a directory\n");
    buf_finish(&text);
}

static void file_of_more_than_a_mebibyte_is_refused(void **state) {
    (void)state;
    char path[] = "/tmp/test_config_XXXXXX";
    int fd = mkstemp(path);
    struct buf text;
    buf_init(&text, 0);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    assert_true(config_load_file(path, &text, &errors));
    assert_int_equal(text.len, 1 << 20);
    assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
    buf_clear(&text);
    assert_false(config_load_file(path, &text, &errors));
    buf_append_char(&errors, '\0');
    assert_non_null(strstr(errors.data, ": is larger than 1048576 bytes"));
    close(fd);
    unlink(path);
    buf_finish(&text);
}

static void expect_help(const char *list, const char *path, const char *text) {
    char line[80];
    snprintf(line, sizeof line, "\n%s%s%s = ", list ? list : "", list ? "." : "", path);
    assert_non_null(strstr(text, line));
}

static void printed_settings_tell_default_type_variable_and_purpose(void **state) {
    (void)state;
    char *printed = NULL;
    size_t len;
    FILE *out = open_memstream(&printed, &len);
    config_print_settings(out);
    fclose(out);
    assert_non_null(strstr(printed, "\nlimits.message_bytes = 65536\n"
                                    "    (number from 1 to 67108864; FANTAIL_LIMITS_MESSAGE_BYTES; reload)\n"
                                    "    The largest message a client may publish.\n"));
    assert_non_null(
        strstr(printed, "\nbroker = \"redis\"\n    (\"memory\", \"redis\"; FANTAIL_BROKER; restart)\n"));
    assert_non_null(strstr(printed, "\nnamespaces.slow_consumer = \"disconnect\"\n"));
    for_each_setting(expect_help, printed);
    for (char *line = strtok(printed, "\n"); line != NULL; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 110);
    free(printed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(empty_text_means_all_defaults),
        CONFIG_TEST(empty_text_means_the_default_limits),
        CONFIG_TEST(default_namespace_is_always_there),
        CONFIG_TEST(example_file_holds_every_setting_with_its_default),
        CONFIG_TEST(guide_for_operators_has_a_row_per_setting),
        CONFIG_TEST(file_of_the_compose_cluster_is_fine),
        CONFIG_TEST(file_sets_every_kind_of_setting),
        CONFIG_TEST(number_of_64_bits_is_taken_with_and_without_its_suffix),
        CONFIG_TEST(number_too_large_is_not_cut_to_a_small_one),
        CONFIG_TEST(long_digits_in_texts_comments_and_names_stay_as_they_are),
        CONFIG_TEST(namespaces_begin_with_the_default_one),
        CONFIG_TEST(memory_broker_runs_one_worker),
        CONFIG_TEST(environment_overrides_the_file),
        CONFIG_TEST(environment_booleans_have_many_names),
        CONFIG_TEST(empty_variable_sets_texts_only),
        CONFIG_TEST(environment_is_checked_like_the_file),
        CONFIG_TEST(mistyped_variable_of_a_group_is_refused),
        CONFIG_TEST(variables_of_others_are_left_alone),
        CONFIG_TEST(variable_that_is_nobodys_is_named),
        CONFIG_TEST(what_is_open_is_told),
        CONFIG_TEST(what_is_closed_is_not_told),
        CONFIG_TEST(static_dir_has_to_be_there_where_files_are_checked),
        CONFIG_TEST(service_of_kubernetes_in_the_way_is_explained),
        CONFIG_TEST(dev_opens_what_a_first_try_needs),
        CONFIG_TEST(dev_keeps_what_is_said_on_the_demo_pages),
        CONFIG_TEST(dev_uses_redis_where_redis_is_named),
        CONFIG_TEST(dev_leaves_what_the_file_says),
        CONFIG_TEST(namespaces_limits_origins_and_log_level_reload),
        CONFIG_TEST(everything_else_needs_a_restart),
        CONFIG_TEST(what_needs_a_restart_stays_as_it_is),
        CONFIG_TEST(same_text_needs_no_restart),
        CONFIG_TEST(network_contains_by_its_leading_bits),
        CONFIG_TEST(file_that_cannot_be_read_is_told),
        CONFIG_TEST(file_of_more_than_a_mebibyte_is_refused),
        CONFIG_TEST(printed_settings_tell_default_type_variable_and_purpose),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}

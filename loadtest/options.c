#include "loadtest/options.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/text.h"
#include "loadtest/help.h"
#include "loadtest/payload.h"
#include "loadtest/peer.h"

enum {
    DESCRIPTORS_KEPT = 100, /* For files, pipes and the links of the publisher. */
    /* Linux gives one source 28,232 ports towards a destination, but once every other one is taken, which is what it
     * tries first, the search for a free one takes longer than the whole rest of a connect. */
    CONNECTIONS_PER_SOURCE = 12000,
};

/* How a value of the command line is read into the member at `offset`. */
enum value_kind {
    VALUE_U32,
    VALUE_REAL,
    VALUE_TEXT,
    VALUE_ENDPOINT, /* `min` is its default port. */
    VALUE_SPECIAL,  /* read_special() knows. */
    VALUE_YES,      /* From here on without an argument. */
    VALUE_NO,
    VALUE_SHOWN, /* Printed; the process ends. */
};

struct setting {
    const char *name;
    char letter; /* Short form; 0: none. */
    enum value_kind kind;
    size_t offset;
    double min;
    double max;
};

#define AT(member) offsetof(struct options, member)

static const struct setting settings[] = {
    {"subscribers", 'n', VALUE_U32, AT(subscribers), 1, 10000000},
    {"channels", 'c', VALUE_U32, AT(channels), 1, PAYLOAD_CHANNELS_MAX},
    {"channels-per-subscriber", 0, VALUE_U32, AT(channels_per_subscriber), 1, 1024},
    {"prefix", 0, VALUE_TEXT, AT(prefix), 0, 0},
    {"transports", 0, VALUE_SPECIAL, 0, 0, 0},
    {"deflate", 0, VALUE_YES, AT(deflate), 0, 0},
    {"browser-headers", 0, VALUE_YES, AT(browser_headers), 0, 0},
    {"url", 0, VALUE_ENDPOINT, AT(server), 8000, 0},
    {"redis", 0, VALUE_ENDPOINT, AT(redis), 6379, 0},
    {"admin", 0, VALUE_ENDPOINT, AT(admin), 8001, 0},
    {"api-key", 0, VALUE_TEXT, AT(api_key), 0, 0},
    {"peer", 0, VALUE_SPECIAL, 0, 0, 0},
    {"via", 0, VALUE_SPECIAL, 0, 0, 0},
    {"publishers", 0, VALUE_U32, AT(publishers), 1, PAYLOAD_PUBLISHERS_MAX},
    {"rate", 'r', VALUE_REAL, AT(rate), 0, 1e7},
    {"window", 'w', VALUE_U32, AT(window), 0, PAYLOAD_SLOTS_MAX},
    {"payload", 0, VALUE_U32, AT(payload_bytes), PAYLOAD_BYTES_MIN, 1 << 20},
    {"random", 0, VALUE_YES, AT(random_channel), 0, 0},
    {"connecting", 0, VALUE_U32, AT(connecting), 1, 100000},
    {"processes", 0, VALUE_U32, AT(processes), 1, 1024},
    {"source-addresses", 0, VALUE_U32, AT(source_addresses), 1, 65000},
    {"settle", 0, VALUE_REAL, AT(settle_seconds), 0, 3600},
    {"warmup", 0, VALUE_REAL, AT(warmup_seconds), 0, 3600},
    {"duration", 'd', VALUE_REAL, AT(duration_seconds), 0, 86400},
    {"drain", 0, VALUE_REAL, AT(drain_seconds), 0, 3600},
    {"cut", 0, VALUE_U32, AT(cut_percent), 1, 100},
    {"no-recover", 0, VALUE_NO, AT(recover), 0, 0},
    {"slow", 0, VALUE_U32, AT(slow), 0, 1000000},
    {"slow-rate", 0, VALUE_U32, AT(slow_bytes_per_second), 0, UINT32_MAX},
    {"no-final", 0, VALUE_NO, AT(final_message), 0, 0},
    {"find-rate", 0, VALUE_YES, AT(find_rate), 0, 0},
    {"p99", 0, VALUE_REAL, AT(p99_ms), 0.001, 1e6},
    {"step", 0, VALUE_REAL, AT(step_seconds), 0.1, 3600},
    {"server-pid", 0, VALUE_SPECIAL, 0, 0, 0},
    {"json", 0, VALUE_TEXT, AT(json), 0, 0},
    {"html", 0, VALUE_TEXT, AT(html), 0, 0},
    {"title", 0, VALUE_TEXT, AT(title), 0, 0},
    {"quiet", 0, VALUE_YES, AT(quiet), 0, 0},
    {"help", 'h', VALUE_SHOWN, 0, 0, 0},
    {"version", 0, VALUE_SHOWN, 0, 0, 0},
};

enum { SETTING_COUNT = sizeof settings / sizeof settings[0] };

static const char *const transport_names[TRANSPORT_COUNT] = {"ws", "sse", "stream", "longpoll"};
static const char *const via_names[] = {"redis", "fcall", "http", "ws"};

const char *transport_name(enum transport transport) {
    return transport_names[transport];
}

const char *via_name(enum publish_via via) {
    return via_names[via];
}

static bool refuse(const char *name, const char *value, const char *reason) {
    fprintf(stderr, "fantail-load: --%s %s: %s\n", name, value, reason);
    return false;
}

static bool read_number(const struct setting *setting, const char *value, double *number) {
    char *end;
    double factor = 1;
    *number = strtod(value, &end);
    if (*end == 'k' || *end == 'K') {
        factor = 1000;
        end++;
    }
    *number *= factor;
    if (end == value || *end != '\0' || !(*number >= setting->min && *number <= setting->max)) {
        char reason[80];
        snprintf(reason, sizeof reason, "expected a number from %.10g to %.10g", setting->min, setting->max);
        return refuse(setting->name, value, reason);
    }
    return true;
}

/* "ws:4,sse,longpoll:2": each with its share, 1 if not given. */
static bool read_transports(struct options *options, const char *value) {
    memset(options->weights, 0, sizeof options->weights);
    struct bytes rest = bytes_of(value);
    while (rest.len > 0) {
        size_t len = strcspn(rest.data, ",");
        size_t name_len = strcspn(rest.data, ",:");
        uint64_t weight = 1;
        int transport = 0;
        while (transport < TRANSPORT_COUNT &&
               !bytes_equal_text(bytes_make(rest.data, name_len), transport_names[transport]))
            transport++;
        if (transport == TRANSPORT_COUNT)
            return refuse("transports", value, "expected some of ws, sse, stream, longpoll, e.g. ws:3,sse:1");
        if (name_len < len &&
            !text_parse_u64(bytes_make(rest.data + name_len + 1, len - name_len - 1), &weight))
            return refuse("transports", value, "the share behind the colon is not a number");
        options->weights[transport] = (uint32_t)weight;
        rest = bytes_skip(rest, len < rest.len ? len + 1 : len);
    }
    return true;
}

static bool read_pids(struct options *options, const char *value) {
    struct bytes rest = bytes_of(value);
    while (rest.len > 0) {
        size_t len = strcspn(rest.data, ",");
        uint64_t pid;
        if (!text_parse_u64(bytes_make(rest.data, len), &pid) || pid == 0 || pid > INT32_MAX)
            return refuse("server-pid", value, "expected process ids, separated by commas");
        if (options->server_pid_count == SERVER_PIDS_MAX)
            return refuse("server-pid", value, "too many; a master's children are found by themselves");
        options->server_pids[options->server_pid_count++] = (int32_t)pid;
        rest = bytes_skip(rest, len < rest.len ? len + 1 : len);
    }
    return true;
}

static bool read_peer(struct options *options, const char *value) {
    options->peer = peer_by_name(value);
    if (options->peer == NULL)
        return refuse("peer", value, "no such server; --help lists them");
    return true;
}

static bool read_via(struct options *options, const char *value, bool *is_given) {
    for (size_t i = 0; i < sizeof via_names / sizeof via_names[0]; i++) {
        if (strcmp(via_names[i], value) == 0) {
            options->via = (enum publish_via)i;
            *is_given = true;
            return true;
        }
    }
    return refuse("via", value, "expected redis, fcall, http or ws");
}

static bool read_special(struct options *options, const char *name, const char *value, bool *via_given) {
    if (strcmp(name, "transports") == 0)
        return read_transports(options, value);
    if (strcmp(name, "peer") == 0)
        return read_peer(options, value);
    if (strcmp(name, "via") == 0)
        return read_via(options, value, via_given);
    return read_pids(options, value);
}

static void show(const char *name) {
    if (strcmp(name, "version") == 0)
        puts("fantail-load " FANTAIL_VERSION);
    else
        help_print();
    exit(0);
}

static bool read_setting(struct options *options, const struct setting *setting, const char *value,
                         bool *via_given) {
    void *member = (char *)options + setting->offset;
    double number;
    const char *reason;
    switch (setting->kind) {
    case VALUE_U32:
        if (!read_number(setting, value, &number))
            return false;
        *(uint32_t *)member = (uint32_t)number;
        return number == floor(number) || refuse(setting->name, value, "expected a whole number");
    case VALUE_REAL:
        if (!read_number(setting, value, &number))
            return false;
        *(double *)member = number;
        return true;
    case VALUE_TEXT:
        *(const char **)member = value;
        return true;
    case VALUE_YES:
    case VALUE_NO:
        *(bool *)member = setting->kind == VALUE_YES;
        return true;
    case VALUE_ENDPOINT:
        return endpoint_parse(member, value, (uint16_t)setting->min, &reason) ||
               refuse(setting->name, value, reason);
    case VALUE_SHOWN:
        show(setting->name);
        break;
    case VALUE_SPECIAL:
        return read_special(options, setting->name, value, via_given);
    }
    return false;
}

static void set_defaults(struct options *options) {
    const char *reason;
    *options = (struct options){
        .peer = peer_by_name("fantail"),
        .api_key = "",
        .channels_per_subscriber = 1,
        .prefix = "load:",
        .weights = {1, 0, 0, 0},
        .publishers = 1,
        .payload_bytes = 128,
        .connecting = 256,
        .settle_seconds = 1,
        .warmup_seconds = 1,
        .drain_seconds = 5,
        .cut_percent = 100,
        .p99_ms = 10,
        .step_seconds = 3,
    };
    endpoint_parse(&options->server, "ws://127.0.0.1:8000", 8000, &reason);
    endpoint_parse(&options->redis, "redis://127.0.0.1:6379", 6379, &reason);
}

static uint32_t connections_per_process(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1000;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max > 1000000            ? 1000000
           : limit.rlim_max > DESCRIPTORS_KEPT ? (uint32_t)limit.rlim_max - DESCRIPTORS_KEPT
                                               : 1;
}

/* What follows from the rest where the user did not say. */
static bool complete(struct options *options, bool via_given) {
    if (!via_given)
        options->via = options->peer->via;
    if (options->admin.address_bytes == 0) {
        /* The admin port is the next one; with peers, publishing goes to the public port. */
        options->admin = options->server;
        options->admin.path[0] = '\0';
        if (strcmp(options->peer->name, "fantail") == 0) {
            char url[ENDPOINT_TEXT_BYTES + 32];
            const char *reason;
            snprintf(url, sizeof url, strchr(options->server.host, ':') ? "http://[%s]:%u" : "http://%s:%u",
                     options->server.host, options->server.port + 1u);
            if (!endpoint_parse(&options->admin, url, 8001, &reason))
                return refuse("admin", url, reason);
        }
    }
    uint32_t per_process = connections_per_process();
    if (options->processes == 0)
        options->processes = (options->subscribers + per_process - 1) / per_process;
    if (options->source_addresses == 0)
        options->source_addresses =
            options->server.is_loopback
                ? (options->subscribers + CONNECTIONS_PER_SOURCE - 1) / CONNECTIONS_PER_SOURCE
                : 1;
    if ((uint64_t)options->processes * per_process < options->subscribers)
        fprintf(stderr,
                "fantail-load: a process may open %u connections (ulimit -n): %u processes are too few\n",
                per_process, options->processes);
    return true;
}

static bool check(const struct options *options) {
    bool only_ws = true;
    uint32_t weights = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        weights += options->weights[i];
        only_ws = only_ws && (i == TRANSPORT_WS || options->weights[i] == 0);
    }
    if (weights == 0)
        return refuse("transports", "", "all shares are 0");
    if (!options->peer->has_transports && (!only_ws || options->channels_per_subscriber > 1))
        return refuse("peer", options->peer->name,
                      "is measured over WebSocket with one channel per connection only");
    if (options->channels_per_subscriber > options->channels)
        return refuse("channels-per-subscriber", "", "more than --channels");
    if (options->via == VIA_HTTP && options->peer->http_publish == NULL)
        return refuse("via", "http", "this peer cannot be published to by HTTP");
    if (options->via == VIA_WS && options->peer->subprotocol[0] == '\0')
        return refuse("via", "ws", "this peer cannot be published to by a client");
    if (options->find_rate && options->window > 0)
        return refuse("find-rate", "", "looks for a rate of the open loop; leave --window out");
    if (options->slow > 0 && options->window > 0)
        return refuse("slow", "", "a closed loop would wait for them; leave --window out");
    if (options->slow >= options->subscribers)
        return refuse("slow", "", "leaves nobody to be measured");
    return true;
}

enum { LONG_OPTION = 1000 }; /* What getopt_long() returns for settings[0]; letters are smaller. */

static void describe_options(struct option *names, char *letters) {
    for (int i = 0; i < SETTING_COUNT; i++) {
        int argument = settings[i].kind >= VALUE_YES ? no_argument : required_argument;
        names[i] = (struct option){settings[i].name, argument, NULL, LONG_OPTION + i};
        if (settings[i].letter != '\0') {
            *letters++ = settings[i].letter;
            if (argument == required_argument)
                *letters++ = ':';
        }
    }
}

/* NULL: getopt_long() has refused it, and said so. */
static const struct setting *find_setting(int which) {
    if (which >= LONG_OPTION && which < LONG_OPTION + SETTING_COUNT)
        return &settings[which - LONG_OPTION];
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (settings[i].letter == which)
            return &settings[i];
    }
    return NULL;
}

bool options_parse(struct options *options, int argc, char **argv) {
    struct option names[SETTING_COUNT + 1] = {0};
    char letters[2 * SETTING_COUNT + 1] = "";
    enum scenario_kind kind = SCENARIO_FANOUT;
    describe_options(names, letters);
    set_defaults(options);
    if (argc > 1 && argv[1][0] != '-') {
        if (!scenario_by_name(argv[1], &kind)) {
            fprintf(stderr, "fantail-load: no scenario is called '%s'; --help lists them\n", argv[1]);
            return false;
        }
        argc--;
        argv++;
    }
    scenario_defaults(options, kind);
    bool via_given = false;
    int which;
    while ((which = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        const struct setting *setting = find_setting(which);
        if (setting == NULL || !read_setting(options, setting, optarg, &via_given))
            return false;
    }
    if (optind < argc) {
        fprintf(stderr, "fantail-load: '%s' is left over; the scenario comes first\n", argv[optind]);
        return false;
    }
    return complete(options, via_given) && check(options);
}

enum transport options_transport(const struct options *options, uint32_t index) {
    uint32_t total = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++)
        total += options->weights[i];
    /* Those of one channel are `channels` apart: each channel shall have all transports. */
    uint32_t at = (index / options->channels + index % options->channels) % total;
    int transport = 0;
    while (at >= options->weights[transport])
        at -= options->weights[transport++];
    return (enum transport)transport;
}

uint64_t options_listeners(const struct options *options, uint32_t subscribers, uint32_t channel) {
    uint64_t subscriptions = (uint64_t)subscribers * options->channels_per_subscriber;
    uint64_t whole = subscriptions / options->channels;
    return whole + (channel < subscriptions % options->channels ? 1 : 0);
}

/* Arguments in, exit status out. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "gateway/config/config.h"
#include "gateway/master/master.h"
#include "gateway/worker.h"

static void print_help(FILE *out) {
    fputs("fantail " FANTAIL_VERSION " - a pub/sub gateway: browsers subscribe, Redis carries the messages\n"
          "\n"
          "usage: fantail --config FILE     run with this configuration\n"
          "       fantail --dev             try it: no Redis needed, demo pages on http://localhost:8000/\n"
          "\n"
          "  -c, --config FILE     read settings from FILE; FANTAIL_* in the environment override them\n"
          "  -d, --dev             open what a first try needs: memory broker unless Redis is configured,\n"
          "                        demo pages with history, any origin, client publish. Not for production\n"
          "  -t, --check           check the configuration, say what is wrong with it and what it leaves "
          "open, and exit\n"
          "  -s, --help-settings   list every setting with its default and what it is for\n"
          "  -v, --version         print the version\n"
          "  -h, --help            print this\n"
          "\n"
          "Signals: TERM drains (clients are told to reconnect, spread over drain_seconds), INT stops at "
          "once,\n"
          "HUP reads namespaces, limits, origins, hosts and log.level again.\n",
          out);
}

/* The demo pages: beside the sources of a build, or where packages put them. */
static const char *find_static_dir(const char *program, char path[PATH_MAX]) {
    static const char *const places[] = {"../../../clients/web", "../share/fantail/web",
                                         "../../share/fantail/web"};
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", program);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return NULL;
    *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char candidate[PATH_MAX * 2];
        snprintf(candidate, sizeof candidate, "%s/%s", folder, places[i]);
        if (realpath(candidate, path) != NULL)
            return path;
    }
    return NULL;
}

static void print_lines(const char *before, struct bytes lines) {
    while (lines.len > 0) {
        size_t len = (size_t)((const char *)memchr(lines.data, '\n', lines.len) - lines.data) + 1;
        fprintf(stderr, "%s%.*s", before, (int)len, lines.data);
        lines = bytes_skip(lines, len);
    }
}

static int check(const struct master_options *options) {
    const char *file = options->config_file;
    struct config *config = NULL;
    struct buf text, errors, warnings;
    buf_init(&text, 0);
    buf_init(&errors, 0);
    buf_init(&warnings, 0);
    const struct config_options config_options = {
        .dev = options->dev,
        .dev_static_dir = options->static_dir,
        .environment = environ,
        .checks_files = true,
        .warnings = &warnings,
    };
    if (file == NULL || config_load_file(file, &text, &errors))
        config = config_parse(buf_bytes(&text), file ? file : "defaults", &config_options, &errors);
    if (config != NULL)
        config_warn_of_exposure(config, &warnings);
    print_lines("", buf_bytes(&errors));
    print_lines("warning: ", buf_bytes(&warnings));
    if (config != NULL)
        printf("%s: ok\n", file ? file : "defaults");
    buf_finish(&text);
    buf_finish(&errors);
    buf_finish(&warnings);
    int status = config != NULL ? 0 : 2;
    config_free(config);
    return status;
}

int main(int argc, char **argv) {
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'}, {"dev", no_argument, NULL, 'd'},
        {"check", no_argument, NULL, 't'},        {"help-settings", no_argument, NULL, 's'},
        {"version", no_argument, NULL, 'v'},      {"help", no_argument, NULL, 'h'},
        {"worker", required_argument, NULL, 'w'}, {0},
    };
    struct master_options options = {0};
    bool is_check = false;
    char program[PATH_MAX], static_dir[PATH_MAX];
    int option;
    while ((option = getopt_long(argc, argv, "c:dtsvh", long_options, NULL)) != -1) {
        switch (option) {
        case 'c':
            options.config_file = optarg;
            break;
        case 'd':
            options.dev = true;
            break;
        case 't':
            is_check = true;
            break;
        case 's':
            config_print_settings(stdout);
            return 0;
        case 'v':
            puts("fantail " FANTAIL_VERSION);
            return 0;
        case 'h':
            print_help(stdout);
            return 0;
        case 'w':
            return worker_run((unsigned)strtoul(optarg, NULL, 10));
        default:
            fputs("Try 'fantail --help'.\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "fantail: what is '%s'? Try 'fantail --help'.\n", argv[optind]);
        return 2;
    }
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len < 0) {
        perror("fantail: /proc/self/exe");
        return 1;
    }
    program[len] = '\0';
    options.program = program;
    options.static_dir = find_static_dir(program, static_dir);
    return is_check ? check(&options) : master_run(&options);
}

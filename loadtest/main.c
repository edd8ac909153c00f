#include <stdlib.h>
#include <string.h>

#include "common/xalloc.h"
#include "loadtest/report.h"
#include "loadtest/run.h"

enum { EXIT_UNCLEAN = 1, EXIT_IMPOSSIBLE = 2 };

int main(int argc, char **argv) {
    struct options options;
    if (!options_parse(&options, argc, argv))
        return EXIT_IMPOSSIBLE;
    struct result *result = xcalloc(1, sizeof *result);
    bool is_possible = run_scenario(&options, result);
    bool is_written = true;
    if (is_possible) {
        bool json_to_stdout = options.json != NULL && strcmp(options.json, "-") == 0;
        report_text(result, json_to_stdout ? stderr : stdout);
        if (options.json != NULL)
            is_written = report_json(result, options.json);
        if (options.html != NULL)
            is_written = report_html(result, options.html) && is_written;
    }
    int status = !is_possible || !is_written ? EXIT_IMPOSSIBLE
                 : result_is_clean(result)   ? EXIT_SUCCESS
                                             : EXIT_UNCLEAN;
    free(result);
    return status;
}

/* One page with everything in it: no script, no font, no picture from elsewhere. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/xalloc.h"
#include "loadtest/chart.h"
#include "loadtest/format.h"
#include "loadtest/peer.h"
#include "loadtest/report.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1d2329;--soft:#5b6670;--line:#d9dee3;--paper:#fbfaf7;--card:#fff;"
    "--s0:#0b6e99;--s1:#d9480f;--s2:#2b8a3e;--s3:#862e9c;--s4:#c2255c;--s5:#8a6d00;--warn:#b02a0c}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8ebee;--soft:#98a3ad;--line:#343b42;--paper:#14181b;"
    "--card:#1c2125;--s0:#4cb3e0;--s1:#ff922b;--s2:#69db7c;--s3:#da9cf0;--s4:#f783ac;--s5:#e9c46a;--warn:#"
    "ff8a65}}"
    "body{margin:0 auto;max-width:1180px;padding:28px 20px 60px;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}h1{font-size:26px;margin:0 0 4px}p{margin:4px 0;color:var(--soft)}"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:22px 0}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px}"
    ".card b{display:block;font-size:23px;font-weight:600;font-variant-numeric:tabular-nums}"
    ".card span{color:var(--soft);font-size:13px}.bad b{color:var(--warn)}"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:16px}"
    "figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 12px "
    "10px}"
    "figcaption{font-weight:600;padding-left:6px}small{font-weight:400;color:var(--soft);margin-left:8px}"
    "svg{width:100%;height:auto;display:block}.grid{stroke:var(--line)}.mark{stroke:var(--soft);stroke-"
    "dasharray:3 4}"
    ".tick,.label{font-size:12px;fill:var(--soft)}.series{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".s0{stroke:var(--s0)}.s1{stroke:var(--s1)}.s2{stroke:var(--s2)}.s3{stroke:var(--s3)}.s4{stroke:var(--s4)"
    "}"
    ".s5{stroke:var(--s5)}.legend{font-size:13px;color:var(--soft);padding-left:6px}"
    ".key{display:inline-block;width:14px;height:3px;margin:0 6px 4px 10px;vertical-align:middle}"
    ".k0{background:var(--s0)}.k1{background:var(--s1)}.k2{background:var(--s2)}.k3{background:var(--s3)}"
    ".k4{background:var(--s4)}.k5{background:var(--s5)}.warning{border-left:4px solid "
    "var(--warn);padding:8px 14px;"
    "background:var(--card);color:var(--ink);margin:10px 0}pre{background:var(--card);border:1px solid "
    "var(--line);"
    "border-radius:8px;padding:14px;overflow:auto;font-size:13px}h2{font-size:18px;margin:30px 0 10px}";

static void card(struct buf *out, const char *value, const char *name, bool is_bad) {
    buf_append_text(out, is_bad ? "<div class=\"card bad\"><b>" : "<div class=\"card\"><b>");
    chart_append_text(out, value);
    buf_append_text(out, "</b><span>");
    chart_append_text(out, name);
    buf_append_text(out, "</span></div>\n");
}

static void append_cards(struct buf *out, const struct result *result) {
    char text[32];
    const struct sequence_counts *sequences = &result->totals.sequences;
    const struct span *span = result->measure.delivered > 0 ? &result->measure : &result->final;
    buf_append_text(out, "<div class=\"cards\">");
    card(out, format_count(text, result->live_after_connect), "connected",
         result->live_after_connect < result->options->subscribers);
    /* Over all rates of a search they would say nothing. */
    bool is_search = result->options->find_rate;
    if (span->delivered > 0 && span->seconds > 0 && !is_search)
        card(out, format_rate(text, span->delivered / span->seconds), "delivered per second", false);
    if (result->latency_all.count > 0 && !is_search) {
        card(out, format_ns(text, histogram_percentile(&result->latency_all, 50)), "latency p50", false);
        card(out, format_ns(text, histogram_percentile(&result->latency_all, 99)), "latency p99", false);
    }
    if (result->publisher.published > 0) {
        card(out, format_count(text, sequences->lost), "lost", sequences->lost > 0);
        card(out, format_count(text, sequences->doubled + sequences->out_of_order), "doubled or out of order",
             sequences->doubled + sequences->out_of_order > 0);
    }
    if (result->back_seconds > 0)
        card(out, format_ns(text, (uint64_t)(result->back_seconds * 1e9)), "until all were back", false);
    if (result->has_server && result->measure.delivered > 0) {
        snprintf(text, sizeof text, "%.2f us", result_cpu_per_delivery_us(result));
        card(out, text, "server CPU per delivery", false);
    }
    if (result->has_server) {
        snprintf(text, sizeof text, "%.0f B", result_rss_per_connection(result));
        card(out, text, "RSS per connection", false);
    }
    if (result->best_rate > 0)
        card(out, format_rate(text, result->best_rate), "messages per second found", false);
    buf_append_text(out, "</div>\n");
}

/* The percentile axis of HdrHistogram: each further nine takes the same room. */
static double nines(double percent) {
    return -log10(1 - percent / 100);
}

static const char *nines_text(char *out, double value) {
    snprintf(out, 32, "%.6g%%", 100 - 100 / pow(10, value));
    return out;
}

static const char *ns_text(char *out, double value) {
    return format_ns(out, (uint64_t)value);
}

static const char *count_text(char *out, double value) {
    return format_rate(out, value);
}

static const char *percent_text(char *out, double value) {
    snprintf(out, 32, "%.0f%%", value * 100);
    return out;
}

enum { PERCENTILE_POINTS = 120 };

static void append_percentile_chart(struct buf *out, const struct result *result) {
    static double x[TRANSPORT_COUNT][PERCENTILE_POINTS];
    static double y[TRANSPORT_COUNT][PERCENTILE_POINTS];
    struct chart_series series[TRANSPORT_COUNT];
    uint32_t count = 0;
    double top = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        const struct histogram *histogram = &result->latency[i];
        if (histogram->count == 0)
            continue;
        double last = fmin(nines(100 - 100.0 / (double)histogram->count), 6);
        top = fmax(top, last);
        for (int k = 0; k < PERCENTILE_POINTS; k++) {
            x[count][k] = last * k / (PERCENTILE_POINTS - 1);
            y[count][k] = (double)histogram_percentile(histogram, 100 - 100 / pow(10, x[count][k]));
        }
        series[count] =
            (struct chart_series){transport_name((enum transport)i), x[count], y[count], PERCENTILE_POINTS};
        count++;
    }
    if (count == 0 || top == 0 || result->options->find_rate)
        return;
    double ticks[] = {0, nines(50), 1, 2, 3, 4, 5, 6};
    chart_append(out, &(struct chart){.title = "Latency by percentile",
                                      .x_label = "percentile",
                                      .y_label = "from publish (or its due time) to receipt",
                                      .series = series,
                                      .series_count = count,
                                      .y_is_log = true,
                                      .x_text = nines_text,
                                      .y_text = ns_text,
                                      .x_ticks = ticks,
                                      .x_tick_count = sizeof ticks / sizeof ticks[0]});
}

/* Columns of the samples, for charts over time. */
struct columns {
    double *at, *published, *delivered, *connects, *server, *own, *rss, *live, *p50, *p99;
    uint32_t count;
};

static struct columns columns_create(const struct result *result) {
    uint32_t count = result->sample_count;
    struct columns columns = {.count = count};
    double **all[] = {&columns.at,     &columns.published, &columns.delivered, &columns.connects,
                      &columns.server, &columns.own,       &columns.rss,       &columns.live,
                      &columns.p50,    &columns.p99};
    double *memory = xcalloc((size_t)(count + 1) * 10, sizeof *memory);
    for (int i = 0; i < 10; i++)
        *all[i] = memory + (size_t)i * count;
    for (uint32_t i = 0; i < count; i++) {
        const struct sample *sample = &result->samples[i];
        columns.at[i] = sample->at;
        columns.published[i] = sample->published_per_second;
        columns.delivered[i] = sample->delivered_per_second;
        columns.connects[i] = sample->connects_per_second;
        columns.server[i] = sample->server_cpu;
        columns.own[i] = sample->own_cpu;
        columns.rss[i] = sample->rss_bytes / (1 << 20);
        columns.live[i] = sample->live;
        columns.p50[i] = sample->p50_ns == 0 ? NAN : (double)sample->p50_ns;
        columns.p99[i] = sample->p99_ns == 0 ? NAN : (double)sample->p99_ns;
    }
    return columns;
}

static uint32_t find_marks(const struct result *result, struct chart_mark *marks) {
    uint32_t count = 0;
    for (uint32_t i = 1; i < result->sample_count && count < PHASE_COUNT && !result->options->find_rate;
         i++) {
        const struct sample *sample = &result->samples[i];
        if (sample->phase != result->samples[i - 1].phase && sample->phase >= PHASE_MEASURE)
            marks[count++] = (struct chart_mark){result->samples[i - 1].at, phase_name(sample->phase)};
    }
    if (result->cut_at_seconds > 0)
        marks[count++] = (struct chart_mark){result->cut_at_seconds, "cut"};
    return count;
}

static void append_time_charts(struct buf *out, const struct result *result) {
    struct columns columns = columns_create(result);
    struct chart_mark marks[PHASE_COUNT + 1];
    uint32_t mark_count = find_marks(result, marks);
    uint32_t count = columns.count;
    struct chart chart = {.x_label = "seconds", .marks = marks, .mark_count = mark_count};
    struct chart_series latency[] = {{"p50", columns.at, columns.p50, count},
                                     {"p99", columns.at, columns.p99, count}};
    if (result->latency_all.count > 0) {
        chart.title = "Latency over time";
        chart.y_label = "of what arrived in each quarter of a second";
        chart.series = latency;
        chart.series_count = 2;
        chart.y_is_log = true;
        chart.y_text = ns_text;
        chart_append(out, &chart);
    }
    struct chart_series delivered[] = {{"delivered", columns.at, columns.delivered, count},
                                       {"published", columns.at, columns.published, count}};
    chart.title = "Throughput";
    chart.y_label = "messages a second";
    chart.series = delivered;
    chart.series_count = result->publisher.published > 0 ? 2 : 0;
    chart.y_is_log = false;
    chart.y_text = count_text;
    if (chart.series_count > 0)
        chart_append(out, &chart);
    struct chart_series cpu[] = {{"load tool", columns.at, columns.own, count},
                                 {"server", columns.at, columns.server, count}};
    chart.title = "CPU";
    chart.y_label = "of one core";
    chart.series = cpu;
    chart.series_count = result->has_server ? 2 : 1;
    chart.y_text = percent_text;
    chart_append(out, &chart);
    struct chart_series live[] = {{"connections", columns.at, columns.live, count}};
    chart.title = "Connections";
    chart.y_label = "subscribed";
    chart.series = live;
    chart.series_count = 1;
    chart.y_text = count_text;
    chart_append(out, &chart);
    struct chart_series memory[] = {{"RSS", columns.at, columns.rss, count}};
    chart.title = "Server memory";
    chart.y_label = "MiB resident";
    chart.series = memory;
    chart.y_text = NULL;
    if (result->has_server)
        chart_append(out, &chart);
    free(columns.at);
}

static void append_search_chart(struct buf *out, const struct result *result) {
    double x[STEPS_MAX], p50[STEPS_MAX], p99[STEPS_MAX];
    uint32_t order[STEPS_MAX];
    uint32_t count = result->step_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;
        for (; at > 0 && result->steps[order[at - 1]].rate > result->steps[i].rate; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct step *step = &result->steps[order[i]];
        x[i] = step->rate;
        p50[i] = step->p50_ns == 0 ? NAN : (double)step->p50_ns;
        p99[i] = step->p99_ns == 0 ? NAN : (double)step->p99_ns;
    }
    struct chart_series series[] = {{"p50", x, p50, count}, {"p99", x, p99, count}};
    struct chart_mark found = {result->best_rate, "found"};
    if (count > 0)
        chart_append(out, &(struct chart){.title = "Latency by rate",
                                          .x_label = "messages per second published",
                                          .y_label = "",
                                          .series = series,
                                          .series_count = 2,
                                          .marks = &found,
                                          .mark_count = result->best_rate > 0,
                                          .y_is_log = true,
                                          .x_text = count_text,
                                          .y_text = ns_text});
}

static void append_summary(struct buf *out, const struct result *result) {
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    if (memory == NULL)
        return;
    report_text(result, memory);
    fclose(memory);
    buf_append_text(out, "<h2>In words</h2><pre>");
    chart_append_text(out, text);
    buf_append_text(out, "</pre>");
    free(text);
}

static void append_page(struct buf *out, const struct result *result) {
    const struct options *options = result->options;
    char when[64];
    time_t seconds = (time_t)(result->started_wall_ms / 1000);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&seconds, &utc));
    const char *title = options->title != NULL ? options->title : scenario_name(options->scenario);
    buf_append_text(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
    chart_append_text(out, title);
    buf_append_text(out, " - fantail-load</title><style>");
    buf_append_text(out, style);
    buf_append_text(out, "</style></head><body>\n<h1>");
    chart_append_text(out, title);
    buf_append_text(out, "</h1><p>");
    buf_printf(out, "%s, scenario %s against %s", when, scenario_name(options->scenario),
               options->peer->name);
    buf_append_text(out, result->is_interrupted ? ", interrupted</p>\n" : "</p>\n");
    for (uint32_t i = 0; i < result->warning_count; i++) {
        buf_append_text(out, "<p class=\"warning\">");
        chart_append_text(out, result->warnings[i]);
        buf_append_text(out, "</p>\n");
    }
    append_cards(out, result);
    buf_append_text(out, "<div class=\"charts\">\n");
    append_search_chart(out, result);
    append_percentile_chart(out, result);
    append_time_charts(out, result);
    buf_append_text(out, "</div>\n");
    append_summary(out, result);
    buf_append_text(out, "</body></html>\n");
}

bool report_html(const struct result *result, const char *file) {
    struct buf page;
    buf_init(&page, 0);
    append_page(&page, result);
    FILE *out = strcmp(file, "-") == 0 ? stdout : fopen(file, "we");
    bool is_written = out != NULL && fwrite(page.data, 1, page.len, out) == page.len;
    if (out != NULL && out != stdout && fclose(out) != 0)
        is_written = false;
    if (!is_written)
        fprintf(stderr, "fantail-load: cannot write %s: %s\n", file, strerror(errno));
    buf_finish(&page);
    return is_written;
}

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "loadtest/peer.h"
#include "loadtest/report.h"

static json_t *histogram_json(const struct histogram *histogram) {
    static const struct {
        const char *name;
        double percent;
    } percents[] = {{"p50", 50}, {"p75", 75},    {"p90", 90},     {"p95", 95},
                    {"p99", 99}, {"p999", 99.9}, {"p9999", 99.99}};
    json_t *object = json_object();
    json_object_set_new(object, "count", json_integer((json_int_t)histogram->count));
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++)
        json_object_set_new(object, percents[i].name,
                            json_real((double)histogram_percentile(histogram, percents[i].percent) / 1000));
    json_object_set_new(object, "max", json_real((double)histogram->max / 1000));
    json_object_set_new(object, "mean", json_real(histogram_mean(histogram) / 1000));
    return object;
}

static json_t *span_json(const struct span *span) {
    return json_pack("{s:f, s:I, s:I, s:I, s:I, s:f, s:f}", "seconds", span->seconds, "published",
                     (json_int_t)span->published, "delivered", (json_int_t)span->delivered, "bytes",
                     (json_int_t)span->bytes, "reads", (json_int_t)span->reads, "server_cpu_seconds",
                     (double)span->server_cpu_ns / 1e9, "own_cpu_seconds", (double)span->own_cpu_ns / 1e9);
}

static json_t *options_json(const struct options *options) {
    json_t *transports = json_object();
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        if (options->weights[i] > 0)
            json_object_set_new(transports, transport_name((enum transport)i),
                                json_integer(options->weights[i]));
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:i, s:i, s:s, s:i, s:i, s:i, s:f, s:b, s:b, s:o}",
                     "scenario", scenario_name(options->scenario), "peer", options->peer->name, "subscribers",
                     (int)options->subscribers, "channels", (int)options->channels, "channels_per_subscriber",
                     (int)options->channels_per_subscriber, "rate", options->rate, "window",
                     (int)options->window, "payload_bytes", (int)options->payload_bytes, "via",
                     via_name(options->via), "publishers", (int)options->publishers, "connecting",
                     (int)options->connecting, "processes", (int)options->processes, "duration_seconds",
                     options->duration_seconds, "deflate", (int)options->deflate, "browser_headers",
                     (int)options->browser_headers, "transports", transports);
}

static json_t *failures_json(const struct client_counts *totals) {
    static const char *const names[FAILURE_COUNT] = {"connect",   "timeout",  "status",
                                                     "subscribe", "protocol", "closed"};
    json_t *object = json_object();
    for (int i = 0; i < FAILURE_COUNT; i++)
        json_object_set_new(object, names[i], json_integer((json_int_t)totals->failures[i]));
    json_object_set_new(object, "last_status", json_integer(totals->last_status));
    json_object_set_new(object, "last_close_code", json_integer(totals->last_close_code));
    return object;
}

static json_t *delivery_json(const struct result *result) {
    const struct client_counts *totals = &result->totals;
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "published",
        (json_int_t)result->publisher.published, "publish_failed", (json_int_t)result->publisher.failed,
        "stalled", (json_int_t)result->publisher.stalled, "expected", (json_int_t)result->expected,
        "delivered", (json_int_t)board_delivered(totals), "lost", (json_int_t)totals->sequences.lost, "told",
        (json_int_t)totals->sequences.told, "doubled", (json_int_t)totals->sequences.doubled, "out_of_order",
        (json_int_t)totals->sequences.out_of_order, "misrouted", (json_int_t)totals->misrouted, "foreign",
        (json_int_t)totals->foreign, "gaps", (json_int_t)totals->gaps);
}

static json_t *latency_json(const struct result *result) {
    json_t *object = json_object();
    json_object_set_new(object, "all", histogram_json(&result->latency_all));
    for (int i = 0; i < TRANSPORT_COUNT; i++) {
        if (result->latency[i].count > 0)
            json_object_set_new(object, transport_name((enum transport)i),
                                histogram_json(&result->latency[i]));
    }
    return object;
}

static json_t *server_json(const struct result *result) {
    if (!result->has_server)
        return json_null();
    return json_pack("{s:i, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "processes",
                     (int)result->server_processes, "cpu_per_delivery_us", result_cpu_per_delivery_us(result),
                     "cpu_per_connect_us", result_cpu_per_connect_us(result), "rss_per_connection",
                     result_rss_per_connection(result), "pss_per_connection",
                     result_pss_per_connection(result), "rss_before", (json_int_t)result->rss_before,
                     "rss_after", (json_int_t)result->rss_after, "pss_before", (json_int_t)result->pss_before,
                     "pss_after", (json_int_t)result->pss_after);
}

static json_t *samples_json(const struct result *result) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < result->sample_count; i++) {
        const struct sample *sample = &result->samples[i];
        json_array_append_new(
            list,
            json_pack("{s:f, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "at", sample->at, "phase",
                      phase_name(sample->phase), "live", (int)sample->live, "published_per_second",
                      sample->published_per_second, "delivered_per_second", sample->delivered_per_second,
                      "server_cpu", sample->server_cpu, "own_cpu", sample->own_cpu, "rss", sample->rss_bytes,
                      "p50_us", (double)sample->p50_ns / 1000, "p99_us", (double)sample->p99_ns / 1000));
    }
    return list;
}

static json_t *steps_json(const struct result *result) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < result->step_count; i++) {
        const struct step *step = &result->steps[i];
        json_array_append_new(list,
                              json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:s}", "rate", step->rate,
                                        "delivered_per_second", step->delivered_per_second, "server_cpu",
                                        step->server_cpu, "p50_us", (double)step->p50_ns / 1000, "p99_us",
                                        (double)step->p99_ns / 1000, "max_us", (double)step->max_ns / 1000,
                                        "good", (int)step->is_good, "reason", step->reason));
    }
    return list;
}

static json_t *storm_json(const struct result *result) {
    if (result->cut_at_seconds == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:i, s:I, s:I, s:I, s:o}", "cut_at", result->cut_at_seconds, "back_seconds",
                     result->back_seconds, "cut", (int)result->cut_count, "reconnects",
                     (json_int_t)result->totals.reconnects, "recovered", (json_int_t)result->totals.recovered,
                     "not_recovered", (json_int_t)result->totals.not_recovered, "away_us",
                     histogram_json(&result->totals.away));
}

static json_t *result_json(const struct result *result) {
    json_t *warnings = json_array();
    for (uint32_t i = 0; i < result->warning_count; i++)
        json_array_append_new(warnings, json_string(result->warnings[i]));
    return json_pack(
        "{s:s, s:I, s:b, s:b, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:o}",
        "tool", "fantail-load " FANTAIL_VERSION, "started_ms", (json_int_t)result->started_wall_ms,
        "interrupted", (int)result->is_interrupted, "clean", (int)result_is_clean(result), "options",
        options_json(result->options), "connect", span_json(&result->connect), "connect_us",
        histogram_json(&result->totals.connect), "failures", failures_json(&result->totals), "connected",
        (int)result->live_after_connect, "measured", span_json(&result->measure), "final",
        span_json(&result->final), "delivery", delivery_json(result), "latency_us", latency_json(result),
        "server", server_json(result), "storm", storm_json(result), "steps", steps_json(result), "best_rate",
        result->best_rate, "warnings", warnings, "samples", samples_json(result));
}

bool report_json(const struct result *result, const char *file) {
    json_t *root = result_json(result);
    size_t flags = JSON_INDENT(1) | JSON_REAL_PRECISION(9);
    bool is_written;
    if (strcmp(file, "-") == 0) {
        is_written = json_dumpf(root, stdout, flags) == 0 && putchar('\n') == '\n';
    } else {
        is_written = json_dump_file(root, file, flags) == 0;
        if (!is_written)
            fprintf(stderr, "fantail-load: cannot write %s: %s\n", file, strerror(errno));
    }
    json_decref(root);
    return is_written;
}

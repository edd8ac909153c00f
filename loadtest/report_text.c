#include <inttypes.h>

#include "loadtest/format.h"
#include "loadtest/peer.h"
#include "loadtest/report.h"

static void line(FILE *out, const char *name) {
    fprintf(out, "  %-12s ", name);
}

static void print_head(const struct result *result, FILE *out) {
    const struct options *options = result->options;
    char text[32];
    fprintf(out, "%s%s", scenario_name(options->scenario), result->is_interrupted ? " (interrupted)" : "");
    fprintf(out, ": %s subscribers", format_count(text, options->subscribers));
    fprintf(out, ", %s channel%s", format_count(text, options->channels), options->channels == 1 ? "" : "s");
    if (options->find_rate)
        fprintf(out, ", searching the highest rate with p99 <= %g ms", options->p99_ms);
    else if (options->window > 0)
        fprintf(out, ", closed loop with %u in flight", options->window);
    else if (options->rate > 0)
        fprintf(out, ", %s msg/s by %s", format_rate(text, options->rate), via_name(options->via));
    fprintf(out, ", %u-byte messages", options->payload_bytes);
    if (options->peer != peer_by_name("fantail"))
        fprintf(out, ", peer %s", options->peer->name);
    fputs("\n", out);
}

static void print_connects(const struct result *result, FILE *out) {
    char text[32];
    const struct histogram *connect = &result->totals.connect;
    line(out, "connected");
    fprintf(out, "%s", format_count(text, result->live_after_connect));
    fprintf(out, " in %.2f s", result->connect.seconds);
    if (result->connect.seconds > 0)
        fprintf(out, " (%s/s)",
                format_count(text, (uint64_t)(result->live_after_connect / result->connect.seconds)));
    fprintf(out, ", each p50 %s", format_ns(text, histogram_percentile(connect, 50)));
    fprintf(out, ", p99 %s\n", format_ns(text, histogram_percentile(connect, 99)));
    for (int i = 0; i < FAILURE_COUNT; i++) {
        uint64_t count = result->totals.failures[i];
        if (count == 0)
            continue;
        line(out, "");
        fprintf(out, "%s %s", format_count(text, count), failure_text((enum failure)i));
        if (i == FAILURE_STATUS)
            fprintf(out, " (%u)", result->totals.last_status);
        if (i == FAILURE_CLOSED && result->totals.last_close_code != 0)
            fprintf(out, " (code %u)", result->totals.last_close_code);
        if ((i == FAILURE_CONNECT || i == FAILURE_SUBSCRIBE) && result->totals.last_error[0] != '\0')
            fprintf(out, " (%s)", result->totals.last_error);
        fputs("\n", out);
    }
}

static void print_delivery(const struct result *result, FILE *out) {
    char text[32];
    const struct span *span = result->measure.delivered > 0 ? &result->measure : &result->final;
    const struct sequence_counts *sequences = &result->totals.sequences;
    if (result->publisher.published == 0)
        return;
    line(out, "published");
    fprintf(out, "%s", format_count(text, result->publisher.published));
    fprintf(out, " in all, %s/s measured",
            format_rate(text, span->seconds > 0 ? span->published / span->seconds : 0));
    if (result->publisher.failed > 0)
        fprintf(out, ", %s FAILED", format_count(text, result->publisher.failed));
    if (result->publisher.stalled > 0)
        fprintf(out, ", %s given up", format_count(text, result->publisher.stalled));
    fputs("\n", out);
    line(out, "delivered");
    fprintf(out, "%s", format_count(text, board_delivered(&result->totals)));
    fprintf(out, " of %s", format_count(text, result->expected));
    fprintf(out, ", %s/s measured",
            format_rate(text, span->seconds > 0 ? span->delivered / span->seconds : 0));
    if (span->reads > 0)
        fprintf(out, ", %.2f per read", (double)span->delivered / (double)span->reads);
    fputs("\n", out);
    line(out, "");
    fprintf(out, "lost %" PRIu64 ", doubled %" PRIu64 ", out of order %" PRIu64, sequences->lost,
            sequences->doubled, sequences->out_of_order);
    if (sequences->told > 0 || result->totals.gaps > 0)
        fprintf(out, ", missed and told so %" PRIu64 " (%" PRIu64 " gap events)", sequences->told,
                result->totals.gaps);
    if (result->totals.misrouted > 0)
        fprintf(out, ", MISROUTED %" PRIu64, result->totals.misrouted);
    fputs("\n", out);
}

static void print_percentiles(const char *name, const struct histogram *histogram, FILE *out) {
    static const double percents[] = {50, 90, 99, 99.9};
    char text[32];
    if (histogram->count == 0)
        return;
    line(out, name);
    for (int i = 0; i < 4; i++)
        fprintf(out, "p%g %s, ", percents[i], format_ns(text, histogram_percentile(histogram, percents[i])));
    fprintf(out, "max %s", format_ns(text, histogram->max));
    fprintf(out, ", mean %s\n", format_ns(text, (uint64_t)histogram_mean(histogram)));
}

static void print_latency(const struct result *result, FILE *out) {
    int kinds = 0;
    for (int i = 0; i < TRANSPORT_COUNT; i++)
        kinds += result->latency[i].count > 0;
    print_percentiles("latency", &result->latency_all, out);
    for (int i = 0; kinds > 1 && i < TRANSPORT_COUNT; i++)
        print_percentiles(transport_name((enum transport)i), &result->latency[i], out);
}

static void print_storm(const struct result *result, FILE *out) {
    char text[32];
    if (result->cut_at_seconds == 0)
        return;
    line(out, "storm");
    fprintf(out, "%s cut", format_count(text, result->cut_count));
    if (result->back_seconds > 0)
        fprintf(out, ", all back after %.2f s", result->back_seconds);
    fprintf(out, ", each away p50 %s", format_ns(text, histogram_percentile(&result->totals.away, 50)));
    fprintf(out, ", p99 %s\n", format_ns(text, histogram_percentile(&result->totals.away, 99)));
    if (result->totals.recovered + result->totals.not_recovered > 0) {
        line(out, "");
        fprintf(out, "%s subscriptions recovered", format_count(text, result->totals.recovered));
        fprintf(out, ", told that they were not %s\n", format_count(text, result->totals.not_recovered));
    }
}

static void print_server(const struct result *result, FILE *out) {
    char text[32];
    if (!result->has_server)
        return;
    line(out, "server");
    fprintf(out, "%u process%s", result->server_processes, result->server_processes == 1 ? "" : "es");
    if (result->measure.seconds > 0)
        fprintf(out, ", %.1f %% of a core measured",
                (double)result->measure.server_cpu_ns / 1e7 / result->measure.seconds);
    if (result->measure.delivered > 0)
        fprintf(out, ", %.3f us per delivery", result_cpu_per_delivery_us(result));
    fprintf(out, ", %.1f us per connect\n", result_cpu_per_connect_us(result));
    line(out, "");
    fprintf(out, "RSS %s", format_bytes(text, (double)result->rss_after));
    fprintf(out, ", %.0f bytes per connection", result_rss_per_connection(result));
    if (result->pss_after > 0) {
        fprintf(out, "; PSS %s", format_bytes(text, (double)result->pss_after));
        fprintf(out, ", %.0f bytes per connection", result_pss_per_connection(result));
    }
    fputs("\n", out);
}

static void print_steps(const struct result *result, FILE *out) {
    char text[32];
    for (uint32_t i = 0; i < result->step_count; i++) {
        const struct step *step = &result->steps[i];
        line(out, i == 0 ? "rates" : "");
        fprintf(out, "%9.1f msg/s  %11s/s out", step->rate,
                format_count(text, (uint64_t)step->delivered_per_second));
        fprintf(out, "  p50 %8s", format_ns(text, step->p50_ns));
        fprintf(out, "  p99 %8s", format_ns(text, step->p99_ns));
        if (result->has_server)
            fprintf(out, "  server %3.0f %%", step->server_cpu * 100);
        fprintf(out, "  %s%s\n", step->is_good ? "good" : "", step->reason);
    }
    if (!result->options->find_rate)
        return;
    line(out, "found");
    if (result->best_rate > 0)
        fprintf(out, "%s msg/s with p99 <= %g ms\n", format_rate(text, result->best_rate),
                result->options->p99_ms);
    else
        fprintf(out, "no rate with p99 <= %g ms\n", result->options->p99_ms);
}

void report_text(const struct result *result, FILE *out) {
    char text[32];
    print_head(result, out);
    print_connects(result, out);
    print_steps(result, out);
    print_delivery(result, out);
    /* Over all rates of a search it would say nothing. */
    if (!result->options->find_rate)
        print_latency(result, out);
    print_storm(result, out);
    if (result->options->slow > 0) {
        line(out, "slow");
        fprintf(out, "%u readers, %s closed by the server\n", result->options->slow,
                format_count(text, result->totals.failures[FAILURE_CLOSED]));
    }
    print_server(result, out);
    if (result->measure.seconds > 0) {
        line(out, "load tool");
        fprintf(out, "%.1f %% of a core\n",
                (double)result->measure.own_cpu_ns / 1e7 / result->measure.seconds);
    }
    for (uint32_t i = 0; i < result->warning_count; i++) {
        line(out, "WARNING");
        fprintf(out, "%s\n", result->warnings[i]);
    }
}

#include "loadtest/result.h"

#include <stdarg.h>
#include <stdio.h>

const char *phase_name(enum phase phase) {
    static const char *const names[PHASE_COUNT] = {
        [PHASE_START] = "start",    [PHASE_CONNECT] = "connect", [PHASE_SETTLE] = "settle",
        [PHASE_WARMUP] = "warm-up", [PHASE_MEASURE] = "measure", [PHASE_FINAL] = "final message",
        [PHASE_DRAIN] = "drain",
    };
    return names[phase];
}

void result_warn(struct result *result, const char *format, ...) {
    if (result->warning_count == WARNINGS_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->warnings[result->warning_count++], WARNING_BYTES, format, arguments);
    va_end(arguments);
}

bool result_is_clean(const struct result *result) {
    const struct client_counts *totals = &result->totals;
    uint64_t failures = 0;
    for (int i = 0; i < FAILURE_COUNT; i++)
        failures += totals->failures[i];
    /* Slow readers may be thrown out: that is what policies are for. */
    if (result->options->scenario == SCENARIO_SLOW)
        failures -= totals->failures[FAILURE_CLOSED];
    const struct sequence_counts *sequences = &totals->sequences;
    return failures == 0 && sequences->lost == 0 && sequences->doubled == 0 && sequences->out_of_order == 0 &&
           totals->misrouted == 0 && result->publisher.failed == 0 && result->publisher.stalled == 0;
}

static double per(uint64_t total, uint64_t count) {
    return count == 0 ? 0 : (double)total / (double)count;
}

double result_cpu_per_delivery_us(const struct result *result) {
    return per(result->measure.server_cpu_ns, result->measure.delivered) / 1000;
}

double result_cpu_per_connect_us(const struct result *result) {
    return per(result->connect.server_cpu_ns, result->live_after_connect) / 1000;
}

double result_rss_per_connection(const struct result *result) {
    return result->rss_after <= result->rss_before
               ? 0
               : per(result->rss_after - result->rss_before, result->live_after_connect);
}

double result_pss_per_connection(const struct result *result) {
    return result->pss_after <= result->pss_before
               ? 0
               : per(result->pss_after - result->pss_before, result->live_after_connect);
}

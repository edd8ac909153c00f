#include "loadtest/chart.h"

#include <math.h>
#include <stdio.h>

enum { WIDTH = 760, HEIGHT = 260, LEFT = 74, RIGHT = 16, TOP = 14, BOTTOM = 40, TICKS = 5 };

struct scale {
    double from, to;
    bool is_log;
    double low, high; /* Pixels. */
};

static double place(const struct scale *scale, double value) {
    double from = scale->is_log ? log10(scale->from) : scale->from;
    double to = scale->is_log ? log10(scale->to) : scale->to;
    double at = scale->is_log ? log10(value > scale->from ? value : scale->from) : value;
    return scale->low + (to > from ? (at - from) / (to - from) : 0) * (scale->high - scale->low);
}

void chart_append_text(struct buf *out, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            buf_append_text(out, "&lt;");
            break;
        case '>':
            buf_append_text(out, "&gt;");
            break;
        case '&':
            buf_append_text(out, "&amp;");
            break;
        case '"':
            buf_append_text(out, "&quot;");
            break;
        default:
            buf_append_char(out, *text);
        }
    }
}

static const char *plain_text(char *out, double value) {
    snprintf(out, 32, "%.4g", value);
    return out;
}

/* 1, 2 or 5 times a power of ten, at least `value`. */
static double round_up(double value) {
    double power = pow(10, floor(log10(value)));
    double lead = value / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

static double y_step(double y_max) {
    return round_up(y_max / TICKS);
}

static void find_range(const struct chart *chart, struct scale *x, struct scale *y) {
    double y_min = INFINITY, y_max = 0;
    x->from = INFINITY;
    x->to = -INFINITY;
    for (uint32_t s = 0; s < chart->series_count; s++) {
        const struct chart_series *series = &chart->series[s];
        for (uint32_t i = 0; i < series->count; i++) {
            x->from = fmin(x->from, series->x[i]);
            x->to = fmax(x->to, series->x[i]);
            if (isnan(series->y[i]) || (chart->y_is_log && series->y[i] <= 0))
                continue;
            y_min = fmin(y_min, series->y[i]);
            y_max = fmax(y_max, series->y[i]);
        }
    }
    if (!isfinite(x->from))
        x->from = x->to = 0;
    y->is_log = chart->y_is_log && y_max > 0;
    y->from = y->is_log ? pow(10, floor(log10(y_min))) : 0;
    if (y->is_log)
        y->to = pow(10, ceil(log10(y_max * 1.0001)));
    else
        y->to = y_max > 0 ? ceil(y_max / y_step(y_max)) * y_step(y_max) : 1;
}

static void append_y_axis(struct buf *out, const struct chart *chart, const struct scale *y) {
    char text[32];
    int count = (int)round(y->is_log ? log10(y->to / y->from) : y->to / y_step(y->to));
    for (int i = 0; i <= count; i++) {
        double value = y->is_log ? y->from * pow(10, i) : y->to * i / count;
        double at = place(y, value);
        buf_printf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
                   WIDTH - RIGHT, at, at);
        buf_printf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8, at + 4);
        chart_append_text(out, chart->y_text != NULL ? chart->y_text(text, value) : plain_text(text, value));
        buf_append_text(out, "</text>");
    }
}

static void append_x_axis(struct buf *out, const struct chart *chart, const struct scale *x) {
    char text[32];
    uint32_t count = chart->x_ticks != NULL ? chart->x_tick_count : TICKS + 1;
    double step = x->to > x->from ? round_up((x->to - x->from) / TICKS) : 1;
    for (uint32_t i = 0; i < count; i++) {
        double value = chart->x_ticks != NULL ? chart->x_ticks[i] : ceil(x->from / step) * step + i * step;
        if (value > x->to * 1.0001)
            break;
        buf_printf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", place(x, value),
                   HEIGHT - BOTTOM + 18);
        chart_append_text(out, chart->x_text != NULL ? chart->x_text(text, value) : plain_text(text, value));
        buf_append_text(out, "</text>");
    }
    buf_printf(out, "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"end\">", WIDTH - RIGHT,
               HEIGHT - 6);
    chart_append_text(out, chart->x_label);
    buf_append_text(out, "</text>");
}

static void append_line(struct buf *out, const struct chart_series *series, uint32_t number,
                        const struct scale *x, const struct scale *y) {
    bool is_open = false;
    buf_printf(out, "<path class=\"series s%u\" d=\"", number);
    for (uint32_t i = 0; i < series->count; i++) {
        if (isnan(series->y[i])) {
            is_open = false;
            continue;
        }
        buf_printf(out, "%c%.1f %.1f", is_open ? 'L' : 'M', place(x, series->x[i]), place(y, series->y[i]));
        is_open = true;
    }
    buf_append_text(out, "\"/>");
}

static void append_marks(struct buf *out, const struct chart *chart, const struct scale *x) {
    for (uint32_t i = 0; i < chart->mark_count; i++) {
        double at = place(x, chart->marks[i].x);
        buf_printf(out, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", at, at, TOP,
                   HEIGHT - BOTTOM);
        buf_printf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\">", at + 4, TOP + 8);
        chart_append_text(out, chart->marks[i].text);
        buf_append_text(out, "</text>");
    }
}

static void append_legend(struct buf *out, const struct chart *chart) {
    buf_append_text(out, "<div class=\"legend\">");
    for (uint32_t i = 0; i < chart->series_count; i++) {
        buf_printf(out, "<span class=\"key k%u\"></span>", i);
        chart_append_text(out, chart->series[i].name);
        buf_append_text(out, " ");
    }
    buf_append_text(out, "</div>");
}

void chart_append(struct buf *out, const struct chart *chart) {
    struct scale x = {.low = LEFT, .high = WIDTH - RIGHT};
    struct scale y = {.low = HEIGHT - BOTTOM, .high = TOP};
    find_range(chart, &x, &y);
    buf_append_text(out, "<figure><figcaption>");
    chart_append_text(out, chart->title);
    buf_append_text(out, "<small>");
    chart_append_text(out, chart->y_label);
    buf_append_text(out, "</small></figcaption>");
    buf_printf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    chart_append_text(out, chart->title);
    buf_append_text(out, "\">");
    append_y_axis(out, chart, &y);
    append_x_axis(out, chart, &x);
    append_marks(out, chart, &x);
    for (uint32_t i = 0; i < chart->series_count; i++)
        append_line(out, &chart->series[i], i, &x, &y);
    buf_append_text(out, "</svg>");
    if (chart->series_count > 1)
        append_legend(out, chart);
    buf_append_text(out, "</figure>\n");
}

/* Line charts as inline SVG, in the page's own colours. */
#ifndef LOADTEST_CHART_H
#define LOADTEST_CHART_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

struct chart_series {
    const char *name;
    const double *x; /* Ascending. */
    const double *y; /* NAN: a gap. */
    uint32_t count;
};

struct chart_mark {
    double x;
    const char *text;
};

struct chart {
    const char *title;
    const char *x_label;
    const char *y_label;
    const struct chart_series *series; /* At most 6. */
    uint32_t series_count;
    const struct chart_mark *marks; /* Vertical lines. */
    uint32_t mark_count;
    bool y_is_log;
    /* Label of a value on the x axis; NULL: the number. Returns `out`, of 32 bytes. */
    const char *(*x_text)(char *out, double value);
    const char *(*y_text)(char *out, double value);
    const double *x_ticks; /* NULL: chosen. */
    uint32_t x_tick_count;
};

/* Appends a <figure>. The texts are escaped. */
void chart_append(struct buf *out, const struct chart *chart);

/* Appends `text` with what HTML needs escaped. */
void chart_append_text(struct buf *out, const char *text);

#endif

#include "loadtest/format.h"

#include <stdio.h>
#include <string.h>

enum { ROOM = 32 };

const char *format_count(char *out, uint64_t count) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *at = out;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return out;
}

const char *format_rate(char *out, double rate) {
    if (rate >= 999.5)
        return format_count(out, (uint64_t)(rate + 0.5));
    snprintf(out, ROOM, "%.3g", rate);
    return out;
}

const char *format_ns(char *out, uint64_t ns) {
    static const struct {
        double scale;
        const char *unit;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
    for (int i = 0; i < 3; i++) {
        double value = (double)ns / units[i].scale;
        if (value >= 1) {
            snprintf(out, ROOM,
                     value >= 100  ? "%.0f %s"
                     : value >= 10 ? "%.1f %s"
                                   : "%.2f %s",
                     value, units[i].unit);
            return out;
        }
    }
    snprintf(out, ROOM, "%u ns", (unsigned)ns);
    return out;
}

const char *format_bytes(char *out, double bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 3) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, ROOM, unit == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return out;
}

/* Numbers as people read them. Each writes into a buffer of at least 32 bytes and returns it. */
#ifndef LOADTEST_FORMAT_H
#define LOADTEST_FORMAT_H

#include <stdint.h>

const char *format_count(char *out, uint64_t count); /* 1,234,567 */
const char *format_rate(char *out, double rate);     /* 0.5, 20, 12,500 */
const char *format_ns(char *out, uint64_t ns);       /* 850 ns, 12.3 us, 4.56 ms, 1.20 s */
const char *format_bytes(char *out, double bytes);   /* 1.5 KiB, 12.3 MiB */

#endif

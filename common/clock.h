/* Time as a value. Code that decides anything takes `now_ms` as an argument, so that tests set it; only the
 * event loop and the tools read the clock. Monotonic, from an arbitrary start. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

#define TIME_NEVER UINT64_MAX

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_ns(void);
uint64_t clock_wall_ms(void); /* Milliseconds since 1970, for what people and Redis read. */

#endif

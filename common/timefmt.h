/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TIMEFMT_H
#define SPANWARD_TIMEFMT_H

/* Times, durations, rates and sizes that people can read. All write at most `size` bytes and return buf. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull
#define NS_PER_US 1000ull

char *format_time(char *buf, size_t size, uint64_t ns, bool utc);     /* 2026-11-17 08:03:10 (+ Z in UTC) */
char *format_duration(char *buf, size_t size, uint64_t ns);           /* 30.1 ms, 2 h 10 min, 7 d */
char *format_latency_us(char *buf, size_t size, double us);           /* 75 us, 30.1 ms, 1.2 s with a real mu sign */
char *format_bytes(char *buf, size_t size, uint64_t bytes);           /* 1.2 GB (decimal) */
char *format_count(char *buf, size_t size, uint64_t count);           /* 12 345, 1.2 M */
char *format_rate_bits(char *buf, size_t size, double bits_per_s);    /* 1.2 Gbit/s */
char *format_percent(char *buf, size_t size, double part, double of); /* 0.12 %, "-" when of is 0 */

/* Microseconds with up to three decimals and no trailing zeros, as the JSON contract wants: 30107, 75.25. */
char *format_us_json(char *buf, size_t size, uint64_t ns);

/* Parses 10s, 5m, 2h, 7d, 12w to ns. -EINVAL. */
int parse_duration(const char *text, uint64_t *ret_ns);

#endif

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Numbers that people read. One rule for all: three significant digits are enough for a reader, the unit is written
 * out after a space, and prefixes are decimal (1 kB = 1000 bytes) because links and disks are sold that way.
 * Exact values are for JSON, which does not come through here except for microseconds (format_us_json), where
 * binary floating point would print 30107.000000000002.
 */

#include "common/timefmt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

char *format_time(char *buf, size_t size, uint64_t ns, bool utc)
{
    time_t s = (time_t)(ns / NS_PER_S);
    struct tm tm;
    char text[64] = "?";

    if ((utc ? gmtime_r(&s, &tm) : localtime_r(&s, &tm)) != NULL)
        strftime(text, sizeof(text), utc ? "%Y-%m-%d %H:%M:%SZ" : "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(buf, size, "%s", text);
    return buf;
}

/* value with three significant digits: 9.87, 98.7, 987. Below 1000 by hand: a table of 10,000 rows has 80,000 of them,
 * and printf takes half of the time that it needs. */
static void format_3(char *buf, size_t size, double value, const char *unit)
{
    unsigned decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    char number[8], *end = number;

    if (!(value >= 0 && value < 999.5)) {
        snprintf(buf, size, "%.0f %s", value, unit);
        return;
    }
    unsigned scale = decimals == 2 ? 100 : decimals == 1 ? 10 : 1;
    unsigned n = (unsigned)(value * scale + 0.5), whole = n / scale;
    if (whole >= 100)
        *end++ = (char)('0' + whole / 100);
    if (whole >= 10)
        *end++ = (char)('0' + whole / 10 % 10);
    *end++ = (char)('0' + whole % 10);
    if (n % scale != 0) {
        *end++ = '.';
        *end++ = (char)('0' + n * 10 / scale % 10);
        if (n * 10 % scale != 0)
            *end++ = (char)('0' + n % 10);
    }
    *end++ = ' ';
    size_t n_number = (size_t)(end - number), n_unit = strlen(unit);
    if (n_number + n_unit >= size) {
        snprintf(buf, size, "%.*s%s", (int)n_number, number, unit);
        return;
    }
    memcpy(buf, number, n_number);
    memcpy(buf + n_number, unit, n_unit + 1);
}

/* Divides by 1000 until three digits remain; `units` ends with NULL. */
static char *format_scaled(char *buf, size_t size, double value, const char *const *units)
{
    while (value >= 999.5 && units[1] != NULL) {
        value /= 1000;
        units++;
    }
    format_3(buf, size, value, *units);
    return buf;
}

char *format_duration(char *buf, size_t size, uint64_t ns)
{
    static const char *const small[] = {"ns", "µs", "ms", NULL};
    uint64_t s = ns / NS_PER_S;

    if (ns < NS_PER_S - NS_PER_MS / 2)
        return format_scaled(buf, size, (double)ns, small);
    if (s < 60)
        format_3(buf, size, (double)ns / 1e9, "s");
    else if (s < 3600 && s % 60 == 0)
        snprintf(buf, size, "%u min", (unsigned)(s / 60));
    else if (s < 3600)
        snprintf(buf, size, "%u min %u s", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 86400 && s / 60 % 60 == 0)
        snprintf(buf, size, "%u h", (unsigned)(s / 3600));
    else if (s < 86400)
        snprintf(buf, size, "%u h %u min", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
    else if (s / 3600 % 24 == 0)
        snprintf(buf, size, "%llu d", (unsigned long long)(s / 86400));
    else
        snprintf(buf, size, "%llu d %u h", (unsigned long long)(s / 86400), (unsigned)(s / 3600 % 24));
    return buf;
}

char *format_latency_us(char *buf, size_t size, double us)
{
    static const char *const units[] = {"µs", "ms", "s", NULL};

    return format_scaled(buf, size, us, units);
}

char *format_bytes(char *buf, size_t size, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", NULL};

    return format_scaled(buf, size, (double)bytes, units);
}

char *format_count(char *buf, size_t size, uint64_t count)
{
    static const char *const units[] = {"M", "G", "T", "P", "E", NULL};

    if (count < 1000)
        snprintf(buf, size, "%u", (unsigned)count);
    else if (count < 1000000)
        snprintf(buf, size, "%u %03u", (unsigned)(count / 1000), (unsigned)(count % 1000));
    else
        format_scaled(buf, size, (double)count / 1e6, units);
    return buf;
}

char *format_rate_bits(char *buf, size_t size, double bits_per_s)
{
    static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", NULL};

    return format_scaled(buf, size, bits_per_s, units);
}

char *format_percent(char *buf, size_t size, double part, double of)
{
    double percent = of > 0 ? 100 * part / of : 0;

    if (!(of > 0))
        snprintf(buf, size, "-");
    else if (percent > 0 && percent < 0.005)
        snprintf(buf, size, "<0.01 %%");
    else if (percent < 100 && percent > 99.95)
        snprintf(buf, size, ">99.9 %%"); /* 100 % means all of them */
    else
        format_3(buf, size, percent, "%");
    return buf;
}

char *format_us_json(char *buf, size_t size, uint64_t ns)
{
    unsigned fraction = (unsigned)(ns % 1000);
    unsigned long long whole = ns / 1000;

    if (fraction == 0)
        snprintf(buf, size, "%llu", whole);
    else if (fraction % 100 == 0)
        snprintf(buf, size, "%llu.%u", whole, fraction / 100);
    else if (fraction % 10 == 0)
        snprintf(buf, size, "%llu.%02u", whole, fraction / 10);
    else
        snprintf(buf, size, "%llu.%03u", whole, fraction);
    return buf;
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
    static const struct {
        char unit;
        uint64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    uint64_t value = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return -EINVAL;
    if (p == text || p[0] == '\0' || p[1] != '\0')
        return -EINVAL;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint64_t ns;
        if (units[i].unit != *p)
            continue;
        if (__builtin_mul_overflow(value, units[i].s * NS_PER_S, &ns))
            return -EINVAL;
        *ret_ns = ns;
        return 0;
    }
    return -EINVAL;
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Reading `timestamp,value` fast: a date is computed once for all rows of a day, and numbers of at most 19 digits and a
 * small exponent are exact by one multiplication or division of doubles (W. D. Clinger, "How to read floating point
 * numbers accurately", PLDI 1990, the easy case); others go through strtod in the C locale. Nothing is read beyond the
 * line's length.
 */

#include "control/series_csv.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_SECOND 1000000000ll
#define NUMBER_BYTES  64u
#define LATEST_S      9.2e9 /* the year 2261: the end of int64 nanoseconds */

struct text {
    const char *p, *end;
};

static bool take_digits(struct text *t, unsigned n, unsigned *ret)
{
    unsigned v = 0;

    if ((size_t)(t->end - t->p) < n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (t->p[i] < '0' || t->p[i] > '9')
            return false;
        v = v * 10 + (unsigned)(t->p[i] - '0');
    }
    t->p += n;
    *ret = v;
    return true;
}

static bool take(struct text *t, char c)
{
    if (t->p == t->end || *t->p != c)
        return false;
    t->p++;
    return true;
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days since the epoch (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool take_date(struct text *t, struct series_days *known, int64_t *ret_days)
{
    static const unsigned char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *start = t->p;
    unsigned year, month, day;

    if (known->known && t->end - t->p >= 10 && memcmp(t->p, known->text, 10) == 0) {
        *ret_days = known->days;
        t->p += 10;
        return true;
    }
    if (!take_digits(t, 4, &year) || t->p == t->end || (*t->p != '-' && *t->p != '/'))
        return false;
    char separator = *t->p++;
    if (!take_digits(t, 2, &month) || !take(t, separator) || !take_digits(t, 2, &day))
        return false;
    if (year < 1700 || year > 2260 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (unsigned)(month == 2 && is_leap(year)))
        return false;
    *ret_days = days_of(year, month, day);
    memcpy(known->text, start, 10);
    known->days = *ret_days;
    known->known = true;
    return true;
}

/* Z, +HH, +HHMM or +HH:MM; nothing is UTC. */
static bool take_zone(struct text *t, int64_t *ret_offset_s)
{
    unsigned hours, minutes = 0;

    *ret_offset_s = 0;
    if (t->p == t->end || take(t, 'Z') || take(t, 'z'))
        return true;
    bool west = *t->p == '-';
    if (*t->p != '+' && *t->p != '-')
        return false;
    t->p++;
    if (!take_digits(t, 2, &hours) || hours > 23)
        return false;
    take(t, ':');
    if (t->p != t->end && (!take_digits(t, 2, &minutes) || minutes > 59))
        return false;
    *ret_offset_s = (int64_t)(hours * 3600 + minutes * 60) * (west ? -1 : 1);
    return true;
}

static bool take_clock(struct text *t, int64_t *ret_ns)
{
    unsigned hour, minute, second = 0;
    int64_t fraction = 0, unit = NS_PER_SECOND / 10;

    if (!take_digits(t, 2, &hour) || !take(t, ':') || !take_digits(t, 2, &minute) || hour > 24 || minute > 59)
        return false;
    if (take(t, ':') && (!take_digits(t, 2, &second) || second > 60))
        return false;
    if (t->p != t->end && (*t->p == '.' || *t->p == ',')) {
        for (t->p++; t->p != t->end && *t->p >= '0' && *t->p <= '9'; t->p++, unit /= 10)
            fraction += (*t->p - '0') * unit;
    }
    *ret_ns = ((int64_t)hour * 3600 + minute * 60 + second) * NS_PER_SECOND + fraction;
    return true;
}

static bool parse_slow(const char *p, size_t len, double *ret)
{
    char copy[NUMBER_BYTES], *end;

    if (len == 0 || len >= sizeof(copy))
        return false;
    for (size_t i = 0; i < len; i++) { /* neither hexadecimal nor names of infinity */
        if (!isdigit((unsigned char)p[i]) && strchr("+-.eE", p[i]) == NULL)
            return false;
        copy[i] = p[i];
    }
    copy[len] = '\0';
    if (p[0] == '\0')
        return false;
    *ret = strtod(copy, &end);
    return end == copy + len && isfinite(*ret);
}

static bool parse_number(const char *p, size_t len, double *ret)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t mantissa = 0;
    size_t i = len > 0 && (p[0] == '-' || p[0] == '+');
    size_t digits = 0, decimals = 0;

    for (; i < len && p[i] >= '0' && p[i] <= '9'; i++, digits++)
        mantissa = mantissa * 10 + (uint64_t)(p[i] - '0');
    if (i < len && p[i] == '.') {
        for (i++; i < len && p[i] >= '0' && p[i] <= '9'; i++, digits++, decimals++)
            mantissa = mantissa * 10 + (uint64_t)(p[i] - '0');
    }
    if (i != len || digits == 0 || digits > 19 || mantissa >> 53 != 0)
        return parse_slow(p, len, ret);
    double v = (double)mantissa / tens[decimals];
    *ret = p[0] == '-' ? -v : v;
    return true;
}

static bool parse_epoch(const char *p, size_t len, int64_t *ret_ns)
{
    double v;

    if (!parse_number(p, len, &v))
        return false;
    double size = fabs(v);
    double per_second = size < 1e11 ? 1 : size < 1e14 ? 1e3 : size < 1e17 ? 1e6 : 1e9;
    if (size / per_second > LATEST_S)
        return false;
    double whole = floor(v / per_second);
    *ret_ns = (int64_t)whole * NS_PER_SECOND + (int64_t)((v - whole * per_second) * (1e9 / per_second));
    return true;
}

static bool parse_time(const char *p, size_t len, struct series_days *known, int64_t *ret_ns)
{
    struct text t = {p, p + len};
    int64_t days, clock_ns = 0, offset_s = 0;

    if (!take_date(&t, known, &days))
        return parse_epoch(p, len, ret_ns);
    if (t.p != t.end) {
        if ((*t.p != 'T' && *t.p != ' ' && *t.p != 't'))
            return false;
        t.p++;
        if (!take_clock(&t, &clock_ns) || !take_zone(&t, &offset_s) || t.p != t.end)
            return false;
    }
    *ret_ns = (days * 86400 - offset_s) * NS_PER_SECOND + clock_ns;
    return true;
}

/* Without blanks at the ends and one pair of quotes. */
static void strip(const char **p, size_t *len)
{
    while (*len > 0 && (**p == ' ' || **p == '\t')) {
        (*p)++;
        (*len)--;
    }
    while (*len > 0 && ((*p)[*len - 1] == ' ' || (*p)[*len - 1] == '\t'))
        (*len)--;
    if (*len >= 2 && **p == '"' && (*p)[*len - 1] == '"') {
        (*p)++;
        *len -= 2;
    }
}

/* The two fields of a line; false when there are not two. */
static bool split(struct series_row *r, const char *line, size_t len)
{
    const char *comma = memchr(line, ',', len);

    if (comma == NULL)
        return false;
    r->time_text = line;
    r->time_len = (size_t)(comma - line);
    r->value_text = comma + 1;
    r->value_len = len - r->time_len - 1;
    return memchr(r->value_text, ',', r->value_len) == NULL;
}

int series_row_parse(struct series_row *ret, const char *line, size_t len, struct series_days *days, struct error *e)
{
    if (!split(ret, line, len))
        return error_set(e, -EINVAL, "a row has two fields, timestamp,value");
    const char *p = ret->time_text;
    size_t n = ret->time_len;
    strip(&p, &n);
    if (!parse_time(p, n, days, &ret->time_ns))
        return error_set(e, -EINVAL, "the timestamp is neither a date and time nor a number of seconds");
    p = ret->value_text;
    n = ret->value_len;
    strip(&p, &n);
    ret->has_value = n > 0;
    ret->value = 0;
    if (n > 0 && !parse_number(p, n, &ret->value))
        return error_set(e, -EINVAL, "the value is not a number");
    return 0;
}

bool series_is_heading(const char *line, size_t len)
{
    struct series_row r;
    struct series_days days = {0};
    int64_t ns;
    double v;

    if (!split(&r, line, len))
        return false;
    const char *p = r.time_text, *q = r.value_text;
    strip(&p, &r.time_len);
    strip(&q, &r.value_len);
    return r.time_len > 0 && r.value_len > 0 && !parse_time(p, r.time_len, &days, &ns) &&
           !parse_number(q, r.value_len, &v);
}

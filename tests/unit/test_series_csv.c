/* SPDX-License-Identifier: BSD-3-Clause */

/* Rows of timestamp,value: all the ways in which people write times and numbers, and what is no row. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "control/series_csv.h"
#include "tests/unit/unit.h"

static int parse(const char *line, struct series_row *r)
{
    static struct series_days days;
    struct error e = {""};
    int rc = series_row_parse(r, line, strlen(line), &days, &e);

    ck_assert(rc == 0 || e.text[0] != '\0');
    return rc;
}

START_TEST(times)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {
        {"1970-01-01 00:00:00", 0},
        {"1970-01-02", 86400000000000},
        {"2026-11-17T08:03:10Z", 1794902590000000000},
        {"2026-11-17 08:03:10.25", 1794902590250000000},
        {"2026-11-17T09:03:10+01:00", 1794902590000000000},
        {"2026-11-17T06:33:10-0130", 1794902590000000000},
        {"2026-11-17 08:03", 1794902580000000000},
        {"2024-02-29 00:00:00", 1709164800000000000},
        {"\"2026-11-17 08:03:10\"", 1794902590000000000},
        {"1794902590", 1794902590000000000},
        {"1794902590.5", 1794902590500000000},
        {"1794902590000", 1794902590000000000},
        {"1794902590000000", 1794902590000000000},
        {"0", 0},
        {"-60", -60000000000},
    };
    char line[128];
    struct series_row r;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(line, sizeof(line), "%s,1", good[i].text);
        ck_assert_msg(parse(line, &r) == 0, "%s", line);
        ck_assert_msg(r.time_ns == good[i].ns, "%s is %lld", line, (long long)r.time_ns);
        ck_assert_uint_eq(r.time_len, strlen(good[i].text));
    }
}
END_TEST

START_TEST(values)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"1", 1},
                {"-2.5", -2.5},
                {"+3", 3},
                {"1e3", 1000},
                {".5", 0.5},
                {"5.", 5},
                {"1E-2", 0.01},
                {" 7 ", 7},
                {"\"8\"", 8},
                {"0.1", 0.1},
                {"12345678901234567890123", 12345678901234567890123.0},
                {"123456.789012", 123456.789012}};
    char line[128];
    struct series_row r;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(line, sizeof(line), "0,%s", good[i].text);
        ck_assert_msg(parse(line, &r) == 0, "%s", line);
        ck_assert(r.has_value);
        ck_assert_double_eq(r.value, good[i].value);
    }
    ck_assert_int_eq(parse("2026-01-01 00:00:00,", &r), 0);
    ck_assert(!r.has_value);
}
END_TEST

START_TEST(no_rows)
{
    static const char *const bad[] = {"",
                                      "5",
                                      "5,6,7",
                                      "x,1",
                                      "2026-13-01,1",
                                      "2026-02-29,1",
                                      "2026-01-01 25:00,1",
                                      "2026-01-01 00:60,1",
                                      "2026-01-01x,1",
                                      "0,x",
                                      "0,1x",
                                      "0,nan",
                                      "0,inf",
                                      "0,0x10",
                                      "0,1e999",
                                      "0,--1",
                                      ",1",
                                      "2026-01-01T00:00:00+1,1",
                                      "1e400,1",
                                      "0,1 2",
                                      "0,.",
                                      "99999999999999999999999,1"};
    struct series_row r;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(parse(bad[i], &r) == -EINVAL, "'%s' is a row", bad[i]);
}
END_TEST

START_TEST(headings)
{
    ck_assert(series_is_heading("timestamp,value", 15));
    ck_assert(series_is_heading("\"time\",\"load\"", 13));
    ck_assert(!series_is_heading("0,1", 3));
    ck_assert(!series_is_heading("2026-01-01,x", 12));
    ck_assert(!series_is_heading("a,b,c", 5));
    ck_assert(!series_is_heading("", 0));
}
END_TEST

UNIT_MAIN("series_csv", times, values, no_rows, headings)

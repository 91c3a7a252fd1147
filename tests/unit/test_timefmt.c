/* SPDX-License-Identifier: BSD-3-Clause */

/* Numbers for people at their edges: where a unit changes, where rounding would reach the next one. */

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "common/timefmt.h"
#include "tests/unit/unit.h"

static char buf[64];

START_TEST(times)
{
    ck_assert_str_eq(format_time(buf, sizeof(buf), 1763366590ull * NS_PER_S + 999, true), "2025-11-17 08:03:10Z");
    setenv("TZ", "CET-1", 1);
    tzset();
    ck_assert_str_eq(format_time(buf, sizeof(buf), 1763366590ull * NS_PER_S, false), "2025-11-17 09:03:10");
    ck_assert_str_eq(format_time(buf, 5, 1763366590ull * NS_PER_S, true), "2025");
}
END_TEST

START_TEST(durations)
{
    static const struct {
        uint64_t ns;
        const char *want;
    } t[] = {{0, "0 ns"},
             {999, "999 ns"},
             {1000, "1 µs"},
             {30100000, "30.1 ms"},
             {999600000, "1 s"},
             {1500000000, "1.5 s"},
             {90 * NS_PER_S, "1 min 30 s"},
             {600 * NS_PER_S, "10 min"},
             {7800 * NS_PER_S, "2 h 10 min"},
             {7200 * NS_PER_S, "2 h"},
             {7 * 86400 * NS_PER_S, "7 d"},
             {90000 * NS_PER_S, "1 d 1 h"}};

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        ck_assert_str_eq(format_duration(buf, sizeof(buf), t[i].ns), t[i].want);
}
END_TEST

START_TEST(latencies_bytes_counts_rates)
{
    ck_assert_str_eq(format_latency_us(buf, sizeof(buf), 75), "75 µs");
    ck_assert_str_eq(format_latency_us(buf, sizeof(buf), 0), "0 µs");
    ck_assert_str_eq(format_latency_us(buf, sizeof(buf), 30107), "30.1 ms");
    ck_assert_str_eq(format_latency_us(buf, sizeof(buf), 999.6), "1 ms");
    ck_assert_str_eq(format_latency_us(buf, sizeof(buf), 1200000), "1.2 s");
    ck_assert_str_eq(format_bytes(buf, sizeof(buf), 999), "999 B");
    ck_assert_str_eq(format_bytes(buf, sizeof(buf), 1234567890), "1.23 GB");
    ck_assert_str_eq(format_bytes(buf, sizeof(buf), UINT64_MAX), "18.4 EB");
    ck_assert_str_eq(format_count(buf, sizeof(buf), 7), "7");
    ck_assert_str_eq(format_count(buf, sizeof(buf), 12045), "12 045");
    ck_assert_str_eq(format_count(buf, sizeof(buf), 999999), "999 999");
    ck_assert_str_eq(format_count(buf, sizeof(buf), 1200000), "1.2 M");
    ck_assert_str_eq(format_rate_bits(buf, sizeof(buf), 1.2e9), "1.2 Gbit/s");
    ck_assert_str_eq(format_rate_bits(buf, sizeof(buf), 0), "0 bit/s");
}
END_TEST

START_TEST(percents)
{
    ck_assert_str_eq(format_percent(buf, sizeof(buf), 12, 10000), "0.12 %");
    ck_assert_str_eq(format_percent(buf, sizeof(buf), 0, 10000), "0 %");
    ck_assert_str_eq(format_percent(buf, sizeof(buf), 1, 1000000), "<0.01 %");
    ck_assert_str_eq(format_percent(buf, sizeof(buf), 999999, 1000000), ">99.9 %");
    ck_assert_str_eq(format_percent(buf, sizeof(buf), 10, 10), "100 %");
    ck_assert_str_eq(format_percent(buf, sizeof(buf), 5, 0), "-");
}
END_TEST

START_TEST(microseconds_for_json_are_exact)
{
    ck_assert_str_eq(format_us_json(buf, sizeof(buf), 30107000), "30107");
    ck_assert_str_eq(format_us_json(buf, sizeof(buf), 75250), "75.25");
    ck_assert_str_eq(format_us_json(buf, sizeof(buf), 1), "0.001");
    ck_assert_str_eq(format_us_json(buf, sizeof(buf), 500), "0.5");
    ck_assert_str_eq(format_us_json(buf, sizeof(buf), 1050), "1.05");
    ck_assert_str_eq(format_us_json(buf, sizeof(buf), UINT64_MAX), "18446744073709551.615");
}
END_TEST

START_TEST(durations_are_parsed)
{
    static const char *const bad[] = {"",       "s",
                                      "10",     "10x",
                                      "10s ",   " 10s",
                                      "-1s",    "1.5s",
                                      "10ss",   "99999999999999999s",
                                      "30501w", "99999999999999999999s"};
    uint64_t ns = 42;

    ck_assert_int_eq(parse_duration("10s", &ns), 0);
    ck_assert_uint_eq(ns, 10 * NS_PER_S);
    ck_assert_int_eq(parse_duration("5m", &ns), 0);
    ck_assert_uint_eq(ns, 300 * NS_PER_S);
    ck_assert_int_eq(parse_duration("2h", &ns), 0);
    ck_assert_uint_eq(ns, 7200 * NS_PER_S);
    ck_assert_int_eq(parse_duration("7d", &ns), 0);
    ck_assert_uint_eq(ns, 604800 * NS_PER_S);
    ck_assert_int_eq(parse_duration("12w", &ns), 0);
    ck_assert_uint_eq(ns, 12 * 604800 * NS_PER_S);
    ck_assert_int_eq(parse_duration("0s", &ns), 0);
    ck_assert_uint_eq(ns, 0);
    ns = 42;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(parse_duration(bad[i], &ns) == -EINVAL && ns == 42, "%s", bad[i]);
}
END_TEST

UNIT_MAIN("timefmt", times, durations, latencies_bytes_counts_rates, percents, microseconds_for_json_are_exact,
          durations_are_parsed)

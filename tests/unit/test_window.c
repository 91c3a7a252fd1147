/* SPDX-License-Identifier: BSD-3-Clause */

/* Merging counters and the judgement about a window's quality, at its thresholds. */

#include <string.h>

#include "common/window.h"
#include "tests/unit/unit.h"

START_TEST(every_counter_is_merged)
{
    /* All counters are uint64_t: fill them by position, so that a forgotten one shows. */
    struct window_counters a, b;
    uint64_t *pa = (uint64_t *)(void *)&a, *pb = (uint64_t *)(void *)&b;
    size_t n = sizeof(a) / sizeof(uint64_t);

    for (size_t i = 0; i < n; i++) {
        pa[i] = i + 1;
        pb[i] = 1000 * (i + 1);
    }
    a.peak_1ms_bytes = 5000000;
    b.peak_1ms_bytes = 3;
    window_counters_merge(&a, &b);
    ck_assert_uint_eq(a.peak_1ms_bytes, 5000000);
    a.peak_1ms_bytes = 0;
    for (size_t i = 0; i < n; i++)
        ck_assert(pa[i] == 1001 * (i + 1) || &pa[i] == &a.peak_1ms_bytes);
    b.peak_1ms_bytes = 9;
    window_counters_merge(&a, &b);
    ck_assert_uint_eq(a.peak_1ms_bytes, 9);
}
END_TEST

START_TEST(quality)
{
    struct window_counters c = {0};

    ck_assert_int_eq(window_quality_of(&c), WINDOW_OK); /* nothing happened, nothing was missed */
    c.dir[0].bytes = 99000;
    c.dir[0].data_pkts = 100;
    c.dir[0].judged_pkts = 100;
    c.dir[1].capture_lost_bytes = 1000;
    ck_assert_int_eq(window_quality_of(&c), WINDOW_OK); /* exactly 1 % */
    c.dir[1].capture_lost_bytes = 1001;
    ck_assert_int_eq(window_quality_of(&c), WINDOW_UNSURE);
    c.dir[1].capture_lost_bytes = 0;
    c.dir[0].judged_pkts = 50;
    ck_assert_int_eq(window_quality_of(&c), WINDOW_OK);
    c.dir[0].judged_pkts = 49;
    ck_assert_int_eq(window_quality_of(&c), WINDOW_UNSURE);
    c.dir[0].judged_pkts = 0;
    ck_assert_int_eq(window_quality_of(&c), WINDOW_BLIND);
    c.dir[0].judged_pkts = 101; /* counters of two moments may disagree by a packet: no wrap */
    ck_assert_int_eq(window_quality_of(&c), WINDOW_OK);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(window_quality_name(WINDOW_OK), "ok");
    ck_assert_str_eq(window_quality_name(WINDOW_UNSURE), "unsure");
    ck_assert_str_eq(window_quality_name(WINDOW_BLIND), "blind");
    ck_assert_str_eq(window_scope_name(WINDOW_MIRROR), "mirror");
    ck_assert_str_eq(window_scope_name(WINDOW_PATH), "path");
    ck_assert_str_eq(window_scope_name(WINDOW_SERVICE), "service");
    ck_assert_str_eq(window_scope_name(WINDOW_HOST), "host");
}
END_TEST

START_TEST(quantiles)
{
    static struct hist h;
    struct window_quantiles q;

    window_quantiles_of(&q, &h);
    ck_assert(q.n == 0 && q.min_ns == 0 && q.p50_ns == 0 && q.max_ns == 0);
    for (uint64_t ms = 1; ms <= 100; ms++)
        hist_add(&h, ms * 1000000);
    window_quantiles_of(&q, &h);
    ck_assert(q.n == 100 && q.min_ns == 1000000 && q.max_ns == 100000000);
    ck_assert(q.min_ns <= q.p10_ns && q.p10_ns < q.p50_ns && q.p50_ns < q.p90_ns && q.p90_ns <= q.p99_ns &&
              q.p99_ns <= q.max_ns);
    ck_assert_uint_ge(q.p50_ns, 49000000);
    ck_assert_uint_le(q.p50_ns, 51000000);
}
END_TEST

UNIT_MAIN("window", every_counter_is_merged, quality, names, quantiles)

/* SPDX-License-Identifier: BSD-3-Clause */

/* The detector, minute by minute: 7 of 9 in, 15 quiet out, what is not observed, what is not learnt, what may only be a
 * suspicion. */

#include <math.h>
#include "common/timefmt.h"
#include "control/detect.h"
#include "tests/unit/unit.h"

static const struct detect_params params = {.loss_share = 0.01, .rtt_factor = 3, .min_pkts = 200};

#define START_MIN (20000u * 1440u) /* a date in UTC */

struct line {
    struct series x;
    uint32_t minute;
    struct detection d;
};

static void line_init(struct line *l, enum metric m)
{
    struct error e;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    series_init(&l->x, m);
    l->minute = START_MIN;
}

static void step(struct line *l, const struct observation *o)
{
    struct local_time t;

    local_from_ns(l->minute * 60ull * NS_PER_S, &t);
    l->minute++;
    series_step(&l->x, &params, o, l->minute, 1, &t, &l->d);
}

static struct observation loss(uint64_t n, uint64_t lost)
{
    struct observation o = {.quality = WINDOW_OK};

    o.dir[0].judged_pkts = n;
    o.dir[0].lost_downstream_pkts = lost;
    o.dir[0].bytes = n * 1000;
    return o;
}

START_TEST(seven_of_nine_in)
{
    struct line l;
    static const char pattern[] = "xxx.x.xx"; /* six of eight */
    struct observation bad = loss(10000, 300), good = loss(10000, 0);

    line_init(&l, METRIC_LOSS_A2B);
    for (int i = 0; i < 30; i++)
        step(&l, &good);
    uint32_t onset = l.minute;
    for (const char *p = pattern; *p != '\0'; p++) {
        step(&l, *p == 'x' ? &bad : &good);
        ck_assert(!l.d.entered);
    }
    ck_assert_int_eq(l.x.s.state, ANOMALY_SUSPECT);
    step(&l, &bad); /* the seventh of nine */
    ck_assert(l.d.entered);
    ck_assert_int_eq(l.x.s.state, ANOMALY_ANOMALOUS);
    ck_assert_uint_eq(l.x.s.onset_minute, onset);
    series_fini(&l.x);
}
END_TEST

START_TEST(fifteen_quiet_out)
{
    struct line l;
    struct observation bad = loss(10000, 300), good = loss(10000, 0), thin = loss(100, 0);

    line_init(&l, METRIC_LOSS_A2B);
    for (int i = 0; i < 9; i++)
        step(&l, &bad);
    for (int i = 0; i < 14; i++)
        step(&l, &good);
    ck_assert_int_eq(l.x.s.state, ANOMALY_CLEARING);
    step(&l, &bad); /* starts the count anew */
    ck_assert_int_eq(l.x.s.state, ANOMALY_ANOMALOUS);
    uint32_t bad_end = l.minute;
    for (int i = 0; i < 14; i++)
        step(&l, &good);
    for (int i = 0; i < 40; i++) { /* minutes without enough packets are neither */
        step(&l, &thin);
        ck_assert_int_eq(l.d.verdict, VERDICT_UNOBSERVED);
        ck_assert(!l.d.left);
    }
    step(&l, &good);
    ck_assert(l.d.left);
    ck_assert_uint_eq(l.x.s.bad_end_minute, bad_end);
    ck_assert_int_eq(l.x.s.state, ANOMALY_NORMAL);
    series_fini(&l.x);
}
END_TEST

START_TEST(blind_and_unsure_are_unobserved)
{
    struct line l;
    struct observation bad = loss(10000, 5000);

    line_init(&l, METRIC_LOSS_A2B);
    for (int q = WINDOW_UNSURE; q <= WINDOW_BLIND; q++) {
        bad.quality = (enum window_quality)q;
        for (int i = 0; i < 60; i++) {
            step(&l, &bad);
            ck_assert_int_eq(l.d.verdict, VERDICT_UNOBSERVED);
        }
    }
    ck_assert_uint_eq(l.x.s.exposure_today, 0);
    series_fini(&l.x);
}
END_TEST

START_TEST(counts_not_percentages)
{
    struct line l;
    struct observation few = loss(200, 2);      /* 1 %, but two packets */
    struct observation many = loss(20000, 200); /* 1 %, certainly */
    struct observation slight = loss(20000, 40);

    line_init(&l, METRIC_LOSS_A2B);
    step(&l, &few);
    ck_assert_int_eq(l.d.verdict, VERDICT_QUIET);
    step(&l, &many);
    ck_assert_int_eq(l.d.verdict, VERDICT_OUT);
    ck_assert_double_eq_tol(l.d.value, 0.01, 1e-9);
    step(&l, &slight);
    ck_assert_int_eq(l.d.verdict, VERDICT_QUIET);
    series_fini(&l.x);
}
END_TEST

START_TEST(own_baseline_finds_what_the_threshold_misses)
{
    struct line l;
    struct observation usual = loss(20000, 4), worse = loss(20000, 120); /* 0.02 % and 0.6 % */

    line_init(&l, METRIC_LOSS_A2B);
    step(&l, &worse);
    ck_assert_int_eq(l.d.verdict, VERDICT_QUIET); /* nothing to compare with */
    for (int i = 0; i < 5 * 1440; i++)
        step(&l, &usual);
    step(&l, &worse);
    ck_assert_int_eq(l.d.verdict, VERDICT_OUT);
    ck_assert_double_eq_tol(l.d.expected, 0.0002, 0.00002);
    series_fini(&l.x);
}
END_TEST

static struct observation rtt(double ms, uint64_t n)
{
    struct observation o = {.quality = WINDOW_OK};

    o.rtt_n[0] = n;
    o.rtt_p50_ns[0] = (uint64_t)(ms * 1e6);
    return o;
}

START_TEST(latency_needs_a_baseline_and_a_factor)
{
    struct line l;
    struct observation usual = rtt(20, 100), slow = rtt(70, 100), twice = rtt(40, 100), one = rtt(500, 2);

    line_init(&l, METRIC_RTT_A);
    step(&l, &slow);
    ck_assert_int_eq(l.d.verdict, VERDICT_UNKNOWN);
    for (int i = 0; i < 4 * 1440; i++)
        step(&l, &usual);
    step(&l, &twice);
    ck_assert_int_eq(l.d.verdict, VERDICT_QUIET);
    step(&l, &one);
    ck_assert_int_eq(l.d.verdict, VERDICT_UNOBSERVED);
    step(&l, &slow);
    ck_assert_int_eq(l.d.verdict, VERDICT_OUT);
    ck_assert_double_eq_tol(l.d.expected, 20e6, 1e5);
    series_fini(&l.x);
}
END_TEST

START_TEST(small_latencies_do_not_alarm)
{
    struct line l;
    struct observation usual = rtt(0.1, 100), slow = rtt(0.9, 100);

    line_init(&l, METRIC_RTT_A);
    for (int i = 0; i < 4 * 1440; i++)
        step(&l, &usual);
    step(&l, &slow); /* nine times, and yet less than 2 ms */
    ck_assert_int_eq(l.d.verdict, VERDICT_QUIET);
    series_fini(&l.x);
}
END_TEST

/* Five weeks with the same four hours bad every Tuesday: still bad in the last. */
START_TEST(what_is_anomalous_is_not_learnt)
{
    struct line l;
    struct local_time t;
    struct observation usual = rtt(20, 100), slow = rtt(120, 100);
    int entered_in_week[5] = {0};

    line_init(&l, METRIC_RTT_A);
    local_from_ns(l.minute * 60ull * NS_PER_S, &t);
    l.minute += (7 - t.weekday) * 1440u; /* a Monday */
    uint32_t monday = l.minute;
    for (int i = 0; i < 5 * 7 * 1440; i++) {
        uint32_t in_week = (l.minute - monday) % (7 * 1440);
        bool bad = in_week >= 1440 + 8 * 60 && in_week < 1440 + 12 * 60;
        step(&l, bad ? &slow : &usual);
        entered_in_week[i / (7 * 1440)] += l.d.entered;
    }
    ck_assert_int_eq(entered_in_week[0], 0); /* too early to know */
    for (int w = 1; w < 5; w++)
        ck_assert_int_eq(entered_in_week[w], 1);
    series_fini(&l.x);
}
END_TEST

static struct observation load(uint64_t bytes)
{
    struct observation o = {.quality = WINDOW_OK};

    o.dir[0].bytes = bytes;
    return o;
}

/* A Monday peak: suspicious while only fall-back bins speak, then learnt, and its absence noticed. */
START_TEST(load_peaks_are_learnt)
{
    struct line l;
    struct local_time t;
    struct observation usual = load(10000000), peak = load(200000000);

    line_init(&l, METRIC_LOAD_A2B);
    local_from_ns(l.minute * 60ull * NS_PER_S, &t);
    l.minute += (7 - t.weekday) * 1440u;
    uint32_t monday = l.minute;
    int weak[6] = {0}, out[6] = {0}, quiet[6] = {0};
    for (int i = 0; i < 6 * 7 * 1440; i++) {
        uint32_t in_week = (l.minute - monday) % (7 * 1440);
        bool is_peak = in_week >= 9 * 60 && in_week < 10 * 60;
        bool skipped = is_peak && i / (7 * 1440) == 5;
        step(&l, is_peak && !skipped ? &peak : &usual);
        ck_assert(!l.d.entered || i / (7 * 1440) == 5);
        if (is_peak) {
            weak[i / (7 * 1440)] += l.d.verdict == VERDICT_OUT_WEAK;
            out[i / (7 * 1440)] += l.d.verdict == VERDICT_OUT;
            quiet[i / (7 * 1440)] += l.d.verdict == VERDICT_QUIET;
        }
    }
    ck_assert_int_eq(weak[1], 60);  /* by the hour of the day it is out */
    ck_assert_int_eq(quiet[4], 60); /* by the hour of the week it is not */
    ck_assert_int_eq(out[5], 60);   /* now its absence is */
    series_fini(&l.x);
}
END_TEST

START_TEST(exposure_counts_observed_hours)
{
    struct line l;
    struct observation good = loss(10000, 0), thin = loss(10, 0);

    line_init(&l, METRIC_LOSS_A2B);
    for (int i = 0; i < 1440 + 60; i++) /* hours 8 to 17 observed, hour 18 for 20 minutes */
        step(&l, (i >= 480 && i < 1080) || (i >= 1080 && i < 1100) ? &good : &thin);
    ck_assert_uint_eq(series_exposure(&l.x, 20000), 0x3FF00);
    ck_assert_uint_eq(series_exposure(&l.x, 19999), 0);
    /* After a silence longer than the ring nothing stale is left. */
    l.minute += 1440 * 300;
    for (int i = 0; i < 120; i++)
        step(&l, &good);
    ck_assert_uint_eq(series_exposure(&l.x, 20000), 0);
    ck_assert_uint_ne(series_exposure(&l.x, 20301), 0);
    series_fini(&l.x);
}
END_TEST

START_TEST(coarse_windows_obey_the_same_minutes)
{
    struct line l;
    struct local_time t;
    struct observation bad = loss(50000, 1500), good = loss(50000, 0);

    line_init(&l, METRIC_LOSS_A2B);
    local_from_ns(l.minute * 60ull * NS_PER_S, &t);
    series_step(&l.x, &params, &bad, l.minute + 5, 5, &t, &l.d);
    ck_assert(!l.d.entered);
    series_step(&l.x, &params, &bad, l.minute + 10, 5, &t, &l.d);
    ck_assert(l.d.entered);
    ck_assert_uint_eq(l.x.s.onset_minute, l.minute);
    for (uint32_t i = 15; i <= 20; i += 5) {
        series_step(&l.x, &params, &good, l.minute + i, 5, &t, &l.d);
        ck_assert(!l.d.left);
    }
    series_step(&l.x, &params, &good, l.minute + 25, 5, &t, &l.d);
    ck_assert(l.d.left);
    series_fini(&l.x);
}
END_TEST

UNIT_MAIN("detect", seven_of_nine_in, fifteen_quiet_out, blind_and_unsure_are_unobserved, counts_not_percentages,
          own_baseline_finds_what_the_threshold_misses, latency_needs_a_baseline_and_a_factor,
          small_latencies_do_not_alarm, what_is_anomalous_is_not_learnt, load_peaks_are_learnt,
          exposure_counts_observed_hours, coarse_windows_obey_the_same_minutes)

/* SPDX-License-Identifier: BSD-3-Clause */

/* Baselines: codes, quantiles against exact ones, evidence before speech, decay, proportions; and the local calendar
 * that they hang on, through both changes of daylight saving. */

#include <math.h>
#include "common/timefmt.h"
#include "control/baseline.h"
#include "tests/unit/unit.h"

#define RULE "CET-1CEST,M3.5.0,M10.5.0/3"

static struct local_time at(int32_t date, uint8_t hour)
{
    struct local_time t = {.date = date, .week = local_week(date), .weekday = local_weekday(date), .hour = hour};

    t.hour_of_week = (uint16_t)(t.weekday * 24 + hour);
    return t;
}

START_TEST(codes_keep_order_and_value)
{
    uint16_t last = 0;

    for (double v = 1e-6; v < 1e15; v *= 1.007) {
        uint16_t code = baseline_code(v);
        ck_assert_uint_ge(code, last);
        ck_assert_double_eq_tol(baseline_value(code) / v, 1, 0.002);
        last = code;
    }
    ck_assert_uint_eq(baseline_code(0), 0);
    ck_assert_uint_eq(baseline_code(-5), 0);
    ck_assert_uint_eq(baseline_code(NAN), 0);
    ck_assert(isfinite(baseline_value(baseline_code(INFINITY))));
}
END_TEST

static int compare_doubles(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

START_TEST(quantiles_are_close_to_exact_ones)
{
    struct baseline b = {0};
    struct baseline_view view;
    static double all[8 * 60];
    size_t n = 0;

    srand48(7);
    for (int week = 0; week < 9; week++) {
        uint16_t codes[60];
        for (int i = 0; i < 60; i++) {
            double v = 1e7 * exp(0.4 * (drand48() + drand48() + drand48() - 1.5));
            codes[i] = baseline_code(v);
            if (week > 0)
                all[n++] = v;
        }
        struct local_time t = at(20000 + 7 * week, 9);
        if (week == 0) { /* the first three dates teach the coarse levels only */
            for (int d = 1; d <= 3; d++) {
                struct local_time early = at(20000 - d, 9);
                baseline_learn_values(&b, &early, codes, 60);
            }
        }
        baseline_learn_values(&b, &t, codes, 60);
    }
    qsort(all, n, sizeof(all[0]), compare_doubles);
    struct local_time t = at(20000 + 63, 9);
    baseline_view_values(&b, &t, &view);
    ck_assert_int_eq(view.level, BASELINE_HOUR_OF_WEEK);
    ck_assert_double_eq_tol(view.median / all[n / 2], 1, 0.04);
    double up = log(all[3 * n / 4] / all[n / 2]) / 0.6745;
    ck_assert_double_eq_tol(view.spread_up / up, 1, 0.2);
    baseline_fini(&b);
}
END_TEST

START_TEST(speaks_after_three_periods)
{
    struct baseline b = {0};
    struct baseline_view view;
    uint16_t codes[60];

    for (int d = 0; d < 28; d++) {
        struct local_time t = at(20000 + d, 9);
        baseline_view_values(&b, &t, &view);
        /* The fine level learns from the fourth date on, and needs three weeks of its own. */
        enum baseline_level expected = d < 3        ? BASELINE_NONE
                                       : d < 21 + 4 ? BASELINE_HOUR_OF_DAY
                                                    : BASELINE_HOUR_OF_WEEK;
        ck_assert_msg(view.level == expected, "day %d: %d", d, view.level);
        for (int i = 0; i < 60; i++)
            codes[i] = baseline_code(100);
        baseline_learn_values(&b, &t, codes, 60);
    }
    /* An hour never seen falls back on the global bin. */
    struct local_time night = at(20028, 3);
    baseline_view_values(&b, &night, &view);
    ck_assert_int_eq(view.level, BASELINE_GLOBAL);
    ck_assert_double_eq_tol(view.median, 100, 0.5);
    baseline_fini(&b);
}
END_TEST

START_TEST(old_evidence_fades)
{
    struct baseline b = {0};
    struct baseline_view view;
    uint16_t codes[60];
    int weeks_to_turn = 0;

    for (int d = -4; d < 7 * 12; d++) {
        struct local_time t = at(20000 + d, 9);
        for (int i = 0; i < 60; i++)
            codes[i] = baseline_code(100);
        baseline_learn_values(&b, &t, codes, 60);
    }
    for (int w = 12; w < 40; w++) {
        struct local_time t = at(20000 + 7 * w, 9);
        baseline_view_values(&b, &t, &view);
        if (view.median > 150) {
            weeks_to_turn = w - 12;
            break;
        }
        for (int i = 0; i < 60; i++)
            codes[i] = baseline_code(200);
        baseline_learn_values(&b, &t, codes, 60);
    }
    /* With a half-life of 6 weeks the new half outweighs 12 old weeks after 5. */
    ck_assert_int_ge(weeks_to_turn, 4);
    ck_assert_int_le(weeks_to_turn, 6);
    baseline_fini(&b);
}
END_TEST

START_TEST(proportions_know_their_spread)
{
    struct baseline steady = {0}, bursty = {0};
    struct baseline_view a, z;

    srand48(3);
    for (int d = 0; d < 10; d++) {
        struct local_time t = at(20000 + d, 9);
        struct baseline_counts x = {0}, y = {0};
        for (int i = 0; i < 60; i++) {
            double n = 10000;
            double p[2] = {0.001, drand48() < 0.1 ? 0.01 : 0};
            for (int k = 0; k < 2; k++) {
                struct baseline_counts *c = k == 0 ? &x : &y;
                double hits = 0; /* binomial by its normal approximation, rounded */
                if (p[k] > 0)
                    hits = floor(n * p[k] + sqrt(n * p[k]) * (drand48() + drand48() + drand48() - 1.5) * 2 + 0.5);
                c->trials += n;
                c->hits += hits;
                c->hits2_per_trial += hits * hits / n;
                c->windows++;
            }
        }
        baseline_learn_counts(&steady, &t, &x);
        baseline_learn_counts(&bursty, &t, &y);
    }
    struct local_time t = at(20010, 9);
    baseline_view_counts(&steady, &t, &a);
    baseline_view_counts(&bursty, &t, &z);
    ck_assert_double_eq_tol(a.mean, 0.001, 0.0001);
    ck_assert_double_eq_tol(z.mean, 0.001, 0.0004);
    ck_assert_double_lt(a.rho, 5e-4);
    ck_assert_double_gt(z.rho, 2e-3); /* 0.001 as 0.01 in a tenth of the windows: rho is 0.009 */
    baseline_fini(&steady);
    baseline_fini(&bursty);
}
END_TEST

START_TEST(calendar_and_daylight_saving)
{
    struct error e = {""};
    struct local_time t;
    char text[64];

    ck_assert_int_eq(local_init(RULE, &e), 0);
    /* 2026-11-17 07:03 UTC is a Tuesday, 08:03 in this zone. */
    local_from_ns(1794898980ull * NS_PER_S, &t);
    ck_assert_int_eq(t.weekday, 1);
    ck_assert_int_eq(t.hour, 8);
    ck_assert_int_eq(t.minute, 3);
    ck_assert_str_eq(weekday_name(t.weekday), "Tuesday");
    ck_assert_str_eq(local_format(text, sizeof(text), 1794898980ull * NS_PER_S, 1), "2026-11-17 08:03 +01:00");
    /* The night of 2026-10-25 has 25 hours: 02 h twice, in the same bin. */
    uint64_t midnight = local_to_ns(t.date - 23, 0, 0);
    uint64_t next = local_to_ns(t.date - 22, 0, 0);
    ck_assert_uint_eq((next - midnight) / NS_PER_S, 25 * 3600);
    struct local_time first, second;
    local_from_ns(midnight + 2 * 3600 * NS_PER_S, &first);
    local_from_ns(midnight + 3 * 3600 * NS_PER_S, &second);
    ck_assert_int_eq(first.hour_of_week, 6 * 24 + 2);
    ck_assert_int_eq(second.hour_of_week, 6 * 24 + 2);
    ck_assert_int_eq(first.date, second.date);
    /* Tuesdays at eight stay Tuesdays at eight across it. */
    for (int32_t d = t.date - 70; d <= t.date; d += 7) {
        struct local_time x;
        local_from_ns(local_to_ns(d, 8, 0), &x);
        ck_assert_int_eq(x.hour_of_week, 24 + 8);
        ck_assert_int_eq(x.date, d);
    }
    /* Weeks begin on Mondays. */
    ck_assert_int_eq(local_week(t.date - 1), local_week(t.date));
    ck_assert_int_eq(local_week(t.date - 2), local_week(t.date) - 1);
    ck_assert_int_eq(local_init("Nowhere/Land", &e), -22);
    ck_assert_int_eq(local_init("../etc/passwd", &e), -22);
}
END_TEST

UNIT_MAIN("baseline", codes_keep_order_and_value, quantiles_are_close_to_exact_ones, speaks_after_three_periods,
          old_evidence_fades, proportions_know_their_spread, calendar_and_daylight_saving)

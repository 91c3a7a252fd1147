/* SPDX-License-Identifier: BSD-3-Clause */

/* What hours show: slow drift, a level that stays and is decided about, and holidays. */

#include <math.h>
#include "common/timefmt.h"
#include "control/level.h"
#include "tests/unit/unit.h"

#define MONDAY_MIN (20003u * 1440u) /* 2024-10-07 */
#define DAY_MIN    1440

struct line {
    struct series *x;
    uint32_t minute;
    struct detection d;
    struct detect_params params;
    int entered, left;
};

static void line_init(struct line *l, enum metric m)
{
    struct error e;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    *l = (struct line){
        .x = series_new(m), .minute = MONDAY_MIN, .params = {.loss_share = 0.01, .rtt_factor = 3, .min_pkts = 200}};
    ck_assert_ptr_nonnull(l->x);
}

static void line_fini(struct line *l)
{
    series_fini(l->x);
    free(l->x);
}

static void step(struct line *l, const struct observation *o)
{
    struct local_time t;

    local_from_ns(l->minute * 60ull * NS_PER_S, &t);
    l->minute++;
    series_step(l->x, &l->params, o, l->minute, 1, &t, &l->d);
    l->entered += l->d.entered;
    l->left += l->d.left;
}

/* Minutes of an RTT that wavers by a few per cent. */
static void rtt_days(struct line *l, int days, double from_ms, double to_ms)
{
    struct observation o = {.quality = WINDOW_OK};

    o.rtt_n[0] = 100;
    for (int i = 0; i < days * DAY_MIN; i++) {
        double ms = from_ms + (to_ms - from_ms) * i / (days * DAY_MIN);
        o.rtt_p50_ns[0] = (uint64_t)(ms * 1e6 * (1 + 0.03 * sin(i * 1.7) + 0.03 * sin(i * 0.61)));
        step(l, &o);
    }
}

START_TEST(steady_is_no_drift)
{
    struct line l;

    line_init(&l, METRIC_RTT_A);
    rtt_days(&l, 35, 20, 20);
    ck_assert_int_eq(l.entered, 0);
    ck_assert_float_eq(l.x->s.drift, 0);
    ck_assert_uint_eq(l.x->s.level_hours, 0);
    line_fini(&l);
}
END_TEST

START_TEST(slow_drift_lowers_the_bar)
{
    struct line l;

    line_init(&l, METRIC_RTT_A);
    rtt_days(&l, 28, 20, 20);
    rtt_days(&l, 14, 20, 34); /* never three times the usual */
    ck_assert_int_ge(l.entered, 1);
    ck_assert(l.x->s.drift >= SERIES_DRIFTING);
    line_fini(&l);
}
END_TEST

START_TEST(a_level_that_stays_is_proposed_and_approved)
{
    struct line l;
    struct error e;

    line_init(&l, METRIC_RTT_A);
    rtt_days(&l, 28, 20, 20);
    rtt_days(&l, 6, 80, 80);
    ck_assert_int_eq(l.entered, 1);
    ck_assert_uint_eq(l.x->s.proposed_minute, 0);
    ck_assert_int_eq(series_approve(l.x, &e), -22);
    rtt_days(&l, 2, 80, 80);
    ck_assert_uint_ne(l.x->s.proposed_minute, 0);
    ck_assert_double_eq_tol(level_factor(l.x), 4, 0.1);
    ck_assert_int_eq(series_approve(l.x, &e), 0);
    rtt_days(&l, 1, 80, 80);
    ck_assert_int_eq(l.left, 1);
    ck_assert_int_eq(l.x->s.state, ANOMALY_NORMAL);
    rtt_days(&l, 14, 80, 80);
    ck_assert_int_eq(l.entered, 1);
    line_fini(&l);
}
END_TEST

START_TEST(a_refused_level_stays_a_fault)
{
    struct line l;
    struct error e;

    line_init(&l, METRIC_RTT_A);
    rtt_days(&l, 28, 20, 20);
    rtt_days(&l, 8, 80, 80);
    ck_assert_int_eq(series_refuse(l.x, l.minute, &e), 0);
    rtt_days(&l, 8, 80, 80);
    ck_assert_uint_eq(l.x->s.proposed_minute, 0);
    ck_assert_int_eq(l.x->s.state, ANOMALY_ANOMALOUS);
    rtt_days(&l, 1, 20, 20); /* over: what comes next is judged anew */
    ck_assert_uint_eq(l.x->s.refused_minute, 0);
    ck_assert_int_eq(l.x->s.state, ANOMALY_NORMAL);
    line_fini(&l);
}
END_TEST

/* Quiet weekends, busy weekdays; then a Wednesday as quiet as a Sunday. */
static int out_on_wednesday(bool listed)
{
    struct line l;
    struct observation o = {.quality = WINDOW_OK};
    struct holidays h = {.n = 0};
    struct error e;
    int out = 0;

    line_init(&l, METRIC_LOAD_A2B);
    ck_assert_int_eq(holidays_parse(&h, "12-25, 2024-11-06", &e), 0);
    l.params.holidays = listed ? &h : NULL;
    for (int i = 0; i < 32 * DAY_MIN; i++) {
        int day = i / DAY_MIN;
        bool quiet = day % 7 >= 5 || day == 30; /* 2024-11-06 is a Wednesday */
        o.dir[0].bytes = quiet ? 100000 : 5000000;
        step(&l, &o);
        out += day == 30 && l.d.verdict == VERDICT_OUT;
    }
    line_fini(&l);
    return out;
}

START_TEST(a_holiday_is_a_sunday)
{
    ck_assert_int_gt(out_on_wednesday(false), 1000);
    ck_assert_int_eq(out_on_wednesday(true), 0);
}
END_TEST

START_TEST(holidays_are_parsed)
{
    struct holidays h;
    struct error e;

    ck_assert_int_eq(holidays_parse(&h, "", &e), 0);
    ck_assert_uint_eq(h.n, 0);
    ck_assert_int_eq(holidays_parse(&h, " 12-25  2026-04-03,01-01", &e), 0);
    ck_assert_uint_eq(h.n, 3);
    ck_assert(holidays_has(&h, 20546));  /* 2026-04-03 */
    ck_assert(!holidays_has(&h, 20911)); /* 2027-04-03 */
    ck_assert(holidays_has(&h, 20454));  /* 2026-01-01 */
    ck_assert(!holidays_has(&h, 20455));
    ck_assert(!holidays_has(NULL, 20454));
    ck_assert_int_lt(holidays_parse(&h, "Easter", &e), 0);
    ck_assert_int_lt(holidays_parse(&h, "13-01", &e), 0);
    ck_assert_int_lt(holidays_parse(&h, "2026-04-03-", &e), 0);
}
END_TEST

UNIT_MAIN("level", steady_is_no_drift, slow_drift_lowers_the_bar, a_level_that_stays_is_proposed_and_approved,
          a_refused_level_stays_a_fault, a_holiday_is_a_sunday, holidays_are_parsed)

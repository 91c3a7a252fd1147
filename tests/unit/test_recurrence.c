/* SPDX-License-Identifier: BSD-3-Clause */

/* Recurrence: the distributions against independent computations, the rule's numbers, its power and its false alarms by
 * simulation, exposure, hours and names. */

#include <math.h>
#include <string.h>
#include "common/timefmt.h"
#include "control/localtime.h"
#include "control/recurrence.h"
#include "control/stats.h"
#include "tests/unit/unit.h"

#define MONDAY 20724 /* 2026-09-28 */

/* Pascal's triangle: nothing in common with log-gamma. */
static long double choose(unsigned n, unsigned k)
{
    static long double c[201][201];

    if (c[0][0] == 0) {
        for (unsigned i = 0; i <= 200; i++) {
            c[i][0] = 1;
            for (unsigned j = 1; j <= i; j++)
                c[i][j] = c[i - 1][j - 1] + (j < i ? c[i - 1][j] : 0);
        }
    }
    return k > n ? 0 : c[n][k];
}

START_TEST(hypergeometric_against_pascal)
{
    for (unsigned total = 7; total <= 84; total += 7) {
        for (unsigned white = 0; white <= total; white += 3) {
            unsigned n = total / 7;
            for (unsigned k = 0; k <= n; k++) {
                long double sum = 0;
                for (unsigned i = k; i <= n && i <= white; i++)
                    sum += choose(white, i) * choose(total - white, n - i);
                ck_assert_double_eq_tol(hypergeometric_tail(total, white, n, k), (double)(sum / choose(total, n)),
                                        1e-10);
            }
        }
    }
}
END_TEST

/* Bounds decide as the sum does. */
START_TEST(beyond_is_the_tail_below)
{
    static const double means[] = {1e-5, 0.0025, 0.05, 0.4}, rhos[] = {0, 1e-4, 2e-4, 0.01, 0.2};
    static const uint64_t sizes[] = {20, 333, 3000, 20000};

    for (size_t i = 0; i < 4 * 5 * 4; i++) {
        double mean = means[i % 4], rho = rhos[i / 4 % 5];
        uint64_t n = sizes[i / 20];
        for (uint64_t k = 0; k <= n; k += 1 + k / 4) {
            double tail = beta_binomial_tail(n, mean, rho, k);
            for (double limit = 1e-6; limit < 1; limit *= 10) {
                if (fabs(tail - limit) > 1e-9 * limit)
                    ck_assert_int_eq(beta_binomial_beyond(n, mean, rho, k, limit), tail < limit);
            }
        }
    }
}
END_TEST

START_TEST(binomial_and_beta_binomial)
{
    for (unsigned n = 1; n <= 120; n += 7) {
        for (double p = 0.01; p < 1; p += 0.11) {
            for (unsigned k = 0; k <= n; k += 3) {
                long double sum = 0;
                for (unsigned i = k; i <= n; i++)
                    sum += choose(n, i) * powl(p, i) * powl(1 - p, n - i);
                ck_assert_double_eq_tol(binomial_tail(n, p, k), (double)sum, 1e-9);
            }
        }
    }
    /* Beta-binomial by its product form (Polya's urn), a = 2, b = 6: mean 1/4, rho 1/9. */
    for (unsigned n = 2; n <= 40; n += 5) {
        for (unsigned k = 0; k <= n; k++) {
            long double sum = 0;
            for (unsigned i = k; i <= n; i++) {
                long double term = choose(n, i);
                for (unsigned j = 0; j < i; j++)
                    term *= (2.0L + j) / (8.0L + j);
                for (unsigned j = 0; j < n - i; j++)
                    term *= (6.0L + j) / (8.0L + i + j);
                sum += term;
            }
            ck_assert_double_eq_tol(beta_binomial_tail(n, 0.25, 1.0 / 9, k), (double)sum, 1e-9);
        }
    }
}
END_TEST

START_TEST(clean_weeks_of_the_design)
{
    ck_assert_uint_eq(clean_exposures_needed(4, 4), 4);
    ck_assert_uint_eq(clean_exposures_needed(6, 8), 5);
    ck_assert_uint_eq(clean_exposures_needed(8, 8), 3);
    for (uint64_t n = 1; n < 40; n++) { /* Wilson's bound solves (p - k/n)^2 = z^2 p (1 - p) / n */
        for (uint64_t k = 1; k <= n; k++) {
            double p = wilson_lower(k, n), share = (double)k / (double)n, z = 1.6448536269514722;
            ck_assert_double_eq_tol((p - share) * (p - share), z * z * p * (1 - p) / (double)n, 1e-9);
            ck_assert_double_le(p, share);
        }
    }
}
END_TEST

START_TEST(false_discovery_rounds)
{
    /* The example of the original paper's kind: thresholds i/n * q. */
    double p[] = {0.6, 0.001, 0.039, 0.008, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212};
    ck_assert_double_eq(benjamini_hochberg(p, 10, 0.05), 0.008);
    double none[] = {0.5, 0.2};
    ck_assert_double_lt(benjamini_hochberg(none, 2, 0.05), 0);
    double all[] = {0.01, 0.04, 0.03};
    ck_assert_double_eq(benjamini_hochberg(all, 3, 0.05), 0.04);
}
END_TEST

static void add_onset(struct history *h, int32_t date, unsigned hour, unsigned minute, unsigned length_min)
{
    struct occurrence o = {.onset_ns = local_to_ns(date, hour, minute)};

    o.end_ns = o.onset_ns + length_min * 60 * NS_PER_S;
    ck_assert_int_eq(history_add(h, &o), 0);
}

START_TEST(four_of_four)
{
    struct history h = {0};
    struct recurrence_days d;
    struct recurrence_pattern cell, found[RECURRENCE_PATTERNS];
    struct error e;
    double best;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    for (int w = 0; w < 4; w++)
        add_onset(&h, MONDAY + 1 + 7 * w, 8, 3, 170);
    /* The look on the Monday after the fourth week; observed since the first Monday: T = 28. */
    recurrence_collect(&d, &h, MONDAY + 28, NULL, NULL);
    for (uint32_t i = 0; i < d.n; i++)
        d.seen[i] = d.first_date + (int32_t)i >= MONDAY ? 0xFFFFFF : 0;
    recurrence_weekly_cell(&d, 1, 8, &cell);
    ck_assert_uint_eq(cell.k, 4);
    ck_assert_uint_eq(cell.n, 4);
    ck_assert_uint_eq(cell.dates_hit, 4);
    ck_assert_uint_eq(cell.dates_seen, 28);
    ck_assert_double_eq_tol(cell.p_value, 168.0 / 20475.0, 1e-9); /* 1 / C(28, 4), times the cells */
    ck_assert_double_eq_tol(cell.lift, 7, 1e-9);
    ck_assert(cell.passes);
    ck_assert_uint_eq(recurrence_test(&d, found, &best), 1);
    ck_assert_uint_eq(found[0].first_slot, 6); /* three slots hold the onsets */
    ck_assert_uint_eq(found[0].last_slot, 8);
    unsigned from, to;
    recurrence_hours(&found[0], &h, d.first_date, &from, &to);
    ck_assert_uint_eq(from, 8);
    ck_assert_uint_eq(to, 11);
    /* Three of three is not enough. */
    recurrence_collect(&d, &h, MONDAY + 21, NULL, NULL);
    recurrence_weekly_cell(&d, 1, 8, &cell);
    ck_assert_uint_eq(cell.k, 3);
    ck_assert(!cell.passes);
    history_fini(&h);
}
END_TEST

static uint32_t tuesdays_only(const void *ctx, int32_t date)
{
    (void)ctx;
    return local_weekday(date) == 1 ? 0xFFFFFF : 0;
}

START_TEST(unobserved_is_no_exposure)
{
    struct history h = {0};
    struct recurrence_days d;
    struct recurrence_pattern cell;
    struct error e;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    for (int w = 0; w < 6; w++)
        add_onset(&h, MONDAY + 1 + 7 * w, 8, 0, 60);
    /* A sensor that sees Tuesdays only cannot know that Tuesdays are special. */
    recurrence_collect(&d, &h, MONDAY + 42, tuesdays_only, NULL);
    recurrence_weekly_cell(&d, 1, 8, &cell);
    ck_assert_uint_eq(cell.k, 6);
    ck_assert_uint_eq(cell.n, cell.dates_seen);
    ck_assert_double_eq_tol(cell.lift, 1, 1e-9);
    ck_assert(!cell.passes);
    history_fini(&h);
}
END_TEST

START_TEST(ten_alarms_of_one_morning_count_once)
{
    struct history h = {0};
    struct recurrence_days d;
    struct recurrence_pattern cell;
    struct error e;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    for (unsigned i = 0; i < 10; i++)
        add_onset(&h, MONDAY + 1, 8 + i / 5, i % 5 * 10, 5);
    recurrence_collect(&d, &h, MONDAY + 28, NULL, NULL);
    recurrence_weekly_cell(&d, 1, 8, &cell);
    ck_assert_uint_eq(cell.k, 1);
    history_fini(&h);
}
END_TEST

/* Weeks of one fingerprint; returns the occurrence at which it confirms, 0 when never. */
static unsigned simulate(double hit_rate, double stray_per_day, unsigned weeks, bool planted)
{
    struct history h = {0};
    struct recurrence_days d;
    struct recurrence_pattern found[RECURRENCE_PATTERNS];
    unsigned occurrences = 0, confirmed = 0;
    double best;

    for (unsigned w = 0; w < weeks && confirmed == 0; w++) {
        for (int day = 0; day < 7; day++) {
            int32_t date = MONDAY + 7 * (int32_t)w + day;
            if (planted && day == 1 && drand48() < hit_rate) {
                add_onset(&h, date, 8, (unsigned)(drand48() * 20), 150);
                occurrences++;
            } else if (planted && drand48() < stray_per_day) {
                add_onset(&h, date, 8, 30, 20); /* in the same slots */
            } else if (!planted && drand48() < stray_per_day) {
                add_onset(&h, date, (unsigned)(drand48() * 24), 30, 20);
            }
        }
        if (h.n == 0)
            continue;
        recurrence_collect(&d, &h, MONDAY + 7 * (int32_t)(w + 1), NULL, NULL);
        for (uint32_t i = 0; i < d.n; i++)
            d.seen[i] = d.first_date + (int32_t)i >= MONDAY ? 0xFFFFFF : 0;
        size_t n = recurrence_test(&d, found, &best);
        for (size_t i = 0; i < n; i++) {
            if (found[i].passes)
                confirmed = planted ? occurrences : 1;
        }
    }
    history_fini(&h);
    return confirmed;
}

static int compare_unsigned(const void *a, const void *b)
{
    return (int)*(const unsigned *)a - (int)*(const unsigned *)b;
}

/* The design's table: hit rate, strays per day in the slot -> confirmed within 12 weeks, median occurrence. */
START_TEST(power_of_the_rule)
{
    static const struct {
        double rate, stray, confirmed;
        unsigned median;
    } row[] = {
        {1.0, 0.03, 1.00, 5}, {0.8, 0, 0.97, 5}, {0.8, 0.03, 0.96, 5}, {0.8, 0.1, 0.87, 7}, {0.7, 0.03, 0.84, 6}};
    struct error e;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    srand48(20261117);
    for (size_t r = 0; r < sizeof(row) / sizeof(row[0]); r++) {
        unsigned at[400], n = 0;
        for (int i = 0; i < 400; i++) {
            at[n] = simulate(row[r].rate, row[r].stray, 12, true);
            n += at[n] != 0;
        }
        qsort(at, n, sizeof(at[0]), compare_unsigned);
        /* Three standard deviations of 400 runs are 0.06 at most. */
        ck_assert_msg(fabs(n / 400.0 - row[r].confirmed) < 0.06, "rate %g stray %g: %g", row[r].rate, row[r].stray,
                      n / 400.0);
        ck_assert_msg(at[n / 2] + 1 >= row[r].median && at[n / 2] <= row[r].median + 1, "rate %g stray %g: median %u",
                      row[r].rate, row[r].stray, at[n / 2]);
    }
}
END_TEST

START_TEST(noise_does_not_recur)
{
    unsigned found = 0;
    struct error e;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    srand48(42);
    for (int i = 0; i < 300; i++)
        found += simulate(0, 0.1, 12, false);
    ck_assert_uint_eq(found, 0); /* the design measured 0 of 1,000 */
    for (int i = 0; i < 300; i++)
        found += simulate(0, 0.3, 12, false);
    ck_assert_uint_le(found, 3); /* .001 */
}
END_TEST

START_TEST(groups_of_days)
{
    struct history h = {0};
    struct recurrence_days d;
    struct recurrence_pattern found[RECURRENCE_PATTERNS];
    struct error e;
    double best;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    for (int day = 0; day < 35; day++) {
        if (day % 7 < 5)
            add_onset(&h, MONDAY + day, 13, 5, 30);
    }
    recurrence_collect(&d, &h, MONDAY + 35, NULL, NULL);
    ck_assert_uint_eq(recurrence_test(&d, found, &best), 1);
    ck_assert_int_eq(found[0].class, PATTERN_WEEKDAYS);
    ck_assert(found[0].passes);
    history_fini(&h);
    h = (struct history){0};
    for (int day = 0; day < 35; day++)
        add_onset(&h, MONDAY + day, 2, 10, 30);
    recurrence_collect(&d, &h, MONDAY + 35, NULL, NULL);
    ck_assert_uint_eq(recurrence_test(&d, found, &best), 1);
    ck_assert_int_eq(found[0].class, PATTERN_DAILY);
    history_fini(&h);
    /* Bad all day, every day, is chronic and no pattern of hours. */
    h = (struct history){0};
    srand48(5);
    for (int day = 0; day < 35; day++) {
        unsigned first = (unsigned)(drand48() * 12), second = 12 + (unsigned)(drand48() * 12);
        add_onset(&h, MONDAY + day, first, 0, 30);
        add_onset(&h, MONDAY + day, second, 0, 30);
    }
    recurrence_collect(&d, &h, MONDAY + 35, NULL, NULL);
    size_t n = recurrence_test(&d, found, &best);
    for (size_t i = 0; i < n; i++)
        ck_assert(!found[i].passes);
    history_fini(&h);
}
END_TEST

START_TEST(midnight_names_and_matching)
{
    char text[96];
    struct error e;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    ck_assert_str_eq(recurrence_text(text, sizeof(text), PATTERN_WEEKLY_SLOT, 1, 8, 11), "every Tuesday 08:00–11:00");
    ck_assert_str_eq(recurrence_text(text, sizeof(text), PATTERN_DAILY, 0, 22, 25), "every day 22:00–01:00");
    ck_assert_str_eq(recurrence_text(text, sizeof(text), PATTERN_WEEKDAYS, 0, 21, 24),
                     "every weekday (Mon–Fri) 21:00–24:00");
    ck_assert(recurrence_matches(PATTERN_WEEKLY_SLOT, 1, 8, 11, MONDAY + 1, 8));
    ck_assert(recurrence_matches(PATTERN_WEEKLY_SLOT, 1, 8, 11, MONDAY + 1, 7)); /* an hour of grace */
    ck_assert(!recurrence_matches(PATTERN_WEEKLY_SLOT, 1, 8, 11, MONDAY + 1, 6));
    ck_assert(!recurrence_matches(PATTERN_WEEKLY_SLOT, 1, 8, 11, MONDAY + 2, 9));
    ck_assert(recurrence_matches(PATTERN_WEEKLY_SLOT, 1, 22, 26, MONDAY + 2, 1)); /* past midnight */
    ck_assert(!recurrence_matches(PATTERN_WEEKLY_SLOT, 1, 22, 26, MONDAY + 1, 1));
}
END_TEST

START_TEST(history_forgets_the_oldest)
{
    struct history h = {0};

    for (uint64_t i = 1; i <= HISTORY_MOST + 10; i++)
        ck_assert_int_eq(history_add(&h, &(struct occurrence){.onset_ns = i, .end_ns = i}), 0);
    ck_assert_uint_eq(h.n, HISTORY_MOST);
    ck_assert_uint_eq(h.item[0].onset_ns, 11);
    ck_assert_uint_eq(h.item[h.n - 1].onset_ns, HISTORY_MOST + 10);
    history_fini(&h);
}
END_TEST

static uint32_t always(const void *ctx, int32_t date)
{
    (void)ctx;
    (void)date;
    return 0xFFFFFF;
}

START_TEST(month_ends)
{
    struct history h = {0};
    static struct recurrence_days d;
    struct recurrence_pattern found;
    struct error e;
    double best = 1;
    int32_t last = INT32_MIN;

    ck_assert_int_eq(local_init("UTC", &e), 0);
    srand48(7);
    for (int32_t date = MONDAY - 210; date < MONDAY; date++) {
        if (recurrence_month_day(MONTH_DAY_LAST, date)) {
            add_onset(&h, date, 19, (unsigned)(drand48() * 10), 90);
            last = date;
        } else if (drand48() < 0.02) {
            add_onset(&h, date, (unsigned)(drand48() * 24), 0, 30);
        }
    }
    recurrence_collect_long(&d, &h, MONDAY, always, NULL);
    ck_assert(recurrence_month_end(&d, &found, &best));
    ck_assert_int_eq(found.weekday, MONTH_DAY_LAST);
    ck_assert_uint_ge(found.k, 6);
    ck_assert_uint_eq(found.k, found.n);
    ck_assert_double_lt(best, 1e-6);
    ck_assert(recurrence_matches(PATTERN_MONTH_END, found.weekday, 19, 21, last, 20));
    ck_assert(!recurrence_matches(PATTERN_MONTH_END, found.weekday, 19, 21, last - 1, 20));
    history_fini(&h);
    /* As many onsets, but on any day: nothing. */
    for (int32_t date = MONDAY - 200; date < MONDAY; date += 28)
        add_onset(&h, date + (int32_t)(drand48() * 20), 19, 0, 90);
    recurrence_collect_long(&d, &h, MONDAY, always, NULL);
    ck_assert(!recurrence_month_end(&d, &found, &best));
    history_fini(&h);
}
END_TEST

START_TEST(periods_below_a_day)
{
    struct history h = {0};
    struct recurrence_pattern found;
    struct error e;
    double best = 1;
    char text[96];

    ck_assert_int_eq(local_init("UTC", &e), 0);
    srand48(8);
    for (int32_t date = MONDAY - 14; date < MONDAY; date++) {
        for (unsigned hour = 1; hour < 24; hour += 2) {
            if (drand48() < 0.85)
                add_onset(&h, date, hour, 20 + (unsigned)(drand48() * 4), 12);
        }
    }
    ck_assert(recurrence_hourly(&h, MONDAY, always, NULL, &found, &best));
    ck_assert_uint_eq(found.period_min, 120);
    ck_assert_uint_ge(found.phase_min, 80);
    ck_assert_uint_le(found.phase_min, 84);
    ck_assert_str_eq(recurrence_period_text(text, sizeof(text), 120, 80), "every 2 hours, at 01:20 and so on");
    history_fini(&h);
    /* Daily at one time, an afternoon of flapping, and onsets at any minute have no such period. */
    for (int32_t date = MONDAY - 14; date < MONDAY; date++)
        add_onset(&h, date, 8, 3, 60);
    for (unsigned k = 0; k < 12; k++)
        add_onset(&h, MONDAY - 3, 12 + k / 2, 30 * (k % 2), 9);
    ck_assert(!recurrence_hourly(&h, MONDAY, always, NULL, &found, &best));
    history_fini(&h);
    for (int32_t date = MONDAY - 14; date < MONDAY; date++) {
        for (unsigned hour = 0; hour < 24; hour++)
            add_onset(&h, date, hour, (unsigned)(drand48() * 60), 9);
    }
    ck_assert(!recurrence_hourly(&h, MONDAY, always, NULL, &found, &best));
    history_fini(&h);
}
END_TEST

UNIT_MAIN("recurrence", hypergeometric_against_pascal, beyond_is_the_tail_below, binomial_and_beta_binomial,
          clean_weeks_of_the_design, false_discovery_rounds, four_of_four, unobserved_is_no_exposure,
          ten_alarms_of_one_morning_count_once, power_of_the_rule, noise_does_not_recur, groups_of_days,
          midnight_names_and_matching, history_forgets_the_oldest, month_ends, periods_below_a_day)

/* SPDX-License-Identifier: BSD-3-Clause */

/* The scorer of any series: what it finds, what it leaves alone, and that only the past counts. */

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "control/scorer.h"
#include "tests/unit/unit.h"

#define START_NS 1767225600000000000ll
#define ROWS     6000

static double value[ROWS], score[ROWS];

static double normal(void)
{
    return sqrt(-2 * log(drand48() + 1e-12)) * cos(6.283185307179586 * drand48());
}

static void fill(double level, double sd, double wave, unsigned seed)
{
    srand48(seed);
    for (int i = 0; i < ROWS; i++)
        value[i] = level + wave * sin(6.283185307179586 * i / 288) + sd * normal();
}

static void run(double step_s, int rows)
{
    struct scorer *s = scorer_new();

    ck_assert_ptr_nonnull(s);
    for (int i = 0; i < rows; i++) {
        score[i] = scorer_step(s, START_NS + (int64_t)(i * step_s * 1e9), value[i], NULL);
        ck_assert(score[i] >= 0 && score[i] <= 1);
    }
    scorer_free(s);
}

static int labels(int from, int to)
{
    int n = 0;

    for (int i = from; i < to; i++)
        n += score[i] >= 0.5;
    return n;
}

START_TEST(noise_is_no_anomaly)
{
    int n = 0;

    for (unsigned seed = 1; seed <= 8; seed++) {
        fill(100, 5, 0, seed);
        run(300, ROWS);
        n += labels(0, ROWS);
    }
    ck_assert_int_le(n, 4); /* of 48,000 rows */
}
END_TEST

START_TEST(spikes_are_found_at_once)
{
    fill(100, 5, 0, 3);
    value[1500] += 55; /* eleven deviations */
    value[3000] -= 55;
    run(60, ROWS);
    ck_assert(score[1500] >= 0.5);
    ck_assert(score[3000] >= 0.5);
    ck_assert_int_eq(labels(1501, 1520) + labels(3001, 3020), 0); /* and leave no echo */
}
END_TEST

START_TEST(a_new_level_alarms_and_is_accepted)
{
    fill(100, 5, 0, 4);
    for (int i = 2000; i < ROWS; i++)
        value[i] += 40;
    run(60, ROWS);
    ck_assert_int_ge(labels(2000, 2003), 1);
    ck_assert_int_ge(labels(2000, 2100), 10);
    ck_assert_int_le(labels(2100, ROWS), 2);
}
END_TEST

START_TEST(a_return_to_the_old_level_is_known)
{
    fill(100, 5, 0, 5);
    for (int i = 2000; i < 2500; i++)
        value[i] += 40;
    run(60, ROWS);
    ck_assert_int_ge(labels(2000, 2003), 1);
    ck_assert_int_eq(labels(2500, 2600), 0);
    ck_assert_int_le(labels(2600, ROWS), 2);
}
END_TEST

START_TEST(a_season_is_learnt_and_missed)
{
    fill(1000, 5, 100, 6);
    for (int i = 288 * 12; i < 288 * 13; i++)
        value[i] = 1000 + 5 * normal(); /* a day without its wave */
    run(300, ROWS);
    ck_assert_int_ge(labels(288 * 12, 288 * 13), 20);
    ck_assert_int_le(labels(288 * 3, 288 * 12), 1);
}
END_TEST

START_TEST(stuck_and_calm_and_restless)
{
    fill(100, 5, 0, 7);
    for (int i = 1500; i < 1560; i++)
        value[i] = value[1500];
    for (int i = 3000; i < 3100; i++)
        value[i] = 100 + (value[i] - 100) * 0.05;
    for (int i = 4500; i < 4600; i++)
        value[i] = 100 + (value[i] - 100) * 5;
    run(60, ROWS);
    ck_assert_int_ge(labels(1500, 1510), 1);
    ck_assert_int_ge(labels(3000, 3060), 1);
    ck_assert_int_ge(labels(4500, 4512), 1);
}
END_TEST

/* A score rests on the rows before it and on nothing else. */
START_TEST(only_the_past_counts)
{
    static double whole[ROWS];

    fill(100, 5, 20, 8);
    value[2500] += 80;
    run(300, ROWS);
    memcpy(whole, score, sizeof(whole));
    for (int i = 3000; i < ROWS; i++)
        value[i] = -1e6 * i;
    run(300, ROWS);
    ck_assert_mem_eq(whole, score, 3000 * sizeof(score[0]));
}
END_TEST

START_TEST(any_unit_and_any_input)
{
    static double plain[ROWS];
    static const double odd[] = {0, -0.0, 1e308, -1e308, 5e-324, 1, 1, 1};

    fill(100, 5, 0, 9);
    value[2500] += 80;
    run(300, ROWS);
    memcpy(plain, score, sizeof(plain));
    for (int i = 0; i < ROWS; i++)
        value[i] = value[i] * 1e6 + 3e8;
    run(300, ROWS);
    for (int i = 0; i < ROWS; i++)
        ck_assert_int_eq(plain[i] >= 0.5, score[i] >= 0.5);
    for (int i = 0; i < ROWS; i++)
        value[i] = odd[(i * 7 + i / 13) % 8];
    run(0, ROWS); /* and no time passes */
    for (int i = 0; i < ROWS; i++)
        value[i] = 7;
    run(300, ROWS);
    ck_assert_int_eq(labels(0, ROWS), 0);
}
END_TEST

UNIT_MAIN("scorer", noise_is_no_anomaly, spikes_are_found_at_once, a_new_level_alarms_and_is_accepted,
          a_return_to_the_old_level_is_known, a_season_is_learnt_and_missed, stuck_and_calm_and_restless,
          only_the_past_counts, any_unit_and_any_input)

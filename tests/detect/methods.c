/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Methods to compare the scorer with, each as it stands in its source, with the thresholds that gave it the best F1 on
 * seeds 1-3 (the table in docs/DETECTION.md is made on others). All are causal, O(1) or O(window) per row.
 *
 *   ewma       distance from a moving mean in moving deviations, clipped updates (control chart of Roberts, 1959)
 *   median     distance from the median of the last 201 rows in median absolute deviations (Hampel's identifier)
 *   cusum      two-sided CUSUM of standardised values, reset after an alarm (Page, 1954)
 *   dspot      residual from the mean of 20 rows against a streaming peaks-over-threshold tail (Siffer et al., 2017)
 *   hour       distance from the mean of the local hour of the day in its deviations
 *   knn        mean distance of the last 12 rows to their 5 nearest of 256 older windows, as a conformal p (Burnaev &
 *              Ishimtsev, 2016)
 */

#include "tests/detect/methods.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "control/scorer.h"
#include "control/tail.h"

static void *scorer_start(void)
{
    return scorer_new();
}

static double scorer_one(void *state, int64_t time_ns, double value)
{
    return scorer_step(state, time_ns, value, NULL);
}

static void scorer_end(void *state)
{
    scorer_free(state);
}

static double over(double x, double threshold)
{
    return x >= threshold ? 1 : 0;
}

/* --- ewma and cusum share a moving mean and size --- */

struct moving {
    double mean, size, n, up, down;
};

static void *moving_start(void)
{
    return calloc(1, sizeof(struct moving));
}

static double moving_z(struct moving *m, double value, double cut)
{
    double miss = value - m->mean;

    if (m->n++ == 0) {
        m->mean = value;
        return 0;
    }
    double z = m->size > 0 ? miss / (1.25 * m->size) : 0;
    double used = m->n > 30 && fabs(z) > cut ? (z > 0 ? cut : -cut) * 1.25 * m->size : miss;
    double rate = larger(0.01, 1 / m->n);
    m->mean += rate * used;
    m->size += rate * (fabs(used) - m->size);
    return m->n > 50 ? z : 0;
}

static double ewma_step(void *state, int64_t time_ns, double value)
{
    (void)time_ns;
    return over(fabs(moving_z(state, value, 4)), 6);
}

static double cusum_step(void *state, int64_t time_ns, double value)
{
    struct moving *m = state;
    double z = moving_z(m, value, 4);

    (void)time_ns;
    m->up = larger(0, m->up + smaller(z, 6) - 1);
    m->down = larger(0, m->down - larger(z, -6) - 1);
    if (smaller(m->up, m->down) < 0 || larger(m->up, m->down) < 72)
        return 0;
    m->up = m->down = 0;
    return 1;
}

/* --- median --- */

#define MEDIAN_ROWS 201

struct window {
    double value[MEDIAN_ROWS];
    unsigned n;
};

static void *window_start(void)
{
    return calloc(1, sizeof(struct window));
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median_of(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), ascending);
    return values[n / 2];
}

static double median_step(void *state, int64_t time_ns, double value)
{
    struct window *w = state;
    double sorted[MEDIAN_ROWS], result = 0;
    unsigned n = w->n < MEDIAN_ROWS ? w->n : MEDIAN_ROWS;

    (void)time_ns;
    if (n > 50) {
        memcpy(sorted, w->value, n * sizeof(*sorted));
        double middle = median_of(sorted, n);
        for (unsigned i = 0; i < n; i++)
            sorted[i] = fabs(w->value[i] - middle);
        double mad = median_of(sorted, n);
        result = mad > 0 ? over(fabs(value - middle) / (1.4826 * mad), 7) : 0;
    }
    w->value[w->n++ % MEDIAN_ROWS] = value;
    return result;
}

/* --- dspot --- */

#define DEPTH 20

struct dspot {
    double last[DEPTH];
    unsigned n;
    struct tail up;
};

static void *dspot_start(void)
{
    struct dspot *d = calloc(1, sizeof(*d));

    if (d != NULL)
        tail_init(&d->up, 1, 1, 1e9);
    return d;
}

static double dspot_step(void *state, int64_t time_ns, double value)
{
    struct dspot *d = state;
    double mean = 0, result = 0;

    (void)time_ns;
    for (unsigned i = 0; i < DEPTH; i++)
        mean += d->last[i] / DEPTH;
    if (d->n >= DEPTH) {
        double miss = fabs(value - mean);
        result = d->n > 200 ? over(tail_surprise(&d->up, miss / (d->up.prior_scale + 1e-300)), 11.5) : 0;
        if (d->n < DEPTH + 100) /* its unit: the mean miss of the first hundred */
            d->up.prior_scale += d->n == DEPTH ? miss - 1 : (miss - d->up.prior_scale) / (d->n - DEPTH + 1);
        else if (result < 0.5)
            tail_learn(&d->up, miss / (d->up.prior_scale + 1e-300));
    }
    if (result < 0.5)
        d->last[d->n % DEPTH] = value;
    d->n++;
    return result;
}

/* --- hour --- */

struct hours {
    struct moving hour[24];
};

static void *hours_start(void)
{
    return calloc(1, sizeof(struct hours));
}

static double hour_step(void *state, int64_t time_ns, double value)
{
    struct hours *h = state;
    struct moving *m = &h->hour[(time_ns / 3600000000000ll) % 24];

    return over(fabs(moving_z(m, value, 4)), 9);
}

/* --- knn --- */

#define KNN_LONG  12
#define KNN_PAST  256
#define KNN_NEAR  5
#define KNN_SCORE 512

struct knn {
    double value[KNN_PAST + KNN_LONG], score[KNN_SCORE];
    unsigned n, n_scores;
};

static void *knn_start(void)
{
    return calloc(1, sizeof(struct knn));
}

static double knn_distance(const struct knn *k)
{
    double near[KNN_NEAR], sum = 0;
    unsigned size = KNN_PAST + KNN_LONG;

    for (unsigned i = 0; i < KNN_NEAR; i++)
        near[i] = INFINITY;
    for (unsigned back = KNN_LONG; back < KNN_PAST; back++) {
        double d = 0;
        for (unsigned i = 0; i < KNN_LONG; i++) {
            double miss = k->value[(k->n - 1 - i) % size] - k->value[(k->n - 1 - i - back) % size];
            d += miss * miss;
        }
        for (unsigned i = 0; i < KNN_NEAR && d < INFINITY; i++) {
            double keep = near[i];
            if (d >= keep)
                continue;
            near[i] = d;
            d = keep;
        }
    }
    for (unsigned i = 0; i < KNN_NEAR; i++)
        sum += sqrt(near[i]);
    return sum;
}

static double knn_step(void *state, int64_t time_ns, double value)
{
    struct knn *k = state;
    double most = 0;

    (void)time_ns;
    k->value[k->n++ % (KNN_PAST + KNN_LONG)] = value;
    if (k->n < KNN_PAST + KNN_LONG)
        return 0;
    double score = knn_distance(k);
    for (unsigned i = 0; i < KNN_SCORE; i++)
        most = larger(most, k->score[i]);
    k->score[k->n_scores++ % KNN_SCORE] = score;
    return k->n_scores > 100 ? over(score, 1.2 * most) : 0; /* beyond all of the last, and by a margin */
}

const struct method methods[] = {
    {"scorer", scorer_start, scorer_one, scorer_end},
    {"ewma", moving_start, ewma_step, free},
    {"median", window_start, median_step, free},
    {"cusum", moving_start, cusum_step, free},
    {"dspot", dspot_start, dspot_step, free},
    {"hour", hours_start, hour_step, free},
    {"knn", knn_start, knn_step, free},
    {NULL, NULL, NULL, NULL},
};

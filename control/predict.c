/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * One step ahead: a linear combination of 1, the last three values, a fast and a slow moving mean and the season's
 * expectation here and one step before. Whatever the series is (noise about a level, a random walk, a wave without
 * noise, a season with correlated noise), a good predictor is among these combinations.
 *
 * Coefficients minimise the exponentially forgetting squared miss: sums of products are kept and solved by Cholesky
 * with a ridge towards "the fast mean" every few values (normal equations; the terms are few and the ridge keeps them
 * positive). Outliers enter with a small weight.
 *
 * After an outlier nobody knows at once whether it was a lone spike or a new level. So two sets of lags are kept, with
 * the outlier and with the expected value in its place, and the one that explains the next value better is believed: a
 * spike leaves no echo, a jump costs one surprise.
 */

#include "control/predict.h"

#include <math.h>
#include <string.h>

#define FAST_RATE   (1.0 / 6)
#define MEMORY      1500.0
#define RIDGE       3.0
#define SOLVE_EVERY 8u
#define FAST_TERM   4u

void predictor_init(struct predictor *p, double first)
{
    memset(p, 0, sizeof(*p));
    for (unsigned i = 0; i < PREDICT_LAGS; i++)
        p->raw.x[i] = first;
    p->raw.fast = first;
    p->clean = p->raw;
    p->coefficient[FAST_TERM] = 1;
    p->memory = 20;
    p->until_solve = SOLVE_EVERY;
}

void predictor_expect(struct predictor *p, double slow, double season, double last_season)
{
    const struct lags *lags[2] = {&p->raw, &p->clean};

    for (unsigned k = 0; k < 2; k++) {
        double *t = p->term[k];
        t[0] = 1;
        for (unsigned i = 0; i < PREDICT_LAGS; i++)
            t[1 + i] = lags[k]->x[i];
        t[FAST_TERM] = lags[k]->fast;
        t[5] = slow;
        t[6] = season;
        t[7] = last_season;
        p->expected[k] = 0;
        for (unsigned i = 0; i < PREDICT_TERMS; i++)
            p->expected[k] += p->coefficient[i] * t[i];
    }
}

double predictor_miss(struct predictor *p, double value)
{
    double raw = value - p->expected[0];
    double clean = value - p->expected[1];

    p->chosen = fabs(clean) < fabs(raw);
    return p->chosen ? clean : raw;
}

static void solve(struct predictor *p)
{
    double low[PREDICT_TERMS][PREDICT_TERMS], y[PREDICT_TERMS];
    double trace = 0;

    p->until_solve = p->memory < MEMORY / 2 ? SOLVE_EVERY : 2 * SOLVE_EVERY;
    for (unsigned i = 1; i < PREDICT_TERMS; i++)
        trace += p->products[i][i];
    double ridge = RIDGE / p->n * trace / PREDICT_TERMS * 0.05 + 1e-9 * trace + 1e-12;
    for (unsigned i = 0; i < PREDICT_TERMS; i++) {
        y[i] = p->targets[i] + (i == FAST_TERM ? ridge : 0);
        for (unsigned k = 0; k <= i; k++) {
            double sum = p->products[k][i] + (i == k ? ridge : 0);
            for (unsigned m = 0; m < k; m++)
                sum -= low[i][m] * low[k][m];
            if (i == k) {
                if (!(sum > 0))
                    return; /* the old coefficients stay */
                low[i][i] = sqrt(sum);
            } else {
                low[i][k] = sum / low[k][k];
            }
        }
        for (unsigned m = 0; m < i; m++)
            y[i] -= low[i][m] * y[m];
        y[i] /= low[i][i];
    }
    for (unsigned i = PREDICT_TERMS; i-- > 0;) {
        for (unsigned m = i + 1; m < PREDICT_TERMS; m++)
            y[i] -= low[m][i] * y[m];
        y[i] /= low[i][i];
    }
    memcpy(p->coefficient, y, sizeof(y));
}

static void push(struct lags *l, double value)
{
    for (unsigned i = PREDICT_LAGS - 1; i > 0; i--)
        l->x[i] = l->x[i - 1];
    l->x[0] = value;
    l->fast += FAST_RATE * (value - l->fast);
}

void predictor_learn(struct predictor *p, double value, double weight, double cut)
{
    const double *t = p->term[p->chosen];
    double keep = 1 - 1 / p->memory;
    double miss = value - p->expected[p->chosen];

    for (unsigned i = 0; i < PREDICT_TERMS; i++) {
        double by = weight * t[i];
        for (unsigned k = i; k < PREDICT_TERMS; k++)
            p->products[i][k] = p->products[i][k] * keep + by * t[k];
        p->targets[i] = p->targets[i] * keep + by * value;
    }
    p->n = p->n * keep + weight;
    p->memory = p->memory < MEMORY ? p->memory + 1 : MEMORY;
    if (p->chosen == 0) /* the values as they came explain it: they are what is */
        p->clean = p->raw;
    push(&p->raw, value);
    push(&p->clean, fabs(miss) > cut ? p->expected[p->chosen] : value);
    if (--p->until_solve == 0)
        solve(p);
}

void predictor_fade(struct predictor *p, double keep)
{
    for (unsigned i = 0; i < PREDICT_TERMS; i++) {
        for (unsigned k = i; k < PREDICT_TERMS; k++)
            p->products[i][k] *= keep;
        p->targets[i] *= keep;
    }
    p->n *= keep;
}

void predictor_shift(struct predictor *p, double by)
{
    struct lags *lags[2] = {&p->raw, &p->clean};

    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0; i < PREDICT_LAGS; i++)
            lags[k]->x[i] += by;
        lags[k]->fast += by;
    }
}

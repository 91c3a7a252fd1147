/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_PREDICT_H
#define SPANWARD_PREDICT_H

/* The next value from the last ones and the season, by least squares that forget. Owner: the scorer. See predict.c. */

#include <stdbool.h>

#define PREDICT_TERMS 8u
#define PREDICT_LAGS  3u

/* Lags are kept twice: as they came, and with outliers replaced by what was expected. Newest first. */
struct lags {
    double x[PREDICT_LAGS];
    double fast; /* moving mean of about eight values */
};

struct predictor {
    double products[PREDICT_TERMS][PREDICT_TERMS], targets[PREDICT_TERMS]; /* decayed sums; the upper triangle */
    double coefficient[PREDICT_TERMS];
    struct lags raw, clean;
    double term[2][PREDICT_TERMS]; /* of the value to come: raw, clean */
    double expected[2];
    unsigned chosen; /* which of them explained the last value */
    double n, memory;
    unsigned until_solve;
};

void predictor_init(struct predictor *p, double first);
/* slow: the moving level; season, last_season: expected here and one value before, or slow. */
void predictor_expect(struct predictor *p, double slow, double season, double last_season);
/* The smaller of both misses. */
double predictor_miss(struct predictor *p, double value);
/* weight 0..1; cut: a value further off than this enters the clean lags cut. */
void predictor_learn(struct predictor *p, double value, double weight, double cut);
/* Old evidence counts for a part only: the terms now mean something else. */
void predictor_fade(struct predictor *p, double keep);
void predictor_shift(struct predictor *p, double by);

#endif

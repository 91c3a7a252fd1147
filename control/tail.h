/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_TAIL_H
#define SPANWARD_TAIL_H

/*
 * How rare is a value that is larger than almost all before it? A decaying histogram of magnitudes with a tail that is
 * extrapolated beyond what was seen. Owner: the scorer.
 */

#include <stdint.h>

#define TAIL_BINS 128u

/* Invariant: total = sum of bin[]; threshold, share, scale and shape are derived from them by tail_refit. */
struct tail {
    float bin[TAIL_BINS]; /* eight to an octave, from 1/256 up */
    float weight;         /* of the next value; grows so that older ones fade */
    float growth;
    double total;
    double threshold, log_share, scale, shape; /* beyond threshold: generalised Pareto */
    double slope;                              /* log_share / threshold */
    double prior_threshold, prior_scale;       /* believed before anything was seen, in units of the magnitude */
    uint32_t until_refit;
};

/* fmax and fmin without their care for NaN, which does not come here: one instruction instead of a call. */
static inline double larger(double a, double b)
{
    return a > b ? a : b;
}
static inline double smaller(double a, double b)
{
    return a < b ? a : b;
}

/* memory: number of values after which a value's weight has fallen to 1/e. */
void tail_init(struct tail *t, double prior_threshold, double prior_scale, double memory);
void tail_learn(struct tail *t, double magnitude);
/* -ln P(a value at least as large); grows from 0. */
double tail_surprise(const struct tail *t, double magnitude);
/* The magnitude whose surprise this is, at or above the threshold. */
double tail_magnitude(const struct tail *t, double surprise);

#endif

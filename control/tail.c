/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Tail probabilities with extrapolation: peaks over a threshold.
 *
 * Magnitudes go into a histogram of eight bins to an octave whose weights fade exponentially. The threshold is the
 * upper 3 % point; excesses beyond it are taken as generalised Pareto (Pickands, Balkema, de Haan), its shape by
 * moments from the histogram (Hosking & Wallis, Technometrics 1987), held within 0 .. 0.5: a tail is believed to be at
 * least exponential, since a wrong light tail costs false alarms. A prior of PRIOR_EXCESSES excesses keeps the first
 * hours sane and fades as evidence comes. The streaming use of this is the idea of SPOT (Siffer et al., KDD 2017); here
 * extreme values are learnt, too, but cut (see scorer.c), so that what comes again and again stops to be rare.
 *
 * Limits: magnitudes outside 2^-8 .. 2^8 share the end bins.
 */

#include "control/tail.h"

#include <math.h>
#include <string.h>

#define TAIL_SHARE     0.03
#define PRIOR_EXCESSES 15.0
#define SHAPE_EXCESSES 60.0
#define PRIOR_SHAPE    0.07
#define MOST_SHAPE     0.5
#define REFIT_EVERY    64u
#define LEAST_TOTAL    60.0

static unsigned bin_of(float magnitude)
{
    uint32_t bits;
    uint32_t low = (127u - 8u) << 3;

    memcpy(&bits, &magnitude, sizeof(bits));
    bits >>= 20;
    return bits <= low ? 0 : bits - low < TAIL_BINS ? bits - low : TAIL_BINS - 1;
}

/* Lower edge: bins are the upper bits of a float. */
static double edge_of(unsigned bin)
{
    uint32_t bits = (((127u - 8u) << 3) + bin) << 20;
    float edge;

    memcpy(&edge, &bits, sizeof(edge));
    return (double)edge;
}

void tail_init(struct tail *t, double prior_threshold, double prior_scale, double memory)
{
    memset(t, 0, sizeof(*t));
    t->weight = 1;
    t->growth = (float)(1 + 1 / memory);
    t->prior_threshold = prior_threshold;
    t->prior_scale = prior_scale;
    t->threshold = prior_threshold;
    t->scale = prior_scale;
    t->shape = PRIOR_SHAPE;
    t->log_share = -log(TAIL_SHARE);
    t->until_refit = REFIT_EVERY;
    t->slope = t->log_share / t->threshold;
}

static void rescale(struct tail *t)
{
    float by = 1 / t->weight;

    t->total = 0;
    for (unsigned i = 0; i < TAIL_BINS; i++) {
        t->bin[i] *= by;
        t->total += (double)t->bin[i];
    }
    t->weight = 1;
}

static void fit(struct tail *t)
{
    double above = 0, sum = 0, squares = 0;
    unsigned bin = TAIL_BINS;

    t->until_refit = REFIT_EVERY;
    if (t->weight > 1e6f)
        rescale(t);
    double seen = t->total / (double)t->weight; /* in values */
    if (seen < LEAST_TOTAL / 2)
        return;
    while (bin > 1 && above < TAIL_SHARE * t->total)
        above += (double)t->bin[--bin];
    if (bin == 1) { /* nearly all is too small to tell apart */
        t->threshold = t->prior_threshold;
        t->scale = t->prior_scale;
        t->shape = PRIOR_SHAPE;
        return;
    }
    double start = edge_of(bin);
    for (unsigned i = bin; i < TAIL_BINS; i++) {
        double excess = (edge_of(i) + edge_of(i + 1)) / 2 - start;
        sum += (double)t->bin[i] * excess;
        squares += (double)t->bin[i] * excess * excess;
    }
    double n = above / (double)t->weight;
    double mean = sum / above;
    double variance = larger(squares / above - mean * mean, 1e-12);
    double shape = 0.5 * (1 - mean * mean / variance);
    double trust = n / (n + PRIOR_EXCESSES), sure = n / (n + SHAPE_EXCESSES);
    /* The prior's scale belongs to its threshold; a higher threshold has a wider tail. */
    double prior_scale = t->prior_scale * larger(1, start / t->prior_threshold);
    t->shape = smaller(MOST_SHAPE, larger(0, sure * shape + (1 - sure) * PRIOR_SHAPE));
    t->scale = larger(trust * mean * (1 - t->shape) + (1 - trust) * prior_scale, 1e-3 * start);
    t->threshold = start;
    t->log_share = -log(above / t->total);
    if (seen < LEAST_TOTAL && t->threshold < t->prior_threshold)
        t->threshold = t->prior_threshold;
}

static void refit(struct tail *t)
{
    fit(t);
    t->slope = t->log_share / t->threshold;
}

void tail_learn(struct tail *t, double magnitude)
{
    t->bin[bin_of((float)magnitude)] += t->weight;
    t->total += (double)t->weight;
    t->weight *= t->growth;
    if (--t->until_refit == 0)
        refit(t);
}

double tail_surprise(const struct tail *t, double magnitude)
{
    double excess = magnitude - t->threshold;

    if (excess <= 0)
        return magnitude * t->slope;
    double y = excess / t->scale;
    return t->log_share + (t->shape > 1e-6 ? log1p(t->shape * y) / t->shape : y);
}

double tail_magnitude(const struct tail *t, double surprise)
{
    double beyond = surprise - t->log_share;

    if (beyond <= 0)
        return t->threshold;
    return t->threshold + t->scale * (t->shape > 1e-6 ? expm1(t->shape * beyond) / t->shape : beyond);
}

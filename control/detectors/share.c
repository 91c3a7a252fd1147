/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A share of bad among all, tested as counts: "1 %" of 200 packets is two packets and no evidence.
 *
 * Out by threshold: the share is at or above the configured one and significantly above a quarter of it. Out by
 * baseline: it is at least 0.3 of the configured one, five times the usual share, and beyond what a beta-binomial with
 * the usual share and its usual variation would give once in ten thousand minutes.
 */

#include <math.h>
#include "control/detectors/measure.h"
#include "control/stats.h"

#define SHARE_TAIL     1e-4
#define SHARE_FACTOR   5.0
#define THRESHOLD_NULL 0.25
#define THRESHOLD_TAIL 1e-3
#define THRESHOLD_RHO  2e-4
#define LEAST_MEAN     1e-5

enum verdict judge_share(const struct series *x, const struct measured *v)
{
    if (share_is_small(v))
        return VERDICT_QUIET;
    if (v->value >= v->limit &&
        beta_binomial_beyond(v->n, v->limit * THRESHOLD_NULL, THRESHOLD_RHO, v->hits, THRESHOLD_TAIL))
        return VERDICT_OUT;
    if (x->view.level == BASELINE_NONE || v->value < SHARE_FACTOR * x->view.mean)
        return VERDICT_QUIET;
    double mean = fmax(x->view.mean, LEAST_MEAN);
    return beta_binomial_beyond(v->n, mean, x->view.rho, v->hits, SHARE_TAIL) ? VERDICT_OUT : VERDICT_QUIET;
}

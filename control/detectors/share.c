/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A share of bad among all, tested as counts: "1 %" of 200 packets is two packets and no evidence.
 *
 * Out by threshold: the share is at or above the configured one and significantly above a quarter of it. Out by
 * baseline: it is at least 0.3 of the configured one, five times the usual share, and beyond what a beta-binomial with
 * the usual share and its usual variation would give once in ten thousand minutes.
 */

#include <math.h>
#include "control/detect.h"
#include "control/stats.h"

#define SHARE_TAIL     1e-4
#define SHARE_FACTOR   5.0
#define SHARE_FLOOR    0.3
#define THRESHOLD_NULL 0.25
#define THRESHOLD_TAIL 1e-3
#define THRESHOLD_RHO  2e-4
#define LEAST_MEAN     1e-5

enum verdict judge_share(const struct series *x, double share_limit, uint64_t hits, uint64_t trials)
{
    double share = (double)hits / (double)trials;

    if (hits == 0 || share < SHARE_FLOOR * share_limit)
        return VERDICT_QUIET;
    if (share >= share_limit &&
        beta_binomial_beyond(trials, share_limit * THRESHOLD_NULL, THRESHOLD_RHO, hits, THRESHOLD_TAIL))
        return VERDICT_OUT;
    if (x->view.level == BASELINE_NONE || share < SHARE_FACTOR * x->view.mean)
        return VERDICT_QUIET;
    double mean = fmax(x->view.mean, LEAST_MEAN);
    return beta_binomial_beyond(trials, mean, x->view.rho, hits, SHARE_TAIL) ? VERDICT_OUT : VERDICT_QUIET;
}

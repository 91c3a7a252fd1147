/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Median RTT on one side of the tap. Out above the configured factor times what is usual at this hour, four of its own
 * upward spreads, and 2 ms more than usual. While the hours before have drifted upwards (see detect.c), a sixth more
 * than usual and one and a half spreads suffice.
 */

#include <math.h>
#include "control/detectors/measure.h"

#define RTT_SCORE    4.0
#define RTT_LEAST_NS 2e6
#define DRIFT_SCORE  1.5
#define DRIFT_FACTOR 1.15
#define MOST_USUAL   1.5 /* times the median of all hours */

static bool latency_present(const struct observation *o, int side)
{
    return o->rtt_n[side] > 0;
}

static enum verdict judge_latency(const struct series *x, const struct detect_params *p, const struct observation *o,
                                  int side, uint32_t minutes, struct detection *ret)
{
    struct measured v;
    bool observed = measure_latency(o, side, p, minutes, &v);

    ret->n = v.n;
    if (!observed)
        return VERDICT_UNOBSERVED;
    ret->value = v.value;
    if (x->level == BASELINE_NONE)
        return VERDICT_UNKNOWN;
    if (ret->value <= x->high)
        return VERDICT_QUIET;
    ret->expected = x->view.median;
    return VERDICT_OUT;
}

/* What is usual at this hour, but not much more than at all hours: a fault of every morning is no normal. */
static double usual(const struct series *x)
{
    const struct baseline_bin *bins = x->baseline.group[BASELINE_DAY_GROUP];
    double all = bins != NULL ? baseline_quantile(&bins[BASELINE_GROUP_BINS - 1], 0.5) : 0;

    return all > 0 ? fmin(x->view.median, MOST_USUAL * all) : x->view.median;
}

static void limit_latency(struct series *x, const struct detect_params *p)
{
    const struct baseline_view *v = &x->view;
    double median = usual(x);
    bool drifting = x->s.drift >= SERIES_DRIFTING;
    double score = drifting ? DRIFT_SCORE : RTT_SCORE;
    double factor = drifting ? DRIFT_FACTOR : p->rtt_factor;

    x->high = median * fmax(exp(score * v->spread_up), factor);
    x->high = fmax(x->high, median + (drifting ? RTT_LEAST_NS / 2 : RTT_LEAST_NS));
}

const struct detector detector_latency = {latency_present, judge_latency, limit_latency};

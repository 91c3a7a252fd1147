/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Bits per second in one direction, too many or too few. Out above four times or below a quarter of what is usual at
 * this hour of the week, at six of its own spreads; from a coarser bin it is a suspicion and no more, or a Monday peak
 * could never become normal.
 */

#include <math.h>
#include "control/detectors/measure.h"

#define LOAD_SCORE  6.0
#define LOAD_FACTOR 4.0

static bool load_present(const struct observation *o, int side)
{
    return o->dir[side].bytes > 0;
}

static enum verdict judge_load(const struct series *x, const struct detect_params *p, const struct observation *o,
                               int side, uint32_t minutes, struct detection *ret)
{
    struct measured v;
    bool observed = measure_load(o, side, p, minutes, &v);

    ret->n = v.n;
    if (!observed)
        return VERDICT_UNOBSERVED;
    ret->value = v.value;
    if (x->level == BASELINE_NONE)
        return VERDICT_UNKNOWN;
    if (ret->value <= x->high && ret->value >= x->low)
        return VERDICT_QUIET;
    ret->expected = x->view.median;
    return x->level == BASELINE_HOUR_OF_WEEK && !x->s.holiday ? VERDICT_OUT : VERDICT_OUT_WEAK;
}

static void limit_load(struct series *x, const struct detect_params *p)
{
    (void)p;
    x->high = x->view.median * exp(fmax(log(LOAD_FACTOR), LOAD_SCORE * x->view.spread_up));
    x->low = x->view.median * exp(-fmax(log(LOAD_FACTOR), LOAD_SCORE * x->view.spread_down));
}

const struct detector detector_load = {load_present, judge_load, limit_load};

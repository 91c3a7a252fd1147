/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Loss in one direction: lost among judged data packets, wherever on the way. Only where the mirror saw well and a
 * minute has enough packets.
 */

#include "control/detectors/measure.h"

static bool loss_present(const struct observation *o, int side)
{
    return o->dir[side].judged_pkts > 0;
}

static enum verdict judge_loss(const struct series *x, const struct detect_params *p, const struct observation *o,
                               int side, uint32_t minutes, struct detection *ret)
{
    struct measured v;
    bool observed = measure_loss(o, side, p, minutes, &v);

    ret->n = v.n;
    if (!observed)
        return VERDICT_UNOBSERVED;
    ret->value = v.value;
    ret->expected = x->view.mean;
    return judge_share(x, &v);
}

const struct detector detector_loss = {loss_present, judge_loss, NULL};

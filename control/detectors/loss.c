/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Loss in one direction: lost among judged data packets, wherever on the way. Only where the mirror saw well and a
 * minute has enough packets.
 */

#include "control/detect.h"

static bool loss_present(const struct observation *o, int side)
{
    return o->dir[side].judged_pkts > 0;
}

static enum verdict judge_loss(const struct series *x, const struct detect_params *p, const struct observation *o,
                               int side, uint32_t minutes, struct detection *ret)
{
    uint64_t lost =
        o->dir[side].lost_upstream_pkts + o->dir[side].lost_downstream_pkts + o->dir[side].lost_unknown_pkts;

    (void)minutes;
    ret->n = o->dir[side].judged_pkts;
    if (lost > ret->n) /* counted at the edge of a window */
        lost = ret->n;
    if (o->quality != WINDOW_OK || ret->n < p->min_pkts)
        return VERDICT_UNOBSERVED;
    ret->value = (double)lost / (double)ret->n;
    ret->expected = x->view.mean;
    return judge_share(x, p->loss_share, lost, ret->n);
}

const struct detector detector_loss = {loss_present, judge_loss, NULL};

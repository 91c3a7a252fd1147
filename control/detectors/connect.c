/* SPDX-License-Identifier: BSD-3-Clause */

/* Connections that were refused or never answered, among all attempts. */

#include "control/detectors/measure.h"

static bool connect_present(const struct observation *o, int side)
{
    (void)side;
    return o->connects + o->failed_connects >= CONNECT_LEAST;
}

static enum verdict judge_connect(const struct series *x, const struct detect_params *p, const struct observation *o,
                                  int side, uint32_t minutes, struct detection *ret)
{
    struct measured v;
    bool observed = measure_connect(o, side, p, minutes, &v);

    ret->n = v.n;
    if (!observed)
        return VERDICT_UNOBSERVED;
    ret->value = v.value;
    ret->expected = x->view.mean;
    return judge_share(x, &v);
}

const struct detector detector_connect = {connect_present, judge_connect, NULL};

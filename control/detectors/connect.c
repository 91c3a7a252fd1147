/* SPDX-License-Identifier: BSD-3-Clause */

/* Connections that were refused or never answered, among all attempts. */

#include "control/detect.h"

#define CONNECT_SHARE 0.2
#define CONNECT_LEAST 20u

static bool connect_present(const struct observation *o, int side)
{
    (void)side;
    return o->connects + o->failed_connects >= CONNECT_LEAST;
}

static enum verdict judge_connect(const struct series *x, const struct detect_params *p, const struct observation *o,
                                  int side, uint32_t minutes, struct detection *ret)
{
    (void)p;
    (void)side;
    (void)minutes;
    ret->n = o->connects + o->failed_connects;
    if (o->quality == WINDOW_BLIND || ret->n < CONNECT_LEAST)
        return VERDICT_UNOBSERVED;
    ret->value = (double)o->failed_connects / (double)ret->n;
    ret->expected = x->view.mean;
    return judge_share(x, CONNECT_SHARE, o->failed_connects, ret->n);
}

const struct detector detector_connect = {connect_present, judge_connect, NULL};

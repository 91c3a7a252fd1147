/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANWARD_MEASURE_H
#define SPANWARD_MEASURE_H

/*
 * What a window says about a metric: one inline function per detector, used by the detector itself and by the short way
 * of quiet minutes (control/quiet.c). False: the window says too little, the minute is not observed.
 */

#include "control/detect.h"

#define CONNECT_SHARE 0.2
#define CONNECT_LEAST 20u
#define RTT_LEAST_N   5u
#define SHARE_FLOOR   0.3 /* of the limit: what lies below is quiet whatever is usual */

struct measured {
    uint64_t n, hits;
    double value; /* of a share: hits / n */
    double limit; /* of a share: what is out at once */
};

static inline bool share_is_small(const struct measured *v)
{
    return v->hits == 0 || v->value < SHARE_FLOOR * v->limit;
}

/* Lost in one direction, wherever on the way; only where the mirror saw well. */
static inline bool measure_loss(const struct observation *o, int side, const struct detect_params *p, uint32_t minutes,
                                struct measured *ret)
{
    uint64_t lost =
        o->dir[side].lost_upstream_pkts + o->dir[side].lost_downstream_pkts + o->dir[side].lost_unknown_pkts;

    (void)minutes;
    ret->n = o->dir[side].judged_pkts;
    ret->hits = lost < ret->n ? lost : ret->n; /* some are counted at the edge of a window */
    ret->limit = p->loss_share;
    if (o->quality != WINDOW_OK || ret->n < p->min_pkts)
        return false;
    ret->value = (double)ret->hits / (double)ret->n;
    return true;
}

static inline bool measure_connect(const struct observation *o, int side, const struct detect_params *p,
                                   uint32_t minutes, struct measured *ret)
{
    (void)side;
    (void)p;
    (void)minutes;
    ret->n = o->connects + o->failed_connects;
    ret->hits = o->failed_connects;
    ret->limit = CONNECT_SHARE;
    if (o->quality == WINDOW_BLIND || ret->n < CONNECT_LEAST)
        return false;
    ret->value = (double)ret->hits / (double)ret->n;
    return true;
}

static inline bool measure_latency(const struct observation *o, int side, const struct detect_params *p,
                                   uint32_t minutes, struct measured *ret)
{
    (void)p;
    (void)minutes;
    ret->n = o->rtt_n[side];
    if (o->quality == WINDOW_BLIND || ret->n < RTT_LEAST_N)
        return false;
    ret->value = (double)o->rtt_p50_ns[side];
    return true;
}

static inline bool measure_load(const struct observation *o, int side, const struct detect_params *p, uint32_t minutes,
                                struct measured *ret)
{
    (void)p;
    ret->n = o->dir[side].bytes;
    if (o->quality == WINDOW_BLIND)
        return false;
    ret->value = (double)ret->n * 8.0 / (60.0 * minutes);
    return true;
}

#endif

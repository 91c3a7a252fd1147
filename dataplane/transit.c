/* SPDX-License-Identifier: BSD-3-Clause */

/* See transit.h. */

#include "dataplane/transit.h"

struct transit {
    struct app_head head;
    struct rtt_hot through;
};
APP_STATE(transit);

void transit_meter(struct meter *m, uint64_t delay_ns)
{
    struct transit *t = app_get(m->f, m->pool, APP_TRANSIT);

    if (t != NULL)
        rtt_hot_add(&t->through, delay_ns);
}

void transit_take(const struct app_head *h, struct rec_flow *r)
{
    const struct rtt_hot *t = &((const struct transit *)(const void *)h)->through;

    r->transit =
        (struct rec_rtt){.n = t->n, .min_ns = rtt_unpack(t->min), .max_ns = rtt_unpack(t->max), .sum_ns = t->sum_ns};
}

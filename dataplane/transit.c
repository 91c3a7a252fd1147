/* SPDX-License-Identifier: BSD-3-Clause */

/* See transit.h. */

#include "dataplane/transit.h"

#include "dataplane/tcp_loss.h"

struct transit {
    struct app_head head;
    struct rtt_small through;
};
APP_STATE(transit);

void transit_meter(struct meter *m, uint64_t delay_ns)
{
    struct transit *t = app_get(m->f, &m->pools->node, APP_TRANSIT);

    if (t != NULL)
        rtt_small_add_most(&t->through, delay_ns);
    loss_hop_copy(m, m->p->sender);
}

void transit_take(const struct app_head *h, struct rec_flow *r)
{
    r->transit = rtt_small_rec(&((const struct transit *)(const void *)h)->through);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* See app.h. Lists are short: every kind bounds its own number. */

#include "dataplane/app.h"

#include "dataplane/icmp_error.h"
#include "dataplane/pmtu.h"
#include "dataplane/quic.h"
#include "dataplane/rtcp.h"
#include "dataplane/rtp.h"
#include "dataplane/transit.h"

void *app_add(struct flow *f, struct pool *pool, enum app_kind kind)
{
    uint32_t index = pool_get(pool);

    if (index == 0)
        return NULL;
    struct app_head *h = app_at(pool, index);
    h->kind = (uint8_t)kind;
    h->next = f->app;
    f->app = index;
    return h;
}

void *app_get(struct flow *f, struct pool *pool, enum app_kind kind)
{
    void *state = app_find(f, pool, kind);

    return state != NULL ? state : app_add(f, pool, kind);
}

void app_remove(struct pool *pool, uint32_t *link)
{
    uint32_t index = *link;

    *link = app_at(pool, index)->next;
    pool_put(pool, index);
}

uint32_t app_count(const struct flow *f, const struct pool *pool, enum app_kind kind)
{
    uint32_t n = 0;

    for (uint32_t i = f->app; i != 0; i = app_at(pool, i)->next)
        n += app_at(pool, i)->kind == kind;
    return n;
}

/* Media ports are negotiated, so nothing but the packets tells what a UDP flow is. */
void app_udp(struct meter *m)
{
    if (!(m->p->flags & PKT_L4_OK) || m->p->frag_off != 0)
        return;
    if (quic_meter(m) || rtcp_meter(m))
        return;
    rtp_meter(m);
}

struct app_counts app_counts(const struct meter *m)
{
    struct app_counts n = {0};

    for (uint32_t i = m->f->app; i != 0; i = app_at(&m->pools->node, i)->next) {
        const struct app_head *h = app_at(&m->pools->node, i);
        n.n_rtp = (uint16_t)(n.n_rtp + (h->kind == APP_RTP && rtp_is_confirmed(h)));
        n.n_rtcp = (uint16_t)(n.n_rtcp + (h->kind == APP_RTCP));
    }
    return n;
}

void app_take(struct meter *m, struct rec_flow *r, struct rec_rtp *rtp, struct rec_rtcp *rtcp)
{
    const struct app_counts n = app_counts(m);
    uint16_t rtp_at = n.n_rtp, rtcp_at = n.n_rtcp; /* the list has the newest first */

    for (uint32_t i = r != NULL ? m->f->app : 0; i != 0; i = app_at(&m->pools->node, i)->next) {
        const struct app_head *h = app_at(&m->pools->node, i);
        if (h->kind == APP_RTP && rtp_is_confirmed(h))
            rtp_take(m->f, h, &rtp[--rtp_at]);
        else if (h->kind == APP_RTCP)
            rtcp_take(m->f, h, &rtcp[--rtcp_at]);
        else if (h->kind == APP_ERRORS)
            icmp_error_take(h, r);
        else if (h->kind == APP_PMTU)
            pmtu_take(m->f, h, r);
        else if (h->kind == APP_TRANSIT)
            transit_take(h, r);
        else if (h->kind != APP_EXTRA)
            quic_take(m->f, h, r);
    }
    while (m->f->app != 0)
        app_remove(&m->pools->node, &m->f->app);
}

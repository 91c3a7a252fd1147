/* SPDX-License-Identifier: BSD-3-Clause */

/* See extra.h. */

#include "dataplane/extra.h"

#include <string.h>

#include "dataplane/app.h"

static void keep_outer(struct extra *x, const struct pkt *p)
{
    const uint8_t *h = p->data + p->outer_off;
    size_t size = p->outer_af == 4 ? 4 : 16;

    x->type = p->tunnel;
    x->id = p->tunnel_id;
    x->af = p->outer_af;
    if (x->af == 0)
        return;
    h += x->af == 4 ? 12 : 8;
    memcpy(x->src.byte, h, size);
    memcpy(x->dst.byte, h + size, size);
}

void extra_keep(struct flow *f, const struct pkt *p, struct pool *pool)
{
    uint32_t index = pool_get(pool);

    if (index == 0)
        return;
    struct extra *x = &pool_at(pool, index)->extra;
    x->kind = APP_EXTRA;
    x->next = f->app;
    f->app = index;
    x->sender = p->sender;
    memcpy(x->vlan, p->vlan, sizeof(x->vlan[0]) * p->n_vlans);
    if (p->tunnel != TUNNEL_NONE)
        keep_outer(x, p);
}

const struct extra *extra_of(const struct flow *f, const struct pool *pool)
{
    for (uint32_t i = f->app; i != 0; i = pool_at(pool, i)->next)
        if (pool_at(pool, i)->extra.kind == APP_EXTRA)
            return &pool_at(pool, i)->extra;
    return NULL;
}

void extra_fill(const struct flow *f, const struct extra *x, struct rec_flow *r)
{
    bool is_mirror = x->type == TUNNEL_ERSPAN || x->type == TUNNEL_TZSP;
    bool turn = !is_mirror && x->sender != f->client;

    if (x->type == TUNNEL_NONE)
        return;
    r->tunnel = x->type;
    r->tunnel_id = x->id;
    r->tunnel_af = x->af;
    r->tunnel_src = turn ? x->dst : x->src;
    r->tunnel_dst = turn ? x->src : x->dst;
}

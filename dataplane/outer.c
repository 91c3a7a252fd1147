/* SPDX-License-Identifier: BSD-3-Clause */

/* See outer.h. */

#include "dataplane/outer.h"

#include <string.h>

void outer_keep(struct flow *f, const struct pkt *p, struct pool *pool)
{
    f->outer = pool_get(pool);
    if (f->outer == 0)
        return;
    struct outer *o = &pool_at(pool, f->outer)->outer;
    const uint8_t *h = p->data + p->outer_off;
    size_t size = p->outer_af == 4 ? 4 : 16;

    o->type = p->tunnel;
    o->id = p->tunnel_id;
    o->af = p->outer_af;
    o->sender = p->sender;
    if (o->af == 0)
        return;
    h += o->af == 4 ? 12 : 8;
    memcpy(o->src.byte, h, size);
    memcpy(o->dst.byte, h + size, size);
}

void outer_take(struct flow *f, struct rec_flow *r, struct pool *pool)
{
    if (f->outer == 0)
        return;
    const struct outer *o = &pool_at(pool, f->outer)->outer;
    bool is_mirror = o->type == TUNNEL_ERSPAN || o->type == TUNNEL_TZSP;
    bool turn = !is_mirror && o->sender != f->client;

    if (r != NULL) {
        r->tunnel = o->type;
        r->tunnel_id = o->id;
        r->tunnel_af = o->af;
        r->tunnel_src = turn ? o->dst : o->src;
        r->tunnel_dst = turn ? o->src : o->dst;
    }
    pool_put(pool, f->outer);
    f->outer = 0;
}

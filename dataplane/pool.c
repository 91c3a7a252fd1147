/* SPDX-License-Identifier: BSD-3-Clause */

/* See pool.h. Items are numbered from 1. */

#include "dataplane/pool.h"

#include <errno.h>

#include "dataplane/memory.h"

static size_t memory_bytes(const struct pool *p)
{
    return ((size_t)p->n + 1) * p->item_bytes;
}

int pool_init(struct pool *p, uint32_t n_items, size_t item_bytes)
{
    *p = (struct pool){.n = n_items, .item_bytes = (uint32_t)item_bytes, .fresh = 1};
    p->mem = memory_map(memory_bytes(p));
    return p->mem != NULL ? 0 : -ENOMEM;
}

void pool_fini(struct pool *p)
{
    memory_unmap(p->mem, memory_bytes(p));
    p->mem = NULL;
}

size_t pool_bytes(const struct pool *p)
{
    return memory_bytes(p);
}

/* Every flow in trouble may have a few nodes; sums are for the few that carry millions of packets. */
int pools_init(struct pools *p, uint32_t blocks)
{
    if (pool_init(&p->node, blocks, sizeof(union node)) != 0 ||
        pool_init(&p->trouble, blocks, sizeof(struct trouble)) != 0 ||
        pool_init(&p->sums, blocks / 16 + 1, sizeof(struct flow_sums)) != 0)
        return -ENOMEM;
    return 0;
}

void pools_fini(struct pools *p)
{
    pool_fini(&p->node);
    pool_fini(&p->trouble);
    pool_fini(&p->sums);
}

size_t pools_bytes(const struct pools *p)
{
    return pool_bytes(&p->node) + pool_bytes(&p->trouble) + pool_bytes(&p->sums);
}
